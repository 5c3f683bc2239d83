package audit

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func setupObjective() Rule {
	return Rule{
		ID: "CP111", Title: "The share of set-up misses its objective",
		Category: CategorySetup, Severity: Warning, Needs: []string{needHandshake},
		AppliesNot: "Policies without the objective setupSharePercent, links over which the probe makes no HTTP/1 request, and policies that do not ask for the measurement handshake.",
		Why: "You set the objective setupSharePercent; it bounds the median share of a small transaction on a new connection that goes into setting the connection up. " +
			"Whether reuse would save that time, and whether the workload opens enough connections to feel it, CP101 says.",
		Cures: []string{
			"Reuse connections, so that few requests pay for the set-up (CP101, CP204). What is left of it is round trips: TLS 1.3 takes one fewer than TLS 1.2 (CP109), and so does a resumed session of TLS 1.2 (CP108); a server that is nearer makes them shorter.",
		},
		Source: "spec.objectives of the policy; RFC 9293 section 3.5 (three-way handshake)",
		judge:  judgeSetupObjective,
	}
}

func judgeSetupObjective(in Input) judgement {
	objective := in.Objectives.SetupSharePercent
	switch {
	case objective == nil:
		return notApplicable("The policy sets no objective setupSharePercent.")
	case !speaksHTTP1(in.Protocol):
		return notApplicable(noSmallRequest)
	}
	return perFigures(in, handshakeSource(), func(_ ProbeResult, h *result.Handshake) judgement {
		switch {
		case h.SetupSharePercent == nil:
			return unknown("No request was answered, so the share of the set-up is not known.")
		case h.ConnectMicroseconds == nil || h.ConnectMicroseconds.P50Low == nil:
			return unknown("Too few connections were made to know a median by.")
		}
		share := *h.SetupSharePercent
		seen := fmt.Sprintf("Set-up is %s of a small transaction on a new connection", figure.Percent(share))
		evidence := map[string]string{"setupSharePercent": fmt.Sprintf("%.1f", share), "objectivePercent": strconv.Itoa(*objective)}
		if share > float64(*objective) {
			return fail(Warning, fmt.Sprintf("%s; the objective is %d %%.", seen, *objective), evidence, 0)
		}
		return pass(fmt.Sprintf("%s, within the objective of %d %%.", seen, *objective), evidence)
	})
}

func portObjective() Rule {
	return Rule{
		ID: "CP412", Title: "The share of local ports that is held misses its objective",
		Category: CategoryPorts, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without the objective portUtilizationPercent or without `from`, and targets on loopback.",
		Why: "You set the objective portUtilizationPercent; it bounds the share of the local ports that a pod holds towards one address and port, TIME_WAIT included. " +
			"Once half of them are held connect() is slow, whatever the objective says; CP401 judges that.",
		Cures: []string{
			"Reuse connections, with a pool and keep-alive (CP204 says whether the client does). Then widen the range (tuning.mode Recommend or Apply with the knob ephemeralPorts), or spread the connections over more pods.",
		},
		Source: "spec.objectives of the policy; include/net/tcp.h, TCP_TIMEWAIT_LEN",
		judge:  judgePortObjective,
	}
}

func judgePortObjective(in Input) judgement {
	objective := in.Objectives.PortUtilizationPercent
	if objective == nil {
		return notApplicable("The policy sets no objective portUtilizationPercent.")
	}
	if len(in.Addresses) > 0 && !slices.ContainsFunc(in.Addresses, func(a string) bool { return !onLoopback(a) }) {
		return notApplicable(freeOnLoopback)
	}
	return perPortUse(in, func(use PortUse, lookedSeconds float64) judgement {
		seen, evidence := portUseInWords(use)
		evidence["objectivePercent"] = strconv.Itoa(*objective)
		switch {
		case use.percent() > float64(*objective):
			return fail(Warning, fmt.Sprintf("%s; the objective is %d %%.", seen, *objective), evidence, 0)
		case lookedSeconds < timeWaitSeconds:
			return unknown(lookedTooShort(seen, lookedSeconds))
		}
		return pass(fmt.Sprintf("%s, within the objective of %d %%.", seen, *objective), evidence)
	})
}
