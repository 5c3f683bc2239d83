// Package exchange talks with the target of a run, one exchange at a time, and books everything on the run's budget. The
// measurements are built from it.
package exchange

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

// Timeout bounds one connect, and one request with its response. A SYN that is lost is sent again after one, two, three
// and four seconds by kernels with linear timeouts, so that a shorter one would not see it.
const Timeout = 5 * time.Second

// Peer is the target of a run.
type Peer struct {
	remote  netip.AddrPort
	request *http1.Request // nil: HTTP is not spoken
	budget  *budget.Budget
}

// NewPeer returns the target at remote. request is what is asked of it, nil to speak no HTTP.
func NewPeer(remote netip.AddrPort, request *http1.Request, b *budget.Budget) *Peer {
	return &Peer{remote: remote, request: request, budget: b}
}

// Remote is the address that connections go to.
func (p *Peer) Remote() netip.AddrPort { return p.remote }

// SpeaksHTTP says whether requests can be made.
func (p *Peer) SpeaksHTTP() bool { return p.request != nil }

// Turn waits for permission to send a request, and to open a connection if connect is true; see budget.Budget.Turn.
func (p *Peer) Turn(ctx context.Context, connect bool) error { return p.budget.Turn(ctx, connect) }

// Note records whether a turn succeeded; see budget.Budget.Note.
func (p *Peer) Note(err error) { p.budget.Note(err) }

// Pause waits without sending anything, within the time of the measurement; see budget.Budget.Pause.
func (p *Peer) Pause(ctx context.Context, length time.Duration) error {
	return p.budget.Pause(ctx, length)
}

// Connection is one connection to a Peer.
type Connection struct {
	peer      *Peer
	tcp       *tcpconn.Conn
	responses *http1.Reader
	// ConnectTook is the time of the handshake.
	ConnectTook time.Duration
}

// Connect opens a connection. The caller has a turn for it, and closes it.
func (p *Peer) Connect(ctx context.Context) (*Connection, error) {
	ctx, cancel := p.limited(ctx, Timeout)
	defer cancel()
	p.budget.Connected()
	tcp, took, err := tcpconn.Dialer{}.Connect(ctx, p.remote)
	if err != nil {
		return nil, err
	}
	c := &Connection{peer: p, tcp: tcp, ConnectTook: took}
	c.responses = http1.NewReader(c)
	return c, nil
}

// Request sends the request of the run and reads the whole response. It returns the response and the time that both
// took. The caller has a turn for it. closeAfter asks the server to close the connection.
func (c *Connection) Request(ctx context.Context, closeAfter bool) (http1.Response, time.Duration, error) {
	ctx, cancel := c.peer.limited(ctx, Timeout)
	defer cancel()
	request := *c.peer.request
	request.Close = closeAfter
	data := request.Bytes()
	c.peer.budget.Requested()
	begin := time.Now()
	if err := c.tcp.Write(ctx, data); err != nil {
		return http1.Response{}, 0, err
	}
	c.peer.budget.Sent(len(data))
	response, err := c.responses.ReadResponse(ctx, request.Method)
	took := time.Since(begin)
	if err == nil && c.responses.Pending() {
		err = errUnasked
	}
	return response, took, err
}

var errUnasked = errors.New("the server sent bytes behind its response that no request had asked for")

// Read reads what the target sends and books it.
func (c *Connection) Read(ctx context.Context, buffer []byte) (int, error) {
	n, err := c.tcp.Read(ctx, buffer)
	c.peer.budget.Received(n)
	return n, err
}

// HangUp says that this end sends nothing more, and reads and throws away what the target sends until it ends the
// connection too. It returns how that came: io.EOF after a close, else the error, which wraps tcpconn.ErrTimeout once the
// limit or the time of the measurement is over. A close without it would be a reset if the target had something to say.
func (c *Connection) HangUp(ctx context.Context, limit time.Duration) error {
	ctx, cancel := c.peer.limited(ctx, limit)
	defer cancel()
	if err := c.tcp.CloseWrite(); err != nil {
		return err
	}
	buffer := make([]byte, unaskedBytes)
	for left := len(buffer); left > 0; {
		n, err := c.Read(ctx, buffer[:left])
		if err != nil {
			return err
		}
		left -= n
	}
	return errUnaskedTooMuch
}

// unaskedBytes is how much HangUp reads of what nobody asked for; a greeting is far shorter.
const unaskedBytes = 64 << 10

var errUnaskedTooMuch = errors.New("the server goes on sending although nothing was asked of it and this end has closed")

// Ended says whether the target has ended the connection; see tcpconn.Conn.Ended.
func (c *Connection) Ended() error { return c.tcp.Ended() }

// Info is the kernel's view of the connection.
func (c *Connection) Info() (tcpinfo.Info, error) { return c.tcp.Info() }

// LocalAddress is this end's address and port.
func (c *Connection) LocalAddress() (netip.AddrPort, error) { return c.tcp.LocalAddress() }

// Close closes the connection.
func (c *Connection) Close() { c.tcp.Close() }

// limited bounds what waits for the target by a limit and by the end of the measurement.
func (p *Peer) limited(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	end := time.Now().Add(limit)
	if p.budget.End().Before(end) {
		end = p.budget.End()
	}
	return context.WithDeadline(ctx, end)
}
