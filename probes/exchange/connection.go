package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

// Connection is one connection to a Peer. It is used from one goroutine, but for what Stream returns.
type Connection struct {
	peer      *Peer
	tcp       *tcpconn.Conn
	wire      *wire
	tls       *tls.Conn // nil without TLS
	responses *http1.Reader
	// ahead is what Ended had to read to find out.
	ahead []byte
	// ConnectTook is the time of the TCP handshake.
	ConnectTook time.Duration
	// Opened is the kernel's view of the connection right after it.
	Opened tcpinfo.Info
	// TLS is how TLS was set up. Nil without TLS.
	TLS *TLSHandshake
}

// TLSHandshake is how TLS was set up on a connection.
type TLSHandshake struct {
	// Took is the time from the first byte sent to the end of this side's handshake.
	Took  time.Duration
	State tls.ConnectionState
}

// TLSError is a TLS handshake that failed.
type TLSError struct {
	Err error
	// Connection is the kernel's view of the connection when it failed. Its fields are nil if the kernel did not say.
	Connection tcpinfo.Info
}

func (e *TLSError) Error() string { return "TLS handshake: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *TLSError) Unwrap() error { return e.Err }

// RefusesALPN says whether the server ended the handshake because it speaks none of the protocols offered (RFC 7301 section
// 3.2).
func (e *TLSError) RefusesALPN() bool {
	const noApplicationProtocol = tls.AlertError(120)
	return e.remoteAlert() == noApplicationProtocol.Error()
}

// Expired returns the certificate of the server that is out of its time, nil if the handshake did not fail for one.
func (e *TLSError) Expired() *x509.Certificate {
	var invalid x509.CertificateInvalidError
	if errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired {
		return invalid.Cert
	}
	return nil
}

// SpeaksOldVersion says whether the server speaks none of the versions of TLS that were offered: it says so by an alert (RFC
// 8446 section 6.2), or answers with an older one. The type that crypto/tls has for the latter is not exported.
func (e *TLSError) SpeaksOldVersion() bool {
	const protocolVersion = tls.AlertError(70)
	return e.remoteAlert() == protocolVersion.Error() || strings.Contains(e.Err.Error(), "server selected unsupported protocol version")
}

// remoteAlert is the text of the alert by which the server ended the handshake, empty if there was none. The type that
// crypto/tls has for it is not exported.
func (e *TLSError) remoteAlert() string {
	var remote *net.OpError
	if errors.As(e.Err, &remote) && remote.Op == "remote error" {
		return remote.Err.Error()
	}
	return ""
}

// secure makes the TLS handshake.
func (c *Connection) secure(ctx context.Context, sessions tls.ClientSessionCache) error {
	config := c.peer.TLS.Clone()
	config.ClientSessionCache = sessions
	c.tls = tls.Client(c.wire, config)
	c.wire.bound(ctx)
	begin := time.Now()
	// Not HandshakeContext: it waits in a goroutine of its own for the end of its context.
	if err := c.tls.Handshake(); err != nil { //nolint:noctx // the wire is bound to the context
		failure := &TLSError{Err: err}
		if info, infoErr := c.Info(); infoErr == nil {
			failure.Connection = info
		}
		return failure
	}
	c.TLS = &TLSHandshake{Took: time.Since(begin), State: c.tls.ConnectionState()}
	return nil
}

// SetupTook is the time of all handshakes.
func (c *Connection) SetupTook() time.Duration {
	if c.TLS == nil {
		return c.ConnectTook
	}
	return c.ConnectTook + c.TLS.Took
}

// Request sends the request of the run and reads the whole response. It returns the response and the time that both
// took. The caller has a turn for it. closeAfter asks the server to close the connection.
func (c *Connection) Request(ctx context.Context, closeAfter bool) (http1.Response, time.Duration, error) {
	request := *c.peer.Request
	request.Close = closeAfter
	return c.Ask(ctx, request)
}

// Ask is Request for a request of the caller's own.
func (c *Connection) Ask(ctx context.Context, request http1.Request) (http1.Response, time.Duration, error) {
	ctx = c.peer.limited(ctx, Timeout)
	begin := time.Now()
	if err := c.Send(ctx, request); err != nil {
		return http1.Response{}, 0, err
	}
	response, err := c.Receive(ctx, request.Method)
	took := time.Since(begin)
	if err == nil && c.responses.Pending() {
		err = errUnasked
	}
	return response, took, err
}

var errUnasked = errors.New("the server sent bytes behind its response that no request had asked for")

// Send sends a request without waiting for its response.
func (c *Connection) Send(ctx context.Context, request http1.Request) error {
	c.peer.Budget.Requested()
	return c.Write(ctx, request.Bytes())
}

// Receive reads the whole response to a request of the given method.
func (c *Connection) Receive(ctx context.Context, method string) (http1.Response, error) {
	response, err := c.responses.ReadResponse(ctx, method)
	if err == nil {
		c.peer.Budget.Responded(response.Status)
	}
	return response, err
}

// ReceiveHead reads a response up to its body; see http1.Reader.ReadHead.
func (c *Connection) ReceiveHead(ctx context.Context, method string) (http1.Response, *http1.Body, error) {
	response, body, err := c.responses.ReadHead(ctx, method)
	if err == nil {
		c.peer.Budget.Responded(response.Status)
	}
	return response, body, err
}

// Rest takes what has arrived behind the last response, for those who upgrade the connection to another protocol.
func (c *Connection) Rest() []byte { return c.responses.Rest() }

// Write sends all of data.
func (c *Connection) Write(ctx context.Context, data []byte) error {
	c.wire.bound(ctx)
	_, err := c.stream().Write(data)
	return err
}

// Read reads what the target sends. It returns io.EOF, unwrapped, once the target has closed its side.
func (c *Connection) Read(ctx context.Context, buffer []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(buffer, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	c.wire.bound(ctx)
	n, err := c.stream().Read(buffer)
	if n > 0 {
		// TLS tells of its farewell along with the last data, and again when it is asked for more.
		return n, nil
	}
	return n, plain(err)
}

func (c *Connection) stream() net.Conn {
	if c.tls != nil {
		return c.tls
	}
	return c.wire
}

// Stream gives the connection to a library that asks for a net.Conn; ctx ends its waits. One goroutine may read from it
// while another writes. From then on only Info, LocalAddress, TCP and Close of the Connection may be used.
func (c *Connection) Stream(ctx context.Context) net.Conn {
	c.wire.bound(ctx)
	return c.stream()
}

// HangUp says that this end sends nothing more, and reads and throws away what the target sends until it ends the
// connection too. It returns how that came: io.EOF after a close, else the error, which wraps tcpconn.ErrTimeout once the
// limit or the time of the measurement is over. A close without it would be a reset if the target had something to say.
func (c *Connection) HangUp(ctx context.Context, limit time.Duration) error {
	ctx = c.peer.limited(ctx, limit)
	if err := c.CloseWrite(ctx); err != nil {
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

// CloseWrite says that this end sends nothing more, over TLS with the farewell that it asks for (RFC 8446 section 6.1).
func (c *Connection) CloseWrite(ctx context.Context) error {
	if c.tls != nil {
		c.wire.bound(ctx)
		if err := c.tls.CloseWrite(); err != nil {
			return fmt.Errorf("close TLS: %w", err)
		}
	}
	return c.wire.CloseWrite()
}

// Ended says, without waiting, whether the target has ended the connection: io.EOF if it closed its side, the error if it
// reset it, nil if the connection is open.
func (c *Connection) Ended() error {
	ended := c.tcp.Ended()
	if c.tls == nil || ended != nil || len(c.ahead) > 0 {
		return ended
	}
	// Something may have arrived, and only TLS can tell whether it is data, a ticket or the farewell.
	past, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	buffer := make([]byte, unaskedBytes)
	n, err := c.Read(past, buffer)
	c.ahead = buffer[:n]
	if errors.Is(err, tcpconn.ErrTimeout) {
		return nil
	}
	return err
}

// OnArrival calls note after every read that took something from the socket, below TLS, on the thread that reads; nil ends
// it. It is for those who look at the socket in the middle of a response. It is not for use with Stream.
func (c *Connection) OnArrival(note func()) { c.wire.arrived = note }

// Info is the kernel's view of the connection.
func (c *Connection) Info() (tcpinfo.Info, error) { return c.tcp.Info() }

// LocalAddress is this end's address and port.
func (c *Connection) LocalAddress() (netip.AddrPort, error) { return c.tcp.LocalAddress() }

// TCP is the connection below TLS, for socket options and for what looks at the socket itself.
func (c *Connection) TCP() *tcpconn.Conn { return c.tcp }

// Close closes the connection. Over TLS it says so first, and reads what has arrived unread, such as tickets: the kernel
// would reset the connection because of it.
func (c *Connection) Close() {
	if c.tls != nil && c.TLS != nil {
		soon, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		c.wire.bound(soon)
		if c.tls.CloseWrite() == nil {
			c.discardArrived()
		}
	}
	// A second close is no mistake here.
	_ = c.wire.Close()
}

// farewell bounds the sending of TLS's last word.
const farewell = 100 * time.Millisecond

// discardArrived reads what is there, without waiting.
func (c *Connection) discardArrived() {
	past, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	buffer := make([]byte, unaskedBytes)
	for range 4 {
		if _, err := c.tcp.Read(past, buffer); err != nil {
			return
		}
	}
}
