package audit

import "github.com/connpolicy/connpolicy/probes/result"

func reuseCases() []ruleCase {
	return []ruleCase{
		{rule: "CP201", name: "announced", in: http(probe(closed(result.CloseAnnounced))), want: Fail, severity: Warning, message: "after its first response, as it had announced"},
		{rule: "CP201", name: "unannounced", in: http(probe(closed(result.CloseUnannounced))), want: Fail, severity: Warning, message: "without announcing it"},
		{rule: "CP201", name: "kept", in: http(probe(reuseOf(60))), want: Pass, message: "at least 60 requests"},
		{rule: "CP201", name: "HTTP/1.0", in: http(probe(closed(result.CloseHTTP10))), want: NotApplicable, message: "CP203"},
		{rule: "CP201", name: "not found out", in: http(probe(result.Reuse{Meta: measured()})), want: Unknown},

		{rule: "CP202", name: "after four requests", in: http(probe(closedAfter(4, result.CloseAnnounced))), want: Fail, severity: Warning,
			message: "A connection carried 4 requests, so that set-ups cost 28.9 % of the time"},
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
	}
}
