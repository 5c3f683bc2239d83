package audit

import "github.com/connpolicy/connpolicy/probes/result"

func reuseCases() []ruleCase {
	return []ruleCase{
		{rule: "CP201", name: "announced", in: http(probe(closed(result.CloseAnnounced))), want: Fail, severity: Warning, message: "after its first response, as it had announced"},
		{rule: "CP201", name: "unannounced", in: http(probe(closed(result.CloseUnannounced))), want: Fail, severity: Warning, message: "without announcing it"},
		{rule: "CP201", name: "kept", in: http(probe(reuseOf(60))), want: Pass, message: "at least 60 requests"},
		{rule: "CP201", name: "HTTP/1.0", in: http(probe(closed(result.CloseHTTP10))), want: NotApplicable, message: "CP203"},
		{rule: "CP201", name: "not found out", in: http(probe(result.Reuse{Meta: measured()})), want: Unknown},

		{rule: "CP201", name: "few connections are opened", in: with(http(probe(closed(result.CloseAnnounced))), func(in *Input) { in.Observations = seen(pod("a", 10, 10, 0.1)) }), want: Fail, severity: Info},
		{rule: "CP201", name: "after errors", in: with(http(probe(closed(result.CloseAnnounced))), func(in *Input) { in.Probes[0].Result.Statuses = map[string]int{"500": 4, "503": 196} }),
			want: Fail, severity: Info, message: "answered every request of the probe with an error (500, 503)", cure: "Name a path"},
		{rule: "CP201", name: "after some errors", in: with(http(probe(closed(result.CloseAnnounced))), func(in *Input) { in.Probes[0].Result.Statuses = map[string]int{"200": 4, "503": 196} }),
			want: Fail, severity: Warning, cure: "Turn keep-alive on"},
		{rule: "CP202", name: "a costly set-up, and no end of the connection", in: http(probe(with(reuseOf(400), func(r *result.Reuse) { r.NewMicroseconds = distribution(12e3, 13e3, 14e3) }))),
			want: Pass, message: "set-ups cost 27.1 % of the time at the most. The probe's limits ended it, not the server."},
		{rule: "CP203", name: "few connections are opened", in: with(http(probe(closed(result.CloseHTTP10))), func(in *Input) { in.Observations = seen(pod("a", 10, 10, 0.1)) }), want: Fail, severity: Info},
		{rule: "CP202", name: "after four requests", in: http(probe(closedAfter(4, result.CloseAnnounced))), want: Fail, severity: Warning,
			message: "A connection carried 4 requests, so that set-ups cost 28.9 % of the time"},
		{rule: "CP202", name: "after four requests, and few connections are opened", in: with(http(probe(closedAfter(4, result.CloseAnnounced))), func(in *Input) { in.Observations = seen(pod("a", 10, 10, 0.1)) }),
			want: Fail, severity: Info, cure: "Raise the number of requests"},
		{rule: "CP202", name: "unannounced after many", in: http(probe(closedAfter(1000, result.CloseUnannounced))), want: Fail, severity: Warning,
			message: "After 1,000 requests on one connection the server ended it without announcing it"},
		{rule: "CP202", name: "reset after many", in: http(probe(closedAfter(1000, result.CloseReset))), want: Fail, severity: Warning, message: "with a reset"},
		{rule: "CP202", name: "announced after many", in: http(probe(closedAfter(1000, result.CloseAnnounced))), want: Pass},
		{rule: "CP202", name: "kept for as long as the probe looked", in: http(probe(reuseOf(60))), want: Pass, message: "at least 60 requests"},
		{rule: "CP202", name: "the probe's limits ended it early", in: http(probe(reuseOf(4))), want: Unknown, message: "not the server"},
		{rule: "CP202", name: "what a new connection costs is not known", in: http(probe(with(reuseOf(60), func(r *result.Reuse) { r.NewMicroseconds = nil }))), want: Unknown},
		{rule: "CP202", name: "the number is not known", in: http(probe(with(reuseOf(60), func(r *result.Reuse) { r.RequestsAtLeast = nil }))), want: Unknown},
		{rule: "CP202", name: "kept is not known", in: http(probe(result.Reuse{Meta: measured()})), want: Unknown},
		{rule: "CP202", name: "nothing is kept", in: http(probe(closed(result.CloseAnnounced))), want: NotApplicable},

		{rule: "CP203", name: "HTTP/1.0", in: http(probe(closed(result.CloseHTTP10))), want: Fail, severity: Warning, message: "HTTP/1.0"},
		{rule: "CP203", name: "ends with the connection", in: http(probe(closed(result.CloseDelimited))), want: Fail, severity: Warning, message: "neither a length nor chunks"},
		{rule: "CP203", name: "the server's own decision", in: http(probe(closed(result.CloseAnnounced))), want: Pass},
		{rule: "CP203", name: "kept", in: http(probe(reuseOf(60))), want: Pass},
		{rule: "CP203", name: "not found out", in: http(probe(result.Reuse{Meta: measured()})), want: Unknown},
		{rule: "CP203", name: "plain TCP", in: Input{Protocol: "TCP", Probes: http(probe(reuseOf(60))).Probes}, want: NotApplicable},

		{rule: "CP204", name: "500 a second, closed by the client", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 28100, 28096, 470)) }),
			want: Fail, severity: Warning, message: "Pod a opens 470 connections a second, which live for 8.51 ms on average, and closes them itself (28,096 in TIME_WAIT), although the server answers at least 60 requests"},
		{rule: "CP204", name: "too short for one to be seen open", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 28096, 28096, 470)) }),
			want: Fail, severity: Warning, message: "Pod a opens 470 connections a second, none of which was open when the observer looked, and closes them itself"},
		{rule: "CP204", name: "one request each, closed by the client", in: pooled(func(c *result.Connections) {
			c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 141_000, 140_900, 140_900, new(int64(140_880))
		}), want: Fail, severity: Warning,
			message: "Pod a opened 470 connections a second since the observer began to look 5 minutes ago, and 140,880 of the 140,900 that ended carried one request at most. The client closed 140,900 itself, although the server answers at least 60 requests on one connection."},
		{rule: "CP204", name: "one request each, closed by the server on request, as of nginx towards its upstreams", in: pooled(func(c *result.Connections) {
			c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 15_000, 15_000, 12, new(int64(15_000))
		}), want: Fail, severity: Warning, message: "Where the server closes first, the client has asked for it."},
		{rule: "CP204", name: "short-lived, but shared", in: pooled(func(c *result.Connections) {
			c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 15_000, 15_000, 15_000, new(int64(800))
		}), want: Pass, message: "only 800 of the 15,000"},
		{rule: "CP204", name: "one request each, but of several segments", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(using(pod("a", 28100, 28096, 470), func(c *result.Connections) {
				c.Opened, c.Closed, c.ClosedHere, c.SingleExchange, c.ExchangesAtMost = 141_000, 140_900, 140_900, new(int64(800)), &result.Quantiles{P50: 2, P99: 3}
			}))
		}), want: Fail, severity: Warning, message: "which live for 8.51 ms on average, and closes them itself"},
		{rule: "CP204", name: "a pool that serves its load", in: pooled(func(*result.Connections) {}), want: Pass, message: "opened 0.13 connections a second since the observer began to look 5 minutes ago."},
		{rule: "CP204", name: "a pool, looked at for seconds", in: with(pooled(func(*result.Connections) {}), func(in *Input) { in.Observations[0].Observation.UptimeSeconds = 12 }), want: Unknown},
		{rule: "CP204", name: "TLS makes every connection look shared, so lifetimes decide", in: over(protocolHTTPS, with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(using(pod("a", 28100, 28096, 470), func(c *result.Connections) { c.SingleExchange = new(int64(0)) }))
		})), want: Fail, severity: Warning, message: "closes them itself"},
		{rule: "CP204", name: "over TLS, closed by the server on request, as of Node.js before 19", in: over(protocolHTTPS, with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(leavingNothing(using(pod("a", 4, 0, 50), func(c *result.Connections) {
				c.Open, c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 4, 15_000, 15_000, 20, new(int64(0))
				c.LifetimeSecondsAtMost, c.ExchangesAtMost = &result.Quantiles{P50: 0.1, P99: 0.4}, &result.Quantiles{P50: 4, P99: 5}
			})))
		})), want: Fail, severity: Warning, message: "The server closed 14,980 of 15,000 first, as it does where the client asks for it.", cure: "Stop the client from asking for the close"},
		{rule: "CP204", name: "connections live for a minute", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 600, 300, 5)) }),
			want: Pass, message: "live for 60 s"},
		{rule: "CP204", name: "rarely opened", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 10, 10, 0.2)) }), want: Pass},
		{rule: "CP204", name: "rarely opened so far", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(young(pod("a", 0, 0, 0))) }), want: Unknown},
		{rule: "CP204", name: "the server closes", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 4, 0, 470)) }),
			want: Unknown, message: "cannot be told which end"},
		{rule: "CP204", name: "the server closes and nothing is left", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(leavingNothing(pod("a", 4, 0, 470)))
		}), want: Unknown, message: "470 connections a second that leave no TIME_WAIT"},
		{rule: "CP204", name: "other destinations are busy", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(elsewhere(pod("a", 28100, 28096, 470)))
		}), want: Pass, message: "at most 0 connections"},
		{rule: "CP204", name: "estimates of other moments do not add up", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(elsewhere(pod("a", 28100, 28096, 470)))
			in.Observations[0].Observation.OpensPerSecond = new(490.0)
		}), want: Pass, message: "at most 0 connections"},
		{rule: "CP204", name: "the rate is not known", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(unread(pod("a", 28100, 28096, 470))) }), want: Unknown},
		{rule: "CP204", name: "what the server would do is not known", in: with(http(probe(result.Reuse{Meta: measured()})), func(in *Input) { in.Observations = seen(pod("a", 28100, 28096, 470)) }), want: Unknown},
		{rule: "CP204", name: "no observer", in: http(probe(reuseOf(60))), want: Unknown, message: "observe.pods"},
		{rule: "CP204", name: "observers failed", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.ObserverTroubles = []string{"the kubelet of node n1 is slow", "refused"}
		}), want: Unknown, message: "No observer could look: the kubelet of node n1 is slow."},
		{rule: "CP204", name: "an observer failed, in a sentence", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.ObserverTroubles = []string{"the observer does not start: CreateContainerError "}
		}), want: Unknown, message: "No observer could look: the observer does not start: CreateContainerError."},
		{rule: "CP204", name: "the server keeps nothing", in: with(http(probe(closed(result.CloseAnnounced))), func(in *Input) { in.Observations = seen(pod("a", 28100, 28096, 470)) }), want: NotApplicable},
		{rule: "CP204", name: "no workload", in: with(http(probe(reuseOf(60))), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP205", name: "Node.js behind a load balancer that keeps connections for a minute", in: chain(cutAfter(4.9, 5, result.CutFIN), func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 2, P99: 4.9} }),
			want: Fail, severity: Warning, message: "The other end closes a connection after 4.9 to 5.0 s of silence, consistent with Node.js or Apache or uvicorn (its Keep-Alive header says 5 s), and connections of pod a are idle for 4.9 s or longer. To be safe it has to let go of them by 4.7 s, or the other end has to wait longer."},
		{rule: "CP205", name: "a sidecar ends what a database's pool keeps", in: over("TCP", observing(idling(cutting(result.CutFIN, 3599.9, 3600, new(false))), with(keeping(func(c *result.Connections) {
			c.Closed, c.ClosedHere, c.LifetimeSecondsAtMost, c.IdleSeconds = 400, 12, &result.Quantiles{P50: 3650, P99: 9000}, &result.Quantiles{P50: 900, P99: 3500}
		}), func(o *PodObservation) { o.Observation.UptimeSeconds = 40_000 }))), want: Fail, severity: Warning, message: "consistent with Envoy, and it ended 388 of the 400", cure: "Let the pool end or use idle connections sooner"},
		{rule: "CP205", name: "the server ends what was idle", in: chain(cutAfter(59.9, 60, result.CutFIN), func(c *result.Connections) {
			c.Closed, c.ClosedHere, c.LifetimeSecondsAtMost, c.IdleSeconds = 400, 12, &result.Quantiles{P50: 75, P99: 900}, &result.Quantiles{P50: 21, P99: 58.5}
		}), want: Fail, severity: Warning, message: "consistent with an AWS ALB or Tomcat within Spring Boot (its Keep-Alive header says 5 s), and it ended 388 of the 400 connections of pod a"},
		// nginx ends connections with their 1,000th request too, and of those that are idle for a minute first many would be seen.
		{rule: "CP205", name: "the server ends what carried as many requests as it allows", in: with(chain(cutAfter(74.9, 75, result.CutFIN), func(c *result.Connections) {
			c.Closed, c.ClosedHere, c.LifetimeSecondsAtMost, c.IdleSeconds = 400, 12, &result.Quantiles{P50: 101, P99: 140}, &result.Quantiles{P50: 0.1, P99: 2}
			c.ExchangesAtMost = &result.Quantiles{P50: 1003, P99: 1100}
		}), func(in *Input) {
			r := closedAfter(1000, result.CloseAnnounced)
			in.Probes[0].Result.Measurements.Reuse = &r
		}), want: Pass, message: "idle for at most 2 s"},
		{rule: "CP205", name: "the server ends what is in use", in: chain(cutAfter(74.9, 75, result.CutFIN), func(c *result.Connections) {
			c.Closed, c.ClosedHere, c.LifetimeSecondsAtMost, c.IdleSeconds = 400, 12, &result.Quantiles{P50: 301, P99: 340}, &result.Quantiles{P50: 0.1, P99: 2}
		}), want: Fail, severity: Info, message: "it ended 388 of the 400 connections of pod a that ended since the observer began to look 5 minutes ago, more than can have been idle for so long"},
		{rule: "CP205", name: "the server ends some", in: chain(cutAfter(59.9, 60, result.CutFIN), func(c *result.Connections) {
			c.Closed, c.ClosedHere, c.LifetimeSecondsAtMost, c.IdleSeconds = 400, 320, &result.Quantiles{P50: 75, P99: 900}, &result.Quantiles{P50: 21, P99: 58.5}
		}), want: Unknown, message: "It ended 80 of the 400 connections"},
		{rule: "CP205", name: "reset instead of closed", in: chain(cutAfter(349.9, 350, result.CutRST), func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 2, P99: 600} }), want: NotApplicable, message: "CP501"},
		// PostgreSQL closes connections that have not spoken after a minute (authentication_timeout), the probe's among them.
		{rule: "CP205", name: "a database that gives up on clients that never speak", in: over("TCP", chain(cutAfter(59.9, 60, result.CutFIN), func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 20, P99: 550} })),
			want: Pass, message: "those of pod a stay open for 9 minutes of silence: it gives up only on clients that never speak"},
		{rule: "CP205", name: "a database, and no observer", in: over("TCP", http(probe(cutAfter(59.9, 60, result.CutFIN)))), want: Unknown, message: "observe.pods"},
		{rule: "CP205", name: "a database, and no workload", in: over("TCP", with(http(probe(cutAfter(9.9, 10, result.CutFIN))), func(in *Input) { in.ServerOnly = true })), want: NotApplicable},
		{rule: "CP205", name: "no connection is kept", in: chain(cutAfter(4.9, 5, result.CutFIN), func(c *result.Connections) { c.Open, c.IdleSeconds = 0, nil }), want: NotApplicable, message: "none is kept idle"},
		{rule: "CP205", name: "a proxy before a server that closes after 5 s", in: proxied(nil, cutAfter(59.9, 60, result.CutFIN)), want: Fail, severity: Info,
			message: "Between the proxy (via: 1.1 varnish) and the server behind it: the server closes idle connections after 5 s"},
		{rule: "CP205", name: "a proxy that answered 502", in: proxied(map[string]int{"200": 400, "502": 3}, cutAfter(59.9, 60, result.CutFIN)), want: Fail, severity: Warning,
			message: "3 of the probe's requests were answered 502 or 503"},
		{rule: "CP205", name: "Node's agent lets go a second before", in: chain(cutAfter(4.9, 5, result.CutFIN), func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 2, P99: 4} }), want: Pass, message: "idle for at most 4 s"},
		{rule: "CP205", name: "nothing was cut, and the client lets go", in: chain(uncut(90), func(*result.Connections) {}), want: Pass, message: "up to 90 s"},
		{rule: "CP205", name: "nothing was cut, but the client waits longer", in: chain(uncut(20), func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 2, P99: 45} }), want: Unknown, message: "idle for 45 s"},
		{rule: "CP205", name: "nothing was cut, and no observer", in: http(probe(uncut(20))), want: Unknown, message: "observe.pods"},
		{rule: "CP205", name: "cut sooner than any load balancer lets go, and no observer", in: http(probe(cutAfter(5.9, 6, result.CutFIN), promising())), want: Fail, severity: Info,
			message: "consistent with newer Node.js, which waits 1 s more (its Keep-Alive header says 5 s). Load balancers and pools usually keep idle connections for 60 s or more and so meet the race"},
		{rule: "CP205", name: "cut sooner than any load balancer lets go, and no workload", in: with(http(probe(cutAfter(5.9, 6, result.CutFIN))), func(in *Input) { in.ServerOnly = true }), want: Fail, severity: Info},
		{rule: "CP205", name: "cut, and no observer", in: http(probe(cutAfter(74.9, 75, result.CutFIN), handshakeOf(10, 0))), want: Unknown,
			message: "consistent with nginx. A client that keeps idle connections for longer than 74.7 s meets the race; what this one does is not known. No observer has seen"},
		{rule: "CP205", name: "cut, and no connection seen", in: with(http(probe(cutAfter(74.9, 75, result.CutFIN))), func(in *Input) { in.Observations = seen(pod("a", 0, 0, 0)) }), want: Unknown, message: "No open connection"},
		{rule: "CP205", name: "the observer has just begun", in: with(chain(cutAfter(59.9, 60, result.CutFIN), func(*result.Connections) {}), func(in *Input) { in.Observations[0].Observation.UptimeSeconds = 12 }), want: Unknown, message: "Too few"},
		{rule: "CP205", name: "not found out", in: chain(result.Idle{Meta: measured()}, func(*result.Connections) {}), want: Unknown},
		{rule: "CP205", name: "forgotten silently", in: chain(cutAfter(899.9, 900, result.CutBlackHole), func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 2, P99: 4000} }), want: NotApplicable},
		{rule: "CP205", name: "WebSocket", in: over(protocolWebSocket, http(probe(cutAfter(4.9, 5, result.CutFIN)))), want: NotApplicable},
		{rule: "CP205", name: "gRPC", in: over(protocolGRPC, http(probe(cutAfter(4.9, 5, result.CutFIN)))), want: NotApplicable, message: "GOAWAY"},
		{rule: "CP205", name: "cut late, and no workload", in: with(http(probe(cutAfter(74.9, 75, result.CutFIN))), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},
		{rule: "CP205", name: "no workload", in: with(http(probe(uncut(90))), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP206", name: "destroyed by a reset", in: http(probe(result.Closing{Meta: measured(), UnreadDataLost: new(true), LingerSeconds: new(0.0), Truncated: new(false)})), want: Fail, severity: Info,
			message: "the reset destroyed the response. Clients that pipeline meet that."},
		{rule: "CP206", name: "cut off", in: http(probe(result.Closing{Meta: measured(), UnreadDataLost: new(false), Truncated: new(true)})), want: Fail, severity: Error, message: "before the length"},
		{rule: "CP206", name: "closed in stages", in: http(probe(result.Closing{Meta: measured(), UnreadDataLost: new(false), Truncated: new(false), HalfClose: new(true), LingerSeconds: new(2.9)})), want: Pass, message: "for 2.9 s"},
		{rule: "CP206", name: "not found out", in: http(probe(result.Closing{Meta: measured()})), want: Unknown},
		{rule: "CP206", name: "not named", in: http(probe()), want: NotApplicable},

		{rule: "CP207", name: "mixed up", in: http(probe(pipelined(result.PipeliningOutOfOrder, 1))), want: Fail, severity: Error, message: "after 1 of 4 requests that were sent at once: responses are mixed up"},
		{rule: "CP207", name: "closed", in: http(probe(pipelined(result.PipeliningClosed, 1))), want: Fail, severity: Info},
		{rule: "CP207", name: "refused", in: http(probe(pipelined(result.PipeliningRefused, 1))), want: Fail, severity: Info},
		{rule: "CP207", name: "in order", in: http(probe(pipelined(result.PipeliningInOrder, 4))), want: Pass},
		{rule: "CP207", name: "one by one", in: http(probe(pipelined(result.PipeliningSerial, 4))), want: Pass},
		{rule: "CP207", name: "not found out", in: http(probe(result.Pipelining{Meta: measured()})), want: Unknown},
		{rule: "CP207", name: "not named", in: http(probe()), want: NotApplicable},

		{rule: "CP208", name: "5 s promised, a minute kept", in: proxied(nil, cutAfter(59.9, 60, result.CutFIN)), want: Fail, severity: Info,
			message: "A Keep-Alive header promises 5 s, but connections survive 59.9 s of silence: it is of a server behind the proxy that names itself (via: 1.1 varnish)."},
		{rule: "CP208", name: "the proxy's own promise", in: proxied(nil, cutAfter(4.9, 5, result.CutFIN)), want: Pass},
		{rule: "CP208", name: "newer Node.js waits a second more", in: proxied(nil, cutAfter(5.9, 6, result.CutFIN)), want: Pass},
		{rule: "CP208", name: "not looked for so long", in: proxied(nil, uncut(4)), want: Unknown},
		{rule: "CP208", name: "idle failed", in: proxied(nil, result.Idle{Meta: failed()}), want: Unknown},
		{rule: "CP208", name: "no proxy names itself", in: http(probe(promising(), uncut(60), result.Identity{Meta: measured(), Via: []string{"server: nginx/1.29"}})), want: NotApplicable},
		{rule: "CP208", name: "no promise", in: http(probe(reuseOf(60), uncut(60), result.Identity{Meta: measured(), Via: []string{"server: envoy"}})), want: NotApplicable},

		{rule: "CP209", name: "Go keeps two, twenty are busy", in: pooled(func(c *result.Connections) {
			c.Open, c.OpenPeak, c.BusyPeak, c.Opened, c.Closed, c.ClosedHere = 6, 26, new(20), 12_000, 11_990, 11_990
			c.LifetimeSecondsAtMost, c.SingleExchange = &result.Quantiles{P50: 0.04, P99: 12}, new(int64(900))
		}), want: Fail, severity: Warning,
			message: "Pod a holds 6 connections to 198.18.96.7:80; at most 20 were busy within one second in 5 minutes. Yet it opened 40 a second since the observer began to look 5 minutes ago and closed them itself, half of them within 40 ms: its pool keeps fewer than it needs."},
		{rule: "CP209", name: "a pool of 400 for a load of six", in: with(pooled(func(c *result.Connections) { c.Open, c.OpenPeak = 400, 400 }), func(in *Input) { in.Observations[0].Observation.UptimeSeconds = 7200 }), want: Fail, severity: Info,
			message: "Pod a holds 400 connections to 198.18.96.7:80; at most 6 were busy within one second in 2 hours. About 27 would do."},
		{rule: "CP209", name: "a pool that is large for five minutes", in: pooled(func(c *result.Connections) { c.Open, c.OpenPeak = 400, 400 }), want: Unknown, message: "not long enough"},
		{rule: "CP209", name: "a pool that serves its load", in: pooled(func(*result.Connections) {}), want: Pass},
		{rule: "CP209", name: "ten connections for next to nothing, as HikariCP holds them", in: over("TCP", with(pooled(func(c *result.Connections) { c.BusyPeak = new(0) }), func(in *Input) { in.Observations[0].Observation.UptimeSeconds = 7200 })), want: Pass},
		{rule: "CP209", name: "a database that each request connects to", in: over("TCP", pooled(func(c *result.Connections) {
			c.Open, c.OpenPeak, c.BusyPeak, c.Opened, c.Closed, c.ClosedHere = 10, 40, new(30), 9000, 9000, 8900
			c.LifetimeSecondsAtMost = &result.Quantiles{P50: 0.05, P99: 0.2}
			c.SingleExchange, c.ExchangesAtMost = new(int64(0)), &result.Quantiles{P50: 6, P99: 9}
		})), want: Fail, severity: Warning, message: "it keeps fewer than it needs, or none", cure: "Let the client keep connections in a pool"},
		{rule: "CP209", name: "a database", in: over("TCP", pooled(func(*result.Connections) {})), want: Pass},
		{rule: "CP209", name: "not told", in: pooled(func(c *result.Connections) { c.BusyPeak = nil }), want: Unknown},
		{rule: "CP209", name: "never seen open", in: pooled(func(c *result.Connections) { c.Open, c.OpenPeak, c.BusyPeak = 0, 0, new(0) }), want: NotApplicable},
		{rule: "CP209", name: "looked for seconds only", in: with(pooled(func(*result.Connections) {}), func(in *Input) { in.Observations[0].Observation.UptimeSeconds = 12 }), want: Unknown, message: "12 seconds"},
		{rule: "CP209", name: "no connection is reused", in: pooled(func(c *result.Connections) {
			c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 141_000, 140_900, 140_900, new(int64(140_880))
		}), want: NotApplicable, message: "CP204"},
		{rule: "CP209", name: "no connection is reused, over TLS", in: over(protocolHTTPS, with(http(), func(in *Input) {
			in.Observations = seen(using(pod("a", 28100, 28096, 470), func(c *result.Connections) {
				c.BusyPeak, c.LifetimeSecondsAtMost = new(8), &result.Quantiles{P50: 0.01, P99: 0.1}
			}))
		})), want: NotApplicable, message: "CP204"},
		{rule: "CP209", name: "gRPC", in: over(protocolGRPC, pooled(func(*result.Connections) {})), want: NotApplicable},
		{rule: "CP209", name: "no observer", in: http(), want: Unknown},
	}
}

// pooled is an HTTP link to a server that keeps connections, and a pod that uses them in some way.
func pooled(change func(*result.Connections)) Input {
	return with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(using(pod("a", 10, 0, 1), change)) })
}

// chain is such a link whose silence was looked at, to a server that promises 5 seconds.
func chain(idle result.Idle, change func(*result.Connections)) Input {
	in := pooled(change)
	in.Probes = []ProbeResult{probe(promising(), idle, handshakeOf(10, 0))}
	return in
}

// cutAfter is a path that cuts between two silences.
func cutAfter(atLeast, atMost float64, how result.IdleCut) result.Idle {
	return result.Idle{Meta: measured(), Cut: new(true), How: how, AfterSecondsAtLeast: &atLeast, AfterSecondsAtMost: &atMost, LookedSeconds: atMost}
}

// uncut is a path on which that silence is survived, and no longer one was tried.
func uncut(seconds float64) result.Idle {
	return result.Idle{Meta: measured(), Cut: new(false), SurvivedSeconds: &seconds, SurvivedOf: &result.Count{Got: 4, Of: 4}, LookedSeconds: seconds}
}

// promising is a server whose Keep-Alive header says 5 seconds.
func promising() result.Reuse {
	return with(reuseOf(60), func(r *result.Reuse) { r.KeepAliveHeader = &result.KeepAliveHeader{TimeoutSeconds: new(5)} })
}

// proxied is a link through a proxy that names itself and passes on a promise of 5 seconds, with a client that lets
// go of connections after 3.
func proxied(statuses map[string]int, idle result.Idle) Input {
	in := chain(idle, func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 1, P99: 3} })
	in.Probes = []ProbeResult{probe(promising(), idle, handshakeOf(10, 0), result.Identity{Meta: measured(), Via: []string{"server: nodejs", "via: 1.1 varnish"}})}
	in.Probes[0].Result.Statuses = statuses
	return in
}

func pipelined(verdict result.PipeliningVerdict, answered int) result.Pipelining {
	return result.Pipelining{Meta: measured(), Verdict: verdict, Answered: &result.Count{Of: 4, Got: answered}}
}
