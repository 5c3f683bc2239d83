// Package pathmtu measures, without privilege, whether packets of full size arrive from the target, or vanish on the way
// while small ones pass (RFC 2923 section 2.1): a path MTU black hole.
//
// A response that does not come may be lost, or never have been sent. So it is asked for a second time on a connection on
// which this end allows the target short segments alone (setsockopt TCP_MAXSEG before connect): nothing but their length
// differs. Only if all of the one stall and all of the others arrive, in turns, is the path to blame.
package pathmtu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

const (
	repetitions = result.PathMTUConnections / 2
	// stall is how long a response that has not arrived is waited for. By then Linux has sent a lost segment again four times
	// (0.2, 0.6, 1.4 and 3 seconds after it), so that losses by chance are no stall.
	stall = 4 * time.Second
	// soon is how long a response may take of which no full segment shows that it passed. One that takes longer where segments
	// may be long has stalled until its sender found out what was wrong, and sent short ones (RFC 4821; Linux does after some
	// 3 seconds, net.ipv4.tcp_mtu_probing); unless it takes as long where segments are short.
	soon = stall / 2
	// clampedBytes is the segment that every path carries: 536 bytes with 40 of headers (RFC 9293 section 3.7.1).
	clampedBytes = 536
)

// Measure asks an HTTP peer for its response. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.PathMTU {
	m := &measurement{peer: peer, course: exchange.Course{Began: time.Now()}}
	for range repetitions {
		if !m.compare(ctx) {
			break
		}
	}
	return m.summarise()
}

type measurement struct {
	peer           *exchange.Peer
	course         exchange.Course
	whole, clamped result.Count
	r              result.PathMTU
	// unsupported and failed say why nothing can be told, empty if they do not.
	unsupported, failed string
}

// compare asks on a connection as it is, and on one with short segments if that stalls. It says whether to go on.
func (m *measurement) compare(ctx context.Context) bool {
	before := m.whole.Got
	if !m.turn(ctx, &m.whole, m.asItIs) {
		return false
	}
	if m.whole.Got > before {
		return m.unsupported == ""
	}
	before = m.clamped.Got
	if !m.turn(ctx, &m.clamped, m.short) {
		return false
	}
	if m.clamped.Got == before && m.failed == "" {
		m.failed = fmt.Sprintf("no response arrived as a whole within %.0f s, neither where segments may be long nor where they are short: "+
			"their length is not what it waits for", stall.Seconds())
	}
	return m.failed == ""
}

// turn waits for a turn, asks for one response, and counts it if it arrived or stalled. It says whether it did either.
func (m *measurement) turn(ctx context.Context, count *result.Count, ask func(context.Context) error) bool {
	if m.course.Stop = m.peer.Turn(ctx, true); m.course.Stop != nil {
		return false
	}
	begin := time.Now()
	limited, cancel := context.WithDeadline(ctx, begin.Add(stall))
	defer cancel()
	err := ask(limited)
	m.peer.Note(err)
	switch {
	case err == nil:
		count.Got++
	case !errors.Is(err, errStalled):
		m.course.Failed(err)
		return false
	case errors.Is(err, tcpconn.ErrTimeout) && time.Since(begin) < stall:
		// The measurement's own time was over.
		m.course.Stop = budget.ErrSeconds
		m.course.Failed(err)
		return false
	}
	count.Of++
	m.course.Samples++
	return true
}

// asItIs asks where segments may be as long as the devices allow.
func (m *measurement) asItIs(ctx context.Context) error {
	begin := time.Now()
	connection, err := m.peer.Connect(ctx)
	if err != nil {
		return m.stalledTLS(err)
	}
	defer connection.Close()
	response, _, err := connection.Request(ctx, false)
	info, infoErr := connection.Info()
	switch {
	case infoErr != nil:
		return infoErr
	case err != nil:
		return stalled(err, info)
	case info.AdvertisedMSS == nil || info.ReceiveMSS == nil:
		return errSilentKernel
	}
	full, received := int(*info.AdvertisedMSS), int(*info.ReceiveMSS)
	m.r.SegmentBytes, m.r.ReceivedSegmentBytes = &full, &received
	isFull := received >= full
	// A body of two is sent in segments as long as the target's own device, or what it knows of the path, lets it.
	isLong := isFull || response.BodyBytes >= 2*int64(full)
	switch {
	case isLong && !isFull && time.Since(begin) > soon:
		return errStalled
	case !isLong, received <= clampedBytes:
		m.unsupported = fmt.Sprintf("the response, with a body of %d bytes, arrived in segments of at most %d, and a full one has up to %d; "+
			"give a path with an answer of %d bytes or more", response.BodyBytes, received, full, 2*full)
	}
	return nil
}

// short asks where segments are short.
func (m *measurement) short(ctx context.Context) error {
	begin := time.Now()
	connection, err := m.peer.ConnectClamped(ctx, clampedBytes)
	if err != nil {
		return m.stalledTLS(err)
	}
	defer connection.Close()
	_, _, err = connection.Request(ctx, false)
	info, infoErr := connection.Info()
	switch {
	case infoErr != nil:
		return infoErr
	case err != nil:
		return stalled(err, info)
	case info.AdvertisedMSS == nil:
		return errSilentKernel
	}
	m.r.ClampedSegmentBytes = new(int(*info.AdvertisedMSS))
	if took := time.Since(begin); took > soon {
		m.failed = fmt.Sprintf("a response in short segments took %.1f s, which is too long to tell those that stall from those that are slow; "+
			"give a path with a quick answer", took.Seconds())
	}
	return nil
}

// stalledTLS is stalled for a connection that was not set up. A TCP handshake has no large packets, and its errors are those
// of every measurement.
func (m *measurement) stalledTLS(err error) error {
	var handshake *exchange.TLSError
	if !errors.As(err, &handshake) {
		return err
	}
	err = stalled(err, handshake.Connection)
	if errors.Is(err, errStalled) {
		m.r.InTLSHandshake = new(true)
	}
	return err
}

// stalled tells a response that does not come over a connection that is there from every other error. All that this end had
// sent was acknowledged, so that the target lives, has what it needs, and its small packets arrive; and it has neither
// closed nor reset the connection, or the wait would have ended.
func stalled(err error, info tcpinfo.Info) error {
	if !errors.Is(err, tcpconn.ErrTimeout) {
		return err
	}
	if info.Unacked == nil || info.NotSentBytes == nil {
		return errSilentKernel
	}
	if *info.Unacked > 0 || *info.NotSentBytes > 0 {
		return errUnheard
	}
	return fmt.Errorf("%w: %w", errStalled, err)
}

var (
	errUnheard      = errors.New("what this end has sent was not acknowledged: it, or the acknowledgment, is lost on the way")
	errStalled      = errors.New("the response stalls")
	errSilentKernel = errors.New("the kernel here does not tell what is needed of a connection, which it does since Linux 4.6")
)

func (m *measurement) summarise() result.PathMTU {
	m.r.Meta = m.course.Conclude()
	if m.whole.Of > 0 {
		m.r.Whole = &m.whole
	}
	if m.clamped.Of > 0 {
		m.r.ClampedWhole = &m.clamped
	}
	switch {
	case m.r.Outcome != result.Measured:
	case m.unsupported != "" && m.whole.Got == m.whole.Of:
		m.r.Outcome, m.r.Cause = result.Unsupported, m.unsupported
	case m.failed != "":
		m.r.Outcome, m.r.Cause = result.Failed, m.failed
	case m.whole.Got == repetitions:
		m.r.BlackHole = new(false)
	case m.whole.Got == 0 && m.clamped.Got == repetitions:
		m.r.BlackHole = new(true)
	}
	return m.r
}
