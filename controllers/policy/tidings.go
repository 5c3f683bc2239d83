package policy

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/clip"
)

// tiding is something that people should know of, once. It is told as an Event after the status was written.
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

// findingsChanged tells which findings appeared and which were cured.
func findingsChanged(link string, before, after []v1alpha1.Verdict) []tiding {
	failed := map[string]bool{}
	for _, v := range before {
		failed[v.Rule] = v.Result == v1alpha1.VerdictFail
	}
	var tidings []tiding
	for _, v := range after {
		switch {
		case v.Result == v1alpha1.VerdictFail && !failed[v.Rule] && v.Severity != v1alpha1.SeverityInfo:
			tidings = append(tidings, tiding{corev1.EventTypeWarning, eventFinding, actionAudit, "Link " + link + ", " + v.Rule + ": " + v.Message})
		case v.Result == v1alpha1.VerdictPass && failed[v.Rule]:
			tidings = append(tidings, tiding{corev1.EventTypeNormal, eventCured, actionAudit, "Link " + link + ", " + v.Rule + ": " + v.Message})
		}
	}
	return tidings
}

// probesFailed tells that probes began to fail.
func probesFailed(before, after []metav1.Condition) []tiding {
	was, is := meta.FindStatusCondition(before, v1alpha1.ConditionProbed), meta.FindStatusCondition(after, v1alpha1.ConditionProbed)
	if is == nil || is.Reason != v1alpha1.ReasonProbeFailed || was != nil && was.Reason == v1alpha1.ReasonProbeFailed {
		return nil
	}
	return []tiding{{corev1.EventTypeWarning, eventProbeFailed, actionProbe, is.Message}}
}

// record tells the tidings.
func (s *scope) record(recorder events.EventRecorder) {
	for _, t := range append(s.tidings, probesFailed(s.before.Status.Conditions, s.policy.Status.Conditions)...) {
		recorder.Eventf(s.before, nil, t.kind, t.reason, t.action, "%s", clip.To(t.message, eventBytes))
	}
}
