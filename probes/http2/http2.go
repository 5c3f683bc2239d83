// Package http2 measures how a target speaks HTTP/2 (RFC 9113): its settings, what a request costs on a connection that is
// there, whether many requests at once on one connection cost less or more than on many connections, whether it answers
// pings, and how it ends a connection.
package http2

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/http2"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
	"github.com/connpolicy/connpolicy/probes/target"
)

const (
	// mostStreams are sent at once.
	mostStreams = 8
	// comparisons of one connection with many.
	comparisons = 8
	// pings are few: servers of gRPC end a connection that sends more than two without cause (too_many_pings).
	pings = 2
)

// Measure takes its samples from a target that is to speak HTTP/2. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer, asked target.Target, userAgent string) result.HTTP2 {
	m := &measurement{
		peer: peer, course: exchange.Course{Began: time.Now()},
		asked: request{scheme: "http", authority: asked.HostHeader, target: asked.RequestTarget, userAgent: userAgent},
	}
	if asked.TLS {
		m.asked.scheme = "https"
	}
	defer m.drop()
	if m.begin(ctx) {
		m.compare(ctx)
	}
	// A server that ends connections so early has another one asked for what is left to find out.
	if m.kept != nil && m.kept.ended != nil && m.course.Stop == nil {
		m.drop()
		m.begin(ctx)
	}
	if m.kept != nil {
		m.ping(ctx)
		m.goOn(ctx)
	}
	return m.summarise()
}

type measurement struct {
	peer   *exchange.Peer
	asked  request
	course exchange.Course
	r      result.HTTP2

	kept     *client
	requests int // on kept
	most     int

	took, concurrent, parallel, pongs []float64 // microseconds
}

// begin opens the connection that carries most of the samples.
func (m *measurement) begin(ctx context.Context) bool {
	for m.kept == nil {
		if m.course.Stop = m.peer.Turn(ctx, true); m.course.Stop != nil {
			return false
		}
		kept, err := dial(ctx, m.peer, m.asked)
		m.note(err)
		if errors.Is(err, errNotSpoken) {
			m.r.Supported = new(false)
			return false
		}
		m.kept, m.requests = kept, 0
	}
	m.r.Supported = new(true)
	for id, into := range map[http2.SettingID]**int64{
		http2.SettingMaxConcurrentStreams: &m.r.MaxConcurrentStreams,
		http2.SettingInitialWindowSize:    &m.r.InitialWindowBytes,
		http2.SettingMaxFrameSize:         &m.r.MaxFrameBytes,
	} {
		if value, said := m.kept.settings[id]; said {
			*into = new(int64(value))
		}
	}
	return true
}

func (m *measurement) note(err error) {
	m.peer.Note(err)
	m.course.Failed(err)
}

// compare sends the same number of requests at once on one connection and on as many, in turn.
func (m *measurement) compare(ctx context.Context) {
	streams := min(mostStreams, m.peer.Budget.ConnectionsLeft())
	if most := m.r.MaxConcurrentStreams; most != nil {
		streams = min(streams, int(*most))
	}
	if streams < 2 {
		return
	}
	var many []*client
	defer func() {
		for _, c := range many {
			c.Close()
		}
	}()
	for len(many) < streams {
		if m.course.Stop = m.peer.Turn(ctx, true); m.course.Stop != nil {
			return
		}
		c, err := dial(ctx, m.peer, m.asked)
		m.note(err)
		if err == nil {
			many = append(many, c)
		}
	}
	m.r.Streams = &streams
	for range comparisons {
		if m.kept.ended != nil {
			return
		}
		if !m.sample(ctx, streams, &m.concurrent, func() (time.Duration, error) { return m.kept.ask(ctx, streams) }) {
			return
		}
		m.requests += streams
		if !m.sample(ctx, streams, &m.parallel, func() (time.Duration, error) { return askAll(ctx, many) }) {
			return
		}
	}
}

// askAll sends a request on each connection and waits for all of them.
func askAll(ctx context.Context, clients []*client) (time.Duration, error) {
	begin := time.Now()
	for _, c := range clients {
		if err := c.send(1); err != nil {
			return 0, err
		}
	}
	for _, c := range clients {
		if err := c.settle(ctx); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// sample waits for the turns of so many requests and takes the time that they take. It returns false once there is no
// more to be had.
func (m *measurement) sample(ctx context.Context, requests int, into *[]float64, ask func() (time.Duration, error)) bool {
	for range requests {
		if m.course.Stop = m.peer.Turn(ctx, false); m.course.Stop != nil {
			return false
		}
	}
	took, err := ask()
	if errors.As(err, new(*goAway)) {
		// That a server ends a connection is what is measured, not what failed.
		m.note(nil)
		m.seeEnd(err)
		return false
	}
	m.note(err)
	if err != nil {
		m.seeEnd(err)
		return false
	}
	*into = append(*into, float64(took)/float64(time.Microsecond))
	return true
}

// ping asks for signs of life.
func (m *measurement) ping(ctx context.Context) {
	for range pings {
		if m.course.Stop != nil || m.kept.ended != nil || m.peer.Turn(ctx, false) != nil {
			return
		}
		took, err := m.kept.ping(ctx)
		m.r.PingAnswered = new(err == nil)
		if err != nil {
			m.seeEnd(err)
			return
		}
		m.pongs = append(m.pongs, float64(took)/float64(time.Microsecond))
	}
}

// goOn sends one request after the other until the server ends the connection, or the budget ends.
func (m *measurement) goOn(ctx context.Context) {
	for m.course.Stop == nil && m.kept.ended == nil {
		if !m.sample(ctx, 1, &m.took, func() (time.Duration, error) { return m.kept.ask(ctx, 1) }) {
			break
		}
		m.requests++
	}
	m.seeEnd(nil)
}

// seeEnd records how the server ended the connection, if it did.
func (m *measurement) seeEnd(err error) {
	m.most = max(m.most, m.requests)
	var gone *goAway
	if !errors.As(err, &gone) {
		gone = m.kept.ended
	}
	if gone == nil || m.r.GoAwayCode != "" {
		return
	}
	m.r.GoAwayCode = gone.code.String()
	m.r.GoAwayAfterRequests, m.r.GoAwayAfterSeconds = &gone.requests, new(gone.after.Seconds())
	m.most = max(m.most, gone.requests)
}

func (m *measurement) drop() {
	if m.kept != nil {
		m.kept.Close()
		m.kept = nil
	}
}

func (m *measurement) summarise() result.HTTP2 {
	m.course.Samples = len(m.took) + len(m.concurrent) + len(m.parallel)
	r := m.r
	r.RequestMicroseconds = stats.Summarise(m.took)
	r.ConcurrentMicroseconds, r.ParallelMicroseconds = stats.Summarise(m.concurrent), stats.Summarise(m.parallel)
	r.PingMicroseconds = stats.Summarise(m.pongs)
	if m.most > 0 {
		r.RequestsAtLeast = &m.most
	}
	if r.GoAwayCode != "" {
		m.course.Stop, m.course.Samples = nil, max(1, m.course.Samples)
	}
	r.Meta = m.course.Conclude()
	if r.Supported != nil && !*r.Supported {
		r.Outcome, r.Cause = result.Unsupported, exchange.Explain(m.course.LastError)
	}
	return r
}
