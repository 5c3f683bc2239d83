package audit

import "github.com/connpolicy/connpolicy/probes/result"

func setupCases() []ruleCase {
	return []ruleCase{
		{rule: "CP101", name: "new connections are measurably slower", in: http(probe(handshakeOf(62, 0), reuseOf(60))),
			want: Fail, severity: Warning, message: "From node n1: Set-up is 62 % of a small transaction on a new connection: it takes 210 µs, and 80 µs"},
		{rule: "CP101", name: "server keeps nothing", in: http(probe(handshakeOf(62, 0), closed(result.CloseAnnounced))),
			want: Fail, severity: Warning, message: "keeps no connection that could be reused"},
		{rule: "CP101", name: "objective exceeded", in: with(http(probe(handshakeOf(30, 0), reuseOf(60))), func(in *Input) { in.Objectives.SetupSharePercent = new(25) }),
			want: Fail, severity: Warning, message: "the objective is 25 %"},
		{rule: "CP101", name: "objective met", in: with(http(probe(handshakeOf(62, 0))), func(in *Input) { in.Objectives.SetupSharePercent = new(70) }),
			want: Pass, message: "within the objective of 70 %"},
		{rule: "CP101", name: "half is not more than half", in: http(probe(handshakeOf(50, 0))), want: Pass},
		{rule: "CP101", name: "connections are rarely opened", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 30, 30, 0.5)) }),
			want: Pass, message: "open at most 0.5 a second each"},
		{rule: "CP101", name: "connections that the server closes count", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) {
			in.Observations = seen(leavingNothing(pod("a", 4, 0, 470)))
		}), want: Fail, severity: Warning},
		{rule: "CP101", name: "one pod opens rarely, of the other it is not known", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) {
			in.Observations = seen(pod("a", 30, 30, 0.5), unread(pod("b", 30, 30, 0)))
		}), want: Fail, severity: Warning},
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
		{rule: "CP102", name: "one vantage of two", in: http(probe(handshakeOf(10, 0)), probe(handshakeOf(10, 1))), want: Fail, severity: Warning, message: "1 SYN "},
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
		{rule: "CP103", name: "298 connects and none above", in: objective(1000, connects(298, 900)), want: Unknown, message: "298 connects are too few to prove the objective of 1 ms: with none above it, 299 are needed. For that, probe.limits.connections has to be 299 or more, and so has requestsPerSecond × seconds."},
		{rule: "CP103", name: "limits that suit all measurements", in: with(objective(1000, connects(67, 900)), func(in *Input) {
			in.Probes[0].Result.Measurements.Reuse, in.Probes[0].Result.Measurements.TimeWait = &result.Reuse{}, &result.TimeWait{}
		}), want: Unknown, message: "For that, probe.limits.connections has to be 895 or more"},
		{rule: "CP103", name: "limits for each of two vantages", in: with(objective(1000, connects(67, 900), connects(67, 900)), func(in *Input) {
			for i := range in.Probes {
				in.Probes[i].Result.Measurements.Reuse, in.Probes[i].Result.Measurements.TimeWait = &result.Reuse{}, &result.TimeWait{}
			}
		}), want: Unknown, message: "134 connects are too few to prove the objective of 1 ms: with none above it, 299 are needed. For that, 150 from each of 2 nodes, probe.limits.connections has to be 448 or more"},
		{rule: "CP103", name: "one above", in: objective(1000, connects(299, 1500)), want: Unknown, message: "473 are needed"},
		{rule: "CP103", name: "one in ten above", in: objective(250, connects(100, 900)), want: Fail, severity: Warning, message: "at least 11 of 100"},
		{rule: "CP103", name: "one vantage misses it", in: objective(250, connects(100, 240), connects(100, 900)), want: Fail, severity: Warning},
		{rule: "CP103", name: "every vantage misses a little", in: objective(250, few(40), few(40), few(40), few(40), few(40), few(40)), want: Fail, severity: Warning, message: "over all vantages"},
		{rule: "CP103", name: "the probe counted one above", in: objective(250, counted(connects(600, 900), 250, 1)), want: Pass, message: "At most 1 of 600"},
		{rule: "CP103", name: "the probe counted too many", in: objective(250, counted(connects(600, 900), 250, 20)), want: Fail, severity: Warning, message: "at least 20 of 600"},
		{rule: "CP103", name: "the probe counted for another objective", in: objective(1000, counted(connects(299, 900), 100, 250)), want: Pass},
		{rule: "CP103", name: "no connection was made", in: objective(1000, result.Handshake{Meta: result.Meta{Outcome: result.Measured}}), want: Unknown},
		{rule: "CP103", name: "no objective", in: http(probe(handshakeOf(10, 0))), want: NotApplicable},
	}
}
