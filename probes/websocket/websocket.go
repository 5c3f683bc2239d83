// Package websocket measures whether WebSocket connections (RFC 6455) pass every hop between this end and the server, and
// how they behave: the opening handshake, pings, messages, the close handshake, and how long they survive silence.
//
// A message means something to whoever receives it, so that a server gets a single one, which says who sends it, and further
// ones only if it sends the first back as it is.
package websocket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/idle"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

const (
	// handshakes are made on connections of their own, the last of which carries the rest.
	handshakes = 12
	// exchanges are the pings, and the messages that come back, on one connection in turn; the first pings come alone, since
	// a message may end the connection.
	exchanges  = 24
	pingsFirst = 6
	// answerWithin is how long a pong, an echo or a close frame may take.
	answerWithin = 3 * time.Second
)

// Measure takes its samples from a target that is to speak WebSocket, and lets connections fall silent for as long as the
// budget allows, or, if idle is not zero, for that long beyond it. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer, asked Asked, idleFor time.Duration) result.WebSocket {
	m := &measurement{peer: peer, asked: asked, course: exchange.Course{Began: time.Now()}}
	for i := 0; (i < handshakes || !m.conversed) && m.goesOn(); i++ {
		m.connect(ctx, i)
	}
	if m.upgraded() && m.goesOn() {
		if idleFor > 0 {
			peer.Budget.Prolong(idleFor)
		}
		m.r.Idle = new(idle.MeasureWith(ctx, peer, silent(asked, func(s *Socket) { m.sockets = append(m.sockets, s) })))
	}
	return m.summarise()
}

type measurement struct {
	peer   *exchange.Peer
	asked  Asked
	course exchange.Course
	r      result.WebSocket

	refused   *Refusal
	conversed bool // the samples of a connection in use were taken, as far as they can be had
	spoken    bool // the first message was sent
	noBye     bool // a close frame was not answered, and none is waited for any more

	took, pongs, echoes []float64 // microseconds
	sockets             []*Socket
	// answers counts the messages that came behind the first of this end, which may be answers.
	answers int
}

func (m *measurement) upgraded() bool { return m.r.Upgraded != nil && *m.r.Upgraded }

// goesOn says whether there is more to be learnt, and permission to.
func (m *measurement) goesOn() bool {
	return m.course.Stop == nil && (m.refused == nil || m.upgraded())
}

// connect opens the i-th connection and uses it.
func (m *measurement) connect(ctx context.Context, i int) {
	if m.course.Stop = m.peer.Turn(ctx, true); m.course.Stop != nil {
		return
	}
	err := m.use(ctx, i)
	m.peer.Note(err)
	m.course.Failed(err)
}

// use makes the opening handshake, on the last connection all that needs one in use, and the close handshake.
func (m *measurement) use(ctx context.Context, i int) error {
	connection, err := m.peer.Connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	// Whether compression is agreed on is asked once, on a connection that carries no message.
	compress := i == 0
	s, err := Open(ctx, connection, m.asked, compress)
	if err != nil {
		if errors.As(err, &m.refused) && !m.upgraded() {
			m.r.Upgraded, m.r.Status = new(false), &m.refused.Status
		}
		return err
	}
	m.sockets = append(m.sockets, s)
	m.r.Upgraded, m.r.Status = new(true), &s.Response.Status
	m.took = append(m.took, microseconds(s.Took))
	m.r.Subprotocol = s.Response.Upgrade.Subprotocol
	if compress {
		m.r.Extensions = s.Response.Upgrade.Extensions
	}
	if i < handshakes-1 {
		return m.bye(ctx, s)
	}
	goOn, err := m.converse(ctx, s)
	if err != nil {
		return err
	}
	m.conversed = true
	if !goOn {
		return nil
	}
	return m.bye(ctx, s)
}

// within waits for an answer for as long as it may take. late says that it did not come in all that time; that the time of
// the measurement was over before is an error.
func (m *measurement) within(ctx context.Context, wait func(context.Context) error) (late bool, err error) {
	end := time.Now().Add(answerWithin)
	whole := end.Before(m.peer.Budget.End())
	if !whole {
		end = m.peer.Budget.End()
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	err = wait(ctx)
	if !errors.Is(err, tcpconn.ErrTimeout) {
		return false, err
	}
	if !whole {
		return false, budget.ErrSeconds
	}
	return true, nil
}

// converse takes the samples of pings and messages. goOn says whether the connection is still of use.
func (m *measurement) converse(ctx context.Context, s *Socket) (goOn bool, err error) {
	for i := range exchanges {
		if m.r.Pong == nil || *m.r.Pong {
			if goOn, err = m.sample(ctx, s, m.ping); !goOn {
				return false, err
			}
		}
		if i+1 == pingsFirst && !m.spoken || i+1 >= pingsFirst && m.echoed() {
			if goOn, err = m.sample(ctx, s, m.message); !goOn {
				return false, err
			}
		}
	}
	if m.echoed() && m.r.Pong != nil && *m.r.Pong {
		return m.sample(ctx, s, m.interleave)
	}
	return true, nil
}

func (m *measurement) echoed() bool { return m.r.Echo != nil && *m.r.Echo }

// sample waits for a turn and takes one sample.
func (m *measurement) sample(ctx context.Context, s *Socket, take func(context.Context, *Socket) error) (goOn bool, err error) {
	if m.course.Stop = m.peer.Turn(ctx, false); m.course.Stop != nil {
		return false, nil //nolint:nilerr // the course says why it stopped
	}
	err = take(ctx, s)
	switch {
	case errors.Is(err, budget.ErrSeconds):
		m.course.Stop = err
		return false, nil
	case errors.Is(err, errDisliked):
		return false, nil
	case ended(err):
		// Not wrapped: what an end means to a request it does not mean here.
		return false, fmt.Errorf("the server ended the connection in use: %v", err) //nolint:errorlint // as said
	}
	return err == nil, err
}

// errDisliked: the server ended the connection because of a message, which is an answer too.
var errDisliked = errors.New("the server ended the connection because of a message")

// ping sends one and waits for the pong with the same data (RFC 6455 section 5.5.3).
func (m *measurement) ping(ctx context.Context, s *Socket) error {
	var took time.Duration
	altered := false
	late, err := m.within(ctx, func(ctx context.Context) (err error) {
		took, err = pong(ctx, s, func(Message) { altered = true })
		return err
	})
	switch {
	case late:
		m.r.Pong, m.r.PongAltered = new(false), &altered
	case err == nil:
		m.r.Pong = new(true)
		m.pongs = append(m.pongs, microseconds(took))
	}
	return err
}

// pong sends a ping and waits for its answer. Pongs with other data, which nobody asked for, are given to other.
func pong(ctx context.Context, s *Socket, other func(Message)) (time.Duration, error) {
	data := binary.BigEndian.AppendUint64([]byte("connpolicy"), uint64(time.Now().UnixNano()))
	begin := time.Now()
	if err := s.Send(ctx, ws.OpPing, true, data); err != nil {
		return 0, err
	}
	_, err := s.Await(ctx, func(got Message) bool {
		same := string(got.Payload) == string(data)
		if got.Kind == ws.OpPong && !same {
			other(got)
		}
		return got.Kind == ws.OpPong && same
	})
	return time.Since(begin), err
}

// message sends a text message and waits for what comes back.
func (m *measurement) message(ctx context.Context, s *Socket) error {
	text := fmt.Sprintf("%s asks whether this comes back (%d)", m.asked.UserAgent, len(m.echoes))
	first := !m.spoken
	m.spoken = true
	heard := s.Heard.Messages
	defer func() { m.answers += s.Heard.Messages - heard }()
	m.peer.Budget.Requested()
	begin := time.Now()
	if err := s.Send(ctx, ws.OpText, true, []byte(text)); err != nil {
		return err
	}
	late, err := m.within(ctx, func(ctx context.Context) error {
		_, err := s.Await(ctx, isText(text))
		return err
	})
	took := time.Since(begin)
	switch {
	case late && !first:
		return errEchoLost
	case late && s.Heard.Messages > heard:
		m.r.Echo = new(false)
	case first && ended(err):
		var closed *closedBy
		if errors.As(err, &closed) {
			m.r.MessageCloseStatus = closed.status()
		}
		return errDisliked
	case err == nil && !late:
		m.r.Echo = new(true)
		m.echoes = append(m.echoes, microseconds(took))
	}
	return err
}

var errEchoLost = errors.New("messages came back at first, and then one did not")

func isText(text string) func(Message) bool {
	return func(m Message) bool { return m.Kind == ws.OpText && string(m.Payload) == text }
}

// interleave sends a ping in the middle of a message (RFC 6455 section 5.4). If it is answered before the message ends,
// one direction runs while the other is in the middle of something.
func (m *measurement) interleave(ctx context.Context, s *Socket) error {
	const begins, ends = "connpolicy sends this in two parts, ", "with a ping between them"
	m.peer.Budget.Requested()
	heard := s.Heard.Messages
	defer func() { m.answers += s.Heard.Messages - heard }()
	if err := s.Send(ctx, ws.OpText, false, []byte(begins)); err != nil {
		return err
	}
	late, err := m.within(ctx, func(ctx context.Context) error {
		_, err := pong(ctx, s, func(Message) {})
		return err
	})
	if err != nil {
		return err
	}
	if err := s.Send(ctx, ws.OpContinuation, true, []byte(ends)); err != nil {
		return err
	}
	lost, err := m.within(ctx, func(ctx context.Context) error {
		_, err := s.Await(ctx, isText(begins+ends))
		return err
	})
	if err == nil && !lost {
		m.r.FullDuplex = new(!late)
	}
	return err
}

// bye ends the connection by the close handshake, unless the server was seen not to answer it.
func (m *measurement) bye(ctx context.Context, s *Socket) error {
	if m.noBye {
		return nil
	}
	var answer Message
	late, err := m.within(ctx, func(ctx context.Context) (err error) {
		answer, err = s.Bye(ctx)
		return err
	})
	switch {
	case late, ended(err):
		m.noBye = true
		m.r.CloseHandshake = new(false)
	case errors.Is(err, budget.ErrSeconds):
		m.course.Stop = err
	case err != nil:
		return err
	default:
		m.r.CloseHandshake = new(true)
		m.r.CloseStatus = (&closedBy{answer}).status()
	}
	return nil
}

func (m *measurement) summarise() result.WebSocket {
	m.course.Samples = len(m.took) + len(m.pongs) + len(m.echoes)
	r := m.r
	r.HandshakeMicroseconds = stats.Summarise(m.took)
	r.PongMicroseconds, r.EchoMicroseconds = stats.Summarise(m.pongs), stats.Summarise(m.echoes)
	if m.upgraded() {
		r.ServerMessages, r.ServerPings = new(-m.answers), new(0)
		for _, s := range m.sockets {
			*r.ServerMessages += s.Heard.Messages
			*r.ServerPings += s.Heard.Pings
		}
	}
	r.Meta = m.course.Conclude()
	switch {
	case m.refused != nil && !m.upgraded():
		r.Outcome, r.Cause = result.Unsupported, m.refused.Error()
	case r.Outcome == result.Measured && !m.conversed && m.course.LastError != nil:
		r.Outcome, r.Cause = result.Failed, exchange.Explain(m.course.LastError)
	}
	return r
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
