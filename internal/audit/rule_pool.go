package audit

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// poolLookSeconds is how long an observer must have looked before more open connections than were ever busy count as too
// many: load comes in the bursts of hourly jobs.
const poolLookSeconds = 3600

// Cures of a pool of the wrong size.
const (
	cureLargerPool = iota
	cureSmallerPool
	cureAnyPool
)

func poolSize() Rule {
	return Rule{
		ID: "CP209", Title: "The client's pool has another size than its load asks for",
		Category: CategoryReuse, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Links over HTTP/2, gRPC and WebSocket, policies without `from`, clients that do not reuse connections at all (see CP204), and those whose connections are too short to be seen open.",
		Why: "By Little's law a client needs as many connections at once as requests arrive a second times the seconds that each takes. " +
			"A pool that keeps fewer opens and closes the rest for every burst; one that keeps far more holds memory at both ends and leaves connections idle until something on the path cuts them.",
		Cures: []string{
			"Let the pool keep as many idle connections as are busy at once (Go: MaxIdleConnsPerHost, 2 by default, with MaxIdleConns above it; Node.js: maxFreeSockets; Apache HttpClient: setDefaultMaxPerRoute; nginx: keepalive in the upstream block; HikariCP: minimumIdle).",
			"Bound the pool at about twice what is busy at the peak (Go: MaxConnsPerHost; HikariCP: maximumPoolSize; Apache HttpClient: setMaxTotal), never below: requests beyond it wait, or are refused (Envoy answers 503).",
			"Let the client keep connections in a pool, as many as are busy at once (HikariCP: minimumIdle; SQLAlchemy: pool_size, max_overflow; Go's database/sql: SetMaxIdleConns, 2 by default; Redis clients: a pool shared by the process). Where each request is a process of its own (PHP), use persistent connections, or a pool beside it (PgBouncer, ProxySQL).",
		},
		Source: "Little, Operations Research 9 (1961), L = λW",
		judge:  judgePoolSize,
	}
}

func judgePoolSize(in Input) judgement {
	if speaksHTTP2(in.Protocol) || in.Protocol == protocolWebSocket {
		return notApplicable("Over this link's protocol the load does not decide how many connections it takes.")
	}
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		if speaksHTTP1(in.Protocol) && judgeSharing(in, o, "").result == Fail {
			return notApplicable("The client does not reuse connections; CP204 says more.")
		}
		return judgePool(in.Protocol, o, d.Address, c)
	})
}

func judgePool(protocol string, o PodObservation, address string, c *result.Connections) judgement {
	switch {
	case c.OpenPeak == 0 && o.Observation.UptimeSeconds >= timeWaitSeconds:
		return notApplicable("No connection of an observed pod was open at any look, so there is no pool to size.")
	case c.BusyPeak == nil:
		return unknown(fmt.Sprintf("The observer in pod %s could not tell how many connections are busy.", o.Pod))
	case o.Observation.UptimeSeconds < timeWaitSeconds:
		return unknown(fmt.Sprintf("The observer in pod %s has looked for %.0f seconds only.", o.Pod, o.Observation.UptimeSeconds))
	}
	rate := float64(c.Opened) / countedSeconds(o)
	evidence := map[string]string{
		"pod": o.Pod, "address": address, "open": strconv.Itoa(c.Open), "openPeak": strconv.Itoa(c.OpenPeak), "busyPeak": strconv.Itoa(*c.BusyPeak),
		"connectionsPerSecond": figure.Rate(rate),
	}
	seen := fmt.Sprintf("Pod %s holds %s to %s; at most %s were busy within one second in %s",
		o.Pod, plural(int64(c.Open), "connection"), address, figure.Count(*c.BusyPeak), looked(o))
	switch {
	case overflows(c, rate):
		evidence["lifetimeP50SecondsAtMost"] = fmt.Sprintf("%.3f", c.LifetimeSecondsAtMost.P50)
		keeps, cure := "its pool keeps fewer than it needs", cureLargerPool
		if !speaksHTTP1(protocol) { // where requests cannot be counted, a client without a pool looks the same
			keeps, cure = "it keeps fewer than it needs, or none", cureAnyPool
		}
		return fail(Warning, fmt.Sprintf("%s. Yet it opened %s a second %s and closed them itself, half of them within %s: %s.",
			seen, figure.Rate(rate), period(o), figure.Microseconds(c.LifetimeSecondsAtMost.P50*1e6), keeps), evidence, cure)
	case float64(c.Open) <= poolLimit(*c.BusyPeak):
		return pass(seen+".", evidence)
	case o.Observation.UptimeSeconds < poolLookSeconds:
		return unknown(seen + ". That is not long enough to say that it never needs the others.")
	}
	return fail(Info, fmt.Sprintf("%s. About %.0f would do.", seen, math.Ceil(poolLimit(*c.BusyPeak))), evidence, cureSmallerPool)
}

// lookSeconds is how much longer a connection may seem to have lived than it did: looks are a second apart.
const lookSeconds = 1

// overflows says that a pool has room for some connections and throws away the rest: several are busy at once, and most of
// those that end lived for less than a second and were closed by the client. Where it can be told, more than a few of them
// were used again before: with Go's two idle connections a host, one in five was for 20 requests at once, and two in seven for four;
// of a client that reuses none it is none.
func overflows(c *result.Connections, openedPerSecond float64) bool {
	return openedPerSecond >= rarelyPerSecond && c.BusyPeak != nil && *c.BusyPeak > 1 && c.LifetimeSecondsAtMost != nil &&
		c.LifetimeSecondsAtMost.P50 < shortLivedSeconds+lookSeconds && provenAbove(c.ClosedHere, c.Closed, majority) &&
		(c.SingleExchange == nil || provenAbove(c.Closed-*c.SingleExchange, c.Closed, amortisedPercent/100.0))
}

// poolOverflows says so of the connections of a pod to any address of a link.
func poolOverflows(o PodObservation, addresses []string) bool {
	return countedSeconds(o) > 0 && slices.ContainsFunc(o.Observation.Destinations, func(d result.Destination) bool {
		return d.Connections != nil && ofLink(d, addresses) && overflows(d.Connections, float64(d.Connections.Opened)/countedSeconds(o))
	})
}

// usualPool is what common clients hold whatever the load, so that it is nothing to find (HikariCP 10, SQLAlchemy 5 and 10
// more, Apache HttpClient 25).
const usualPool = 25

// poolLimit is how many connections a pool may hold if so many were busy at the peak: the next peak may be higher by three
// standard deviations of a count, which is the square root of it, and nothing should be bounded below twice a peak.
func poolLimit(busyPeak int) float64 {
	peak := float64(busyPeak)
	return max(2*(peak+3*math.Sqrt(peak)), usualPool)
}

// looked says in words for how long an observer has looked.
func looked(o PodObservation) string { return figure.Lasting(o.Observation.UptimeSeconds) }
