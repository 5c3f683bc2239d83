// Package smallwrites measures the stall of Nagle's algorithm against delayed acknowledgments: a server that writes a
// response in small pieces with the algorithm on holds back a piece until the one before is acknowledged (RFC 896), and the
// client's kernel delays that acknowledgment for 40 to 200 ms, in the hope of data to send along (RFC 1122 section 4.2.3.2).
//
// The time of a request says nothing of it: a server may as well have slept. So requests with this end's acknowledgments
// delayed and immediate are sent in turn on one connection. What vanishes with immediate ones is the stall.
package smallwrites

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
)

const (
	// primingRequests go first on each connection. A kernel acknowledges at once for the first 16 segments or so
	// (net/ipv4/tcp_input.c, TCP_MAX_QUICKACKS), so that no stall shows on a young connection.
	primingRequests = 16
	// minimumSamples of each kind are taken however much they agree, and maximumSamples at most.
	minimumSamples = 12
	maximumSamples = 40
	// enoughShare ends the sampling once both medians are known this well on both sides.
	enoughShare = 0.1
	// enoughBytes ends the sampling, after the minimum, where responses are long.
	enoughBytes = 32 << 20
)

// Measure takes its samples from an HTTP peer. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.SmallWrites {
	m := &measurement{peer: peer, course: exchange.Course{Began: time.Now()}}
	defer m.drop()
	for !m.enough() && !m.closesEarly {
		if !m.turn(ctx) {
			break
		}
	}
	return m.summarise()
}

type measurement struct {
	peer   *exchange.Peer
	course exchange.Course

	// connection carries the requests, carried the number of its responses.
	connection *exchange.Connection
	carried    int
	// closesEarly: the server ended a connection before it was primed, after closedAfter responses.
	closesEarly bool
	closedAfter int

	samples   samples
	bodyBytes int64
	responded bool
}

func (m *measurement) enough() bool {
	fewest, most := min(len(m.samples.delayed), len(m.samples.quick)), max(len(m.samples.delayed), len(m.samples.quick))
	switch {
	case fewest < minimumSamples:
		return false
	case most >= maximumSamples, m.bodyBytes >= enoughBytes:
		return true
	}
	return stats.Narrow(m.samples.delayed, enoughShare) && stats.Narrow(m.samples.quick, enoughShare)
}

// turn sends the next request if the budget allows it, and says whether it did.
func (m *measurement) turn(ctx context.Context) bool {
	if m.course.Stop = m.peer.Turn(ctx, m.connection == nil); m.course.Stop != nil {
		return false
	}
	err := m.step(ctx)
	m.peer.Note(err)
	m.course.Failed(err)
	return true
}

func (m *measurement) step(ctx context.Context) error {
	if m.connection == nil {
		connection, err := m.peer.Connect(ctx)
		if err != nil {
			return err
		}
		m.connection, m.carried = connection, 0
	}
	quick := m.nextIsQuick()
	sample, persistent, err := m.ask(ctx, quick)
	switch {
	case err != nil && m.carried > 0 && (errors.Is(err, io.EOF) || exchange.WasReset(err)):
		// It ended the connection between two requests, as it may.
		m.end()
		return nil
	case err != nil:
		m.drop()
		return err
	}
	m.responded = true
	if m.carried++; m.carried > primingRequests {
		m.samples.add(quick, sample)
	}
	if !persistent {
		m.end()
	}
	return nil
}

// nextIsQuick chooses the kinds in the order delayed, quick, quick, delayed, so that neither always comes after the other.
func (m *measurement) nextIsQuick() bool {
	taken := len(m.samples.delayed) + len(m.samples.quick)
	return taken%4 == 1 || taken%4 == 2
}

// sample is one request: its time in microseconds, and the data segments of its response.
type sample struct {
	took     float64
	segments int
}

// ask makes one request with this end's acknowledgments of one kind.
func (m *measurement) ask(ctx context.Context, quick bool) (s sample, persistent bool, err error) {
	var failure error
	set := func() {
		if err := m.connection.TCP().SetQuickAck(quick); err != nil {
			failure = err
		}
	}
	set()
	m.connection.OnArrival(set)
	before, err := m.segmentsIn()
	if err != nil {
		return sample{}, false, err
	}
	response, took, err := m.connection.Request(ctx, false)
	if err = errors.Join(err, failure); err != nil {
		return sample{}, false, err
	}
	after, err := m.segmentsIn()
	if err != nil {
		return sample{}, false, err
	}
	m.bodyBytes += response.BodyBytes
	s = sample{took: float64(took) / float64(time.Microsecond), segments: int(after - before)}
	return s, response.Persistent && m.connection.Ended() == nil, nil
}

var errNoSegments = errors.New("the kernel here does not count a connection's data segments, which it does since Linux 4.6")

func (m *measurement) segmentsIn() (uint32, error) {
	info, err := m.connection.Info()
	if err != nil {
		return 0, err
	}
	if info.DataSegmentsIn == nil {
		return 0, errNoSegments
	}
	return *info.DataSegmentsIn, nil
}

// end forgets a connection that the server ended.
func (m *measurement) end() {
	if m.carried <= primingRequests {
		m.closesEarly, m.closedAfter = true, m.carried
	}
	m.drop()
}

func (m *measurement) drop() {
	if m.connection != nil {
		m.connection.Close()
		m.connection = nil
	}
}

func (m *measurement) summarise() result.SmallWrites {
	m.course.Samples = len(m.samples.delayed) + len(m.samples.quick)
	r := result.SmallWrites{
		Meta:                m.course.Conclude(),
		DelayedMicroseconds: stats.Summarise(m.samples.delayed),
		QuickMicroseconds:   stats.Summarise(m.samples.quick),
	}
	if len(m.samples.segments) > 0 {
		r.Segments = new(int(stats.Quantile(slices.Sorted(slices.Values(m.samples.segments)), 0.5)))
	}
	stall, known := m.samples.stall()
	switch {
	case r.Outcome == result.Failed, r.Outcome == result.Skipped && !m.responded:
	case known:
		r.StallMicroseconds, r.Side = &stall, result.SideNone
		if stall > 0 {
			r.Side = result.SideServer
		}
	case m.closesEarly:
		r.Outcome = result.Unsupported
		r.Cause = fmt.Sprintf("the server ends a connection after %d responses, and the first %d segments of a connection are "+
			"acknowledged at once, so that no stall can show", m.closedAfter, primingRequests)
	default:
		r.Outcome, r.Cause = result.Failed, "there were too few samples to tell"
		if m.course.Stop != nil {
			r.Cause = m.course.Stop.Error() + " before there were enough samples to tell"
		}
	}
	return r
}
