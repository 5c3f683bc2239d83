package audit

import "github.com/connpolicy/connpolicy/probes/result"

const stampOfTuning = "deployment-checkout.1f3a"

// tuned is a link of a workload in whose pods the operator sets the range of ports.
func tuned(change func(*Tuning), pods ...PodObservation) Input {
	in := observing(http(), pods...)
	in.Tuning = &Tuning{
		WorkedOut: true, Stamp: stampOfTuning, Sysctls: map[string]string{sysctlPortRange: "10000 65535", sysctlReservedPorts: "9964,30000-32767"},
		Tried: []Trial{{NodeKind: "v1.37.2 on 6.18", Outcome: result.Measured}, {NodeKind: "v1.36.0 on 6.12", Outcome: result.Measured}},
	}
	change(in.Tuning)
	return in
}

func asPlanned(*Tuning) {}

// stamped is a pod that was created with the operator's values, and has others.
func stamped(portRange, reserved string) PodObservation {
	o := listening(pod("a", 20, 0, 1), reserved, 8080)
	o.Stamp, o.Observation.Sysctls[sysctlPortRange] = stampOfTuning, portRange
	return o
}

func settingCases() []ruleCase {
	return []ruleCase{
		{rule: "CP701", name: "another range is in force", in: tuned(asPlanned, stamped("32768\t60999", "9964,30000-32767")), want: Fail, severity: Warning,
			message: "Pod a was created with net.ipv4.ip_local_port_range = 10000 65535 and has 32768 60999"},
		{rule: "CP701", name: "nothing is reserved", in: tuned(asPlanned, stamped("10000\t65535", "")), want: Fail, severity: Warning, message: "and has nothing"},
		{rule: "CP701", name: "read back", in: tuned(asPlanned, stamped("10000\t65535", "30000-32767,9964")), want: Pass, message: "2 settings of pod a"},
		{rule: "CP701", name: "not read", in: tuned(asPlanned, set(stamped("x", "x"), sysctlPortRange, "")), want: Unknown},
		{rule: "CP701", name: "no pod has them yet", in: tuned(asPlanned, pod("a", 20, 0, 1)), want: NotApplicable, message: "yet"},
		{rule: "CP701", name: "an earlier revision's", in: tuned(asPlanned, with(stamped("1024 65535", ""), func(o *PodObservation) { o.Stamp = "deployment-checkout.0000" })), want: NotApplicable},
		{rule: "CP701", name: "no observer", in: tuned(asPlanned), want: Unknown},
		{rule: "CP701", name: "nothing is set", in: tuned(func(t *Tuning) { t.Stamp, t.Sysctls = "", nil }, pod("a", 20, 0, 1)), want: NotApplicable},
		{rule: "CP701", name: "no tuning", in: observing(http(), pod("a", 20, 0, 1)), want: NotApplicable},

		{rule: "CP702", name: "a kind of node refuses it", in: tuned(func(t *Tuning) {
			t.Tried[1].Outcome, t.Tried[1].Cause = result.Failed, "Pod was rejected: forbidden sysctl: \"net.ipv4.ip_local_reserved_ports\" not allowlisted"
		}), want: Fail, severity: Warning, message: "On nodes of kind v1.36.0 on 6.12 the settings do not come into force: Pod was rejected: forbidden sysctl"},
		{rule: "CP702", name: "Pod Security refuses it", in: tuned(func(t *Tuning) {
			t.Tried, t.Forbidden = nil, "Pod Security of the namespace refuses net.ipv4.ip_local_port_range."
		}),
			want: Fail, severity: Warning, message: "Pod Security"},
		{rule: "CP702", name: "all kinds take it", in: tuned(asPlanned), want: Pass, message: "2 kinds of node"},
		{rule: "CP702", name: "one is being tried", in: tuned(func(t *Tuning) { t.Tried[1].Outcome = "" }), want: Unknown, message: "v1.36.0"},
		{rule: "CP702", name: "none was tried", in: tuned(func(t *Tuning) { t.Tried = nil }), want: Unknown},
		{rule: "CP702", name: "being worked out", in: tuned(func(t *Tuning) { t.WorkedOut = false }), want: Unknown},
		{rule: "CP702", name: "overridden", in: tuned(func(t *Tuning) { t.Tried, t.Overridden = nil, "The pod template sets it." }), want: NotApplicable},
		{rule: "CP702", name: "no tuning", in: http(), want: NotApplicable},

		{rule: "CP703", name: "the pod template sets it", in: tuned(func(t *Tuning) {
			t.Overridden = "The pod template of Deployment checkout sets net.ipv4.ip_local_port_range itself, and that is left alone."
		}), want: Fail, severity: Info, message: "Deployment checkout sets"},
		{rule: "CP703", name: "somebody else set it", in: tuned(asPlanned, set(pod("a", 20, 0, 1), sysctlPortRange, "1024\t65535")), want: Fail, severity: Info, message: "has net.ipv4.ip_local_port_range = 1024 65535 instead of the kernel's own 32768 60999"},
		{rule: "CP703", name: "the kernel's own", in: tuned(asPlanned, pod("a", 20, 0, 1)), want: Pass},
		{rule: "CP703", name: "the operator's own", in: tuned(asPlanned, stamped("10000\t65535", "9964,30000-32767")), want: Pass, message: "CP701"},
		{rule: "CP703", name: "not read", in: tuned(asPlanned, unread(pod("a", 20, 0, 1))), want: Unknown},
		{rule: "CP703", name: "no tuning", in: observing(http(), pod("a", 20, 0, 1)), want: NotApplicable},

		{rule: "CP704", name: "bounds leave nothing", in: tuned(func(t *Tuning) {
			t.Conflict = "No range of local ports satisfies everybody: policy a wants at most 2048, policy b at least 9000."
		}), want: Fail, severity: Warning, message: "policy a"},
		{rule: "CP704", name: "all agree", in: tuned(asPlanned), want: Pass},
		{rule: "CP704", name: "being worked out", in: tuned(func(t *Tuning) { t.WorkedOut = false }), want: Unknown},
		{rule: "CP704", name: "no tuning", in: http(), want: NotApplicable},
	}
}
