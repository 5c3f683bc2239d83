// Package handshake measures how connections are set up: how long connect takes, what the kernel says about the round
// trip and about SYNs that were lost, and how much of a small transaction the set-up is.
package handshake

import (
	"context"
	"errors"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

const (
	// minimumSamples are taken however much they agree.
	minimumSamples = 30
	// enoughShare ends the sampling once the median is known this well on both sides.
	enoughShare = 0.05
)

// samples are what the connections showed, in microseconds where not said otherwise.
type samples struct {
	connect, roundTrip, setupShare []float64
	synRetransmissions             int
	synKnown                       bool
	tls                            tlsSamples
}

// Options say what a run wants of its handshakes beyond a median that is known well.
type Options struct {
	// Samples to take at least, if the budget allows it.
	Samples int
	// CountAboveMicroseconds asks how many samples of connect take longer. 0: not asked.
	CountAboveMicroseconds float64
}

// Measure opens connections one after the other until there are as many samples as the options ask for and the median is
// known well, or the budget ends. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer, options Options) result.Handshake {
	course := exchange.Course{Began: time.Now()}
	var s samples
	for len(s.connect) < max(minimumSamples, options.Samples) || !stats.Narrow(s.connect, enoughShare) {
		if course.Stop = peer.Turn(ctx, true); course.Stop != nil {
			break
		}
		err := s.take(ctx, peer)
		peer.Note(err)
		course.Failed(err)
	}
	course.Samples = len(s.connect)
	h := s.summarise(course)
	h.ConnectAbove = above(s.connect, options.CountAboveMicroseconds)
	h.TLS = s.tls.summarise(peer)
	return h
}

// take opens one connection and, over HTTP, makes one request on it. A handshake counts even if the request fails.
func (s *samples) take(ctx context.Context, peer *exchange.Peer) error {
	connection, err := s.tls.connect(ctx, peer)
	if err != nil {
		var failure *tcpconn.Error
		if errors.As(err, &failure) {
			s.countSYNs(failure.SynRetransmissions)
		}
		s.tls.seeFailure(err)
		return err
	}
	defer connection.Close()
	s.connect = append(s.connect, microseconds(connection.ConnectTook))
	if rtt := connection.Opened.RTTMicroseconds; rtt != nil {
		s.roundTrip = append(s.roundTrip, float64(*rtt))
	}
	s.countSYNs(connection.Opened.TotalRetrans)
	defer s.tls.see(ctx, peer, connection)
	if !peer.SpeaksHTTP() {
		return nil
	}
	_, took, err := connection.Request(ctx, false)
	if err != nil {
		return err
	}
	if connection.TLS == nil || !connection.TLS.State.DidResume {
		setup := connection.SetupTook()
		s.setupShare = append(s.setupShare, 100*float64(setup)/float64(setup+took))
	}
	return nil
}

// countSYNs adds the SYNs that one connect sent again, nil if that is not known.
func (s *samples) countSYNs(again *uint32) {
	if again != nil {
		s.synKnown = true
		s.synRetransmissions += int(*again)
	}
}

func (s *samples) summarise(course exchange.Course) result.Handshake {
	h := result.Handshake{
		Meta:                  course.Conclude(),
		ConnectMicroseconds:   stats.Summarise(s.connect),
		KernelRTTMicroseconds: stats.Summarise(s.roundTrip),
	}
	if s.synKnown {
		h.SynRetransmissions = &s.synRetransmissions
	}
	if share := stats.Summarise(s.setupShare); share != nil {
		h.SetupSharePercent = &share.P50
	}
	return h
}

// above counts the samples above a limit. Nil: no limit is given, or there is no sample.
func above(samples []float64, limit float64) *result.Above {
	if limit == 0 || len(samples) == 0 {
		return nil
	}
	counted := &result.Above{Microseconds: limit, Count: result.Count{Of: len(samples)}}
	for _, sample := range samples {
		if sample > limit {
			counted.Got++
		}
	}
	return counted
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
