package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Names of the measurements, as policies and results name them, and of what is not a probe's but an observer's.
const (
	needHandshake = "handshake"
	needReuse     = "reuse"
	needObserver  = "observer"
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

// notMeasured judges a measurement that has no figures: unknown with the cause, or not applicable if it was not asked
// for. With figures ok is false. meta is nil where the result has no such measurement.
func notMeasured(p ProbeResult, name string, meta *result.Meta) (j judgement, ok bool) {
	switch {
	case meta != nil && meta.Outcome == result.Measured:
		return judgement{}, false
	case meta != nil:
		return unknown(fmt.Sprintf("The measurement %s %s: %s.", name, outcomeInWords(meta.Outcome), meta.Cause)), true
	case slices.Contains(p.Result.Dropped, name):
		return unknown(fmt.Sprintf("The measurement %s was made, but did not fit into the probe's message.", name)), true
	}
	return notApplicable(fmt.Sprintf("The policy does not ask for the measurement %s.", name)), true
}

// handshake returns the measurement with its figures, or how to judge that there is none.
func handshake(p ProbeResult) (*result.Handshake, *judgement) {
	h := p.Result.Measurements.Handshake
	var meta *result.Meta
	if h != nil {
		meta = &h.Meta
	}
	if j, missing := notMeasured(p, needHandshake, meta); missing {
		return nil, &j
	}
	return h, nil
}

// reuse returns the measurement with its figures, or how to judge that there is none.
func reuse(in Input, p ProbeResult) (*result.Reuse, *judgement) {
	if in.Protocol != protocolHTTP {
		j := notApplicable("Whether a connection carries several requests can be told for HTTP only.")
		return nil, &j
	}
	r := p.Result.Measurements.Reuse
	var meta *result.Meta
	if r != nil {
		meta = &r.Meta
	}
	if j, missing := notMeasured(p, needReuse, meta); missing {
		return nil, &j
	}
	return r, nil
}

func outcomeInWords(o result.Outcome) string {
	switch o {
	case result.Unsupported:
		return "is not supported here"
	case result.Skipped:
		return "was skipped"
	case result.Lost:
		return "was lost"
	}
	return "failed"
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
	case len(in.Observations) == 0 && len(in.ObserverTroubles) > 0:
		return unknown("No observer could look: " + strings.TrimRight(in.ObserverTroubles[0], " .") + "."), true
	case len(in.Observations) == 0:
		return unknown("No observer has seen the workload's own sockets. It takes observe.pods of 1 or more, and a running pod that admits it."), true
	}
	return judgement{}, false
}
