package audit

import "github.com/connpolicy/connpolicy/probes/result"

// idling is a link on which silence was tried.
func idling(i *result.Idle) Input {
	return link(func(m *result.Measurements) { m.Idle = i })
}

// bySocket is a link of the protocol WebSocket.
func bySocket(change func(*result.WebSocket)) Input {
	w := &result.WebSocket{Meta: measured(), Upgraded: new(true), Status: new(101), Pong: new(true), CloseHandshake: new(true)}
	change(w)
	in := link(func(m *result.Measurements) { m.WebSocket = w })
	in.Protocol = "WebSocket"
	return in
}

func pushing(push result.Push) Input {
	push.Meta = measured()
	return link(func(m *result.Measurements) { m.Push = &push })
}

// way is a way to be told of news, whose messages are so old when they come.
func way(delayMicroseconds, bytes float64, change func(*result.PushWay)) *result.PushWay {
	w := &result.PushWay{Meta: measured(), DelayMicroseconds: distribution(delayMicroseconds, 2*delayMicroseconds, 3*delayMicroseconds),
		Messages: 30, Connections: 1, Requests: 1, BytesPerMessage: &bytes, Buffered: new(false)}
	change(w)
	return w
}

func plainly(*result.PushWay) {}

// ofStreams is a gRPC link behind a Service with three endpoints.
func ofStreams(change func(*result.HTTP2)) Input {
	h := &result.HTTP2{Meta: measured(), Supported: new(true), RequestsAtLeast: new(400), RequestMicroseconds: distribution(250, 600, 900), PingAnswered: new(true)}
	change(h)
	in := link(func(m *result.Measurements) { m.HTTP2, m.Handshake = h, new(handshakeOf(40, 0)) })
	in.Protocol, in.Virtual, in.ReadyEndpoints = "GRPC", true, new(3)
	return in
}

func ageless(*result.HTTP2) {}

// oneConnection is a pod that holds a single connection, which nobody closed.
func oneConnection() PodObservation {
	o := keeping(func(c *result.Connections) {
		c.Open, c.OpenPeak, c.Opened, c.Closed, c.ClosedHere = 1, 1, 0, 0, 0
		c.Keepalive = result.Keepalive{Armed: 1}
	})
	o.Observation.UptimeSeconds = 3600
	return o
}

// unharmed is a pod none of whose connections was reset or given up in two hours.
func unharmed(o PodObservation) PodObservation {
	o.Observation.UptimeSeconds = 7200
	return counting(o, map[string]int64{"Tcp.EstabResets": 0, "TcpExt.TCPAbortOnTimeout": 0})
}

// silentFor is a pod whose connections, keepalive armed, were without data for so long.
func silentFor(seconds float64) PodObservation {
	return keeping(func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: seconds / 10, P99: seconds} })
}

func unarmed(silentSeconds float64) PodObservation {
	return keeping(func(c *result.Connections) {
		c.Keepalive = result.Keepalive{NotArmed: 20}
		c.IdleSeconds = &result.Quantiles{P50: silentSeconds / 10, P99: silentSeconds}
	})
}

func longLivedCases() []ruleCase {
	return []ruleCase{
		// kubernetes#80298: IPVS forgets after 900 s, the client's connections have no keepalive.
		{rule: "CP501", name: "IPVS", in: observing(idling(cutting(result.CutRST, 855, 945, new(true))), unarmed(1200)),
			want: Fail, severity: Warning, message: "between 855 and 945 s are reset (RST). This is consistent with IPVS, as kube-proxy uses it (900 s). 20 connections of the workload have no keepalive, and some are silent for 20 minutes already"},
		{rule: "CP501", name: "busy at the moment", in: observing(idling(cutting(result.CutRST, 855, 945, new(true))), unarmed(30)), want: Fail, severity: Info, message: "silent for 30 s at the most"},
		{rule: "CP501", name: "silence is not known", in: observing(idling(cutting(result.CutRST, 855, 945, new(true))), with(unarmed(30), func(o *PodObservation) {
			o.Observation.Destinations[0].Connections.IdleSeconds = nil
		})), want: Fail, severity: Warning, message: "have no keepalive."},
		// AKS#1052: Azure's load balancer drops silently after four minutes.
		{rule: "CP501", name: "Azure", in: observing(idling(cutting(result.CutBlackHole, 228, 252, new(true))), unarmed(500)),
			want: Fail, severity: Error, message: "an Azure load balancer (240 s). 20 connections of the workload have no keepalive, and some are silent for 8 minutes already"},
		// istio#16572: an NLB cuts at 350 s, keepalive is armed and waits for two hours.
		{rule: "CP501", name: "NLB, keepalive too late", in: observing(idling(cutting(result.CutRST, 333, 367, new(true))), counting(silentFor(360), map[string]int64{"TcpExt.TCPKeepAlive": 0})),
			want: Fail, severity: Warning, message: "an AWS NLB or NAT gateway (350 s). Keepalive is armed on the workload's 20 connections, but no keepalive packet was ever sent; by the kernel's setting the first goes out after 7,200 s of silence"},
		{rule: "CP501", name: "NLB, keepalive too late, busy at the moment", in: observing(idling(cutting(result.CutRST, 333, 367, new(true))), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPKeepAlive": 0})),
			want: Fail, severity: Info, message: "for the first time after 7,200 s of silence. They were silent for 12 s at the most"},
		{rule: "CP501", name: "an NLB with TLS is another rule's", in: observing(idling(cutting(result.CutRST, 333, 367, new(false))), unarmed(500)), want: NotApplicable, message: "CP502"},
		{rule: "CP501", name: "nobody looks", in: idling(cutting(result.CutRST, 333, 367, nil)), want: Fail, severity: Warning, message: "it speaks after 7,200 s"},
		{rule: "CP501", name: "keepalive in time", in: observing(idling(cutting(result.CutRST, 333, 367, new(true))), set(keeping(asItIs), sysctlKeepaliveTime, "120")), want: Pass, message: "speaks after 120 s, sooner"},
		{rule: "CP501", name: "a server's timer", in: idling(cutting(result.CutFIN, 74.9, 75, new(false))), want: Pass, message: "between 74.9 and 75 s"},
		{rule: "CP501", name: "a database closes what never speaks, and pools are silent for longer", in: over("TCP", observing(idling(cutting(result.CutFIN, 57, 60, new(false))), unharmed(unarmed(590)))),
			want: Pass, message: "silent for up to 10 minutes, and none of its pods' connections was reset or given up in 2 hours"},
		{rule: "CP501", name: "a database closes what never speaks, and some connections were reset", in: over("TCP", observing(idling(cutting(result.CutFIN, 57, 60, new(false))), counting(unharmed(unarmed(590)), map[string]int64{"Tcp.EstabResets": 3}))),
			want: Unknown, message: "no longer silence could be tried"},
		{rule: "CP501", name: "a database closes what never speaks, and pools are busy", in: over("TCP", observing(idling(cutting(result.CutFIN, 57, 60, new(false))), keeping(asItIs))), want: Pass, message: "silent for at most 12 s"},
		{rule: "CP501", name: "a database closes what never speaks, and nobody looks", in: over("TCP", idling(cutting(result.CutFIN, 57, 60, new(false)))), want: Unknown, message: "not known"},
		{rule: "CP501", name: "a database alone", in: over("TCP", with(idling(cutting(result.CutFIN, 57, 60, new(false))), func(in *Input) { in.ServerOnly = true })), want: NotApplicable},
		{rule: "CP501", name: "nothing is cut", in: observing(idling(survived(1000)), keeping(asItIs)), want: Pass, message: "1,000 s"},
		{rule: "CP501", name: "nothing is cut, and nobody looks", in: idling(survived(1000)), want: Pass},
		{rule: "CP501", name: "seconds were tried, and nobody looks", in: idling(survived(8)), want: Unknown, message: "in 8 s of silence, the longest that was tried. For how long the workload's connections are silent is not known"},
		{rule: "CP501", name: "seconds were tried, and none is open", in: observing(idling(survived(8)), keeping(func(c *result.Connections) { c.Open, c.IdleSeconds = 0, nil })), want: NotApplicable, message: "no observed pod holds one open"},
		{rule: "CP501", name: "no observer, in time", in: with(idling(cutting(result.CutRST, 333, 367, nil)), func(in *Input) {
			in.Probes[0].Result.Host.Sysctls[sysctlKeepaliveTime] = "60"
		}), want: Pass},
		{rule: "CP501", name: "the client's own time is not seen", in: observing(idling(cutting(result.CutRST, 333, 367, new(true))), counting(silentFor(360), map[string]int64{"TcpExt.TCPKeepAlive": 12})), want: Unknown, message: "a time of its own"},
		{rule: "CP501", name: "the client's own time is not seen, and a pool of 90 s", in: observing(idling(cutting(result.CutRST, 855, 945, nil)), counting(silentFor(88), map[string]int64{"TcpExt.TCPKeepAlive": 12})), want: Pass, message: "silent for 88 s at the most"},
		{rule: "CP501", name: "the client's own time keeps them", in: observing(idling(cutting(result.CutRST, 333, 367, new(true))), counting(unharmed(silentFor(1800)), map[string]int64{"TcpExt.TCPKeepAlive": 900})), want: Pass, message: "live on after up to 30 minutes without data"},
		{rule: "CP501", name: "silent for longer than was tried", in: observing(idling(survived(60)), unarmed(500)), want: Unknown, message: "idleSeconds"},
		{rule: "CP501", name: "the setting was not read", in: with(idling(cutting(result.CutRST, 333, 367, nil)), func(in *Input) { in.Probes[0].Result.Host.Sysctls = nil }), want: Unknown},
		{rule: "CP501", name: "no bound", in: idling(&result.Idle{Meta: measured(), Cut: new(true), How: result.CutRST}), want: Unknown},
		{rule: "CP501", name: "failed", in: idling(&result.Idle{Meta: failed()}), want: Unknown, message: "reset by peer"},
		{rule: "CP501", name: "not watched", in: idling(&result.Idle{Meta: measured()}), want: Unknown},
		{rule: "CP501", name: "not asked for", in: http(probe()), want: NotApplicable},

		{rule: "CP502", name: "an NLB with TLS", in: idling(cutting(result.CutRST, 333, 367, new(false))),
			want: Fail, severity: Warning, message: "are reset (RST), with keepalive and without. This is consistent with an AWS NLB"},
		{rule: "CP502", name: "an NLB with TLS, and a pool that lets go sooner", in: observing(idling(cutting(result.CutRST, 333, 367, new(false))), silentFor(88)), want: Pass, message: "silent for 88 s at the most"},
		{rule: "CP502", name: "an NLB with TLS, and a pool that does not", in: observing(idling(cutting(result.CutRST, 333, 367, new(false))), silentFor(340)), want: Fail, severity: Warning},
		{rule: "CP502", name: "forgotten without a word, and silent for longer", in: observing(idling(cutting(result.CutBlackHole, 285, 315, new(false))), unarmed(600)),
			want: Fail, severity: Error, message: "Some of the workload's are silent for 10 minutes already."},
		{rule: "CP502", name: "IPVS, no time for keepalive, and a pool that lets go sooner", in: observing(idling(cutting(result.CutRST, 855, 945, nil)), silentFor(88)), want: Pass, message: "live on"},
		// istio#25106: the sidecar closes an idle database connection on which keepalive runs.
		{rule: "CP502", name: "a sidecar closes what keepalive runs on", in: with(observing(idling(cutting(result.CutFIN, 3599, 3601, new(false))), keeping(asItIs)), func(in *Input) { in.Protocol = "TCP" }),
			want: Fail, severity: Info, message: "The workload has keepalive on 20 connections, and none has outlived that silence"},
		{rule: "CP502", name: "keepalive helps", in: idling(cutting(result.CutRST, 333, 367, new(true))), want: Pass},
		{rule: "CP502", name: "a server of HTTP closes in order", in: observing(idling(cutting(result.CutFIN, 74.9, 75, new(false))), keeping(asItIs)), want: Pass},
		{rule: "CP502", name: "only connections that never spoke", in: with(observing(idling(cutting(result.CutFIN, 9.9, 10, new(false))), keeping(asItIs)), func(in *Input) { in.Protocol = "TCP" }), want: Pass},
		{rule: "CP502", name: "nothing is cut", in: idling(survived(1000)), want: NotApplicable, message: "CP501"},
		{rule: "CP502", name: "no time for keepalive", in: idling(cutting(result.CutRST, 333, 367, nil)), want: Unknown, message: "Raise probe.limits.idleSeconds to 900."},
		{rule: "CP502", name: "not watched", in: idling(&result.Idle{Meta: measured()}), want: Unknown},
		{rule: "CP502", name: "not asked for", in: http(probe()), want: NotApplicable},

		{rule: "CP503", name: "silent for hours", in: observing(http(), unarmed(9000)), want: Fail, severity: Warning, message: "some have been silent for 2.5 hours"},
		{rule: "CP503", name: "not silent for long", in: observing(http(), unarmed(50)), want: Pass, message: "none has been silent for longer than 50 s"},
		{rule: "CP503", name: "armed", in: observing(http(), keeping(asItIs)), want: Pass, message: "a dead peer is noticed 2.2 hours after"},
		{rule: "CP503", name: "armed, settings not read", in: observing(http(), set(keeping(asItIs), sysctlKeepaliveTime, "")), want: Pass},
		{rule: "CP503", name: "timers were taken", in: observing(http(), keeping(func(c *result.Connections) { c.Keepalive = result.Keepalive{Unknown: 20} })), want: Unknown},
		{rule: "CP503", name: "silence is not known", in: observing(http(), with(unarmed(1), func(o *PodObservation) { o.Observation.Destinations[0].Connections.IdleSeconds = nil })), want: Unknown},
		{rule: "CP503", name: "the setting was not read", in: observing(http(), set(unarmed(9000), sysctlKeepaliveTime, "")), want: Unknown},
		{rule: "CP503", name: "none is open", in: observing(http(), keeping(func(c *result.Connections) { c.Open, c.Keepalive = 0, result.Keepalive{} })), want: NotApplicable},
		{rule: "CP503", name: "sockets were not listed", in: observing(http(), unlisted(keeping(asItIs))), want: Unknown},

		{rule: "CP504", name: "peers are gone again and again", in: observing(http(), set(counting(keeping(asItIs), map[string]int64{"TcpExt.TCPAbortOnTimeout": 40, "Tcp.ActiveOpens": 900, "Tcp.PassiveOpens": 0}), sysctlRetries2, "15")),
			want: Fail, severity: Warning, message: "Pod a gave up 40 of 900 connections since the observer began to look 5 minutes ago, to and from anywhere, because the peer did not answer. One with a request under way waits 15 minutes or more with tcp_retries2 = 15"},
		{rule: "CP504", name: "the path forgets connections, which is another rule's", in: observing(idling(cutting(result.CutBlackHole, 228, 252, new(true))), counting(unarmed(500), map[string]int64{"TcpExt.TCPAbortOnTimeout": 40, "Tcp.ActiveOpens": 900, "Tcp.PassiveOpens": 0})),
			want: Fail, severity: Info, message: "CP501 or CP502 says after how much silence"},
		{rule: "CP504", name: "one of few", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPAbortOnTimeout": 1, "Tcp.ActiveOpens": 60, "Tcp.PassiveOpens": 0})), want: Fail, severity: Info, message: "by default"},
		{rule: "CP504", name: "one of many", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPAbortOnTimeout": 1, "Tcp.ActiveOpens": 60000, "Tcp.PassiveOpens": 0})), want: Pass},
		{rule: "CP504", name: "none", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPAbortOnTimeout": 0})), want: Pass},
		{rule: "CP504", name: "of how many is not known", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPAbortOnTimeout": 3})), want: Unknown},
		{rule: "CP504", name: "no counter", in: observing(http(), keeping(asItIs)), want: Unknown},
		{rule: "CP504", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP505", name: "a hop takes the upgrade out", in: with(bySocket(func(w *result.WebSocket) {
			*w = result.WebSocket{Meta: result.Meta{Outcome: result.Unsupported, Cause: "status 400"}, Upgraded: new(false), Status: new(400)}
		}), func(in *Input) {
			in.Probes[0].Result.Measurements.Identity = &result.Identity{Meta: measured(), Via: []string{"via: 1.1 proxy", "server: nginx"}}
		}), want: Fail, severity: Error, message: "status 400 instead of 101. Headers name via: 1.1 proxy, server: nginx."},
		{rule: "CP505", name: "no pong", in: bySocket(func(w *result.WebSocket) { w.Pong = new(false) }), want: Fail, severity: Warning, message: "a ping was not answered"},
		{rule: "CP505", name: "no close frame", in: bySocket(func(w *result.WebSocket) { w.CloseHandshake = new(false) }), want: Fail, severity: Info},
		{rule: "CP505", name: "as it should be", in: bySocket(func(*result.WebSocket) {}), want: Pass},
		{rule: "CP505", name: "credentials", in: bySocket(func(w *result.WebSocket) { w.Upgraded, w.Status = new(false), new(401) }), want: Unknown, message: "credentials"},
		{rule: "CP505", name: "pings were not tried", in: bySocket(func(w *result.WebSocket) { w.Pong = nil }), want: Unknown},
		{rule: "CP505", name: "failed", in: bySocket(func(w *result.WebSocket) { *w = result.WebSocket{Meta: failed()} }), want: Unknown},
		{rule: "CP505", name: "not asked for", in: http(probe()), want: NotApplicable},

		// ingress-nginx#5167: proxy_read_timeout cuts at a minute, while the path below keeps connections.
		{rule: "CP506", name: "ingress-nginx", in: with(bySocket(func(w *result.WebSocket) { w.Idle = cutting(result.CutFIN, 57, 63, nil) }), func(in *Input) {
			in.Probes[0].Result.Measurements.Idle = survived(300)
		}), want: Fail, severity: Warning, message: "between 57 and 63 s are closed (FIN). This is consistent with an AWS ALB, ingress-nginx or nginx's proxy_read_timeout (60 s). Plain connections on the path survive longer, so it is a timer of a proxy or of the server"},
		{rule: "CP506", name: "the workload pings", in: observing(bySocket(func(w *result.WebSocket) { w.Idle = cutting(result.CutFIN, 57, 63, nil) }), keeping(asItIs)), want: Pass, message: "silent for 12 s at the most"},
		{rule: "CP506", name: "lives", in: bySocket(func(w *result.WebSocket) { w.Idle = survived(1000) }), want: Pass},
		{rule: "CP506", name: "not looked at", in: bySocket(func(*result.WebSocket) {}), want: Unknown},
		{rule: "CP506", name: "no time", in: bySocket(func(w *result.WebSocket) { w.Idle = &result.Idle{Meta: failed()} }), want: Unknown},
		{rule: "CP506", name: "refused", in: bySocket(func(w *result.WebSocket) { w.Upgraded, w.Status = new(false), new(400) }), want: NotApplicable},

		{rule: "CP507", name: "held back", in: pushing(result.Push{Streaming: way(5e6, 200, func(w *result.PushWay) { w.Buffered = new(true) })}),
			want: Fail, severity: Warning, message: "The stream is held back: messages came in one go, 5 s old (median). A hop collects them."},
		{rule: "CP507", name: "cut", in: pushing(result.Push{Streaming: way(1e3, 200, func(w *result.PushWay) { w.CutAfterSeconds, w.CutBy = new(60.1), result.CutFIN })}),
			want: Fail, severity: Warning, message: "The stream was cut after 60.1 s: closed (FIN). This is consistent with an AWS ALB"},
		{rule: "CP507", name: "as they are made", in: pushing(result.Push{Streaming: way(1e3, 200, plainly), LongPolling: &result.PushWay{Meta: result.Meta{Outcome: result.Unsupported, Cause: "status 404"}}}), want: Pass},
		{rule: "CP507", name: "one failed", in: pushing(result.Push{Streaming: way(1e3, 200, plainly), LongPolling: &result.PushWay{Meta: failed()}}), want: Unknown},
		{rule: "CP507", name: "too few messages", in: pushing(result.Push{Streaming: way(1e3, 200, func(w *result.PushWay) { w.Buffered = nil })}), want: Unknown},
		{rule: "CP507", name: "nothing is offered", in: link(func(m *result.Measurements) {
			m.Push = &result.Push{Meta: result.Meta{Outcome: result.Unsupported, Cause: "it answered with status 404"}}
		}), want: NotApplicable, message: "status 404"},
		{rule: "CP507", name: "polling alone", in: pushing(result.Push{Polling: way(1e6, 900, plainly)}), want: NotApplicable},
		{rule: "CP507", name: "not asked for", in: http(probe()), want: NotApplicable},

		{rule: "CP508", name: "a stream is better", in: pushing(result.Push{Polling: way(5e5, 740, func(w *result.PushWay) { w.Requests = 60 }), Streaming: way(900, 130, plainly)}),
			want: Fail, severity: Info, message: "By polling a message is 500 ms old (median) and costs 740 bytes; the stream brings it after 900 µs for 130 bytes"},
		{rule: "CP508", name: "as good", in: pushing(result.Push{Polling: way(900, 740, plainly), Streaming: way(900, 130, plainly)}), want: Pass},
		{rule: "CP508", name: "ages are not told", in: pushing(result.Push{Polling: way(900, 740, func(w *result.PushWay) { w.DelayMicroseconds = nil }), Streaming: way(900, 130, plainly)}), want: Unknown},
		{rule: "CP508", name: "polling failed", in: pushing(result.Push{Polling: &result.PushWay{Meta: failed()}, Streaming: way(900, 130, plainly)}), want: Unknown},
		{rule: "CP508", name: "nothing to compare with", in: pushing(result.Push{Polling: way(900, 740, plainly)}), want: NotApplicable},
		{rule: "CP508", name: "no polling", in: pushing(result.Push{Streaming: way(900, 130, plainly)}), want: NotApplicable},

		{rule: "CP509", name: "all on one endpoint", in: observing(ofStreams(ageless), oneConnection()),
			want: Fail, severity: Warning, message: "Pod a sends all its requests over 1 connection to 3 endpoints, and none ended since the observer began to look 60 minutes ago"},
		{rule: "CP509", name: "a sidecar balances", in: observing(ofStreams(ageless), with(oneConnection(), func(o *PodObservation) { o.Observation.ListeningPorts = []int{8080, 15001} })), want: NotApplicable, message: "Istio"},
		{rule: "CP509", name: "GOAWAY by age", in: observing(ofStreams(func(h *result.HTTP2) { h.GoAwayAfterSeconds = new(30.0) }), oneConnection()), want: Pass, message: "when they are 30 s old"},
		{rule: "CP509", name: "connections end", in: observing(ofStreams(ageless), keeping(asItIs)), want: Pass},
		{rule: "CP509", name: "enough for each endpoint", in: observing(ofStreams(ageless), with(oneConnection(), func(o *PodObservation) { o.Observation.Destinations[0].Connections.Open = 6 })), want: Pass},
		{rule: "CP509", name: "looked for seconds only", in: observing(ofStreams(ageless), young(oneConnection())), want: Unknown},
		{rule: "CP509", name: "endpoints are not known", in: with(observing(ofStreams(ageless), oneConnection()), func(in *Input) { in.ReadyEndpoints = nil }), want: Unknown},
		{rule: "CP509", name: "failed", in: observing(ofStreams(func(h *result.HTTP2) { *h = result.HTTP2{Meta: failed()} }), oneConnection()), want: Unknown},
		{rule: "CP509", name: "headless", in: with(observing(ofStreams(ageless), oneConnection()), func(in *Input) { in.Virtual = false }), want: NotApplicable},
		{rule: "CP509", name: "one endpoint", in: with(observing(ofStreams(ageless), oneConnection()), func(in *Input) { in.ReadyEndpoints = new(1) }), want: NotApplicable},
		{rule: "CP509", name: "HTTP/1", in: observing(http(), oneConnection()), want: NotApplicable},

		{rule: "CP510", name: "after few requests", in: ofStreams(func(h *result.HTTP2) {
			h.GoAwayAfterRequests, h.RequestsAtLeast, h.GoAwayCode = new(4), new(4), noError
		}), want: Fail, severity: Warning, message: "after 4 requests, so that set-ups cost 11.5 % of the time"},
		{rule: "CP510", name: "too many pings", in: ofStreams(func(h *result.HTTP2) { h.GoAwayCode, h.GoAwayAfterSeconds = "ENHANCE_YOUR_CALM", new(12.0) }),
			want: Fail, severity: Warning, message: "GOAWAY ENHANCE_YOUR_CALM when they are 12 s old"},
		{rule: "CP510", name: "after many", in: ofStreams(func(h *result.HTTP2) { h.GoAwayAfterRequests, h.GoAwayCode = new(400), noError }), want: Pass},
		{rule: "CP510", name: "never", in: ofStreams(ageless), want: Pass, message: "at least 400 requests"},
		{rule: "CP510", name: "set-up is not known", in: with(ofStreams(func(h *result.HTTP2) { h.GoAwayAfterRequests = new(4) }), func(in *Input) { in.Probes[0].Result.Measurements.Handshake = nil }), want: Unknown},
		{rule: "CP510", name: "not found out", in: ofStreams(func(h *result.HTTP2) { h.RequestsAtLeast = nil }), want: Unknown},
		{rule: "CP510", name: "HTTP/1", in: http(probe()), want: NotApplicable},

		{rule: "CP511", name: "ignored", in: ofStreams(func(h *result.HTTP2) { h.PingAnswered = new(false) }), want: Fail, severity: Warning, message: "A PING was not answered."},
		{rule: "CP511", name: "answered", in: ofStreams(ageless), want: Pass},
		{rule: "CP511", name: "not tried", in: ofStreams(func(h *result.HTTP2) { h.PingAnswered = nil }), want: Unknown},
		{rule: "CP511", name: "HTTP/1", in: http(probe()), want: NotApplicable},
	}
}
