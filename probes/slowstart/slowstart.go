// Package slowstart measures how the server's congestion window opens, seen from the client without privilege: how much it
// sends before the first acknowledgment, what a response costs on a cold and on a warm connection, and whether a warm
// connection is cold again after a pause.
//
// A sender that waits for acknowledgments sends in flights, a round trip apart. A flight is what arrives between two
// silences; its size is the window. Times alone say nothing: a server may as well have worked, or slept.
package slowstart

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
)

const (
	// minimumConnections are opened however much they agree, and maximumConnections at most.
	minimumConnections = 5
	maximumConnections = 20
	// enoughShare ends the sampling once both medians are known this well on both sides.
	enoughShare = 0.05
	// enoughBytes ends the sampling, after fewestFlights connections, where responses are long.
	enoughBytes = 32 << 20
	// leastIdle is the shortest pause, and idleTimeouts how many retransmission timeouts it has at least: the window is
	// halved for each that passes (net/ipv4/tcp_output.c, tcp_cwnd_restart).
	leastIdle    = time.Second
	idleTimeouts = 5
	// warmFor is how long a connection stays warm: Linux's shortest retransmission timeout (include/net/tcp.h, TCP_RTO_MIN).
	warmFor = 200 * time.Millisecond
)

// Measure takes its samples from an HTTP peer. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.SlowStart {
	m := &measurement{peer: peer, course: exchange.Course{Began: time.Now()}}
	for !m.enough() {
		if !m.follow(ctx) {
			break
		}
	}
	return m.summarise()
}

type measurement struct {
	peer   *exchange.Peer
	course exchange.Course

	// connection is the one under way; nil before it is open, and after the server ended it or it failed.
	connection *exchange.Connection
	carried    int
	warmed     bool
	lastEnd    time.Time // of a response

	opened    int
	cold      []transfer
	warm      []transfer
	pairs     []pair
	idled     time.Duration
	bodyBytes int64
	// leastRTT is the least round trip that the kernel saw, in microseconds; 0 while it is unknown.
	leastRTT uint32

	// Why a connection could not be warmed, or left idle.
	closes, tooSlow, closesIdle, noTime bool
}

func (m *measurement) roundTrip() time.Duration {
	return time.Duration(m.leastRTT) * time.Microsecond
}

// isShort says whether the response is known to be too short to show a window.
func (m *measurement) isShort() bool {
	return len(m.cold) > 0 && m.cold[0].segments() < shortestWindows*usualInitialWindow
}

// showsFlights says whether the round trip is known, and long enough to tell flights apart.
func (m *measurement) showsFlights() bool {
	return m.roundTrip() >= shortestRoundTrip
}

func (m *measurement) enough() bool {
	switch {
	case m.isShort(), m.opened >= maximumConnections:
		return true
	case m.opened >= fewestFlights && m.bodyBytes >= enoughBytes:
		return true
	case m.opened < minimumConnections:
		return false
	}
	return stats.Narrow(times(m.cold), enoughShare) && (len(m.warm) == 0 || stats.Narrow(times(m.warm), enoughShare))
}

// follow takes one connection through its life, and says whether the budget allowed it: cold, growing, warm, and idle.
func (m *measurement) follow(ctx context.Context) bool {
	defer m.drop()
	m.opened++
	for i, step := range []func(context.Context) error{m.takeCold, m.grow, m.takeWarm} {
		if !m.turn(ctx, i == 0, step) {
			return false
		}
		if m.connection == nil || m.isShort() {
			return true
		}
	}
	if !m.warmed || !m.showsFlights() || m.noTime || m.closesIdle || len(m.pairs) >= fewestFlights {
		return true
	}
	if !m.idle(ctx) {
		return true
	}
	return m.turn(ctx, false, m.takeAfterIdle)
}

// turn runs one step if the budget allows it, and says whether it did.
func (m *measurement) turn(ctx context.Context, connect bool, step func(context.Context) error) bool {
	if m.course.Stop = m.peer.Turn(ctx, connect); m.course.Stop != nil {
		return false
	}
	err := step(ctx)
	if err != nil {
		m.drop()
	}
	m.peer.Note(err)
	m.course.Failed(err)
	return true
}

func (m *measurement) takeCold(ctx context.Context) error {
	connection, err := m.peer.Connect(ctx)
	if err != nil {
		return err
	}
	m.connection, m.carried, m.warmed = connection, 0, false
	t, err := m.transfer(ctx)
	if err == nil {
		m.cold = append(m.cold, t)
	}
	return err
}

// grow lets the window grow: a response of four flights leaves it at the size of the third.
func (m *measurement) grow(ctx context.Context) error {
	_, err := m.transfer(ctx)
	return m.unlessEnded(err)
}

func (m *measurement) takeWarm(ctx context.Context) error {
	if time.Since(m.lastEnd) >= warmFor {
		m.tooSlow = true
		return nil
	}
	t, err := m.transfer(ctx)
	if err == nil {
		m.warm = append(m.warm, t)
		m.warmed = true
	}
	return m.unlessEnded(err)
}

// idle is silent for so long that a sender which forgets its window has forgotten it, and says whether the connection
// came through.
func (m *measurement) idle(ctx context.Context) bool {
	info, err := m.connection.Info()
	if err != nil || info.RTOMicroseconds == nil {
		m.course.Failed(err)
		return false
	}
	length := max(leastIdle, idleTimeouts*time.Duration(*info.RTOMicroseconds)*time.Microsecond)
	if m.peer.Pause(ctx, length) != nil {
		m.noTime = true
		return false
	}
	m.closesIdle = m.connection.Ended() != nil
	return !m.closesIdle
}

func (m *measurement) takeAfterIdle(ctx context.Context) error {
	idled := time.Since(m.lastEnd)
	t, err := m.transfer(ctx)
	if err == nil {
		before := m.warm[len(m.warm)-1].first(m.roundTrip())
		m.pairs = append(m.pairs, pair{warm: before.segments, afterIdle: t.first(m.roundTrip()).segments})
		m.idled = idled
	}
	return m.unlessEnded(err)
}

// transfer makes one request, and notes how the response arrives.
func (m *measurement) transfer(ctx context.Context) (transfer, error) {
	before, err := m.connection.Info()
	if err != nil {
		return transfer{}, err
	}
	if before.BytesReceived == nil || before.DataSegmentsIn == nil {
		return transfer{}, errOldKernel
	}
	var t transfer
	if before.ReceiveWindow != nil {
		t.windowBytes = *before.ReceiveWindow
	} else if before.ReceiveSlowStartThreshold != nil {
		t.windowBytes = *before.ReceiveSlowStartThreshold
	}
	var failure error
	m.connection.OnArrival(func() {
		now := time.Now()
		info, err := m.connection.Info()
		if err != nil {
			failure = err
			return
		}
		t.see(arrival{now, *info.BytesReceived - *before.BytesReceived, *info.DataSegmentsIn - *before.DataSegmentsIn})
	})
	response, took, err := m.connection.Request(ctx, false)
	m.lastEnd = time.Now()
	if err = errors.Join(err, failure); err != nil {
		return transfer{}, err
	}
	m.carried++
	t.took, t.bodyBytes = took, response.BodyBytes
	m.bodyBytes += response.BodyBytes
	if err := m.look(&t); err != nil {
		return transfer{}, err
	}
	if !response.Persistent || m.connection.Ended() != nil {
		m.ended()
	}
	return t, nil
}

var errOldKernel = errors.New("the kernel here does not count what a connection receives, which it does since Linux 4.6")

// look takes down what the kernel has learned of the connection.
func (m *measurement) look(t *transfer) error {
	info, err := m.connection.Info()
	if err != nil {
		return err
	}
	if info.ReceiveMSS != nil {
		t.segmentBytes = *info.ReceiveMSS
	}
	// The kernel's least of no sample is the greatest number.
	if least := info.MinRTTMicroseconds; least != nil && *least < math.MaxUint32 && (m.leastRTT == 0 || *least < m.leastRTT) {
		m.leastRTT = *least
	}
	return nil
}

// unlessEnded tells a server that ended a connection between two requests, as it may, from an error.
func (m *measurement) unlessEnded(err error) error {
	if errors.Is(err, io.EOF) || exchange.WasReset(err) {
		m.ended()
		return nil
	}
	return err
}

// ended forgets a connection that the server ended.
func (m *measurement) ended() {
	m.closes = m.closes || m.carried < 3
	m.drop()
}

func (m *measurement) drop() {
	if m.connection != nil {
		m.connection.Close()
		m.connection = nil
	}
}

func times(transfers []transfer) []float64 {
	microseconds := make([]float64, len(transfers))
	for i, t := range transfers {
		microseconds[i] = float64(t.took) / float64(time.Microsecond)
	}
	return microseconds
}
