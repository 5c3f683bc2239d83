package audit

import (
	"fmt"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// slowStartRounds are the round trips that a response can take longer on a new connection because the server's window has
// to open first, where that was not measured: with seven the window grows from 10 segments to 1,280, which is 1.8 MB.
const slowStartRounds = 7

func slowAccept() Rule {
	return Rule{
		ID: "CP105", Title: "The server takes up new connections slowly",
		Category: CategorySetup, Severity: Warning, Needs: []string{needReuse, needHandshake},
		Helps:      []string{needSlowStart, needObserver},
		AppliesNot: "Links that are not HTTP/1, policies that do not ask for the measurements reuse and handshake, and servers that keep no connection, whose first requests there is nothing to compare with.",
		Why: "The kernel sets connections up by itself, so a connect is fast even if the application is slow to accept. " +
			"What a first request takes beyond the set-up and beyond the same request on a kept connection is spent waiting for the application to take the connection up, or on what it does for each new one.",
		Cures: []string{
			"Let the server accept faster: more workers or threads, no work in the accepting thread, no look-up for each connection (Apache: HostnameLookups Off), processor time that is not throttled. A proxy before the server that opens a connection of its own for each new one costs the same: let it share those that it has (HAProxy: http-reuse always or aggressive, since by default the first request of a connection gets a new one).",
			"Reuse connections, so that few requests pay for it.",
		},
		Source: "listen(2) and accept(2): the queue of completely established sockets that wait to be accepted",
		judge:  judgeSlowAccept,
	}
}

func judgeSlowAccept(in Input) judgement {
	return perFigures(in, reuseSource(), func(p ProbeResult, r *result.Reuse) judgement {
		h, missing := figuresOf(in, p, handshakeSource())
		switch {
		case missing != nil:
			return *missing
		case r.Kept != nil && !*r.Kept:
			return notApplicable("The server keeps no connection, so that there is no request on a kept one to compare with.")
		}
		excess, known := acceptTakesAtLeast(h, r, beside(in, p, slowStartSource()))
		if !known {
			return unknown("Too few requests were made to tell what a first request on a connection costs.")
		}
		evidence := map[string]string{
			"newP50Microseconds":     fmt.Sprintf("%.0f", r.NewMicroseconds.P50),
			"reusedP50Microseconds":  fmt.Sprintf("%.0f", r.ReusedMicroseconds.P50),
			"connectP50Microseconds": fmt.Sprintf("%.0f", h.ConnectMicroseconds.P50),
		}
		if excess <= 0 {
			return pass("A first request takes no measurable time beyond setting up the connection and the request itself.", evidence)
		}
		evidence["excessAtLeastMicroseconds"] = fmt.Sprintf("%.0f", excess)
		share := 100 * excess / r.NewMicroseconds.P50
		seen := fmt.Sprintf("Of the %s that a request takes on a new connection, at least %s (%s) is neither set-up nor the request itself",
			figure.Microseconds(r.NewMicroseconds.P50), figure.Microseconds(excess), figure.Percent(share))
		if share <= setupSharePercent {
			return pass(seen+", less than the rest.", evidence)
		}
		if rate, known := busiest(in); known && rate < rarelyPerSecond {
			return pass(fmt.Sprintf("%s, but the workload's pods open at most %s a second each.", seen, figure.Rate(rate)), evidence)
		}
		return fail(Warning, seen+": the application takes new connections up slowly (medians; their 95 % intervals leave no doubt).", evidence, 0)
	})
}

// acceptTakesAtLeast returns what a first request costs, in microseconds, beyond the set-up of its connection, beyond the
// same request on a kept one, and beyond the round trips that slow start takes: what is left between the intervals of all
// medians.
func acceptTakesAtLeast(h *result.Handshake, r *result.Reuse, window *result.SlowStart) (microseconds float64, known bool) {
	saved, known := savesAtLeast(r.NewMicroseconds, r.ReusedMicroseconds)
	if !known || h.ConnectMicroseconds == nil || h.ConnectMicroseconds.P50High == nil {
		return 0, false
	}
	setup := *h.ConnectMicroseconds.P50High
	if h.TLS != nil {
		if h.TLS.FullMicroseconds == nil || h.TLS.FullMicroseconds.P50High == nil {
			return 0, false
		}
		setup += *h.TLS.FullMicroseconds.P50High
	}
	switch rounds, roundTrip, seen := extraRounds(window); {
	case seen:
		setup += float64(rounds) * roundTrip
	case h.KernelRTTMicroseconds == nil:
		return 0, false
	default:
		setup += slowStartRounds * h.KernelRTTMicroseconds.P50
	}
	return saved - setup, true
}

// extraRounds returns how many round trips, of so many microseconds, a response takes longer on a new connection than on a
// warm one.
func extraRounds(s *result.SlowStart) (rounds int, roundTripMicroseconds float64, known bool) {
	if s == nil || s.ColdRounds == nil || s.WarmRounds == nil || s.RoundTripMicroseconds == nil {
		return 0, 0, false
	}
	return max(*s.ColdRounds-*s.WarmRounds, 0), *s.RoundTripMicroseconds, true
}
