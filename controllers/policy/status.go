package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

// failuresTolerated is how often in a row a probe that has worked before may fail until the policy is not Ready.
const failuresTolerated = 3

// summarise makes the policy's status from what the steps found. It is pure but for the scope's policy.
func (s *scope) summarise() {
	status := &s.policy.Status
	status.ObservedGeneration = s.policy.Generation
	status.Links = nil
	for _, l := range s.links {
		status.Links = append(status.Links, l.summary(s.source.trouble))
	}
	status.SetupSharePercent = highest(status.Links, func(l v1alpha1.LinkStatus) *int32 { return l.SetupSharePercent })
	status.PortUtilizationPercent = highest(status.Links, func(l v1alpha1.LinkStatus) *int32 { return l.PortUtilizationPercent })
	status.Findings = allFindings(status.Links)
	status.NextProbeTime = s.nextProbeTime()
	status.Proposals = proposals(s.policy, s.tuning)

	s.setReady()
	s.set(v1alpha1.ConditionProbed, s.probed())
	s.set(v1alpha1.ConditionCompliant, s.compliant())
	s.set(v1alpha1.ConditionTuned, s.tuned())
}

// state is a condition without its type.
type state struct {
	status          metav1.ConditionStatus
	reason, message string
}

func (s *scope) set(conditionType string, to state) {
	meta.SetStatusCondition(&s.policy.Status.Conditions, metav1.Condition{
		Type: conditionType, Status: to.status, Reason: to.reason, Message: clip.To(to.message, 4*maximumMessageBytes),
		ObservedGeneration: s.policy.Generation, LastTransitionTime: metav1.NewTime(s.now),
	})
}

// setReady sets Ready, and Reconciling and Stalled, which are there only while they are true.
func (s *scope) setReady() {
	conditions := &s.policy.Status.Conditions
	ready := s.ready()
	s.set(v1alpha1.ConditionReady, ready)
	if ready.reason == v1alpha1.ReasonProgressing {
		s.set(v1alpha1.ConditionReconciling, state{metav1.ConditionTrue, ready.reason, ready.message})
	} else {
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
	}
	if ready.reason == v1alpha1.ReasonHostNetwork || ready.reason == v1alpha1.ReasonInvalid {
		s.set(v1alpha1.ConditionStalled, state{metav1.ConditionTrue, ready.reason, ready.message})
	} else {
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
	}
}

// ready: is the policy understood and carried out? What was found in doing so does not matter here.
func (s *scope) ready() state {
	switch {
	case s.policy.Spec.Suspend:
		return state{metav1.ConditionTrue, v1alpha1.ReasonSuspended, "suspended; what was measured and changed before stays"}
	case s.source.trouble.any():
		return state{metav1.ConditionFalse, s.source.trouble.reason, s.source.trouble.message}
	}
	var first trouble
	var messages, pending, fruitless []string
	if invalid := s.rules.trouble(); invalid.any() {
		first, messages = invalid, append(messages, invalid.message)
	}
	for _, l := range s.links {
		if found := l.obstacle(); found.any() {
			if !first.any() {
				first = found
			}
			messages = append(messages, "link "+l.spec.Name+": "+found.message)
		} else if !l.hasResult() {
			pending = append(pending, l.spec.Name)
		} else if cause := l.fruitless(); cause != "" {
			fruitless = append(fruitless, "link "+l.spec.Name+": "+cause)
		}
	}
	switch {
	case len(messages) > 0:
		return state{metav1.ConditionFalse, first.reason, strings.Join(messages, "; ")}
	case len(pending) > 0:
		return state{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "the first probes are on their way: " + strings.Join(pending, ", ")}
	case len(fruitless) > 0:
		return state{metav1.ConditionTrue, v1alpha1.ReasonSucceeded,
			inTotal(len(s.links)) + " probed as asked; " + strings.Join(fruitless, "; ")}
	default:
		return state{metav1.ConditionTrue, v1alpha1.ReasonSucceeded, inTotal(len(s.links)) + " measured as asked"}
	}
}

func inTotal(links int) string {
	if links == 1 {
		return "the link is"
	}
	return fmt.Sprintf("all %d links are", links)
}

// obstacle keeps a link from being measured.
func (l *link) obstacle() trouble {
	if l.trouble.any() {
		return l.trouble
	}
	run := l.status.Run
	if run == nil || run.Phase == v1alpha1.RunFinished {
		return trouble{}
	}
	if run.Failures >= failuresTolerated || run.Failures > 0 && !l.hasResult() {
		return trouble{v1alpha1.ReasonProbeFailed, lastCause(run)}
	}
	return trouble{}
}

// hasResult says whether the link was ever measured as it is asked for now.
func (l *link) hasResult() bool { return l.status.Run != nil && l.status.Run.LastResultAt != nil }

func lastCause(run *v1alpha1.ProbeRunStatus) string {
	for _, pod := range slices.Backward(run.Pods) {
		if pod.Cause != "" {
			return fmt.Sprintf("probe pod %s: %s (%d failures in a row)", pod.Name, pod.Cause, run.Failures)
		}
	}
	return "probe pods brought no result"
}

// summary is the status of a link.
func (l *link) summary(source trouble) v1alpha1.LinkStatus {
	status := v1alpha1.LinkStatus{Name: l.spec.Name, Run: l.status.Run, IdleRun: l.status.IdleRun}
	if l.report != nil {
		status.Report = l.report.Name
		status.Findings = l.report.Status.Findings
		if figures := l.report.Status.KeyFigures; figures != nil {
			status.HandshakeP99Microseconds = figures.HandshakeP99Microseconds
			status.SetupSharePercent = figures.SetupSharePercent
			status.PortUtilizationPercent = figures.PortUtilizationPercent
		}
	}
	switch {
	case source.any():
		status.Message = source.message
	case l.trouble.any():
		status.Message = l.trouble.message
	case l.waiting != "":
		status.Message = l.waiting
	case l.status.Run != nil && l.status.Run.Phase != v1alpha1.RunFinished && l.status.Run.Failures > 0:
		status.Message = lastCause(l.status.Run)
	default:
		status.Message = cmp.Or(l.fruitless(), l.idleTrouble())
	}
	status.Message = clip.To(status.Message, maximumMessageBytes)
	return status
}

// fruitless says why the probes that came to their end could measure nothing, such as a target that refuses; empty if
// they measured something.
func (l *link) fruitless() string {
	if l.report == nil {
		return ""
	}
	cause := ""
	for _, v := range vantage.Whole(l.report.Status.Vantages) {
		found, err := vantage.Result(v, nil)
		if err != nil {
			continue // the next result takes its place
		}
		for _, field := range slices.Backward(result.Fields()) { // what the rules stand on most first
			m := field.Meta(&found.Measurements)
			switch {
			case m == nil:
			case m.Outcome == result.Measured:
				return ""
			case cause == "" && m.Cause != "":
				cause = fmt.Sprintf("nothing could be measured from node %s: %s", v.Node, m.Cause)
			}
		}
	}
	return cause
}

// probed: has every link a result from its last run?
func (s *scope) probed() state {
	switch {
	case s.policy.Spec.Suspend:
		return state{metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "suspended"}
	case s.source.trouble.any():
		return state{metav1.ConditionFalse, s.source.trouble.reason, s.source.trouble.message}
	}
	for _, l := range s.links {
		prefix := "link " + l.spec.Name + ": "
		run := l.status.Run
		switch {
		case l.trouble.any():
			return state{metav1.ConditionFalse, l.trouble.reason, prefix + l.trouble.message}
		case run != nil && run.Phase != v1alpha1.RunFinished && run.Failures > 0:
			return state{metav1.ConditionFalse, v1alpha1.ReasonProbeFailed, prefix + lastCause(run)}
		case l.waiting != "" && !l.hasResult():
			return state{metav1.ConditionUnknown, v1alpha1.ReasonWaiting, prefix + l.waiting}
		case !l.hasResult():
			return state{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, prefix + "the first probe is on its way"}
		case l.fruitless() != "":
			return state{metav1.ConditionFalse, v1alpha1.ReasonProbeFailed, prefix + l.fruitless()}
		}
	}
	return state{metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "every link has a result"}
}

// compliant: does any rule fail?
func (s *scope) compliant() state {
	var failing, unknown, silent []string
	passing, until := 0, time.Time{}
	judged, gravest, ofSilence := len(s.links) > 0, s.gravestOf(), rulesOfSilence()
	for _, l := range s.links {
		var judgements []v1alpha1.Verdict
		if l.report != nil {
			judgements = l.report.Status.Judgements()
		}
		judged = judged && len(judgements) > 0
		awaits := s.awaitsSilence(l)
		for _, v := range judgements {
			switch {
			case v.Result == v1alpha1.VerdictFail && v.Severity != v1alpha1.SeverityInfo:
				failing = append(failing, l.spec.Name+" "+v.Rule)
			case v.Result == v1alpha1.VerdictPass:
				passing++
			case v.Result != v1alpha1.VerdictUnknown || gravest[v.Rule] == audit.Info:
			case awaits && slices.Contains(ofSilence, v.Rule):
				silent = append(silent, l.spec.Name+" "+v.Rule)
				until = latest(until, l.idleUntil)
			default:
				unknown = append(unknown, l.spec.Name+" "+v.Rule)
			}
		}
	}
	switch {
	case len(failing) > 0:
		return state{metav1.ConditionFalse, v1alpha1.ReasonFindings, s.worst() + others(failing)}
	case !judged:
		return state{metav1.ConditionUnknown, v1alpha1.ReasonNotJudged, "not every link was measured yet"}
	case len(silent) > 0:
		message := fmt.Sprintf("nothing fails and %s; %s, for %s",
			figure.Plural(passing, "verdict passes", "verdicts pass"), silenceUntil(until), strings.Join(silent, ", "))
		if len(unknown) == 0 {
			return state{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, message}
		}
		return state{metav1.ConditionUnknown, v1alpha1.ReasonNotJudged, message + "; too little is known to judge " + strings.Join(unknown, ", ")}
	case len(unknown) > 0:
		return state{metav1.ConditionUnknown, v1alpha1.ReasonNotJudged, "nothing fails, but too little is known to judge " + strings.Join(unknown, ", ")}
	default:
		return state{metav1.ConditionTrue, v1alpha1.ReasonNoFindings, "no rule fails"}
	}
}

// rulesOfSilence are the ids of those that cannot be judged before silence is measured.
func rulesOfSilence() []string {
	var ids []string
	for _, rule := range audit.Rules() {
		if slices.Contains(rule.Needs, string(v1alpha1.MeasurementIdle)) {
			ids = append(ids, rule.ID)
		}
	}
	return ids
}

// silenceUntil says in words that silence is being measured. A zero time: it is not begun.
func silenceUntil(until time.Time) string {
	if until.IsZero() {
		return "silence is measured next"
	}
	return "silence is being measured until about " + until.UTC().Format("15:04 MST")
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// worst is the message of the gravest finding over all links.
func (s *scope) worst() string {
	var all []v1alpha1.Verdict
	for _, l := range s.links {
		if l.report != nil {
			all = append(all, l.report.Status.Verdicts...)
		}
	}
	return worstFinding(all)
}

// others counts the findings beside the one that is told in words.
func others(failing []string) string {
	if len(failing) == 1 {
		return ""
	}
	return fmt.Sprintf(" (findings in all: %s)", strings.Join(failing, ", "))
}

func (s *scope) nextProbeTime() *metav1.Time {
	if s.policy.Spec.Suspend {
		return nil
	}
	var next *metav1.Time
	for _, l := range s.links {
		run := l.status.Run
		if run == nil || run.Phase != v1alpha1.RunFinished {
			continue
		}
		due := metav1.NewTime(dueAfter(s.policy.UID, interval(s.policy), run))
		if next == nil || due.Before(next) {
			next = &due
		}
	}
	return next
}

func highest(links []v1alpha1.LinkStatus, figure func(v1alpha1.LinkStatus) *int32) *int32 {
	var top *int32
	for _, l := range links {
		if f := figure(l); f != nil && (top == nil || *f > *top) {
			top = f
		}
	}
	return top
}

func allFindings(links []v1alpha1.LinkStatus) *v1alpha1.FindingCount {
	var sum *v1alpha1.FindingCount
	for _, l := range links {
		if l.Findings == nil {
			continue
		}
		if sum == nil {
			sum = &v1alpha1.FindingCount{}
		}
		sum.Total += l.Findings.Total
		sum.Error += l.Findings.Error
		sum.Warning += l.Findings.Warning
		sum.Info += l.Findings.Info
	}
	return sum
}
