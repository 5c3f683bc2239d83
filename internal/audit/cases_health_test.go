package audit

import "github.com/connpolicy/connpolicy/probes/result"

// byFamily is a dual-stack link and how a pod's connects by each family went.
func byFamily(v4Opened, v4Failed, v6Opened, v6Failed int64) Input {
	o := keeping(func(c *result.Connections) { c.Opened, c.Failed = v4Opened, v4Failed })
	o.Observation.Destinations = append(o.Observation.Destinations, result.Destination{
		Address: "[fd00::7]:80", Connections: &result.Connections{Opened: v6Opened, Failed: v6Failed},
	})
	in := observing(http(), o)
	in.Addresses = []string{virtualAddress, "[fd00::7]:80"}
	return in
}

// leaving is a headless link one of whose endpoints is on its way out.
func leaving(o PodObservation) Input {
	in := observing(http(), o)
	in.NotReady = []string{"198.18.1.8:8080"}
	return in
}

// endingOf is a pod that has closed so many connections to the link, and how those ended whose end the kernel told.
func endingOf(closed int64, ends result.Ends) PodObservation {
	return keeping(func(c *result.Connections) { c.Closed, c.Ends = closed, &ends })
}

// ending is the same where all ends are known.
func ending(ends result.Ends) PodObservation { return endingOf(ends.Told(), ends) }

// resetsElsewhere are the kernel's counters of a pod with so many resets among a thousand connections.
func resetsElsewhere(resets int64) map[string]int64 {
	return map[string]int64{"Tcp.EstabResets": resets, "Tcp.ActiveOpens": 1000, "Tcp.PassiveOpens": 0}
}

// resetsOfOneAddress is a link of two addresses, one of which resets.
func resetsOfOneAddress() Input {
	in := byFamily(40, 0, 400, 0)
	destinations := in.Observations[0].Observation.Destinations
	destinations[0].Connections.Closed, destinations[0].Connections.Ends = 20, &result.Ends{Orderly: 20}
	destinations[1].Connections.Closed, destinations[1].Connections.Ends = 400, &result.Ends{Orderly: 360, Reset: 40}
	return in
}

func healthCases() []ruleCase {
	serverOnly := with(http(), func(in *Input) { in.ServerOnly = true })
	return []ruleCase{
		{rule: "CP801", name: "a leak", in: observing(http(), keeping(func(c *result.Connections) { c.Open, c.CloseWait, c.CloseWaitOldestSeconds = 420, 418, new(3600.0) })),
			want: Fail, severity: Warning, message: "has closed 418 connections that pod a still keeps, the oldest for 60 minutes, of 420 open.", cure: "Close what is read to its end"},
		{rule: "CP801", name: "how many are busy is not known", in: observing(http(), keeping(func(c *result.Connections) {
			c.BusyPeak, c.CloseWait, c.CloseWaitOldestSeconds = nil, 18, new(3600.0)
		})), want: Fail, severity: Warning, cure: "Close what is read to its end"},
		{rule: "CP801", name: "a pool that does not look", in: observing(http(), keeping(func(c *result.Connections) { c.CloseWait, c.CloseWaitOldestSeconds = 18, new(3600.0) })),
			want: Fail, severity: Warning, message: "The peer at 198.18.96.7:80 has closed 18 connections that pod a still keeps, the oldest for 60 minutes, of 20 open, no more than a pool may keep idle.", cure: "Let the pool evict"},
		{rule: "CP801", name: "a pool that keeps connections for longer than the server, which is another rule's", in: observing(idling(new(cutAfter(4.9, 5, result.CutFIN))), keeping(func(c *result.Connections) {
			c.Closed, c.ClosedHere, c.CloseWait, c.CloseWaitOldestSeconds = 380, 10, 18, new(3600.0)
		})), want: Fail, severity: Info, message: "CP205 says after how much silence the peer closes.", cure: "Let the pool evict"},
		{rule: "CP801", name: "just closed", in: observing(http(), keeping(func(c *result.Connections) { c.CloseWait, c.CloseWaitOldestSeconds = 1, new(0.4) })), want: Pass},
		{rule: "CP801", name: "none", in: observing(http(), keeping(asItIs)), want: Pass},
		{rule: "CP801", name: "for how long is not known", in: observing(http(), keeping(func(c *result.Connections) { c.CloseWait = 18 })), want: Unknown},
		{rule: "CP801", name: "addresses are not known", in: with(observing(http(), keeping(asItIs)), func(in *Input) { in.Addresses = nil }), want: Unknown},
		{rule: "CP801", name: "no connection to the link", in: observing(http(), elsewhere(keeping(asItIs))), want: NotApplicable},

		{rule: "CP802", name: "their SYNs are dropped, which is another rule's", in: observing(http(probe(handshakeOf(10, 3))), keeping(func(c *result.Connections) { c.Opened, c.Failed = 400, 40 })),
			want: Fail, severity: Info, message: "CP102 says where SYNs to this link are dropped."},
		{rule: "CP802", name: "one in twenty", in: observing(http(), keeping(func(c *result.Connections) { c.Opened, c.Failed = 400, 20 })),
			want: Fail, severity: Warning, message: "20 of 400 connections that pod a began to 198.18.96.7:80 since the observer began to look 5 minutes ago were never established"},
		{rule: "CP802", name: "none", in: observing(http(), keeping(asItIs)), want: Pass},
		{rule: "CP802", name: "very few", in: observing(http(), keeping(func(c *result.Connections) { c.Opened, c.Failed = 90000, 20 })), want: Pass},
		{rule: "CP802", name: "too few to tell", in: observing(http(), keeping(func(c *result.Connections) { c.Opened, c.Failed = 60, 1 })), want: Fail, severity: Info},
		{rule: "CP802", name: "an old observer", in: observing(http(), pod("a", 20, 0, 0.1)), want: Unknown},
		{rule: "CP802", name: "none was opened", in: observing(http(), keeping(func(c *result.Connections) { c.Opened = 0 })), want: NotApplicable},

		{rule: "CP803", name: "peers reset", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.EstabResets": 45, "Tcp.ActiveOpens": 900, "Tcp.PassiveOpens": 10})),
			want: Fail, severity: Warning, message: "45 of the 910 connections of pod a, to and from anywhere, ended in a reset"},
		{rule: "CP803", name: "the pod itself resets", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.EstabResets": 45, "TcpExt.TCPAbortOnClose": 42, "TcpExt.TCPAbortOnData": 2, "Tcp.ActiveOpens": 900, "Tcp.PassiveOpens": 0})),
			want: Fail, severity: Warning, message: "44 of them by the pod itself"},
		{rule: "CP803", name: "health checks", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.EstabResets": 360, "Tcp.ActiveOpens": 900, "Tcp.PassiveOpens": 380})),
			want: Fail, severity: Info, message: "among the 380 that it accepted"},
		{rule: "CP803", name: "none", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.EstabResets": 0, "Tcp.ActiveOpens": 40, "Tcp.PassiveOpens": 10})), want: Pass},
		{rule: "CP803", name: "rare among very many", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.EstabResets": 3000, "Tcp.ActiveOpens": 900000, "Tcp.PassiveOpens": 10})), want: Pass},
		{rule: "CP803", name: "common among very many", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.EstabResets": 30000, "Tcp.ActiveOpens": 900000, "Tcp.PassiveOpens": 10})), want: Fail, severity: Warning},
		{rule: "CP803", name: "too few", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.EstabResets": 1, "Tcp.ActiveOpens": 60, "Tcp.PassiveOpens": 0})), want: Fail, severity: Info},
		{rule: "CP803", name: "no connection at all", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.EstabResets": 0, "Tcp.ActiveOpens": 0, "Tcp.PassiveOpens": 0})), want: NotApplicable,
			message: "Pod a opened and accepted no connection since the observer began to look"},
		{rule: "CP803", name: "no counter", in: observing(http(), keeping(asItIs)), want: Unknown},
		{rule: "CP803", name: "no workload", in: serverOnly, want: NotApplicable},

		{rule: "CP803", name: "peers reset connections to the link", in: observing(http(), counting(ending(result.Ends{Orderly: 340, Reset: 31, ResetHere: 1, Silent: 4}), resetsElsewhere(0))),
			want: Fail, severity: Warning, message: "Of the 376 connections of pod a to 198.18.96.7:80 whose end the kernel told since the observer began to look 5 minutes ago, 31 ended in a reset by the peer or a hop, 4 because the peer answered no more, and 1 in a reset by the pod itself."},
		{rule: "CP803", name: "peers fall silent", in: observing(http(), ending(result.Ends{Orderly: 350, Reset: 2, Silent: 25})), want: Fail, severity: Warning, message: "25 because the peer answered no more"},
		{rule: "CP803", name: "one reset of few", in: observing(http(), ending(result.Ends{Orderly: 59, Reset: 1})), want: Fail, severity: Info, message: "too few to tell"},
		{rule: "CP803", name: "the pod resets connections to the link", in: observing(http(), ending(result.Ends{Orderly: 340, ResetHere: 40})), want: Fail, severity: Info, message: "40 in a reset by the pod itself: it closed with data unread, or with SO_LINGER 0."},
		{rule: "CP803", name: "the pod resets one of few", in: observing(http(), ending(result.Ends{Orderly: 59, ResetHere: 1})), want: Fail, severity: Info, message: "too few to tell"},
		{rule: "CP803", name: "orderly, whatever happens elsewhere", in: observing(http(), counting(ending(result.Ends{Orderly: 379, Reset: 1}), resetsElsewhere(700))), want: Pass, message: "1 ended in a reset"},
		{rule: "CP803", name: "unanswered, but orderly", in: observing(http(), ending(result.Ends{Orderly: 380, Unanswered: 380})), want: Pass},
		{rule: "CP803", name: "to two addresses", in: resetsOfOneAddress(), want: Fail, severity: Warning, message: "Of the 420 connections of pod a to this link"},
		{rule: "CP803", name: "most ends are not known", in: observing(http(), counting(endingOf(10_000, result.Ends{Orderly: 300, Reset: 80}), resetsElsewhere(0))), want: Pass, message: "to and from anywhere"},
		{rule: "CP803", name: "most ends are not known, nor counters", in: observing(http(), endingOf(10_000, result.Ends{Orderly: 300, Reset: 80})), want: Unknown},
		{rule: "CP803", name: "of connections elsewhere", in: observing(http(), counting(elsewhere(ending(result.Ends{Orderly: 300, Reset: 80})), resetsElsewhere(80))), want: NotApplicable,
			message: "No connection of an observed pod to this link ended"},

		{rule: "CP804", name: "a lossy path", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.RetransSegs": 900, "Tcp.OutSegs": 20000})),
			want: Fail, severity: Warning, message: "Pod a sent 900 of 20,900 segments again since the observer began to look 5 minutes ago (4.31 %)"},
		{rule: "CP804", name: "hardly any", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.RetransSegs": 12, "Tcp.OutSegs": 90000})), want: Pass},
		{rule: "CP804", name: "just above, among very many", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.RetransSegs": 10010, "Tcp.OutSegs": 990000})), want: Unknown},
		{rule: "CP804", name: "nothing was sent", in: observing(http(), counting(keeping(asItIs), map[string]int64{"Tcp.RetransSegs": 0, "Tcp.OutSegs": 0})), want: Unknown},
		{rule: "CP804", name: "no counter", in: observing(http(), keeping(asItIs)), want: Unknown},
		{rule: "CP804", name: "no workload", in: serverOnly, want: NotApplicable},

		{rule: "CP805", name: "the peer does not read", in: observing(http(), keeping(func(c *result.Connections) { c.ZeroWindowSamples = 640 })),
			want: Fail, severity: Warning, message: "at 640 of 12,000 looks at a connection since the observer began to look 5 minutes ago (5.33 %)"},
		{rule: "CP805", name: "hardly ever", in: observing(http(), keeping(func(c *result.Connections) { c.ZeroWindowSamples = 4 })), want: Pass},
		{rule: "CP805", name: "hardly looked", in: observing(http(), keeping(func(c *result.Connections) { c.Samples, c.ZeroWindowSamples = 20, 1 })), want: Unknown},
		{rule: "CP805", name: "never looked", in: observing(http(), keeping(func(c *result.Connections) { c.Samples = 0 })), want: Unknown},
		{rule: "CP805", name: "no workload", in: serverOnly, want: NotApplicable},

		{rule: "CP806", name: "cookies", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.SyncookiesSent": 312, "TcpExt.ListenOverflows": 40})),
			want: Fail, severity: Warning, message: "Listeners of pod a sent 312 SYN cookies"},
		{rule: "CP806", name: "a burst, long ago", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.SyncookiesSent": 3, "Tcp.PassiveOpens": 90000})),
			want: Fail, severity: Info, message: "sent 3 SYN cookies and accepted 90,000 connections"},
		{rule: "CP806", name: "none", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.SyncookiesSent": 0})), want: Pass},
		{rule: "CP806", name: "no counter", in: observing(http(), keeping(asItIs)), want: Unknown},
		{rule: "CP806", name: "no workload", in: serverOnly, want: NotApplicable},

		{rule: "CP807", name: "out of memory", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPAbortOnMemory": 7})), want: Fail, severity: Error, message: "7 connections of pod a"},
		{rule: "CP807", name: "none", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPAbortOnMemory": 0})), want: Pass},
		{rule: "CP807", name: "no counter", in: observing(http(), keeping(asItIs)), want: Unknown},
		{rule: "CP807", name: "no workload", in: serverOnly, want: NotApplicable},

		{rule: "CP808", name: "on its way out", in: leaving(towards("198.18.1.8:8080", keeping(asItIs))), want: Fail, severity: Info,
			message: "Pod a holds 20 connections open to 1 of 1 endpoint that the Service lists as not ready, among them 198.18.1.8:8080"},
		{rule: "CP808", name: "let go", in: leaving(keeping(asItIs)), want: Pass},
		{rule: "CP808", name: "only TIME_WAIT is left", in: leaving(towards("198.18.1.8:8080", keeping(func(c *result.Connections) { c.Open = 0 }))), want: Pass},
		{rule: "CP808", name: "sockets were not listed", in: leaving(unlisted(keeping(asItIs))), want: Unknown},
		{rule: "CP808", name: "an old observer", in: leaving(towards("198.18.1.8:8080", pod("a", 20, 0, 1))), want: Unknown},
		{rule: "CP808", name: "all are ready", in: observing(http(), keeping(asItIs)), want: NotApplicable},
		{rule: "CP808", name: "behind a virtual address", in: with(leaving(keeping(asItIs)), func(in *Input) { in.Virtual = true }), want: NotApplicable},

		{rule: "CP809", name: "a clock ends them", in: observing(http(), keeping(func(c *result.Connections) { c.LifetimeSecondsAtMost = &result.Quantiles{P50: 1801, P99: 1803} })),
			want: Fail, severity: Info, message: "half lived for up to 1,801 s and all but one in a hundred for up to 1,803 s: a clock ends them"},
		{rule: "CP809", name: "with jitter", in: observing(http(), keeping(func(c *result.Connections) { c.LifetimeSecondsAtMost = &result.Quantiles{P50: 1801, P99: 1975} })), want: Pass},
		{rule: "CP809", name: "short", in: observing(http(), keeping(func(c *result.Connections) { c.LifetimeSecondsAtMost = &result.Quantiles{P50: 30, P99: 31} })), want: Pass},
		{rule: "CP809", name: "lifetimes are not known", in: observing(http(), keeping(func(c *result.Connections) { c.LifetimeSecondsAtMost = nil })), want: Unknown},
		{rule: "CP809", name: "few ended", in: observing(http(), keeping(func(c *result.Connections) { c.Closed = 12 })), want: NotApplicable},

		{rule: "CP810", name: "IPv6 leads nowhere", in: byFamily(40, 0, 40, 40), want: Fail, severity: Warning, message: "40 connections by IPv6, of which 40 failed, and 40 connections by IPv4, of which 0 failed, since the observer began to look 5 minutes ago"},
		{rule: "CP810", name: "both work", in: byFamily(40, 1, 40, 0), want: Pass},
		{rule: "CP810", name: "one is used", in: byFamily(40, 0, 0, 0), want: NotApplicable},
		{rule: "CP810", name: "an old observer", in: with(byFamily(40, 0, 40, 0), func(in *Input) { in.Observations[0].Observation.Destinations[1].Connections = nil }), want: Unknown},
		{rule: "CP810", name: "addresses are not known", in: with(byFamily(40, 0, 40, 0), func(in *Input) { in.Addresses = nil }), want: Unknown},
		{rule: "CP810", name: "one family", in: observing(http(), keeping(asItIs)), want: NotApplicable},

		{rule: "CP811", name: "kubernetes#90854", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPSynRetrans": 45, "Tcp.ActiveOpens": 900})),
			want: Fail, severity: Warning, message: "Pod a sent 45 SYNs again for 900 connections that it began, to anywhere, since the observer began to look 5 minutes ago"},
		{rule: "CP811", name: "CP102 finds it too", in: observing(http(probe(handshakeOf(10, 3))), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPSynRetrans": 45, "Tcp.ActiveOpens": 900})), want: Fail, severity: Info, message: "CP102"},
		{rule: "CP811", name: "one of few", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPSynRetrans": 1, "Tcp.ActiveOpens": 40})), want: Fail, severity: Info, message: "too few to tell"},
		{rule: "CP811", name: "rare", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPSynRetrans": 2, "Tcp.ActiveOpens": 90000})), want: Pass},
		{rule: "CP811", name: "a destination that never answers", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPSynRetrans": 600, "Tcp.ActiveOpens": 100})), want: Fail, severity: Warning},
		{rule: "CP811", name: "no counter", in: observing(http(), keeping(asItIs)), want: Unknown},
		{rule: "CP811", name: "none was opened", in: observing(http(), counting(keeping(asItIs), map[string]int64{"TcpExt.TCPSynRetrans": 0, "Tcp.ActiveOpens": 0})), want: NotApplicable},
		{rule: "CP811", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP812", name: "stalled", in: http(probe(blackHole(false))), want: Fail, severity: Error,
			message: "On connections as they are every response stalls (0 of 3 arrived in time), although the server has acknowledged all that it was sent; 3 of 3 responses arrive once segments are short."},
		{rule: "CP812", name: "stalled before the certificates", in: over(protocolHTTPS, http(probe(blackHole(true)))), want: Fail, severity: Error, message: "every TLS handshake stalls"},
		{rule: "CP812", name: "from one node alone", in: http(probe(result.PathMTU{Meta: measured(), BlackHole: new(false), Whole: &result.Count{Of: 3, Got: 3}}), probe(blackHole(false))), want: Fail, severity: Error},
		{rule: "CP812", name: "all arrive", in: http(probe(result.PathMTU{Meta: measured(), BlackHole: new(false), Whole: &result.Count{Of: 3, Got: 3}, ReceivedSegmentBytes: new(1398)})), want: Pass,
			message: "3 of 3 responses arrived whole, in segments of up to 1398 bytes."},
		{rule: "CP812", name: "one of them stalled", in: http(probe(result.PathMTU{Meta: measured(), Whole: &result.Count{Of: 3, Got: 2}, ClampedWhole: &result.Count{Of: 1, Got: 1}})), want: Unknown, message: "Of 3 responses"},
		{rule: "CP812", name: "both stall", in: http(probe(result.PathMTU{Meta: failed(), Whole: &result.Count{Of: 1}, ClampedWhole: &result.Count{Of: 1}})), want: Unknown},
		{rule: "CP812", name: "not found out", in: http(probe(result.PathMTU{Meta: measured()})), want: Unknown},
		{rule: "CP812", name: "a short answer", in: http(probe(result.PathMTU{Meta: result.Meta{Outcome: result.Unsupported, Cause: "the response, with a body of 12 bytes, arrived in segments of at most 536"}})), want: NotApplicable,
			message: "No large packet was asked for: the response, with a body of 12 bytes"},
		{rule: "CP812", name: "not named", in: http(probe()), want: NotApplicable},
		{rule: "CP812", name: "gRPC", in: over(protocolGRPC, http(probe())), want: NotApplicable},
	}
}

// blackHole is a path through which only short segments pass, with TLS or without.
func blackHole(inTLSHandshake bool) result.PathMTU {
	p := result.PathMTU{Meta: measured(), BlackHole: new(true), Whole: &result.Count{Of: 3}, ClampedWhole: &result.Count{Of: 3, Got: 3}, ClampedSegmentBytes: new(524)}
	if inTLSHandshake {
		p.InTLSHandshake = new(true)
	}
	return p
}
