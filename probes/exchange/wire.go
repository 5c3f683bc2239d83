package exchange

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// wire is a TCP connection as a net.Conn, for libraries that ask for one, and counts every byte on the budget. One
// goroutine may read while another writes. Its waits are those of tcpconn, on the caller's thread.
type wire struct {
	tcp    *tcpconn.Conn
	remote netip.AddrPort
	budget *budget.Budget

	// use is held for reading by those who use the socket, and for writing by Close, which must not free the descriptor
	// under them.
	use    sync.RWMutex
	closed bool

	reading, writing direction

	// arrived, unless nil, is called after each read that brought something.
	arrived func()
}

// direction is the limit of the waits in one direction.
type direction struct {
	lock     sync.Mutex
	parent   context.Context
	deadline time.Time
}

func newWire(tcp *tcpconn.Conn, remote netip.AddrPort, b *budget.Budget) *wire {
	w := &wire{tcp: tcp, remote: remote, budget: b}
	w.bound(context.Background())
	return w
}

// bound makes ctx end the waits of both directions from now on, beside the deadlines.
func (w *wire) bound(ctx context.Context) {
	for _, d := range []*direction{&w.reading, &w.writing} {
		d.lock.Lock()
		d.parent = ctx
		d.lock.Unlock()
	}
}

// context returns the limit of one wait.
func (d *direction) context() (context.Context, context.CancelFunc) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.deadline.IsZero() {
		return d.parent, func() {}
	}
	return context.WithDeadline(d.parent, d.deadline)
}

func (d *direction) limit(deadline time.Time) {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.deadline = deadline
}

// Read reads what has arrived, or waits for it.
func (w *wire) Read(buffer []byte) (int, error) {
	w.use.RLock()
	defer w.use.RUnlock()
	if w.closed {
		return 0, net.ErrClosed
	}
	ctx, cancel := w.reading.context()
	defer cancel()
	n, err := w.tcp.Read(ctx, buffer)
	w.budget.Received(n)
	if n > 0 && w.arrived != nil {
		w.arrived()
	}
	return n, temporary(err)
}

// Write sends all of data.
func (w *wire) Write(data []byte) (int, error) {
	w.use.RLock()
	defer w.use.RUnlock()
	if w.closed {
		return 0, net.ErrClosed
	}
	ctx, cancel := w.writing.context()
	defer cancel()
	if err := w.tcp.Write(ctx, data); err != nil {
		return 0, temporary(err)
	}
	w.budget.Sent(len(data))
	return len(data), nil
}

// Close closes the connection. It ends the waits that are under way.
func (w *wire) Close() error {
	if !w.use.TryLock() {
		// Whoever waits on the socket wakes up. What fails here has ended already.
		_ = w.tcp.Shutdown()
		w.use.Lock()
	}
	defer w.use.Unlock()
	if w.closed {
		return net.ErrClosed
	}
	w.closed = true
	w.tcp.Close()
	return nil
}

// CloseWrite says that this end sends nothing more.
func (w *wire) CloseWrite() error {
	w.use.RLock()
	defer w.use.RUnlock()
	if w.closed {
		return net.ErrClosed
	}
	return w.tcp.CloseWrite()
}

// LocalAddr and RemoteAddr are the two ends.
func (w *wire) LocalAddr() net.Addr {
	local, err := w.tcp.LocalAddress()
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(local)
}

// RemoteAddr is the target's end.
func (w *wire) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(w.remote) }

// SetDeadline limits the reads and writes that begin from now on.
func (w *wire) SetDeadline(deadline time.Time) error {
	w.reading.limit(deadline)
	w.writing.limit(deadline)
	return nil
}

// SetReadDeadline limits the reads that begin from now on.
func (w *wire) SetReadDeadline(deadline time.Time) error {
	w.reading.limit(deadline)
	return nil
}

// SetWriteDeadline limits the writes that begin from now on.
func (w *wire) SetWriteDeadline(deadline time.Time) error {
	w.writing.limit(deadline)
	return nil
}

// temporary marks a wait that took too long as what a later call may be luckier with. crypto/tls gives a connection up
// after any other error of reading.
func temporary(err error) error {
	if errors.Is(err, tcpconn.ErrTimeout) {
		return &timeout{err}
	}
	return err
}

// timeout is a net.Error that wraps the error of a wait.
type timeout struct{ error }

func (*timeout) Timeout() bool   { return true }
func (*timeout) Temporary() bool { return true }
func (t *timeout) Unwrap() []error {
	return []error{t.error, os.ErrDeadlineExceeded}
}

// plain turns the end of a TLS connection without its farewell (RFC 8446 section 6.1) into the end that it is to HTTP.
func plain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
