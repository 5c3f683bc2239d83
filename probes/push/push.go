// Package push compares the ways in which a client can be told of news: polling, long polling, a stream (server-sent events,
// or any response that goes on), and WebSocket. It measures how old a message is when it arrives, what a message costs in
// bytes, requests and connections, whether a hop holds messages back, and whether and how a stream is cut.
//
// A target is one path. What it answers to a request tells which of the ways it offers: a stream goes on, a long poll hangs
// until there is news, and all else is polled. Servers that offer several ways, each at a path of its own, are measured way
// by way when the paths are named.
//
// How old a message is it must tell itself; see madeAt for how. Between two machines the ages are as exact as their clocks
// agree, but whether messages are held back is judged by how far apart they were made, which needs no common clock.
//
// It is made only when it is named: it holds requests open, and asks for an upgrade that most servers refuse and log.
package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
	"github.com/connpolicy/connpolicy/probes/websocket"
)

// The ways, by their names in results.
const (
	Polling     = "polling"
	LongPolling = "longPolling"
	Streaming   = "streaming"
	WebSocket   = "websocket"
)

// Ways lists all ways in the order in which they are measured.
func Ways() []string { return []string{Polling, LongPolling, Streaming, WebSocket} }

const (
	// hangs is how long a request without an answer hangs, rather than that its answer is slow.
	hangs = 500 * time.Millisecond
	// goesOn is how long a response without a length goes on to be a stream.
	goesOn = time.Second
	// lookShare is the most of the time that is spent on finding out which way it is.
	lookShare = 0.25
)

// Measure measures the ways that the target offers; with paths, by the name of the way, those. asked says to whom and how
// requests are made, webSocketOnly that none but an upgrade may be. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer, asked websocket.Asked, webSocketOnly bool, paths map[string]string) result.Push {
	m := &measurement{peer: peer, asked: asked, course: exchange.Course{Began: time.Now()}, ways: map[string]*result.PushWay{}}
	var todo []string
	switch {
	case len(paths) > 0:
		for _, name := range Ways() {
			if paths[name] != "" {
				todo = append(todo, name)
			} else {
				m.without(name, "no path was named for it")
			}
		}
	case webSocketOnly:
		todo = []string{WebSocket}
		for _, name := range Ways()[:len(Ways())-1] {
			m.without(name, "the target is one of WebSocket; give an http:// or https:// URL")
		}
	default:
		// Most refuse an upgrade at once, and leave the time to the other.
		offered := m.look(ctx)
		todo = append([]string{WebSocket}, offered...)
	}
	for i, name := range todo {
		path := asked.Target
		if paths[name] != "" {
			path = paths[name]
		}
		m.measure(ctx, name, path, len(todo)-i)
	}
	return m.summarise()
}

type measurement struct {
	peer   *exchange.Peer
	asked  websocket.Asked
	course exchange.Course
	ways   map[string]*result.PushWay
	// why the target offers no way, or not the first of those that were tried.
	why string
}

// without says why a way is not measured.
func (m *measurement) without(name, cause string) {
	m.ways[name] = &result.PushWay{Meta: result.Meta{Outcome: result.Unsupported, Cause: cause}}
}

// measure gives a way its part of the time that is left.
func (m *measurement) measure(ctx context.Context, name, path string, waysLeft int) {
	end := time.Now().Add(time.Until(m.peer.Budget.End()) / time.Duration(waysLeft))
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	t := begin(m.peer, path)
	w := way{tally: t, asked: m.asked, path: path, end: end}
	refused := map[string]func(context.Context) string{
		Polling: w.poll, LongPolling: w.longPoll, Streaming: w.stream, WebSocket: w.listen,
	}[name](ctx)
	r := t.summarise()
	if refused != "" {
		if m.why == "" {
			m.why = refused
		}
		r.Outcome, r.Cause, r.Missing = result.Unsupported, refused, ""
	}
	m.ways[name] = r
}

// look asks the target once, and says which way it is to be measured by, none if that cannot be told.
func (m *measurement) look(ctx context.Context) []string {
	offered, cause := m.classify(ctx)
	others := cause
	if offered != "" {
		others = map[string]string{
			Polling:     "the request was answered at once and as a whole",
			LongPolling: "the request was answered as a whole once it had hung",
			Streaming:   "the request was answered by a stream",
		}[offered]
	}
	for _, name := range Ways()[:len(Ways())-1] {
		if name != offered {
			m.without(name, others)
		}
	}
	if offered == "" {
		m.why = cause
		return nil
	}
	return []string{offered}
}

// classify names the way that a request shows, or says why it shows none. One that is answered at once is made again: it may
// have come just before news of a long poll.
func (m *measurement) classify(ctx context.Context) (offered, cause string) {
	offered, cause = m.askOnce(ctx)
	if offered == Polling {
		offered, cause = m.askOnce(ctx)
	}
	return offered, cause
}

func (m *measurement) askOnce(ctx context.Context) (offered, cause string) {
	if m.course.Stop = m.peer.Turn(ctx, true); m.course.Stop != nil {
		return "", m.course.Stop.Error()
	}
	limit := time.Duration(lookShare * float64(time.Until(m.peer.Budget.End())))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	offered, err := m.ask(ctx)
	if errors.Is(err, tcpconn.ErrTimeout) && time.Until(m.peer.Budget.End()) > 0 {
		m.peer.Note(nil)
		return "", fmt.Sprintf("the request was not answered within %.1f s: it may be a long poll without news, or a stream that a hop holds back", limit.Seconds())
	}
	var refused *refusal
	if errors.As(err, &refused) {
		m.peer.Note(nil)
		return "", err.Error()
	}
	m.peer.Note(err)
	m.course.Failed(err)
	if err != nil {
		return "", exchange.Explain(err)
	}
	return offered, ""
}

// refusal is an answer with a status that brings no news.
type refusal struct{ status int }

func (r *refusal) Error() string {
	return fmt.Sprintf("the request was answered with status %d", r.status)
}

// ask makes one request and sees how it is answered.
func (m *measurement) ask(ctx context.Context) (offered string, err error) {
	connection, err := m.peer.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	begin := time.Now()
	response, body, err := get(ctx, connection, m.asked, m.asked.Target)
	if err != nil {
		return "", err
	}
	waited := time.Since(begin)
	if response.Status >= http.StatusMultipleChoices && response.Status != http.StatusNotModified {
		return "", &refusal{response.Status}
	}
	if response.ContentType == eventStream {
		return Streaming, nil
	}
	brief, cancel := context.WithTimeout(ctx, goesOn)
	defer cancel()
	for err == nil {
		_, err = body.Next(brief)
	}
	switch {
	case errors.Is(err, tcpconn.ErrTimeout) && !body.Sized():
		return Streaming, nil
	case !body.Ended():
		return "", err
	case waited >= hangs:
		return LongPolling, nil
	}
	return Polling, nil
}

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

// get sends a request, to which a stream of events is as welcome as anything else, and reads its answer up to the body.
func get(ctx context.Context, connection *exchange.Connection, asked websocket.Asked, path string) (http1.Response, *http1.Body, error) {
	request := http1.Request{
		Method: http.MethodGet, Host: asked.Host, Target: path, UserAgent: asked.UserAgent, Accept: eventStream + ", */*",
		Fields: []http1.Field{{Name: "Cache-Control", Value: "no-cache"}},
	}
	if err := connection.Send(ctx, request); err != nil {
		return http1.Response{}, nil, err
	}
	return connection.ReceiveHead(ctx, http.MethodGet)
}

func (m *measurement) summarise() result.Push {
	r := result.Push{
		Polling: m.ways[Polling], LongPolling: m.ways[LongPolling], Streaming: m.ways[Streaming], WebSocket: m.ways[WebSocket],
	}
	var failed, offered *result.PushWay
	for _, name := range Ways() {
		w := m.ways[name]
		m.course.Samples += w.Samples
		m.course.Errors += w.Errors
		switch w.Outcome {
		case result.Measured:
			offered = w
		case result.Unsupported:
		default:
			failed = w
		}
	}
	r.Meta = m.course.Conclude()
	switch {
	case failed != nil:
		r.Outcome, r.Cause = failed.Outcome, failed.Cause
	case offered == nil && r.Outcome == result.Measured:
		r.Outcome, r.Cause = result.Unsupported, m.why
	}
	return r
}
