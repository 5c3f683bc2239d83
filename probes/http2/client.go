package http2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

const (
	// windowBytes is how much the server may send on a stream, and connectionWindowBytes on the connection, before this
	// end must say more (RFC 9113 section 6.9): enough that it never waits for this end.
	windowBytes           = http1.MaximumBodyBytes
	connectionWindowBytes = 1<<31 - 1 - 65535
	// frameBytes is what the server may put into a frame, as long as this end's settings allow no more (RFC 9113 section 6.5.2).
	frameBytes = 1 << 14
	// headerTableBytes is the size of the table of headers where none is agreed on (RFC 9113 section 6.5.2).
	headerTableBytes = 4096
	// maximumHeaderBytes bounds what the headers of a response may unfold to.
	maximumHeaderBytes = http1.MaximumHeaderBytes
)

// errNotSpoken: the server does not agree on HTTP/2.
var errNotSpoken = errors.New("the server did not agree on HTTP/2")

// goAway is the end of a connection by the server: after so many requests and seconds.
type goAway struct {
	code     http2.ErrCode
	requests int
	after    time.Duration
}

func (g *goAway) Error() string { return "the server ended the connection: GOAWAY " + g.code.String() }

// client is one connection that speaks HTTP/2. It is used from one goroutine: what the server sends is read while
// something is waited for.
type client struct {
	*exchange.Connection
	peer    *exchange.Peer
	path    request
	framer  *http2.Framer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
	since   time.Time

	// settings that the server sent first.
	settings map[http2.SettingID]uint32
	// open are the streams whose response has not ended, with the bytes of their bodies.
	open map[uint32]int64
	// ended is the newest GOAWAY that came, refused whether it left out some of what was sent.
	ended   *goAway
	refused bool
	pong    bool
}

// request is what is asked for.
type request struct{ scheme, authority, target, userAgent string }

// dial opens a connection and exchanges settings. The caller has a turn for it, and closes it.
func dial(ctx context.Context, peer *exchange.Peer, asked request) (*client, error) {
	connection, err := peer.Connect(ctx)
	var refused *exchange.TLSError
	if errors.As(err, &refused) && refused.RefusesALPN() {
		return nil, fmt.Errorf("%w by ALPN: %w", errNotSpoken, err)
	}
	if err != nil {
		return nil, err
	}
	c := &client{Connection: connection, peer: peer, path: asked, next: 1, since: time.Now(), open: map[uint32]int64{}}
	if secured := connection.TLS; secured != nil && secured.State.NegotiatedProtocol != "h2" {
		connection.Close()
		return nil, fmt.Errorf("%w by ALPN; it chose %q", errNotSpoken, secured.State.NegotiatedProtocol)
	}
	stream := connection.Stream(ctx)
	c.framer = newFramer(stream)
	c.encoder = hpack.NewEncoder(&c.encoded)
	if err := c.greet(ctx, stream); err != nil {
		connection.Close()
		if c.settings == nil && c.ended == nil && !errors.Is(err, tcpconn.ErrTimeout) {
			err = fmt.Errorf("%w: %w", errNotSpoken, err)
		}
		return nil, err
	}
	return c, nil
}

// newFramer reads frames within bounds.
func newFramer(stream io.ReadWriter) *http2.Framer {
	framer := http2.NewFramer(stream, stream)
	framer.ReadMetaHeaders = hpack.NewDecoder(headerTableBytes, nil)
	framer.MaxHeaderListSize = maximumHeaderBytes
	framer.SetMaxReadFrameSize(frameBytes)
	return framer
}

// greet sends the preface and waits for the server's settings (RFC 9113 section 3.4).
func (c *client) greet(ctx context.Context, stream io.Writer) error {
	if _, err := io.WriteString(stream, http2.ClientPreface); err != nil {
		return err
	}
	err := errors.Join(
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: windowBytes}),
		c.framer.WriteWindowUpdate(0, connectionWindowBytes))
	if err != nil {
		return err
	}
	return c.until(ctx, func() bool { return c.settings != nil })
}

// ask sends so many requests at once and waits for all of their responses. The caller has a turn for each.
func (c *client) ask(ctx context.Context, count int) (time.Duration, error) {
	begin := time.Now()
	if err := c.send(count); err != nil {
		return 0, err
	}
	err := c.settle(ctx)
	return time.Since(begin), err
}

func (c *client) send(count int) error {
	if c.ended != nil {
		return c.ended
	}
	for range count {
		c.encoded.Reset()
		for _, field := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: c.path.scheme},
			{Name: ":authority", Value: c.path.authority}, {Name: ":path", Value: c.path.target},
			{Name: "user-agent", Value: c.path.userAgent}, {Name: "accept", Value: "*/*"},
		} {
			if err := c.encoder.WriteField(field); err != nil {
				return err
			}
		}
		c.open[c.next] = 0
		c.peer.Budget.Requested()
		err := c.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: c.next, BlockFragment: c.encoded.Bytes(), EndStream: true, EndHeaders: true,
		})
		if err != nil {
			return err
		}
		c.next += 2
	}
	return nil
}

// settle waits for the responses to all that was sent, but for what the server has refused by GOAWAY, which is its error
// then.
func (c *client) settle(ctx context.Context) error {
	err := c.until(ctx, func() bool { return len(c.open) == 0 })
	if err == nil && c.refused {
		return c.ended
	}
	return err
}

// ping sends a PING and waits for its answer (RFC 9113 section 6.7).
func (c *client) ping(ctx context.Context) (time.Duration, error) {
	c.pong = false
	begin := time.Now()
	if err := c.framer.WritePing(false, [8]byte{'c', 'o', 'n', 'n', 'p', 'o', 'l', 'y'}); err != nil {
		return 0, err
	}
	err := c.until(ctx, func() bool { return c.pong })
	return time.Since(begin), err
}

// until reads what the server sends until the condition holds.
func (c *client) until(ctx context.Context, holds func() bool) error {
	end := time.Now().Add(exchange.Timeout)
	if last := c.peer.Budget.End(); last.Before(end) {
		end = last
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	c.Stream(ctx)
	for !holds() {
		// What has arrived is read without a wait, and a server that sends without end would never meet the deadline.
		if !time.Now().Before(end) {
			return fmt.Errorf("%w: the server sends other frames without end", tcpconn.ErrTimeout)
		}
		frame, err := c.framer.ReadFrame()
		if c.ended != nil && err != nil {
			return c.ended
		}
		if err != nil {
			return err
		}
		if err := c.take(frame); err != nil {
			return err
		}
	}
	return nil
}

// take acts on one frame.
func (c *client) take(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		return c.takeSettings(f)
	case *http2.MetaHeadersFrame:
		if status, err := strconv.Atoi(f.PseudoValue("status")); err == nil && status >= 200 {
			c.peer.Budget.Responded(status)
		}
		if f.StreamEnded() {
			delete(c.open, f.StreamID)
		}
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.RSTStreamFrame:
		delete(c.open, f.StreamID)
		return fmt.Errorf("the server refused a request: RST_STREAM %s", f.ErrCode)
	case *http2.GoAwayFrame:
		c.takeGoAway(f)
	case *http2.PingFrame:
		if f.IsAck() {
			c.pong = true
			return nil
		}
		return c.framer.WritePing(true, f.Data)
	}
	return nil
}

// takeGoAway notes how many requests the server has taken. Those that it has not taken it does not answer any more (RFC
// 9113 section 6.8).
func (c *client) takeGoAway(f *http2.GoAwayFrame) {
	for id := range c.open {
		if id > f.LastStreamID {
			delete(c.open, id)
			c.refused = true
		}
	}
	// Streams of requests have odd numbers. A server that only warns names the highest number that there is.
	taken := (min(f.LastStreamID, c.next-1) + 1) / 2
	c.ended = &goAway{code: f.ErrCode, requests: int(taken), after: time.Since(c.since)}
}

func (c *client) takeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if c.settings == nil {
		c.settings = map[http2.SettingID]uint32{}
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		c.settings[s.ID] = s.Val
		return nil
	})
	return errors.Join(err, c.framer.WriteSettingsAck())
}

func (c *client) takeData(f *http2.DataFrame) error {
	length := int64(f.Header().Length)
	if length > 0 {
		// The streams' own windows hold all that a body may have.
		if err := c.framer.WriteWindowUpdate(0, uint32(length)); err != nil { //nolint:gosec // a frame has 16 MiB at most
			return err
		}
	}
	received, asked := c.open[f.StreamID]
	if !asked {
		return nil
	}
	if received += length; received > http1.MaximumBodyBytes {
		return http1.ErrBodyTooLarge
	}
	c.open[f.StreamID] = received
	if f.StreamEnded() {
		delete(c.open, f.StreamID)
	}
	return nil
}
