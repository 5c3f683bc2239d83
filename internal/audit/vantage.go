package audit

import (
	"fmt"
	"slices"
	"strings"
)

// perVantage judges each probe's result and returns the gravest judgement, with the vantage named in its message.
func perVantage(in Input, judge func(ProbeResult) judgement) judgement {
	if len(in.Probes) == 0 {
		return unknown("No probe has brought a result yet.")
	}
	judgements := make([]judgement, 0, len(in.Probes))
	for _, p := range in.Probes {
		j := judge(p)
		if p.Node != "" && j.result != NotApplicable {
			j.message = fmt.Sprintf("From node %s: %s", p.Node, j.message)
		}
		judgements = append(judgements, j)
	}
	return gravest(judgements)
}

// gravest returns the first of those that weigh most: a fail before an unknown, that before a pass. It panics without
// any.
func gravest(judgements []judgement) judgement {
	return slices.MaxFunc(judgements, func(a, b judgement) int { return a.gravity() - b.gravity() })
}

func (j judgement) gravity() int {
	order := []Result{NotApplicable, Pass, Unknown}
	if j.result != Fail {
		return slices.Index(order, j.result)
	}
	severities := []Severity{Info, Warning, Error}
	return len(order) + slices.Index(severities, j.severity)
}

func unknown(message string) judgement { return judgement{result: Unknown, message: message} }

func notApplicable(message string) judgement {
	return judgement{result: NotApplicable, message: message}
}

func pass(message string, evidence map[string]string) judgement {
	return judgement{result: Pass, message: message, evidence: evidence}
}

// fail is a finding whose best cure is Rule.Cures[cure].
func fail(severity Severity, message string, evidence map[string]string, cure int) judgement {
	return judgement{result: Fail, severity: severity, message: message, evidence: evidence, cure: cure}
}

// notObserved returns the judgement of a rule on the workload's own sockets where nothing was seen of them.
func notObserved(in Input) (j judgement, ok bool) {
	switch {
	case in.ServerOnly:
		return notApplicable("The policy names no workload in `from`, so the server side alone is judged."), true
	case len(in.Observations) == 0 && in.Unobserved:
		return notApplicable("The policy asks for no observer (observe.pods is 0), so nothing is seen of the workload's own sockets."), true
	case len(in.Observations) == 0 && len(in.ObserverTroubles) > 0:
		return unknown("No observer could look: " + strings.TrimRight(in.ObserverTroubles[0], " .") + "."), true
	case len(in.Observations) == 0:
		return unknown("No observer has seen the workload's own sockets. It takes observe.pods of 1 or more, and a running pod that admits it."), true
	}
	return judgement{}, false
}

// perPod judges each observed pod and returns the gravest judgement.
func perPod(in Input, judge func(PodObservation) judgement) judgement {
	if j, none := notObserved(in); none {
		return j
	}
	judgements := make([]judgement, 0, len(in.Observations))
	for _, o := range in.Observations {
		judgements = append(judgements, judge(o))
	}
	return gravest(judgements)
}
