package audit

import "github.com/connpolicy/connpolicy/probes/result"

func smallPacketCases() []ruleCase {
	return []ruleCase{
		{rule: "CP301", name: "40 ms a request, as of a server that writes twice", in: http(probe(stalling(44_000))), want: Fail, severity: Warning,
			message: "From node n1: Each request on a kept connection loses 44 ms: 44.2 ms with the usual delayed acknowledgments, 200 µs with immediate ones."},
		{rule: "CP301", name: "no stall", in: http(probe(stalling(0))), want: Pass},
		{rule: "CP301", name: "HTTPS", in: over(protocolHTTPS, http(probe(stalling(44_000)))), want: Fail, severity: Warning},
		{rule: "CP301", name: "not found out", in: http(probe(result.SmallWrites{Meta: measured()})), want: Unknown},
		{rule: "CP301", name: "failed", in: http(probe(result.SmallWrites{Meta: failed()})), want: Unknown, message: "reset by peer"},
		{rule: "CP301", name: "the server keeps nothing", in: http(probe(result.SmallWrites{Meta: unsupported()}, closed(result.CloseAnnounced))), want: NotApplicable, message: "keeps no connection"},
		{rule: "CP301", name: "not supported", in: http(probe(result.SmallWrites{Meta: unsupported()}, reuseOf(60))), want: Unknown, message: "is not supported here"},
		{rule: "CP301", name: "not asked for", in: http(probe()), want: NotApplicable},
		{rule: "CP301", name: "plain TCP", in: over("TCP", http()), want: NotApplicable},

		{rule: "CP302", name: "198 of 200 looks", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.InFlightSamples, c.NagleSamples = 200, 198
		})), want: Fail, severity: Warning, message: "Of 200 looks at connections of pod a to 198.18.96.7:80 with data under way since the observer began to look 5 minutes ago, 198 found a small segment that waited for an acknowledgment, for 40 ms or more"},
		{rule: "CP302", name: "the last segments of uploads", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.InFlightSamples, c.NagleSamples = 1000, 30
		})), want: Pass},
		{rule: "CP302", name: "so many looks that a sum would take long", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.InFlightSamples, c.NagleSamples = 4_000_000_000, 3_000_000_000
		})), want: Fail, severity: Warning},
		{rule: "CP302", name: "one pod of two", in: withPods(using(pod("a", 10, 0, 1), func(*result.Connections) {}), using(pod("b", 10, 0, 1), func(c *result.Connections) {
			c.InFlightSamples, c.NagleSamples = 200, 198
		})), want: Fail, severity: Warning, message: "pod b"},
		{rule: "CP302", name: "hardly any data under way", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.Samples, c.InFlightSamples, c.NagleSamples = 200, 3, 0
		})), want: Unknown, message: "too few"},
		{rule: "CP302", name: "seldom used", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.Samples, c.InFlightSamples, c.NagleSamples = 3000, 3, 0
		})), want: Pass, message: "At none of 3,000 looks"},
		{rule: "CP302", name: "an old observer", in: withPods(pod("a", 10, 0, 1)), want: Unknown, message: "of a version"},
		{rule: "CP302", name: "no observer", in: http(), want: Unknown},
		{rule: "CP302", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP303", name: "a cache that is asked key by key", in: over("TCP", withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.ExchangesAtMost = &result.Quantiles{P50: 5000, P99: 9000}
			c.BytesSent, c.BytesReceived = &result.Quantiles{P50: 100_000, P99: 180_000}, &result.Quantiles{P50: 60_000, P99: 120_000}
		}))), want: Fail, severity: Info, message: "Connections of pod a to 198.18.96.7:80 carry about 5,000 exchanges each, of at most 36 bytes out and 24 bytes in, less than the 52 bytes"},
		{rule: "CP303", name: "a heartbeat every ten seconds", in: over("TCP", withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.ExchangesAtMost, c.BytesSent, c.BytesReceived = &result.Quantiles{P50: 360, P99: 400}, &result.Quantiles{P50: 4000, P99: 8000}, &result.Quantiles{P50: 4000, P99: 8000}
			c.LifetimeSecondsAtMost = &result.Quantiles{P50: 3600, P99: 3900}
		}))), want: Pass, message: "fewer than one a second"},
		{rule: "CP303", name: "no lifetime", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.BytesSent, c.BytesReceived, c.LifetimeSecondsAtMost = &result.Quantiles{P50: 4000, P99: 8000}, &result.Quantiles{P50: 4000, P99: 8000}, nil
		})), want: Unknown, message: "How often"},
		{rule: "CP303", name: "requests of a usual size", in: withPods(using(pod("a", 10, 0, 1), func(*result.Connections) {})), want: Pass},
		{rule: "CP303", name: "small questions, long answers", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.BytesSent = &result.Quantiles{P50: 4000, P99: 8000}
		})), want: Pass},
		{rule: "CP303", name: "a health check", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) {
			c.ExchangesAtMost, c.BytesSent, c.BytesReceived = &result.Quantiles{P50: 1, P99: 1}, &result.Quantiles{P50: 20, P99: 20}, &result.Quantiles{P50: 20, P99: 20}
		})), want: Pass},
		{rule: "CP303", name: "none has ended", in: withPods(using(pod("a", 10, 0, 1), func(c *result.Connections) { c.ExchangesAtMost = nil })), want: Unknown},
		{rule: "CP303", name: "sockets go elsewhere", in: withPods(elsewhere(pod("a", 10, 0, 1))), want: NotApplicable},
	}
}

// withPods is an HTTP link of which observers alone tell.
func withPods(pods ...PodObservation) Input {
	return with(http(), func(in *Input) { in.Observations = pods })
}

// stalling is a server whose responses take so much longer with delayed acknowledgments than the 200 µs without.
func stalling(microseconds float64) result.SmallWrites {
	s := result.SmallWrites{
		Meta: measured(), StallMicroseconds: &microseconds, Side: result.SideNone, Segments: new(1),
		QuickMicroseconds: distribution(200, 300, 400), DelayedMicroseconds: distribution(200+microseconds, 300+microseconds, 400+microseconds),
	}
	if microseconds > 0 {
		s.Side, s.Segments = result.SideServer, new(2)
	}
	return s
}
