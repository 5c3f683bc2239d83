package userrules

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"

	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// mostEvidence and evidenceBytes bound what a verdict holds of the figures that a condition reads.
	mostEvidence  = 8
	evidenceBytes = 64
	cure          = "The policy's author set this rule: see spec.audit.rules."
)

// place is where a condition is evaluated: at a vantage, in a pod of the workload, or with both.
type place struct {
	probe       *audit.ProbeResult
	observation *audit.PodObservation
	// unobserved says that nobody is to look into pods.
	unobserved bool
}

// Verdict judges a link: the condition must hold at every vantage and in every observed pod. The gravest judgement counts.
func (c Compiled) Verdict(in audit.Input) audit.Verdict {
	verdicts := make([]audit.Verdict, 0, 1)
	for _, p := range c.places(in) {
		verdicts = append(verdicts, c.at(p))
	}
	order := []audit.Result{audit.NotApplicable, audit.Pass, audit.Unknown, audit.Fail}
	return slices.MaxFunc(verdicts, func(a, b audit.Verdict) int {
		return slices.Index(order, a.Result) - slices.Index(order, b.Result)
	})
}

// places are where the condition has to hold. There is always one, if need be one of which nothing is known.
func (c Compiled) places(in audit.Input) []place {
	probes, observations := []*audit.ProbeResult{nil}, []*audit.PodObservation{nil}
	if c.ofProbe && len(in.Probes) > 0 {
		probes = pointers(in.Probes)
	}
	if c.ofObserver && len(in.Observations) > 0 {
		observations = pointers(in.Observations)
	}
	var places []place
	for _, p := range probes {
		for _, o := range observations {
			places = append(places, place{p, o, in.ServerOnly || in.Unobserved})
		}
	}
	return places
}

func pointers[T any](list []T) []*T {
	all := make([]*T, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}

// at judges the condition in one place.
func (c Compiled) at(p place) audit.Verdict {
	verdict := audit.Verdict{Rule: c.ID(), Title: Title}
	variables := p.variables()
	value, _, err := c.bounded.Eval(variables)
	if stopped := (interpreter.EvalCancelledError{}); errors.As(err, &stopped) {
		verdict.Result, verdict.Message = audit.Unknown, p.say("The rule takes too much work to evaluate; shorten its lists.")
		return verdict
	}
	_, trace, _ := c.tracing.Eval(variables) // with the same error as above
	switch {
	case err != nil:
		verdict.Result, verdict.Message = c.withoutFigures(p, trace, err)
	case value == types.True:
		verdict.Result, verdict.Message, verdict.Evidence = audit.Pass, p.say("The rule is met."), c.evidence(trace)
	default:
		message := c.Message
		if message == "" {
			message = "The rule is not met: " + c.Expression
		}
		verdict.Result, verdict.Severity, verdict.Message = audit.Fail, c.Severity, p.say(message)
		verdict.Evidence, verdict.Cure = c.evidence(trace), cure
	}
	return verdict
}

// say names the place that a message is about.
func (p place) say(message string) string {
	var where []string
	if p.probe != nil && p.probe.Node != "" {
		where = append(where, "from node "+p.probe.Node)
	}
	if p.observation != nil {
		where = append(where, "in pod "+p.observation.Pod)
	}
	if len(where) == 0 {
		return message
	}
	text := strings.Join(where, ", ") + ": " + message
	return strings.ToUpper(text[:1]) + text[1:]
}

// variables are the values of the environment's variables in a place. One of which nothing is known is absent.
func (p place) variables() map[string]any {
	values := map[string]any{}
	if p.observation != nil {
		values[observerVariable] = p.observation.Observation
	}
	if p.probe == nil {
		return values
	}
	values[hostVariable], values[targetVariable] = p.probe.Result.Host, p.probe.Result.Target
	if p.probe.Result.Statuses != nil {
		values[statusesVariable] = p.probe.Result.Statuses
	}
	measurements := reflect.ValueOf(p.probe.Result.Measurements)
	for _, field := range reflect.VisibleFields(measurements.Type()) {
		if measurement := measurements.FieldByIndex(field.Index); !measurement.IsNil() {
			values[jsonName(field)] = measurement.Elem().Interface()
		}
	}
	return values
}

// withoutFigures judges a condition that could not be evaluated: it needs what is not known, or fails on the values that
// there are. It does not apply where all that it lacks was not asked for.
func (c Compiled) withoutFigures(p place, trace *cel.EvalDetails, err error) (audit.Result, string) {
	var missing []string
	notAsked := true
	for id, name := range c.figures {
		if value, read := trace.State().Value(id); read && types.IsError(value) {
			missing = append(missing, name)
			notAsked = notAsked && p.notAsked(name)
		}
	}
	slices.Sort(missing)
	names := strings.Join(slices.Compact(missing), ", ")
	switch {
	case len(missing) == 0:
		return audit.Unknown, p.say(fmt.Sprintf("The rule could not be evaluated: %v.", err))
	case notAsked && strings.HasPrefix(names, observerVariable):
		return audit.NotApplicable, p.say(fmt.Sprintf("The rule reads %s, and the policy has nobody look into pods.", names))
	case notAsked:
		return audit.NotApplicable, p.say(fmt.Sprintf("The rule reads %s, which this link is not measured for.", names))
	}
	if p.probe != nil && p.probe.Result.Statuses != nil && strings.HasPrefix(names, statusesVariable+"[") {
		return audit.Unknown, p.say(fmt.Sprintf("The rule reads %s, and there is no such status; '503' in statuses asks whether there is one.", names))
	}
	return audit.Unknown, p.say(fmt.Sprintf("The rule reads %s, which is not known.", names))
}

// notAsked says whether a figure is of a measurement that the probe was not asked for, or of an observer that the policy does
// not have.
func (p place) notAsked(name string) bool {
	measurement, _, _ := strings.Cut(name, ".")
	if measurement == observerVariable {
		return p.observation == nil && p.unobserved
	}
	if p.probe == nil || slices.Contains(p.probe.Result.Dropped, measurement) {
		return false
	}
	for _, f := range result.Fields() {
		if f.Name == measurement {
			return f.Meta(&p.probe.Result.Measurements) == nil
		}
	}
	return false
}

// evidence are the values of the figures that the condition reads, as far as it had to read them.
func (c Compiled) evidence(trace *cel.EvalDetails) map[string]string {
	evidence := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(c.figures)) {
		value, read := trace.State().Value(id)
		if !read || types.IsError(value) || len(evidence) == mostEvidence {
			continue
		}
		text := fmt.Sprint(value.Value())
		evidence[c.figures[id]] = text[:min(len(text), evidenceBytes)]
	}
	return evidence
}
