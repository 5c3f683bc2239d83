// Package closing measures how a server behaves at the end of a connection: whether it answers a client that has closed its
// sending side, whether its own close destroys a response that is under way, and how long it goes on reading after it has
// closed. It is made only when it is named: servers log some of this as errors of clients.
package closing

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

const (
	repetitions = 3
	// lingering is how long the server is watched after it has closed its side, and every how often it is sent an empty
	// line, which servers ignore before a request (RFC 9112 section 2.2).
	lingering = 3 * time.Second
	every     = 100 * time.Millisecond
)

// Measure ends connections to an HTTP peer in several ways. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.Closing {
	m := &measurement{peer: peer, course: exchange.Course{Began: time.Now()}}
	for range repetitions {
		if !m.turn(ctx, 1, m.halfClose) || !m.turn(ctx, 2, m.unreadData) {
			break
		}
	}
	if m.course.Stop == nil {
		m.turn(ctx, 1, m.linger)
	}
	m.r.Meta = m.course.Conclude()
	return m.r
}

type measurement struct {
	peer   *exchange.Peer
	course exchange.Course
	r      result.Closing
}

// turn waits for the turns of so many requests and runs a step on a connection of its own.
func (m *measurement) turn(ctx context.Context, requests int, step func(context.Context, *exchange.Connection) error) bool {
	for i := range requests {
		if m.course.Stop = m.peer.Turn(ctx, i == 0); m.course.Stop != nil {
			return false
		}
	}
	end := time.Now().Add(exchange.Timeout)
	if last := m.peer.Budget.End(); last.Before(end) {
		end = last
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	connection, err := m.peer.Connect(ctx)
	if err == nil {
		err = step(ctx, connection)
		connection.Close()
	}
	if err == nil {
		m.course.Samples++
	}
	m.peer.Note(err)
	m.course.Failed(err)
	return true
}

// saw records a response, or how it was cut off.
func (m *measurement) saw(err error) {
	switch {
	case errors.Is(err, http1.ErrCutOff):
		m.r.Truncated = new(true)
	case err == nil && m.r.Truncated == nil:
		m.r.Truncated = new(false)
	}
}

// ended says whether an error is the end of the connection and so an answer to what is asked here.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, http1.ErrCutOff) || exchange.WasReset(err)
}

// halfClose closes the sending side behind a request.
func (m *measurement) halfClose(ctx context.Context, connection *exchange.Connection) error {
	if err := connection.Send(ctx, *m.peer.Request); err != nil {
		return err
	}
	if err := connection.CloseWrite(ctx); err != nil {
		return err
	}
	_, err := connection.Receive(ctx, m.peer.Request.Method)
	m.saw(err)
	if err != nil && !ended(err) {
		return err
	}
	// One that is not answered is enough: a client cannot rely on it.
	m.r.HalfClose = new(err == nil && (m.r.HalfClose == nil || *m.r.HalfClose))
	return nil
}

// unreadData asks the server to close, with a further request behind that it need not read any more, and with an empty line
// once the response begins to arrive. If it closes with the one unread, or has closed when the other comes, its kernel
// resets the connection and drops what was not sent yet (RFC 9112 section 9.6). A response that has left the server by then
// shows nothing.
func (m *measurement) unreadData(ctx context.Context, connection *exchange.Connection) error {
	last := *m.peer.Request
	last.Close = true
	if err := connection.Send(ctx, last); err != nil {
		return err
	}
	// In a segment of its own, so that a server that reads request by request has not taken it along. It may come too
	// late to be sent at all, which is no loss.
	late := connection.Send(ctx, *m.peer.Request)
	begun := false
	connection.OnArrival(func() {
		if !begun {
			begun = true
			late = errors.Join(late, connection.Write(ctx, []byte("\r\n")))
		}
	})
	_, err := connection.Receive(ctx, m.peer.Request.Method)
	if err != nil && exchange.WasReset(late) {
		// The kernel tells of a reset once, and of an end from then on.
		err = late
	}
	m.saw(err)
	if err != nil && !ended(err) {
		return err
	}
	m.r.UnreadDataLost = new(err != nil || m.r.UnreadDataLost != nil && *m.r.UnreadDataLost)
	return nil //nolint:nilerr // that there was no response is what is measured
}

// linger lets the server close first, and sees how long it takes what still comes: until the first reset, since the kernel
// answers so for a socket that nobody reads any more.
func (m *measurement) linger(ctx context.Context, connection *exchange.Connection) error {
	last := *m.peer.Request
	last.Close = true
	if err := connection.Send(ctx, last); err != nil {
		return err
	}
	_, err := connection.Receive(ctx, m.peer.Request.Method)
	m.saw(err)
	if err != nil {
		return err
	}
	buffer := make([]byte, 1)
	if _, err := connection.Read(ctx, buffer); !errors.Is(err, io.EOF) {
		return err
	}
	closed := time.Now()
	for time.Since(closed) < lingering {
		if err := connection.Write(ctx, []byte("\r\n")); err != nil {
			break
		}
		event, err := tcpconn.Poll(ctx, []tcpconn.Watched{{Conn: connection.TCP(), ForError: true}}, every)
		if err != nil {
			return err
		}
		if event[0].Ended != nil || ctx.Err() != nil {
			break
		}
		m.r.LingerSeconds = new(time.Since(closed).Seconds())
	}
	if m.r.LingerSeconds == nil {
		m.r.LingerSeconds = new(0.0)
	}
	return nil
}
