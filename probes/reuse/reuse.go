// Package reuse measures whether a server keeps a connection for further requests, for how many, how it ends one, and what
// a request costs on a new connection and on one that is already there.
//
// New and reused samples are taken in turn, so that whatever drifts meets both. One connection carries all the reused
// samples, and afterwards as many requests as it takes the server to close it, or the budget to end.
package reuse

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
)

const (
	// minimumSamples of each kind are taken however much they agree.
	minimumSamples = 30
	// enoughShare ends the sampling once both medians are known this well on both sides.
	enoughShare = 0.05
)

// Measure takes its samples from an HTTP peer. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.Reuse {
	m := &measurement{peer: peer, course: exchange.Course{Began: time.Now()}}
	defer m.drop()
	for !m.enough() && m.turn(ctx, true, m.takeNew) {
		if m.keeps() && !m.turn(ctx, m.kept == nil, m.takeReused) {
			break
		}
	}
	for m.first == nil && m.kept != nil {
		if !m.turn(ctx, false, m.takeReused) {
			break
		}
	}
	return m.summarise()
}

// lifetime is how a connection that was kept open went.
type lifetime struct {
	requests int
	cause    result.CloseCause
}

type measurement struct {
	peer   *exchange.Peer
	course exchange.Course

	newTook, reusedTook []float64 // microseconds
	keepAlive           *result.KeepAliveHeader

	// kept is the connection that carries the reused samples, carried the number of its responses.
	kept    *exchange.Connection
	carried int
	most    int
	// first is how the first such connection ended; nil while it is open.
	first *lifetime
}

// enough says whether both medians are known well; of a server that keeps nothing, the one.
func (m *measurement) enough() bool {
	known := func(samples []float64) bool {
		return len(samples) >= minimumSamples && stats.Narrow(samples, enoughShare)
	}
	return known(m.newTook) && (!m.keeps() || known(m.reusedTook))
}

// keeps says whether the server is not known to close after each request.
func (m *measurement) keeps() bool { return m.first == nil || m.first.requests > 1 }

// turn runs one step if the budget allows it, and says whether it did.
func (m *measurement) turn(ctx context.Context, connect bool, step func(context.Context) error) bool {
	if m.course.Stop = m.peer.Turn(ctx, connect); m.course.Stop != nil {
		return false
	}
	err := step(ctx)
	m.peer.Note(err)
	m.course.Failed(err)
	return true
}

// takeNew makes one request on a connection of its own.
func (m *measurement) takeNew(ctx context.Context) error {
	connection, err := m.peer.Connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	response, took, err := connection.Request(ctx, false)
	if err != nil {
		return err
	}
	m.see(response)
	m.newTook = append(m.newTook, microseconds(connection.SetupTook()+took))
	return nil
}

// takeReused makes one request on the connection that is kept, and opens it if there is none.
func (m *measurement) takeReused(ctx context.Context) error {
	if m.kept == nil {
		connection, err := m.peer.Connect(ctx)
		if err != nil {
			return err
		}
		m.kept, m.carried = connection, 0
	} else if ended := m.kept.Ended(); ended != nil {
		m.end(causeOf(ended))
		return nil
	}
	response, took, err := m.kept.Request(ctx, false)
	if err != nil {
		return m.failed(err)
	}
	if m.carried > 0 {
		m.reusedTook = append(m.reusedTook, microseconds(took))
	}
	m.carried++
	m.most = max(m.most, m.carried)
	m.see(response)
	if !response.Persistent {
		m.end(announced(response))
	}
	return nil
}

// failed tells a server that ended a connection between two requests, which is what is measured, from an error.
func (m *measurement) failed(err error) error {
	cause := causeOf(err)
	if m.carried > 0 && cause != result.CloseNone {
		m.end(cause)
		return nil
	}
	m.drop()
	return err
}

func (m *measurement) see(response http1.Response) {
	if response.KeepAlive != nil {
		m.keepAlive = response.KeepAlive
	}
}

// end records that the server ended the connection that was kept.
func (m *measurement) end(cause result.CloseCause) {
	if m.first == nil {
		m.first = &lifetime{requests: m.carried, cause: cause}
	}
	m.drop()
}

func (m *measurement) drop() {
	if m.kept != nil {
		m.kept.Close()
		m.kept = nil
	}
}

// announced names how a response said that the connection ends with it.
func announced(response http1.Response) result.CloseCause {
	switch {
	case response.CloseAnnounced && !response.Delimited:
		return result.CloseAnnounced
	case response.HTTP10 && !response.CloseAnnounced:
		return result.CloseHTTP10
	default:
		return result.CloseDelimited
	}
}

// causeOf names how the connection ended without a word, or CloseNone if the error is another.
func causeOf(err error) result.CloseCause {
	switch {
	case errors.Is(err, io.EOF):
		return result.CloseUnannounced
	case exchange.WasReset(err):
		return result.CloseReset
	}
	return result.CloseNone
}

func (m *measurement) summarise() result.Reuse {
	m.course.Samples = len(m.newTook) + len(m.reusedTook)
	r := result.Reuse{
		KeepAliveHeader:    m.keepAlive,
		NewMicroseconds:    stats.Summarise(m.newTook),
		ReusedMicroseconds: stats.Summarise(m.reusedTook),
	}
	switch {
	case m.first != nil:
		r.Kept = new(m.first.requests > 1)
		r.RequestsPerConnection, r.RequestsAtLeast = &m.first.requests, &m.first.requests
		r.CloseCause = m.first.cause
	case m.most > 1:
		r.Kept = new(true)
		r.RequestsAtLeast = &m.most
		r.CloseCause = result.CloseNone
	}
	r.Meta = m.course.Conclude()
	return r
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
