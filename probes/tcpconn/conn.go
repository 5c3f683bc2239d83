// Package tcpconn opens and drives TCP connections by non-blocking system calls on the caller's own thread.
//
// Go's dialer and its network poller add 50 to 70 % to the time of a connect between two namespaces of one machine. What
// measures such times must not see that, so nothing here hands the waiting over to the runtime. Callers that measure
// lock their goroutine to its thread (runtime.LockOSThread).
package tcpconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

// cancelLatency bounds how long a wait goes on after its context was cancelled.
const cancelLatency = 100 * time.Millisecond

// ErrTimeout is wrapped by the errors of waits that outlasted the deadline of their context.
var ErrTimeout = errors.New("timed out")

// Error is a failed operation on a connection.
type Error struct {
	// Op is the system call or the operation: socket, connect, read, write, shutdown.
	Op string
	// Err is what went wrong, often a unix.Errno.
	Err error
	// SynRetransmissions counts the SYNs that a connect sent again before it failed. Nil for other operations, and where
	// the kernel did not say.
	SynRetransmissions *uint32
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Conn is an established TCP connection. One goroutine may read from it while another writes to it; Close must not be
// called while either does.
type Conn struct {
	fd int
}

// Dialer opens connections. The zero Dialer leaves everything to the kernel's defaults.
type Dialer struct {
	// SearchAllPorts makes the kernel look for a free local port in all of ip_local_port_range, one after the other.
	//
	// By default connect() tries all ports of one parity before it takes one of the other, so that past half of the range
	// every connect() costs milliseconds of kernel time. Since Linux 6.14 it does not where the socket option
	// IP_LOCAL_PORT_RANGE is set (net/ipv4/inet_hashtables.c, __inet_hash_connect). The range that is set here lies
	// outside every ip_local_port_range and so does not narrow it. Older kernels search as ever.
	SearchAllPorts bool
	// MaximumSegmentBytes is the largest segment that this end asks for and sends itself (tcp(7), TCP_MAXSEG), from 88 on.
	// 0: what the device and the route allow.
	MaximumSegmentBytes int
}

// Connect opens a connection to remote and says how long the handshake took, from the call of connect() to a writable
// socket. It waits until the context's deadline, and not longer than a tenth of a second after a cancellation. Its errors
// are of type *Error; a deadline that passed wraps ErrTimeout.
func (d Dialer) Connect(ctx context.Context, remote netip.AddrPort) (*Conn, time.Duration, error) {
	address, family, err := SocketAddress(remote)
	if err != nil {
		return nil, 0, &Error{Op: "connect", Err: err}
	}
	fd, err := openSocket(family)
	if err != nil {
		return nil, 0, &Error{Op: "socket", Err: err}
	}
	c := &Conn{fd: fd}
	if d.SearchAllPorts {
		const lowest, highest = 1, 65535
		err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, highest<<16|lowest)
		if err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			c.Close()
			return nil, 0, &Error{Op: "setsockopt IP_LOCAL_PORT_RANGE", Err: err}
		}
	}
	if d.MaximumSegmentBytes > 0 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, d.MaximumSegmentBytes); err != nil {
			c.Close()
			return nil, 0, &Error{Op: "setsockopt TCP_MAXSEG", Err: err}
		}
	}
	took, err := c.connect(ctx, address)
	if err != nil {
		failure := &Error{Op: "connect", Err: err}
		if info, infoErr := c.Info(); infoErr == nil {
			failure.SynRetransmissions = info.TotalRetrans
		}
		c.Close()
		return nil, 0, failure
	}
	return c, took, nil
}

func (c *Conn) connect(ctx context.Context, address unix.Sockaddr) (time.Duration, error) {
	// A request is one small write; it must never wait for the acknowledgement of another (Nagle).
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return 0, err
	}
	to := newEndpoint(address)
	begin := time.Now()
	err := to.connect(c.fd)
	if errors.Is(err, unix.EINPROGRESS) {
		// On one machine the answer is often there already, and asking once more is cheaper than a poll and SO_ERROR.
		err = to.connect(c.fd)
	}
	switch {
	case err == nil:
		return time.Since(begin), nil
	case !errors.Is(err, unix.EALREADY):
		return 0, err
	}
	if err := c.wait(ctx, unix.POLLOUT); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, unix.Errno(errno)
	}
	return took, nil
}

// Write sends all of data.
func (c *Conn) Write(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		n, err := unix.SendmsgN(c.fd, data, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			data = data[n:]
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if err := c.wait(ctx, unix.POLLOUT); err != nil {
				return &Error{Op: "write", Err: err}
			}
		default:
			return &Error{Op: "write", Err: err}
		}
	}
	return nil
}

// Read waits for data and reads at most len(buffer) bytes of it. It returns io.EOF, unwrapped, once the peer has closed
// its side.
func (c *Conn) Read(ctx context.Context, buffer []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, buffer)
		switch {
		case err == nil && n == 0 && len(buffer) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if err := c.wait(ctx, unix.POLLIN); err != nil {
				return 0, &Error{Op: "read", Err: err}
			}
		default:
			return 0, &Error{Op: "read", Err: err}
		}
	}
}

func (c *Conn) wait(ctx context.Context, events int16) error { return Await(ctx, c.fd, events) }

// Await returns once an event of the mask, an error or a hang-up is there on a descriptor, or with ErrTimeout after the
// deadline of the context. The wait is cut into slices so that a cancelled context is seen without a second descriptor in
// the poll.
func Await(ctx context.Context, fd int, events int16) error {
	deadline, limited := ctx.Deadline()
	for {
		if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return context.Cause(ctx)
		}
		slice := cancelLatency
		if limited {
			slice = min(slice, time.Until(deadline))
		}
		if slice < 0 {
			return ErrTimeout
		}
		timeout := unix.NsecToTimespec(slice.Nanoseconds())
		descriptors := []unix.PollFd{{Fd: int32(fd), Events: events}} //nolint:gosec // the kernel counts descriptors in 32 bits
		n, err := unix.Ppoll(descriptors, &timeout, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n > 0 {
			return nil
		}
	}
}

// Ended says, without waiting and without reading data, whether the peer has ended the connection: io.EOF if it closed its
// side, the error if it reset it, nil if the connection is open.
func (c *Conn) Ended() error {
	var one [1]byte
	n, _, err := unix.Recvfrom(c.fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return &Error{Op: "read", Err: err}
	case n == 0:
		return io.EOF
	}
	return nil
}

// CloseWrite tells the peer that this end sends nothing more. What the peer sends can still be read.
func (c *Conn) CloseWrite() error {
	if err := unix.Shutdown(c.fd, unix.SHUT_WR); err != nil {
		return &Error{Op: "shutdown", Err: err}
	}
	return nil
}

// Shutdown ends both directions, so that whoever waits on the connection wakes up. The connection must still be closed.
func (c *Conn) Shutdown() error {
	if err := unix.Shutdown(c.fd, unix.SHUT_RDWR); err != nil {
		return &Error{Op: "shutdown", Err: err}
	}
	return nil
}

// Info is the kernel's view of the connection.
func (c *Conn) Info() (tcpinfo.Info, error) {
	info, err := tcpinfo.Get(c.fd)
	if err != nil {
		return tcpinfo.Info{}, &Error{Op: "getsockopt TCP_INFO", Err: err}
	}
	return info, nil
}

// Close closes the connection. Whichever end closes first is left with TIME_WAIT; neither is if data arrived that was not
// read, since the kernel then resets the connection.
func (c *Conn) Close() {
	closeSocket(c.fd)
}

// LocalAddress is the address and port that the kernel chose for this end.
func (c *Conn) LocalAddress() (netip.AddrPort, error) {
	address, err := unix.Getsockname(c.fd)
	if err != nil {
		return netip.AddrPort{}, &Error{Op: "getsockname", Err: err}
	}
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil //nolint:gosec // a port of the kernel
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)), nil //nolint:gosec // a port of the kernel
	}
	return netip.AddrPort{}, &Error{Op: "getsockname", Err: unix.EAFNOSUPPORT}
}

// SocketAddress is an address and port as the kernel takes it, with its family.
func SocketAddress(remote netip.AddrPort) (unix.Sockaddr, int, error) {
	ip := remote.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(remote.Port()), Addr: ip.As4()}, unix.AF_INET, nil
	}
	if !ip.Is6() {
		return nil, 0, fmt.Errorf("%q is no IP address", remote)
	}
	zone, err := zoneIndex(ip.Zone())
	if err != nil {
		return nil, 0, err
	}
	return &unix.SockaddrInet6{Port: int(remote.Port()), Addr: ip.As16(), ZoneId: zone}, unix.AF_INET6, nil
}

// zoneIndex turns the zone of a link-local address, an interface's name or number, into its number.
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if number, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(number), nil
	}
	device, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("the zone %q of the address: %w", zone, err)
	}
	return uint32(device.Index), nil //nolint:gosec // the kernel numbers interfaces in 32 bits
}
