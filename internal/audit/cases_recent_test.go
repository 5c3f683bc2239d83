package audit

import (
	"maps"

	"github.com/connpolicy/connpolicy/probes/result"
)

// lately is a pod whose observer began ten days ago. What it shows was counted in the last 65 minutes; totals changes what was
// counted in the ten days.
func lately(o PodObservation, totals func(*result.Observation, *result.Connections)) PodObservation {
	const tenDays = 10 * 24 * 3600
	o.Observation.UptimeSeconds = tenDays
	total := o.Observation
	total.Counters = maps.Clone(o.Observation.CounterChanges)
	total.CounterChanges = nil // an observer serves none of its whole time
	total.Destinations = append([]result.Destination{}, o.Observation.Destinations...)
	connections := *o.Observation.Destinations[0].Connections
	total.Destinations[0].Connections = &connections
	totals(&total, &connections)
	o.Observation.PeriodSeconds, o.Totals = new(3900.0), &total
	return o
}

func asBefore(*result.Observation, *result.Connections) {}

// inTotal has the totals hold other values of the kernel's counters.
func inTotal(counters map[string]int64) func(*result.Observation, *result.Connections) {
	return func(o *result.Observation, _ *result.Connections) { maps.Copy(o.Counters, counters) }
}

// recentCases are those of which the last hour tells another story than the ten days before: what is over is no finding any
// more, and what has just begun is one.
func recentCases() []ruleCase {
	reusing := func(o PodObservation) Input { return observing(http(probe(reuseOf(60))), o) }
	quiet := map[string]int64{"Tcp.EstabResets": 0, "TcpExt.TCPAbortOnTimeout": 0, "Tcp.ActiveOpens": 9000, "Tcp.PassiveOpens": 900}
	return []ruleCase{
		{rule: "CP802", name: "it failed for days, and is mended", in: observing(http(), lately(keeping(asItIs), func(_ *result.Observation, c *result.Connections) {
			c.Opened, c.Failed = 90_000, 40_000
		})), want: Pass, message: "0 of 400 connections that pod a began to 198.18.96.7:80 in the last 65 minutes were never established."},
		{rule: "CP802", name: "it has just begun to fail", in: observing(http(), lately(keeping(func(c *result.Connections) { c.Failed = 40 }), func(_ *result.Observation, c *result.Connections) {
			c.Opened, c.Failed = 9_000_000, 40
		})), want: Fail, severity: Warning, message: "40 of 400 connections that pod a began to 198.18.96.7:80 in the last 65 minutes"},
		{rule: "CP802", name: "an older observer tells totals alone", in: observing(http(), with(keeping(func(c *result.Connections) { c.Failed = 40 }), func(o *PodObservation) { o.Observation.UptimeSeconds = 864_000 })),
			want: Fail, severity: Warning, message: "since the observer began to look 10 days ago"},
		{rule: "CP803", name: "resets are over", in: observing(http(), lately(counting(keeping(asItIs), quiet), inTotal(map[string]int64{"Tcp.EstabResets": 4000}))),
			want: Pass, message: "in the last 65 minutes"},
		{rule: "CP804", name: "segments are lost for an hour now", in: observing(http(), lately(counting(keeping(asItIs), map[string]int64{"Tcp.RetransSegs": 900, "Tcp.OutSegs": 20000}), inTotal(map[string]int64{"Tcp.OutSegs": 90_000_000}))),
			want: Fail, severity: Warning, message: "Pod a sent 900 of 20,900 segments again in the last 65 minutes (4.31 %)"},
		{rule: "CP805", name: "the peer reads again", in: observing(http(), lately(keeping(asItIs), func(_ *result.Observation, c *result.Connections) { c.ZeroWindowSamples = 6000 })), want: Pass, message: "at 0 of 12,000 looks at a connection in the last 65 minutes"},
		{rule: "CP811", name: "no connection lately", in: observing(http(), lately(counting(keeping(asItIs), map[string]int64{"TcpExt.TCPSynRetrans": 0, "Tcp.ActiveOpens": 0}), inTotal(map[string]int64{"TcpExt.TCPSynRetrans": 70, "Tcp.ActiveOpens": 100}))),
			want: NotApplicable, message: "No observed pod opened a connection in the last 65 minutes."},
		{rule: "CP104", name: "the queue was full in another week", in: with(http(), func(in *Input) {
			in.Observations = seen(lately(serving(keeping(asItIs), "0.0.0.0:80", 0, 128), inTotal(map[string]int64{counterListenOverflows: 31_000})))
		}), want: Pass, message: "No connection found a listen queue of pod a full in the last 65 minutes."},

		// The rate is of the time that was counted, not of the time that the observer looked.
		{rule: "CP204", name: "it throws connections away for an hour now", in: reusing(lately(keeping(func(c *result.Connections) {
			c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 39_000, 39_000, 39_000, new(int64(39_000))
		}), asBefore)), want: Fail, severity: Warning, message: "Pod a opened 10 connections a second in the last 65 minutes, and 39,000 of the 39,000 that ended"},
		{rule: "CP204", name: "it reuses them for an hour now", in: reusing(lately(keeping(func(c *result.Connections) { c.SingleExchange = new(int64(0)) }), func(_ *result.Observation, c *result.Connections) {
			c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 39_000_000, 39_000_000, 39_000_000, new(int64(39_000_000))
		})), want: Pass, message: "Pod a opened 0.1 connections a second in the last 65 minutes."},
		{rule: "CP209", name: "a pool too small for an hour now", in: over("TCP", observing(http(), lately(keeping(func(c *result.Connections) {
			c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 39_000, 39_000, 39_000, new(int64(20_000))
			c.LifetimeSecondsAtMost = &result.Quantiles{P50: 0.04, P99: 1}
		}), asBefore))), want: Fail, severity: Warning, message: "Yet it opened 10 a second in the last 65 minutes and closed them itself"},
		// The night's batch is not forgotten by day: peaks are of the whole time.
		{rule: "CP209", name: "busy at night", in: over("TCP", observing(http(), lately(keeping(func(c *result.Connections) { c.Open, c.OpenPeak, c.BusyPeak = 80, 80, new(70) }), asBefore))),
			want: Pass, message: "at most 70 were busy within one second in 10 days"},

		// The probe may have looked before the hour.
		{rule: "CP102", name: "an observer beside the server saw its queue full in another week", in: with(http(probe(handshakeOf(10, 3))), func(in *Input) {
			in.Observations = seen(lately(serving(keeping(asItIs), virtualAddress, 0, 128), inTotal(map[string]int64{counterListenOverflows: 12})))
		}), want: Fail, severity: Warning, message: "dropped on the path or by the listener"},
		{rule: "CP102", name: "an observer beside the server never saw its queue full", in: with(http(probe(handshakeOf(10, 3))), func(in *Input) {
			in.Observations = seen(lately(serving(keeping(asItIs), virtualAddress, 0, 128), asBefore))
		}), want: Fail, severity: Warning, message: "since no queue of a listener was full"},

		// A keepalive packet in two hours is none in the last one.
		{rule: "CP501", name: "keepalive spoke before the hour", in: observing(idling(cutting(result.CutRST, 333, 367, new(true))), lately(counting(silentFor(360), map[string]int64{"TcpExt.TCPKeepAlive": 0}), inTotal(map[string]int64{"TcpExt.TCPKeepAlive": 12}))),
			want: Unknown, message: "a time of its own"},
		{rule: "CP501", name: "unharmed in ten days of long silence", in: over("TCP", observing(idling(cutting(result.CutFIN, 57, 60, new(false))), lately(counting(unarmed(7000), quiet), asBefore))),
			want: Pass, message: "none of its pods' connections was reset or given up in 10 days"},
		{rule: "CP501", name: "unharmed in the hour", in: over("TCP", observing(idling(cutting(result.CutFIN, 57, 60, new(false))), lately(counting(unarmed(590), quiet), inTotal(map[string]int64{"Tcp.EstabResets": 4000})))),
			want: Pass, message: "none of its pods' connections was reset or given up in 65 minutes"},
		{rule: "CP501", name: "an hour is too short for two hours of silence", in: over("TCP", observing(idling(cutting(result.CutFIN, 57, 60, new(false))), lately(counting(unarmed(7000), quiet), inTotal(map[string]int64{"Tcp.EstabResets": 4000})))),
			want: Unknown},

		{rule: "CP509", name: "they aged until their age was taken away", in: observing(ofStreams(ageless), lately(oneConnection(), func(_ *result.Observation, c *result.Connections) { c.Closed = 400 })),
			want: Fail, severity: Warning, message: "over 1 connection to 3 endpoints, and none ended in the last 65 minutes."},
		{rule: "CP509", name: "they age in two hours", in: observing(ofStreams(ageless), lately(with(oneConnection(), func(o *PodObservation) {
			o.Observation.Destinations[0].Connections.LifetimeSecondsAtMost = &result.Quantiles{P50: 7200, P99: 7300}
		}), asBefore)), want: Pass, message: "half of those that did before had lived for up to 2 hours"},

		{rule: "CP809", name: "a clock ends them every two hours", in: observing(http(), lately(keeping(func(c *result.Connections) {
			c.Closed, c.LifetimeSecondsAtMost = 0, &result.Quantiles{P50: 7201, P99: 7203}
		}), func(_ *result.Observation, c *result.Connections) { c.Closed = 400 })), want: Fail, severity: Info,
			message: "Of 400 connections of pod a to 198.18.96.7:80 that ended since the observer began to look 10 days ago"},
		{rule: "CP809", name: "a clock ended them every half hour", in: observing(http(), lately(keeping(func(c *result.Connections) {
			c.Closed, c.LifetimeSecondsAtMost = 0, &result.Quantiles{P50: 1801, P99: 1803}
		}), func(_ *result.Observation, c *result.Connections) { c.Closed = 400 })), want: NotApplicable, message: "ended in the last 65 minutes"},
	}
}
