package audit

func portCases() []ruleCase {
	return []ruleCase{
		{rule: "CP401", name: "ports have run out", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 100, 0, 1), pod("b", 28100, 27900, 468)) }),
			want: Fail, severity: Error, message: "Pod b held 28,100 of 28,232 local ports (99 %) towards 198.18.96.7:80, 27,900 of them in TIME_WAIT, and opened 468 connections a second. New connections fail"},
		{rule: "CP401", name: "half is held", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 14116, 14000, 235)) }),
			want: Fail, severity: Warning, message: "connect() becomes slow"},
		{rule: "CP401", name: "over the objective", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 8000, 7900, 130)), new(25)
		}), want: Fail, severity: Warning, message: "(28 %) towards 198.18.96.7:80, 7,900 of them in TIME_WAIT, and opened 130 connections a second; the objective is 25 %"},
		{rule: "CP401", name: "an objective does not hide that ports run out", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 26000, 7900, 130)), new(95)
		}), want: Fail, severity: Error},
		{rule: "CP401", name: "within a wide objective", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 16000, 7900, 130)), new(60)
		}), want: Pass},
		{rule: "CP401", name: "TIME_WAIT is harmless", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 1200, 1190, 20)) }),
			want: Pass, message: "TIME_WAIT does no harm"},
		{rule: "CP401", name: "no socket to the link", in: with(http(), func(in *Input) { in.Observations = seen(elsewhere(pod("a", 28100, 28000, 468))) }),
			want: Pass, message: "Pod a held 0 of 28,232"},
		{rule: "CP401", name: "looked for seconds only", in: with(http(), func(in *Input) { in.Observations = seen(young(pod("a", 1200, 1190, 20))) }), want: Unknown, message: "12 seconds"},
		{rule: "CP401", name: "one pod could not be read", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 1200, 1190, 20), unread(pod("b", 0, 0, 0))) }), want: Unknown, message: "pod b"},
		{rule: "CP401", name: "addresses are not known", in: with(http(), func(in *Input) { in.Observations, in.Addresses = seen(pod("a", 1200, 1190, 20)), nil }), want: Unknown},
		{rule: "CP401", name: "no observer", in: http(), want: Unknown},
		{rule: "CP401", name: "observers failed", in: with(http(), func(in *Input) {
			in.ObserverTroubles = []string{"the kubelet of node n1 is slow", "refused"}
		}), want: Unknown, message: "No observer could look: the kubelet of node n1 is slow."},
		{rule: "CP401", name: "one observer of two failed", in: with(http(), func(in *Input) {
			in.Observations, in.ObserverTroubles = seen(pod("a", 1200, 1190, 20)), []string{"refused"}
		}), want: Pass},
		{rule: "CP401", name: "loopback", in: with(http(), func(in *Input) {
			in.Observations, in.Addresses = seen(pod("a", 1200, 1190, 20)), []string{"127.0.0.6:15001", "[::1]:80"}
		}), want: NotApplicable},
		{rule: "CP401", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP403", name: "a listener inside the range", in: with(http(), func(in *Input) { in.Observations = seen(listening(pod("a", 0, 0, 0), "", 8080, 50051)) }),
			want: Fail, severity: Warning, message: "Pod a listens on 50051, which connect() may choose for an outgoing connection (32768-60999)"},
		{rule: "CP403", name: "reserved", in: with(http(), func(in *Input) {
			in.Observations = seen(listening(pod("a", 0, 0, 0), "50000-50100", 8080, 50051))
		}), want: Pass},
		{rule: "CP403", name: "below the range", in: with(http(), func(in *Input) { in.Observations = seen(listening(pod("a", 0, 0, 0), "", 8080, 9964)) }), want: Pass},
		{rule: "CP403", name: "range not read", in: with(http(), func(in *Input) { in.Observations = seen(unread(pod("a", 0, 0, 0))) }), want: Unknown},
		{rule: "CP403", name: "reserved ports not read", in: with(http(), func(in *Input) {
			in.Observations = seen(pod("a", 0, 0, 0))
			delete(in.Observations[0].Observation.Sysctls, sysctlReservedPorts)
		}), want: Unknown, message: sysctlReservedPorts},
		{rule: "CP403", name: "not even the observer's own listener", in: with(http(), func(in *Input) { in.Observations = seen(listening(pod("a", 0, 0, 0), "")) }), want: Unknown},
		{rule: "CP403", name: "observers failed", in: with(http(), func(in *Input) {
			in.ObserverTroubles = []string{"the kubelet of node n1 is slow", "refused"}
		}), want: Unknown, message: "No observer could look: the kubelet of node n1 is slow."},
		{rule: "CP403", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},
	}
}
