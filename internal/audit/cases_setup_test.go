package audit

import (
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

func setupCases() []ruleCase {
	return []ruleCase{
		{rule: "CP101", name: "new connections are measurably slower", in: http(probe(handshakeOf(62, 0), reuseOf(60))),
			want: Fail, severity: Info, message: "From node n1: Set-up is 62 % of a small transaction on a new connection: it takes 210 µs, and 80 µs"},
		{rule: "CP101", name: "new connections are measurably slower, and many are opened", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 300, 240, 4)) }),
			want: Fail, severity: Warning},
		{rule: "CP101", name: "the client throws connections away", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 1200, 1190, 20)) }),
			want: Fail, severity: Info, message: "CP204 says who pays for it."},
		{rule: "CP101", name: "server keeps nothing", in: http(probe(handshakeOf(62, 0), closed(result.CloseAnnounced))),
			want: Fail, severity: Info, message: "keeps no connection that could be reused"},
		{rule: "CP101", name: "an objective is another rule's", in: with(http(probe(handshakeOf(30, 0), reuseOf(60))), func(in *Input) { in.Objectives.SetupSharePercent = new(25) }),
			want: Pass, message: "not more than the request itself"},
		{rule: "CP101", name: "half is not more than half", in: http(probe(handshakeOf(50, 0))), want: Pass},
		{rule: "CP101", name: "connections are rarely opened", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 30, 30, 0.5)) }),
			want: Pass, message: "open at most 0.5 a second each"},
		{rule: "CP101", name: "connections that the server closes count", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) {
			in.Observations = seen(leavingNothing(pod("a", 4, 0, 470)))
		}), want: Fail, severity: Warning},
		{rule: "CP101", name: "one pod opens rarely, of the other it is not known", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) {
			in.Observations = seen(pod("a", 30, 30, 0.5), unread(pod("b", 30, 30, 0)))
		}), want: Fail, severity: Info},
		{rule: "CP101", name: "medians cannot be told apart", in: http(probe(handshakeOf(62, 0), with(reuseOf(60), func(r *result.Reuse) { r.ReusedMicroseconds = r.NewMicroseconds }))),
			want: Unknown, message: "could not be told apart"},
		{rule: "CP101", name: "no intervals", in: http(probe(handshakeOf(62, 0), with(reuseOf(60), func(r *result.Reuse) { r.NewMicroseconds.P50Low = nil }))),
			want: Unknown, message: "Too few requests"},
		{rule: "CP101", name: "reuse failed", in: http(probe(handshakeOf(62, 0), result.Reuse{Meta: result.Meta{Outcome: result.Failed, Cause: "reset by peer"}})),
			want: Unknown, message: "reset by peer"},
		{rule: "CP101", name: "no request was answered", in: http(probe(with(handshakeOf(0, 0), func(h *result.Handshake) { h.SetupSharePercent = nil }))),
			want: Unknown, message: "No request"},
		{rule: "CP101", name: "no probe yet", in: http(), want: Unknown, message: "No probe"},
		{rule: "CP101", name: "plain TCP", in: Input{Protocol: "TCP", Probes: http(probe(handshakeOf(62, 0))).Probes}, want: NotApplicable},

		{rule: "CP102", name: "SYNs were sent again", in: http(probe(handshakeOf(10, 3))), want: Fail, severity: Warning,
			message: "From node n1: 3 SYNs had to be sent again in 100 handshakes:"},
		{rule: "CP102", name: "the listener's queue was full", in: http(probe(handshakeOf(10, 3), backlogOf(12, 128, 4096))), want: Fail, severity: Warning, message: "dropped by the listener"},
		{rule: "CP102", name: "no queue was ever full", in: http(probe(handshakeOf(10, 3), backlogOf(0, 128, 4096))), want: Fail, severity: Warning, message: "dropped on the path"},
		{rule: "CP102", name: "a queue was full, but not now", in: http(probe(handshakeOf(10, 3), with(backlogOf(0, 128, 4096), func(b *result.Backlog) { b.OverflowsTotal = new(int64(9)) }))),
			want: Fail, severity: Warning, message: "dropped on the path or by the listener"},
		{rule: "CP102", name: "an observer beside the server saw its queue full", in: with(http(probe(handshakeOf(10, 3))), func(in *Input) {
			in.Observations = seen(serving(pod("s", 0, 0, 0), virtualAddress, 12, 128))
		}), want: Fail, severity: Warning, message: "dropped by the listener"},
		{rule: "CP102", name: "another listener's queue was full", in: with(http(probe(handshakeOf(10, 3))), func(in *Input) {
			in.Observations = seen(serving(pod("s", 0, 0, 0), "0.0.0.0:80", 12, 128))
		}), want: Fail, severity: Warning, message: "dropped on the path or by the listener"},
		{rule: "CP102", name: "translated ports, and TIME_WAIT at the server", in: http(probe(handshakeOf(10, 3), translated(), result.TimeWait{Meta: measured(), Holder: result.SideServer})),
			want: Fail, severity: Warning, message: "address translation is on the path and the server holds TIME_WAIT"},
		{rule: "CP102", name: "translated ports", in: http(probe(handshakeOf(10, 3), translated())), want: Fail, severity: Warning, message: "or a translated port met TIME_WAIT"},
		{rule: "CP102", name: "one vantage of two", in: http(probe(handshakeOf(10, 0)), probe(handshakeOf(10, 1))), want: Fail, severity: Info, message: "1 SYN "},
		{rule: "CP102", name: "none was", in: http(probe(handshakeOf(10, 0))), want: Pass, message: "fewer than 2.95 % are dropped"},
		{rule: "CP102", name: "too few", in: http(probe(with(handshakeOf(10, 0), func(h *result.Handshake) { h.Samples = 9 }))), want: Unknown},
		{rule: "CP102", name: "the kernel does not tell", in: http(probe(with(handshakeOf(10, 0), func(h *result.Handshake) { h.SynRetransmissions = nil }))), want: Unknown},
		{rule: "CP102", name: "dropped from the message", in: with(http(probe()), func(in *Input) { in.Probes[0].Result.Dropped = []string{"handshake"} }),
			want: Unknown, message: "did not fit"},
		{rule: "CP102", name: "one vantage failed", in: http(probe(handshakeOf(10, 0)), probe(result.Handshake{Meta: result.Meta{Outcome: result.Failed, Cause: "timed out"}})),
			want: Unknown, message: "timed out"},
		{rule: "CP102", name: "not asked for", in: http(probe(reuseOf(60))), want: NotApplicable, message: "does not ask"},

		{rule: "CP103", name: "299 connects and none above", in: objective(1000, connects(299, 900)), want: Pass, message: "At most 0 of 299"},
		{rule: "CP103", name: "two vantages together", in: objective(1000, connects(150, 900), connects(149, 900)), want: Pass},
		{rule: "CP103", name: "298 connects and none above", in: objective(1000, connects(298, 900)), want: Unknown, message: "298 connects are too few to prove the objective of 1 ms: with none above it, 299 are needed. The next runs add theirs. For all in one run, probe.limits.connections has to be 299 or more, and so has requestsPerSecond × seconds."},
		{rule: "CP103", name: "limits that suit all measurements", in: with(objective(1000, connects(67, 900)), func(in *Input) {
			in.Probes[0].Result.Measurements.Reuse, in.Probes[0].Result.Measurements.TimeWait = &result.Reuse{}, &result.TimeWait{}
		}), want: Unknown, message: "For all in one run, probe.limits.connections has to be 895 or more"},
		{rule: "CP103", name: "limits for each of two vantages", in: with(objective(1000, connects(67, 900), connects(67, 900)), func(in *Input) {
			for i := range in.Probes {
				in.Probes[i].Result.Measurements.Reuse, in.Probes[i].Result.Measurements.TimeWait = &result.Reuse{}, &result.TimeWait{}
			}
		}), want: Unknown, message: "134 connects are too few to prove the objective of 1 ms: with none above it, 299 are needed. The next runs add theirs. For all in one run, 150 from each of 2 nodes, probe.limits.connections has to be 448 or more"},
		{rule: "CP103", name: "one above", in: objective(1000, connects(299, 1500)), want: Unknown, message: "473 are needed"},
		{rule: "CP103", name: "one in ten above", in: objective(250, connects(100, 900)), want: Fail, severity: Warning, message: "At least 11 of 100"},
		{rule: "CP103", name: "one vantage misses it", in: objective(250, connects(100, 240), connects(100, 900)), want: Fail, severity: Warning},
		{rule: "CP103", name: "every vantage misses a little", in: objective(250, few(40), few(40), few(40), few(40), few(40), few(40)), want: Fail, severity: Warning, message: "over all vantages"},
		{rule: "CP103", name: "the probe counted one above", in: objective(250, counted(connects(600, 900), 250, 1)), want: Pass, message: "At most 1 of 600"},
		{rule: "CP103", name: "the probe counted too many", in: objective(250, counted(connects(600, 900), 250, 20)), want: Fail, severity: Warning, message: "At least 20 of 600"},
		{rule: "CP103", name: "the probe counted for another objective", in: objective(1000, counted(connects(299, 900), 100, 250)), want: Pass},
		{rule: "CP103", name: "runs prove it together", in: overRuns(1000, counts("n1", 5, 67, 0)), want: Pass, message: "At most 0 of 335 connects (5 results of the last 40 minutes) took longer than 1 ms"},
		{rule: "CP103", name: "runs are too few yet", in: overRuns(1000, counts("n1", 3, 67, 0)), want: Unknown, message: "201 connects (3 results of the last 20 minutes) are too few to prove the objective of 1 ms: with none above it, 299 are needed. The next runs add theirs."},
		{rule: "CP103", name: "runs show together what none shows alone", in: overRuns(1000, counts("n1", 12, 67, 2)), want: Fail, severity: Warning, message: "At least 24 of 804 connects (12 results of the last 110 minutes)"},
		{rule: "CP103", name: "one of two nodes misses it over the runs", in: overRuns(1000, counts("n1", 12, 67, 0), counts("n2", 12, 67, 2)), want: Fail, severity: Warning, message: "From node n2 at least 24 of 804 connects (24 results"},
		{rule: "CP103", name: "one slow connect in one run of many is no miss", in: overRuns(1000, counts("n1", 11, 67, 0), counts("n1", 1, 67, 2)), want: Pass},
		{rule: "CP103", name: "old runs do not count", in: with(overRuns(1000, counts("n1", 5, 67, 0)), func(in *Input) { in.Now = in.Now.Add(PoolAge - 15*time.Minute) }),
			want: Unknown, message: "134 connects"},
		{rule: "CP103", name: "runs of another objective do not count", in: with(overRuns(1000, counts("n1", 5, 67, 0)), func(in *Input) { in.Connects.AboveMicroseconds = 2000 }),
			want: Unknown, message: "67 connects are too few"},
		{rule: "CP103", name: "the last run could not connect", in: with(overRuns(1000, counts("n1", 5, 67, 0)), func(in *Input) {
			in.Probes[0].Result.Measurements.Handshake = &result.Handshake{Meta: failed()}
		}), want: Unknown, message: "reset by peer"},
		{rule: "CP103", name: "no connection was made", in: objective(1000, result.Handshake{Meta: result.Meta{Outcome: result.Measured}}), want: Unknown},
		{rule: "CP103", name: "no objective", in: http(probe(handshakeOf(10, 0))), want: NotApplicable},

		{rule: "CP104", name: "the application's backlog binds", in: http(probe(backlogOf(12, 128, 4096))), want: Fail, severity: Error,
			message: "The server's listen queue holds 128, of which 129 were in use at the most. 12 times a connection found a queue full in 3 seconds. The application asked listen() for no more; net.core.somaxconn would allow 4,096."},
		{rule: "CP104", name: "somaxconn binds", in: http(probe(backlogOf(12, 128, 128))), want: Fail, severity: Error, message: "net.core.somaxconn (128) is the cap"},
		{rule: "CP104", name: "somaxconn not read", in: http(probe(with(backlogOf(12, 128, 128), func(b *result.Backlog) { b.Somaxconn = nil }))), want: Fail, severity: Error, message: "could not be read"},
		{rule: "CP104", name: "the workload's own listener, Linkerd's 128", in: with(http(), func(in *Input) {
			in.Observations = seen(serving(pod("a", 0, 0, 0), "0.0.0.0:4143", 31, 128))
			in.Observations[0].Observation.Sysctls[sysctlSomaxconn] = "4096"
			in.Observations[0].Observation.CounterChanges[counterPassiveOpens] = 900
		}), want: Fail, severity: Error, message: "31 times a connection found a listen queue of pod a full since the observer began to look 5 minutes ago. It accepted 900. The fullest is 0.0.0.0:4143, which holds 128 and had 129 waiting at a look. The application asked"},
		{rule: "CP104", name: "since the pod was made", in: with(http(), func(in *Input) {
			in.Observations = seen(serving(pod("a", 0, 0, 0), "0.0.0.0:80", 31, 128))
			o := &in.Observations[0].Observation
			o.Counters, o.CounterChanges, o.Listeners = o.CounterChanges, nil, nil
			o.Counters[counterPassiveOpens] = 90_000
		}), want: Fail, severity: Info, message: "full since the pod was made"},
		{rule: "CP104", name: "none was full", in: with(http(), func(in *Input) { in.Observations = seen(serving(pod("a", 0, 0, 0), "0.0.0.0:80", 0, 128)) }), want: Pass},
		{rule: "CP104", name: "none was full beside the server", in: http(probe(backlogOf(0, 128, 4096))), want: Pass, message: "no connection found it full"},
		{rule: "CP104", name: "counter not read", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 0, 0, 0)) }), want: Unknown, message: "TcpExt.ListenOverflows"},
		{rule: "CP104", name: "counter not read beside the server", in: with(http(probe(with(backlogOf(0, 128, 4096), func(b *result.Backlog) { b.Overflows = nil }))), func(in *Input) { in.ServerOnly = true }), want: Unknown},
		{rule: "CP104", name: "no workload, and not named", in: with(http(probe()), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP105", name: "accepted after 30 ms", in: http(probe(handshakeOf(10, 0), with(reuseOf(60), func(r *result.Reuse) { r.NewMicroseconds = distribution(30_210, 40_000, 50_000) }))),
			want: Fail, severity: Warning, message: "From node n1: Of the 30.2 ms that a request takes on a new connection, at least 29.3 ms (96.9 %) is neither set-up nor the request itself: the application takes new connections up slowly"},
		{rule: "CP105", name: "nothing beyond the set-up", in: http(probe(handshakeOf(10, 0), reuseOf(60))), want: Pass, message: "no measurable time"},
		{rule: "CP105", name: "a little beyond the set-up", in: http(probe(handshakeOf(10, 0), with(reuseOf(60), func(r *result.Reuse) {
			r.NewMicroseconds, r.ReusedMicroseconds = distribution(4000, 5000, 6000), distribution(2000, 3000, 4000)
		}))), want: Pass, message: "less than the rest"},
		{rule: "CP105", name: "the window opens slowly on a long path", in: http(probe(
			with(handshakeOf(10, 0), func(h *result.Handshake) {
				h.ConnectMicroseconds, h.KernelRTTMicroseconds = distribution(20_100, 21_000, 22_000), distribution(20_100, 21_000, 22_000)
			}),
			with(reuseOf(60), func(r *result.Reuse) {
				r.NewMicroseconds, r.ReusedMicroseconds = distribution(104_000, 110_000, 120_000), distribution(22_000, 23_000, 24_000)
			}), farServer())), want: Pass},
		{rule: "CP105", name: "TLS takes the time", in: over(protocolHTTPS, http(probe(
			with(handshakeOf(10, 0), func(h *result.Handshake) { h.TLS = tls13() }),
			with(reuseOf(60), func(r *result.Reuse) { r.NewMicroseconds = distribution(2500, 3000, 4000) })))), want: Pass},
		{rule: "CP105", name: "new connections are rare", in: with(http(probe(handshakeOf(10, 0), with(reuseOf(60), func(r *result.Reuse) { r.NewMicroseconds = distribution(30_210, 40_000, 50_000) }))), func(in *Input) {
			in.Observations = seen(pod("a", 10, 10, 0.1))
		}), want: Pass, message: "at most 0.1 a second"},
		{rule: "CP105", name: "no intervals", in: http(probe(handshakeOf(10, 0), with(reuseOf(60), func(r *result.Reuse) { r.NewMicroseconds.P50Low = nil }))), want: Unknown},
		{rule: "CP105", name: "no handshake", in: http(probe(result.Handshake{Meta: failed()}, reuseOf(60))), want: Unknown, message: "handshake failed"},
		{rule: "CP105", name: "nothing is kept", in: http(probe(handshakeOf(10, 0), closed(result.CloseAnnounced))), want: NotApplicable},

		{rule: "CP106", name: "ndots 5 and a name outside", in: named(probe(handshakeOf(10, 0), names(10, 0))), want: Fail, severity: Info,
			message: "Resolving api.bank.example sends 10 queries, where 2 would do (ndots 5, 4 search domains): about 1.6 ms of waiting for nothing, longer than connect() takes (130 µs)."},
		{rule: "CP106", name: "ndots 5, a name outside, and many connections", in: with(named(probe(handshakeOf(10, 0), names(10, 0))), func(in *Input) { in.Observations = seen(pod("a", 1200, 1190, 20)) }),
			want: Fail, severity: Warning},
		{rule: "CP106", name: "a database outside", in: over("TCP", named(probe(handshakeOf(10, 0), names(10, 0)))), want: Fail, severity: Info, cure: "Write the name in full"},
		{rule: "CP106", name: "a far server", in: named(probe(with(handshakeOf(10, 0), func(h *result.Handshake) { h.ConnectMicroseconds = distribution(20e3, 30e3, 40e3) }), names(10, 0))), want: Fail, severity: Info,
			message: "waiting for nothing."},
		{rule: "CP106", name: "a Service, as the probe names it", in: with(named(probe(handshakeOf(10, 0), names(6, 0))), func(in *Input) { in.Probes[0].Result.Target.URL = "http://payments.shop.svc:80/" }),
			want: NotApplicable, message: "Probes name a Service in a way of their own"},
		{rule: "CP106", name: "no interval", in: named(probe(with(names(10, 0), func(d *result.DNS) { d.ResolveMicroseconds.P50Low = nil }))), want: Fail, severity: Info, cure: "Set ndots"},
		{rule: "CP106", name: "no more than needed", in: named(probe(names(2, 0))), want: Pass},
		{rule: "CP106", name: "connections are rarely opened", in: with(named(probe(names(10, 0))), func(in *Input) { in.Observations = seen(pod("a", 10, 10, 0.1)) }), want: Pass},
		{rule: "CP106", name: "not counted", in: named(probe(result.DNS{Meta: measured()})), want: Unknown},
		{rule: "CP106", name: "the target is an address", in: http(probe(names(10, 0))), want: NotApplicable, message: "an address"},

		{rule: "CP107", name: "the name stands in a file", in: named(probe(result.DNS{Meta: unsupported()})), want: NotApplicable, message: "No name server is asked"},
		{rule: "CP107", name: "two of 600 lost, 5 s each", in: named(probe(names(2, 2))), want: Fail, severity: Warning,
			message: "2 of 600 DNS queries got no answer in time; the slowest resolution took 5.01 s. A client waits 5 seconds for each"},
		{rule: "CP107", name: "one of 600 lost", in: named(probe(names(2, 1))), want: Fail, severity: Info, message: "1 of 600"},
		{rule: "CP107", name: "none lost", in: named(probe(names(2, 0))), want: Pass, message: "fewer than 0.5 % are lost"},
		{rule: "CP107", name: "too few", in: named(probe(with(names(2, 0), func(d *result.DNS) { d.Queries = new(4) }))), want: Unknown, message: "too few"},
		{rule: "CP107", name: "not counted", in: named(probe(result.DNS{Meta: measured()})), want: Unknown},
		{rule: "CP107", name: "not asked for", in: named(probe()), want: NotApplicable},

		{rule: "CP108", name: "three replicas without a common key", in: secure(tlsWith(func(s *result.TLS) { s.Resumed = new(10) })), want: Fail, severity: Info,
			message: "The server honoured 10 of 30 session tickets. One that it refuses costs 1.2 ms more (medians)."},
		{rule: "CP108", name: "three replicas without a common key, and many connections", in: with(secure(tlsWith(func(s *result.TLS) { s.Resumed = new(10) })), func(in *Input) { in.Observations = seen(pod("a", 1200, 1190, 20)) }),
			want: Fail, severity: Warning},
		{rule: "CP108", name: "none honoured", in: secure(tlsWith(func(s *result.TLS) { s.Resumed, s.ResumedMicroseconds = new(0), nil })), want: Fail, severity: Info,
			message: "honoured 0 of 30 session tickets, and a full handshake takes 2 ms"},
		{rule: "CP108", name: "no tickets", in: secure(tlsWith(func(s *result.TLS) { s.ResumptionOffered, s.Resumed, s.ResumptionsTried = new(false), nil, nil })), want: Fail, severity: Info, message: "gives no session tickets"},
		{rule: "CP108", name: "all honoured", in: secure(tls13()), want: Pass},
		{rule: "CP108", name: "one refused, as when a key is rotated", in: secure(tlsWith(func(s *result.TLS) { s.Resumed = new(29) })), want: Pass},
		{rule: "CP108", name: "connections are rarely opened", in: with(secure(tlsWith(func(s *result.TLS) { s.Resumed = new(0) })), func(in *Input) { in.Observations = seen(pod("a", 10, 10, 0.1)) }), want: Pass},
		{rule: "CP108", name: "not tried", in: secure(tlsWith(func(s *result.TLS) { s.Resumed, s.ResumptionsTried = nil, nil })), want: Unknown},
		{rule: "CP108", name: "no handshake was finished", in: over(protocolHTTPS, http(probe(handshakeOf(10, 0)))), want: Unknown},
		{rule: "CP108", name: "gRPC without TLS", in: over(protocolGRPC, http(probe(handshakeOf(10, 0)))), want: NotApplicable},
		{rule: "CP108", name: "HTTP", in: http(probe(handshakeOf(10, 0))), want: NotApplicable},

		{rule: "CP109", name: "TLS 1.0", in: secure(tlsWith(func(s *result.TLS) { s.Version = "TLS 1.0" })), want: Fail, severity: Error, message: "TLS 1.0, which is deprecated"},
		{rule: "CP109", name: "nothing newer, so that the probe refused it", in: over(protocolHTTPS, http(probe(result.Handshake{Meta: failed(), TLS: &result.TLS{Version: result.TLSOlder}}))),
			want: Fail, severity: Error, message: "neither TLS 1.2 nor 1.3"},
		{rule: "CP109", name: "the handshake failed for another reason", in: over(protocolHTTPS, http(probe(result.Handshake{Meta: failed()}))), want: Unknown, message: "reset by peer"},
		{rule: "CP109", name: "TLS 1.2", in: secure(tlsWith(func(s *result.TLS) { s.Version = "TLS 1.2" })), want: Fail, severity: Info,
			message: "TLS 1.2, which costs a round trip more than TLS 1.3 for each full handshake, here 100 µs."},
		{rule: "CP109", name: "TLS 1.3", in: secure(tls13()), want: Pass},
		{rule: "CP109", name: "not known", in: secure(&result.TLS{}), want: Unknown},
		{rule: "CP109", name: "HTTP", in: http(probe(handshakeOf(10, 0))), want: NotApplicable},

		{rule: "CP110", name: "expired", in: secure(valid("2026-08-01T00:00:00Z", "2026-10-30T00:00:00Z")), want: Fail, severity: Error, message: "expired on 2026-10-30 UTC"},
		{rule: "CP110", name: "expired, so that no handshake succeeds", in: with(over(protocolHTTPS, http(probe(result.Handshake{Meta: failed(),
			TLS: &result.TLS{CertificateBegins: "2026-08-01T00:00:00Z", CertificateExpires: "2026-10-30T00:00:00Z"}}))), func(in *Input) { in.Now = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }),
			want: Fail, severity: Error, message: "out of its time: it is valid from 2026-08-01 UTC to 2026-10-30 UTC. Every new connection fails."},
		{rule: "CP110", name: "the server refuses the client's certificate", in: over(protocolHTTPS, http(probe(result.Handshake{Meta: failed(),
			TLS: &result.TLS{Version: "TLS 1.3", CertificateBegins: "2026-08-01T00:00:00Z", CertificateExpires: "2027-10-30T00:00:00Z"}}))), want: Unknown, message: "reset by peer"},
		{rule: "CP110", name: "the handshake failed for another reason", in: over(protocolHTTPS, http(probe(result.Handshake{Meta: failed()}))), want: Unknown, message: "reset by peer"},
		{rule: "CP110", name: "not renewed with a week left of 90 days", in: secure(valid("2026-08-10T00:00:00Z", "2026-11-08T12:30:00Z")), want: Fail, severity: Warning,
			message: "expires on 2026-11-08 12:30 UTC. It was valid since 2026-08-10 UTC and should have been renewed by now."},
		{rule: "CP110", name: "a mesh's certificate of one day", in: secure(valid("2026-10-31T12:00:00Z", "2026-11-01T12:00:00Z")), want: Pass},
		{rule: "CP110", name: "six weeks of a year", in: secure(valid("2025-12-15T00:00:00Z", "2026-12-15T00:00:00Z")), want: Pass},
		{rule: "CP110", name: "three weeks of a year", in: secure(valid("2025-11-22T00:00:00Z", "2026-11-22T00:00:00Z")), want: Fail, severity: Warning},
		{rule: "CP110", name: "a year", in: secure(valid("2026-06-01T00:00:00Z", "2027-06-01T00:00:00Z")), want: Pass, message: "until 2027-06-01 UTC"},
		{rule: "CP110", name: "the begin is not known", in: secure(valid("", "2026-11-08T12:30:00Z")), want: Unknown, message: "valid until 2026-11-08"},
		{rule: "CP110", name: "the time is not known", in: with(secure(valid("2026-06-01T00:00:00Z", "2027-06-01T00:00:00Z")), func(in *Input) { in.Now = time.Time{} }), want: Unknown},
		{rule: "CP110", name: "HTTP", in: http(probe(handshakeOf(10, 0))), want: NotApplicable},

		{rule: "CP111", name: "exceeded", in: with(http(probe(handshakeOf(30, 0))), func(in *Input) { in.Objectives.SetupSharePercent = new(25) }),
			want: Fail, severity: Warning, message: "From node n1: Set-up is 30 % of a small transaction on a new connection; the objective is 25 %."},
		{rule: "CP111", name: "exceeded from one of two nodes", in: with(http(probe(handshakeOf(10, 0)), probe(handshakeOf(30, 0))), func(in *Input) { in.Objectives.SetupSharePercent = new(25) }),
			want: Fail, severity: Warning},
		{rule: "CP111", name: "met", in: with(http(probe(handshakeOf(62, 0))), func(in *Input) { in.Objectives.SetupSharePercent = new(70) }),
			want: Pass, message: "within the objective of 70 %"},
		{rule: "CP111", name: "no request was answered", in: with(http(probe(with(handshakeOf(0, 0), func(h *result.Handshake) { h.SetupSharePercent = nil }))), func(in *Input) {
			in.Objectives.SetupSharePercent = new(70)
		}), want: Unknown, message: "No request"},
		{rule: "CP111", name: "too few connections for a median", in: with(http(probe(with(handshakeOf(30, 0), func(h *result.Handshake) { h.ConnectMicroseconds.P50Low = nil }))), func(in *Input) {
			in.Objectives.SetupSharePercent = new(70)
		}), want: Unknown, message: "Too few"},
		{rule: "CP111", name: "no objective", in: http(probe(handshakeOf(62, 0))), want: NotApplicable},
		{rule: "CP111", name: "plain TCP", in: with(over("TCP", http(probe(handshakeOf(30, 0)))), func(in *Input) { in.Objectives.SetupSharePercent = new(25) }), want: NotApplicable},
	}
}

// backlogOf is a listener whose queue overflowed so often in three seconds.
func backlogOf(overflows int64, limit, somaxconn int) result.Backlog {
	b := result.Backlog{
		Meta: result.Meta{Outcome: result.Measured, Samples: 60, ElapsedSeconds: 3}, Port: new(80), InUse: new(0), InUsePeak: new(3),
		Cap: &limit, Somaxconn: &somaxconn, Overflows: &overflows, OverflowsTotal: &overflows,
	}
	if overflows > 0 {
		b.InUsePeak = new(limit + 1)
	}
	return b
}

// judgedAt is when links whose runs matter are judged.
func judgedAt() time.Time { return time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC) }

// counts are those of so many runs from a node, ten minutes apart, the last just now.
func counts(node string, runs, connects, above int) []ConnectCount {
	var list []ConnectCount
	for i := range runs {
		list = append(list, ConnectCount{At: judgedAt().Add(-time.Duration(i) * 10 * time.Minute), Node: node, Connects: connects, Above: above})
	}
	return list
}

// overRuns is a link with an objective whose connects of several runs were counted.
func overRuns(microseconds int64, nodes ...[]ConnectCount) Input {
	in := objective(microseconds, counted(connects(67, 900), float64(microseconds), 0))
	in.Now, in.Connects = judgedAt(), &ConnectPool{AboveMicroseconds: microseconds, Counts: slices.Concat(nodes...)}
	return in
}

// serving is a pod that listens on address, whose queue overflowed so often since its observer began.
func serving(o PodObservation, address string, overflows int64, limit int) PodObservation {
	o.Observation.CounterChanges = map[string]int64{counterListenOverflows: overflows}
	o.Observation.Listeners = []result.Listener{{Address: "0.0.0.0:9964", QueueLimit: 4096, QueuePeak: 1}, {Address: address, QueueLimit: limit, QueuePeak: 2}}
	if overflows > 0 {
		o.Observation.Listeners[1].QueuePeak = limit + 1
	}
	return o
}

// translated is a path with source address translation.
func translated() result.Identity {
	return result.Identity{Meta: measured(), ClientLocal: "10.244.1.7:40000", ServerRemote: "198.18.0.4:1024", SourceTranslated: new(true)}
}

// named is a link whose target is a name.
func named(p ProbeResult) Input {
	p.Result.Target.URL = "https://api.bank.example/v1"
	return http(p)
}

// names is a resolver that sends so many queries for a name where two would do, and lost some of 600.
func names(queries, lost int) result.DNS {
	d := result.DNS{
		Meta: measured(), ResolveMicroseconds: distribution(2000, 3000, 4000), QueriesPerName: &queries, QueriesNeeded: new(2),
		Lost: &lost, Queries: new(600), Ndots: new(5), Search: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example"},
	}
	if lost > 0 {
		d.ResolveMicroseconds.Max = 5.01e6
	}
	return d
}

// tls13 is a server that resumes every session, 1.2 ms faster.
func tls13() *result.TLS {
	return &result.TLS{
		Version: "TLS 1.3", ALPN: "http/1.1", FullMicroseconds: distribution(2000, 3000, 4000), ResumedMicroseconds: distribution(800, 900, 1000),
		ResumptionOffered: new(true), Resumed: new(30), ResumptionsTried: new(30),
		CertificateBegins: "2026-10-01T00:00:00Z", CertificateExpires: "2026-12-30T00:00:00Z",
	}
}

func tlsWith(change func(*result.TLS)) *result.TLS {
	s := tls13()
	change(s)
	return s
}

func valid(begins, expires string) *result.TLS {
	return tlsWith(func(s *result.TLS) { s.CertificateBegins, s.CertificateExpires = begins, expires })
}

// secure is a link over HTTPS, judged at midnight.
func secure(s *result.TLS) Input {
	in := over(protocolHTTPS, http(probe(with(handshakeOf(30, 0), func(h *result.Handshake) { h.TLS = s }))))
	in.Now = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	return in
}
