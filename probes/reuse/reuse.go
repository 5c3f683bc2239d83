// Package reuse measures whether a server keeps a connection for further requests, for how many, how it ends one, and what
// a request costs on a new connection and on one that is already there.
//
// New and reused samples are taken in turn, so that whatever drifts meets both. One connection carries all the reused
// samples, and afterwards as many requests as it takes the server to close it, or the budget to end.
//
// A server that closes after a number of requests does so with the last response. One that closes later does because of the
// silence, which is what package idle measures and not an answer here.
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
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

const (
	// minimumSamples of each kind are taken however much they agree.
	minimumSamples = 30
	// enoughShare ends the sampling once both medians are known this well on both sides.
	enoughShare = 0.05
	// soon is how long after a response the connection must be open for its end to be one by silence. Where the pace lets
	// requests follow sooner than that, silences are too short to end it.
	soon = 200 * time.Millisecond
)

// Measure takes its samples from an HTTP peer. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.Reuse {
	m := &measurement{peer: peer, course: exchange.Course{Began: time.Now()}}
	defer m.drop()
	for !m.enough() && m.turn(ctx, true, m.takeNew) {
		if m.keeps() && !m.reuse(ctx) {
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
	// quiet: the connection was seen open for as long as soon after its last response. silenced counts those that the
	// server ended after that.
	quiet    bool
	silenced int
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

// reuse takes a reused sample. Where silence has ended a connection before, the next request follows as soon as the pace
// allows, without a new connection's between the two.
func (m *measurement) reuse(ctx context.Context) bool {
	if m.kept != nil {
		m.noteEnd(m.kept.Ended())
	}
	if m.silenced > 0 && m.kept == nil && m.keeps() && !m.turn(ctx, true, m.takeReused) {
		return false
	}
	return !m.keeps() || m.turn(ctx, m.kept == nil, m.takeReused)
}

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
	} else if m.noteEnd(m.kept.Ended()) {
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
		return nil
	}
	return m.wait(ctx)
}

// wait looks, while the pace allows no request anyway, whether the server ends the connection with its response.
func (m *measurement) wait(ctx context.Context) error {
	length := min(soon, m.peer.Budget.UntilTurn())
	m.quiet = length == soon
	if length == 0 {
		return nil
	}
	events, err := tcpconn.Poll(ctx, []tcpconn.Watched{{Conn: m.kept.TCP()}}, length)
	if err == nil && events[0].Ended != nil {
		m.end(causeOf(events[0].Ended))
	}
	return err
}

// noteEnd takes note of the end of the connection that is kept, if it is one, and says whether it is.
func (m *measurement) noteEnd(ended error) bool {
	switch {
	case ended == nil:
		return false
	case m.quiet:
		m.silenced++
		m.drop()
	default:
		m.end(causeOf(ended))
	}
	return true
}

// failed tells a server that ended a connection between two requests, which is what is measured, from an error.
func (m *measurement) failed(err error) error {
	cause := causeOf(err)
	if m.carried > 0 && cause != result.CloseNone {
		m.noteEnd(err)
		return nil
	}
	m.drop()
	return err
}

func (m *measurement) see(response http1.Response) {
	said := response.KeepAlive
	countsDown := m.keepAlive != nil && said != nil && m.keepAlive.Max != nil && said.Max != nil && *said.Max < *m.keepAlive.Max
	if said != nil && !countsDown {
		m.keepAlive = said
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
	case m.silenced > 0:
		r.RequestsAtLeast = &m.most
	}
	if m.first == nil && m.silenced > 0 {
		r.Missing = "for how many requests the server keeps a connection: it ended silent ones sooner than the limit of requests per second allows the next request"
	}
	r.Meta = m.course.Conclude()
	return r
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
