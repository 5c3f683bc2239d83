package runner_test

import (
	"testing"
	"testing/synctest"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/handshake"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/target"
)

// The limit of connections that is said to be needed is enough, and one less is not, by the budget's own arithmetic.
func TestConnectionsForHandshakes(t *testing.T) {
	handshake, timeWait, reuse := &result.Handshake{}, &result.TimeWait{}, &result.Reuse{}
	for name, c := range map[string]struct {
		measurements result.Measurements
		weights      int
		for299       int
	}{
		"handshake":           {result.Measurements{Handshake: handshake}, result.HandshakeWeight, 299},
		"handshake, timeWait": {result.Measurements{Handshake: handshake, TimeWait: timeWait}, result.HandshakeWeight + result.TimeWaitWeight, 448},
		"handshake, reuse":    {result.Measurements{Handshake: handshake, Reuse: reuse}, result.HandshakeWeight + result.ReuseWeight, 746},
		"handshake, reuse, timeWait": {result.Measurements{Handshake: handshake, TimeWait: timeWait, Reuse: reuse},
			result.HandshakeWeight + result.TimeWaitWeight + result.ReuseWeight, 895},
		"all that a policy asks of TCP": {result.Measurements{DNS: &result.DNS{}, Handshake: handshake, Identity: &result.Identity{}, TimeWait: timeWait}, 4, 597},
		"all that a policy asks of HTTP": {result.Measurements{DNS: &result.DNS{}, Handshake: handshake, Identity: &result.Identity{}, TimeWait: timeWait,
			Reuse: reuse, SlowStart: &result.SlowStart{}, SmallWrites: &result.SmallWrites{}}, 11, 1640},
		"after pathMTU": {result.Measurements{PathMTU: &result.PathMTU{}, Handshake: handshake, Reuse: reuse}, result.HandshakeWeight + result.ReuseWeight,
			746 + result.PathMTUConnections},
	} {
		if got := c.measurements.ConnectionsFor(299); got != c.for299 {
			t.Errorf("%s: %d connections for 299 handshakes, want %d", name, got, c.for299)
		}
		for handshakes := 2; handshakes <= 700; handshakes += 11 {
			limit := c.measurements.ConnectionsFor(handshakes)
			before, share := 0, float64(result.HandshakeWeight)/float64(c.weights)
			if c.measurements.PathMTU != nil {
				before = result.PathMTUConnections
			}
			if enough, less := turns(t, limit, before, share), turns(t, limit-1, before, share); enough < handshakes || less >= handshakes {
				t.Fatalf("%s: %d connections allow %d handshakes, one less %d; said of %d", name, limit, enough, less, handshakes)
			}
		}
	}
}

// turns counts the connections that a measurement with a share of the run may open after so many others.
func turns(t *testing.T, connections, before int, share float64) int {
	count := 0
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(budget.Limits{Connections: connections, RequestsPerSecond: 1e9, Seconds: 1})
		b.Allow(1)
		for range before {
			if err := b.Turn(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		b.Allow(share)
		for b.Turn(t.Context(), true) == nil {
			count++
		}
	})
	return count
}

func TestHandshakeTakesTheSamplesAskedForWithinTheLimits(t *testing.T) {
	for name, c := range map[string]struct {
		scheme                          string
		connections, asked, least, most int
		measure                         []string
	}{
		"TCP":                             {"tcp", 448, 299, 299, 299, []string{"handshake", "timeWait"}},
		"HTTP":                            {"http", 895, 299, 299, 299, []string{"handshake", "timeWait", "reuse"}},
		"handshake alone":                 {"http", 299, 299, 299, 299, []string{"handshake"}},
		"more than the run may open":      {"tcp", 60, 299, 40, 40, []string{"handshake", "timeWait"}},
		"fewer than the median's minimum": {"tcp", 90, 1, 30, 60, []string{"handshake", "timeWait"}},
		"none asked for":                  {"tcp", 90, 0, 30, 60, []string{"handshake", "timeWait"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			server := serve(t, pair, send(kept, false))
			parsed, err := target.Parse(c.scheme+"://"+server.address.String(), "")
			if err != nil {
				t.Fatal(err)
			}
			limits := budget.Limits{Connections: c.connections, RequestsPerSecond: 500, Seconds: 9}
			var r result.Result
			pair.InClient(t, func() {
				r, err = runner.Run(t.Context(), runner.Config{
					Target: parsed, Family: target.AnyFamily, Limits: limits, Measure: c.measure, Handshake: handshake.Options{Samples: c.asked, CountAboveMicroseconds: 1},
					UserAgent: "connpolicy-probe/test", Proc: procnet.New("/proc"), Log: t.Logf,
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			h := r.Measurements.Handshake
			if h.Outcome != result.Measured || h.Samples < c.least || h.Samples > c.most {
				t.Errorf("%s %q: %d samples, want %d to %d", h.Outcome, h.Cause, h.Samples, c.least, c.most)
			}
			// No connect through two namespaces takes less than a microsecond.
			if a := h.ConnectAbove; a == nil || a.Microseconds != 1 || a.Got != h.Samples || a.Of != h.Samples {
				t.Errorf("above a microsecond: %+v of %d samples", a, h.Samples)
			}
			checkSpent(t, server, r.Spent, limits)
		})
	}
}
