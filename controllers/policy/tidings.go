package policy

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/clip"
)

// tiding is something that people should know of, once. It is told as an Event after what it tells of was written, which is
// what keeps it from being told again.
type tiding struct {
	kind, reason, action, message string
}

// Reasons and actions of Events.
const (
	eventFinding     = "Finding"
	eventCured       = "FindingCured"
	eventProbeFailed = "ProbeFailed"

	actionAudit = "Audit"
	actionProbe = "Probe"

	// eventBytes bounds the note of an Event (events.k8s.io, 1 kB).
	eventBytes = 1000
)

// findingsChanged tells which findings appeared, or became grave, and which were cured. What a rule said before stands
// while it is unknown, so that nothing is told twice because it could not be looked at meanwhile.
func findingsChanged(link string, before, after []v1alpha1.Verdict) []tiding {
	stood := map[string]v1alpha1.Severity{}
	for _, v := range before {
		stood[v.Rule] = lastFinding(v)
	}
	var tidings []tiding
	for _, v := range after {
		told := "Link " + link + ", " + v.Rule + ": " + v.Message
		switch {
		case v.Result == v1alpha1.VerdictFail && gravity(v.Severity) > gravity(stood[v.Rule]):
			tidings = append(tidings, tiding{kindOf(v.Severity), eventFinding, actionAudit, told})
		case v.Result == v1alpha1.VerdictPass && stood[v.Rule] != "":
			tidings = append(tidings, tiding{corev1.EventTypeNormal, eventCured, actionAudit, told})
		}
	}
	return tidings
}

// lastFinding is the severity of the finding that a verdict is, or that stood when its rule could be judged last; empty if
// there is none.
func lastFinding(v v1alpha1.Verdict) v1alpha1.Severity {
	if v.Result == v1alpha1.VerdictFail || v.Result == v1alpha1.VerdictUnknown {
		return v.Severity
	}
	return ""
}

// keepFindings has the verdicts that are unknown remember the findings that stood before.
func keepFindings(before, after []v1alpha1.Verdict) {
	for i := range after {
		if after[i].Result != v1alpha1.VerdictUnknown {
			continue
		}
		if known := slices.IndexFunc(before, func(v v1alpha1.Verdict) bool { return v.Rule == after[i].Rule }); known >= 0 {
			after[i].Severity = lastFinding(before[known])
		}
	}
}

// gravity orders severities; that of no finding is the least.
func gravity(severity v1alpha1.Severity) int {
	return slices.Index([]v1alpha1.Severity{"", v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityError}, severity)
}

// kindOf is the type of an Event that tells of a finding.
func kindOf(severity v1alpha1.Severity) string {
	if severity == v1alpha1.SeverityInfo {
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}

// probesFailed tells that probes began to fail.
func probesFailed(before, after []metav1.Condition) []tiding {
	was, is := meta.FindStatusCondition(before, v1alpha1.ConditionProbed), meta.FindStatusCondition(after, v1alpha1.ConditionProbed)
	if is == nil || is.Reason != v1alpha1.ReasonProbeFailed || was != nil && was.Reason == v1alpha1.ReasonProbeFailed {
		return nil
	}
	return []tiding{{corev1.EventTypeWarning, eventProbeFailed, actionProbe, is.Message}}
}

// tell records tidings as Events on the policy.
func (s *scope) tell(recorder events.EventRecorder, tidings []tiding) {
	for _, t := range tidings {
		recorder.Eventf(s.before, nil, t.kind, t.reason, t.action, "%s", clip.To(t.message, eventBytes))
	}
}
