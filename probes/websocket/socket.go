package websocket

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what RFC 6455 asks for; nothing is secured by it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
)

// Asked is what the opening handshake says.
type Asked struct {
	// Host is the value of the Host header, Target the path and query.
	Host, Target, UserAgent string
	// Subprotocols that are offered, the preferred first. None: no subprotocol.
	Subprotocols []string
}

// IsSubprotocol says whether a name may be offered: a token of HTTP (RFC 6455 section 4.1, RFC 9110 section 5.6.2).
func IsSubprotocol(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}

// compression is the extension of RFC 7692.
const compression = "permessage-deflate"

// Refusal is an answer to the opening handshake that opens no WebSocket connection.
type Refusal struct {
	// Status is that of HTTP.
	Status int
	reason string
}

func (r *Refusal) Error() string { return r.reason }

// Socket is a connection after the opening handshake. It is used from one goroutine. What the server sends is read while
// something is waited for; pings are answered on the way.
type Socket struct {
	*exchange.Connection
	frames frames
	buffer []byte
	closed bool // this end has sent its close frame

	// Response is what answered the opening handshake, Took the time of the handshake alone, without TCP and TLS.
	Response http1.Response
	Took     time.Duration
	// Heard counts what the server sent.
	Heard Heard
}

// Heard counts the messages and the pings of a server.
type Heard struct{ Messages, Pings int }

const readBytes = 16 << 10

// Open makes the opening handshake (RFC 6455 section 4.1) on a new connection. Its error is a *Refusal if the server
// answers otherwise than it must. compress offers compression, under which the payload of messages is not to be read. The
// caller has a turn for it, and closes the connection whatever comes of it.
func Open(ctx context.Context, connection *exchange.Connection, asked Asked, compress bool) (*Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, exchange.Timeout)
	defer cancel()
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	key := base64.StdEncoding.EncodeToString(nonce[:])
	begin := time.Now()
	if err := connection.Send(ctx, asked.request(key, compress)); err != nil {
		return nil, err
	}
	response, body, err := connection.ReceiveHead(ctx, http.MethodGet)
	took := time.Since(begin)
	if err != nil {
		return nil, err
	}
	if refused := asked.check(response, key, compress); refused != "" {
		discard(ctx, body)
		return nil, &Refusal{Status: response.Status, reason: refused}
	}
	s := &Socket{Connection: connection, buffer: make([]byte, readBytes), Response: response, Took: took}
	s.frames.compressed = len(response.Upgrade.Extensions) > 0
	s.frames.add(connection.Rest())
	return s, nil
}

// discard reads what a refusal says, so that the connection is not reset because of it, but not for long.
func discard(ctx context.Context, body *http1.Body) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	var err error
	for err == nil {
		_, err = body.Next(ctx)
	}
}

func (a Asked) request(key string, compress bool) http1.Request {
	request := http1.Request{
		Method: http.MethodGet, Host: a.Host, Target: a.Target, UserAgent: a.UserAgent, Upgrade: "websocket",
		Fields: []http1.Field{
			{Name: "Sec-WebSocket-Version", Value: "13"},
			{Name: "Sec-WebSocket-Key", Value: key},
		},
	}
	if len(a.Subprotocols) > 0 {
		request.Fields = append(request.Fields, http1.Field{Name: "Sec-WebSocket-Protocol", Value: strings.Join(a.Subprotocols, ", ")})
	}
	if compress {
		request.Fields = append(request.Fields, http1.Field{Name: "Sec-WebSocket-Extensions", Value: compression})
	}
	return request
}

// check says what is wrong with the answer to the opening handshake, empty if nothing is.
func (a Asked) check(response http1.Response, key string, compress bool) string {
	if response.Status != http.StatusSwitchingProtocols {
		return fmt.Sprintf("the opening handshake was answered with status %d instead of 101", response.Status)
	}
	upgrade := response.Upgrade
	if upgrade == nil || upgrade.Protocol != "websocket" || !upgrade.Agreed {
		return "the opening handshake was answered with status 101 but without the headers that change to WebSocket"
	}
	if upgrade.Accept != acceptFor(key) {
		return "the opening handshake was answered with a Sec-WebSocket-Accept that is not the one for its key: " +
			"what answered does not speak WebSocket, or a hop replays another's answer"
	}
	if s := upgrade.Subprotocol; s != "" && !slices.Contains(a.Subprotocols, s) {
		return fmt.Sprintf("the opening handshake was answered with the subprotocol %q, which was not offered", s)
	}
	for _, extension := range upgrade.Extensions {
		if name, _, _ := strings.Cut(extension, ";"); !compress || strings.TrimSpace(name) != compression {
			return fmt.Sprintf("the opening handshake was answered with the extension %q, which was not offered", extension)
		}
	}
	return ""
}

// acceptFor is what the server must answer to a key (RFC 6455 section 4.2.2).
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Send sends one frame. final: it ends its message.
func (s *Socket) Send(ctx context.Context, kind ws.OpCode, final bool, payload []byte) error {
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(kind, final, payload)))
	if err != nil {
		return err
	}
	s.closed = s.closed || kind == ws.OpClose
	return s.Write(ctx, frame)
}

// Receive waits for the next message or control frame. Pings and the close frame are answered before it returns them. What
// has arrived when the context's time is over stays, and a later call goes on from there.
func (s *Socket) Receive(ctx context.Context) (Message, error) {
	for {
		message, whole, err := s.frames.next()
		if err != nil {
			return Message{}, err
		}
		if whole {
			return message, s.answer(ctx, message)
		}
		n, err := s.Read(ctx, s.buffer)
		if err != nil {
			return Message{}, err
		}
		s.frames.add(s.buffer[:n])
	}
}

// answer counts what came, and sends what the standard asks for.
func (s *Socket) answer(ctx context.Context, message Message) error {
	switch {
	case message.Kind == ws.OpPing:
		s.Heard.Pings++
		return s.Send(ctx, ws.OpPong, true, message.Payload)
	case message.Kind == ws.OpClose && !s.closed:
		// That the server does not wait for it is no harm.
		_ = s.Send(ctx, ws.OpClose, true, message.Payload[:min(2, len(message.Payload))])
	case message.Kind.IsData():
		s.Heard.Messages++
	}
	return nil
}

// closedBy is the end of a connection by a close frame of the server. To those who only ask whether the connection lives
// it is a close like any other.
type closedBy struct{ message Message }

func (c *closedBy) Error() string {
	status := c.status()
	if status == nil {
		return "the server closed the WebSocket connection without a status"
	}
	return fmt.Sprintf("the server closed the WebSocket connection with status %d", *status)
}

func (c *closedBy) Unwrap() error { return io.EOF }

// status of the close frame, nil if it has none (RFC 6455 section 7.1.5).
func (c *closedBy) status() *int {
	code, _ := ws.ParseCloseFrameData(c.message.Payload)
	if code.Empty() {
		return nil
	}
	return new(int(code))
}

// Await reads until a message is the one that is waited for. Its error wraps io.EOF if the server closes.
func (s *Socket) Await(ctx context.Context, wanted func(Message) bool) (Message, error) {
	for {
		message, err := s.Receive(ctx)
		if err != nil {
			return Message{}, err
		}
		if wanted(message) {
			return message, nil
		}
		if message.Kind == ws.OpClose {
			return Message{}, &closedBy{message}
		}
	}
}

// farewell is how long the server gets to end the connection once both close frames were sent, or to say why it refuses.
const farewell = 500 * time.Millisecond

// Bye sends a close frame and waits for the server's (RFC 6455 section 7.1.2), which it returns, and then, not for long,
// for the end of the connection.
func (s *Socket) Bye(ctx context.Context) (Message, error) {
	if err := s.Send(ctx, ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")); err != nil {
		return Message{}, err
	}
	answer, err := s.Await(ctx, func(m Message) bool { return m.Kind == ws.OpClose })
	if err != nil {
		return Message{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	for err == nil {
		_, err = s.Read(ctx, s.buffer)
	}
	return answer, nil
}

// ended says whether an error is the end of the connection by the server.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || exchange.WasReset(err)
}
