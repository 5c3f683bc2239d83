package audit

import "github.com/connpolicy/connpolicy/probes/result"

func throughputCases() []ruleCase {
	return []ruleCase{
		{rule: "CP601", name: "forgotten, and it costs three round trips", in: http(probe(farServer())), want: Fail, severity: Warning,
			message: "After 1.1 s of silence the server's first flight is 10 segments, where it was 104 on the same connection before. A response of 150,000 bytes then takes up to 3 round trips more (60.3 ms)."},
		{rule: "CP601", name: "forgotten, but of no consequence", in: http(probe(with(farServer(), func(s *result.SlowStart) { s.ColdRounds = new(1) }))), want: Pass, message: "nothing that matters"},
		{rule: "CP601", name: "forgotten, and the cost is not known", in: http(probe(with(farServer(), func(s *result.SlowStart) { s.WarmMicroseconds.P50High = nil }))), want: Unknown, message: "could not be told"},
		{rule: "CP601", name: "forgotten, but the workload is never silent", in: with(http(probe(farServer())), func(in *Input) {
			in.Observations = seen(using(pod("a", 10, 0, 1), func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 0.01, P99: 0.12} }))
		}), want: Pass, message: "idle for 120 ms at the most"},
		{rule: "CP601", name: "kept, as under BBR", in: http(probe(with(farServer(), func(s *result.SlowStart) { s.WindowLostAfterIdle = new(false) }))), want: Pass},
		{rule: "CP601", name: "not found out", in: http(probe(with(farServer(), func(s *result.SlowStart) {
			s.WindowLostAfterIdle, s.Missing = nil, "whether the window is lost after idling: the server ended the connection within the pause"
		}))), want: Unknown, message: "within the pause"},
		{rule: "CP601", name: "too near", in: http(probe(result.SlowStart{Meta: unsupported(), RoundTripMicroseconds: new(85.0)})), want: NotApplicable, message: "The round trip takes 85 µs"},
		{rule: "CP601", name: "a short response", in: http(probe(result.SlowStart{Meta: unsupported(), RoundTripMicroseconds: new(20_100.0), Bytes: new(int64(2000)), SegmentBytes: new(1448)})), want: NotApplicable, message: "2,000 bytes"},
		{rule: "CP601", name: "not supported", in: http(probe(result.SlowStart{Meta: unsupported(), RoundTripMicroseconds: new(20_100.0), Bytes: new(int64(200_000)), SegmentBytes: new(1448)})), want: Unknown},

		{rule: "CP601", name: "not asked for", in: http(probe()), want: NotApplicable},

		{rule: "CP602", name: "64 KiB of buffer on a path of 20 ms", in: http(withReceiveBuffer(probe(with(farServer(), func(s *result.SlowStart) {
			s.WarmSegments, s.WarmRounds = new(24.0), new(5)
		})), "4096\t65536\t65536")), want: Fail, severity: Warning,
			message: "A receive buffer of at most 65,536 bytes (the probe's, as the node gives it) has room for about 32,768 bytes a round trip, and the first flight of a warm response has 34,752 bytes: responses come at about 1.63 MB/s at the most."},
		{rule: "CP602", name: "the workload's own buffer is smaller than the node's", in: with(http(withReceiveBuffer(probe(farServer()), "4096 131072 33554432")), func(in *Input) {
			in.Observations = seen(pod("a", 10, 0, 1))
			in.Observations[0].Observation.Sysctls[sysctlReceiveBuffer] = "4096\t65536\t131072"
		}), want: Fail, severity: Warning, message: "131,072 bytes (pod a's)"},
		{rule: "CP602", name: "one flight is all", in: http(withReceiveBuffer(probe(farServer()), "4096 131072 212992")), want: Pass},
		{rule: "CP602", name: "the usual buffer", in: http(withReceiveBuffer(probe(with(farServer(), func(s *result.SlowStart) { s.WarmRounds = new(2) })), "4096 131072 6291456")), want: Pass, message: "not what bounds it"},
		{rule: "CP602", name: "buffer not read", in: http(probe(farServer())), want: Unknown, message: "net.ipv4.tcp_rmem"},
		{rule: "CP602", name: "flights not seen", in: http(withReceiveBuffer(probe(with(farServer(), func(s *result.SlowStart) { s.WarmSegments = nil })), "4096 131072 6291456")), want: Unknown},
		{rule: "CP602", name: "plain TCP", in: over("TCP", http()), want: NotApplicable},

		{rule: "CP603", name: "four round trips instead of one", in: http(probe(farServer())), want: Fail, severity: Warning,
			message: "A response of 150,000 bytes takes 4 round trips on a new connection and 1 on a warm one (84 ms and 22 ms): 71.8 % of its time"},
		{rule: "CP603", name: "an initial window of old", in: http(probe(with(farServer(), func(s *result.SlowStart) { s.InitialWindowSegments = new(3.0) }))), want: Fail, severity: Warning, message: "begins a connection with 3.0 segments"},
		{rule: "CP603", name: "the server takes most of the time", in: http(probe(with(farServer(), func(s *result.SlowStart) {
			s.ColdMicroseconds, s.WarmMicroseconds = distribution(500e3, 600e3, 700e3), distribution(440e3, 500e3, 600e3)
		}))), want: Pass},
		{rule: "CP603", name: "new connections are rare", in: with(http(probe(farServer())), func(in *Input) { in.Observations = seen(pod("a", 10, 10, 0.1)) }), want: Pass, message: "at most 0.1 connections a second"},
		{rule: "CP603", name: "no warm connection", in: http(probe(with(farServer(), func(s *result.SlowStart) {
			s.WarmRounds, s.WarmMicroseconds, s.Missing = nil, nil, "the time on a warm connection: the server ends a connection before it is warm"
		}))), want: Unknown, message: "before it is warm"},
		{rule: "CP603", name: "not asked for", in: http(probe()), want: NotApplicable},

		{rule: "CP604", name: "40 busy, eight are enough", in: with(http(probe(kneeAt(8))), func(in *Input) {
			in.Observations = seen(using(pod("a", 50, 0, 1), func(c *result.Connections) { c.BusyPeak = new(40) }))
		}), want: Fail, severity: Info,
			message: "Beyond 8 connections at once the server gains nothing from more (3,900 requests a second with a median of 2 ms; with 16: 3,950 and 4 ms); pod a had 40 busy within one second."},
		{rule: "CP604", name: "fewer than the knee", in: with(http(probe(kneeAt(8))), func(in *Input) {
			in.Observations = seen(using(pod("a", 50, 0, 1), func(*result.Connections) {}))
		}), want: Pass, message: "had 6 busy"},
		{rule: "CP604", name: "no knee, and no more than was tried", in: with(http(probe(with(kneeAt(8), func(p *result.Parallel) { p.Knee, p.StoppedBy = nil, "limit" }))), func(in *Input) {
			in.Observations = seen(using(pod("a", 50, 0, 1), func(*result.Connections) {}))
		}), want: Pass, message: "Up to 16 connections"},
		{rule: "CP604", name: "no knee, and more than was tried", in: with(http(probe(with(kneeAt(8), func(p *result.Parallel) { p.Knee, p.StoppedBy = nil, "limit" }))), func(in *Input) {
			in.Observations = seen(using(pod("a", 50, 0, 1), func(c *result.Connections) { c.BusyPeak = new(40) }))
		}), want: Unknown, message: "more than the probe tried"},
		{rule: "CP604", name: "no observer", in: http(probe(kneeAt(8))), want: Unknown, message: "is not known"},
		{rule: "CP604", name: "nothing tried", in: http(probe(result.Parallel{Meta: measured()})), want: Unknown},
		{rule: "CP604", name: "not named", in: http(probe()), want: NotApplicable},
		{rule: "CP604", name: "no workload", in: with(http(probe(kneeAt(8))), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP605", name: "streams one after the other", in: over(protocolHTTP2, http(probe(streams(8000, 1100)))), want: Fail, severity: Warning,
			message: "8 requests at once take 8 ms on one connection and 1.1 ms on 8"},
		{rule: "CP605", name: "only one stream", in: over(protocolGRPC, http(probe(with(streams(1100, 1000), func(h *result.HTTP2) { h.MaxConcurrentStreams = new(int64(1)) })))), want: Fail, severity: Warning, message: "fewer than two streams"},
		{rule: "CP605", name: "a little slower", in: over(protocolGRPC, http(probe(streams(1500, 1100)))), want: Pass},
		{rule: "CP605", name: "not compared", in: over(protocolGRPC, http(probe(result.HTTP2{Meta: measured(), Supported: new(true)}))), want: Unknown},
		{rule: "CP605", name: "HTTP/1", in: http(probe(streams(8000, 1100))), want: NotApplicable},
	}
}

// farServer is 20 ms away and forgets its window: four flights for a response that a warm connection brings in one.
func farServer() result.SlowStart {
	return result.SlowStart{
		Meta: measured(), Sender: result.SideServer, InitialWindowSegments: new(10.0), SegmentBytes: new(1448), RoundTripMicroseconds: new(20_100.0),
		ColdMicroseconds: distribution(84e3, 90e3, 95e3), WarmMicroseconds: distribution(22e3, 23e3, 24e3), ColdRounds: new(4), WarmRounds: new(1),
		Bytes: new(int64(150_000)), WindowLostAfterIdle: new(true), WarmSegments: new(104.0), AfterIdleSegments: new(10.0), IdleSeconds: new(1.1),
	}
}

func withReceiveBuffer(p ProbeResult, sizes string) ProbeResult {
	p.Result.Host.Sysctls = map[string]string{sysctlReceiveBuffer: sizes}
	return p
}

// kneeAt is a server that gains nothing from more connections than that.
func kneeAt(connections int) result.Parallel {
	return result.Parallel{Meta: measured(), Knee: &connections, StoppedBy: "knee", Levels: []result.ParallelLevel{
		{Connections: connections / 2, OfferedPerSecond: 2000, RequestsPerSecond: 2000, P50Microseconds: 2000, P99Microseconds: 3000},
		{Connections: connections, OfferedPerSecond: 3900, RequestsPerSecond: 3900, P50Microseconds: 2000, P99Microseconds: 4000},
		{Connections: 2 * connections, OfferedPerSecond: 7800, RequestsPerSecond: 3950, P50Microseconds: 4000, P99Microseconds: 90000},
	}}
}

// streams is eight requests at once, on one connection and on eight.
func streams(one, many float64) result.HTTP2 {
	return result.HTTP2{
		Meta: measured(), Supported: new(true), MaxConcurrentStreams: new(int64(250)), Streams: new(8),
		ConcurrentMicroseconds: distribution(one, 2*one, 3*one), ParallelMicroseconds: distribution(many, 2*many, 3*many),
	}
}
