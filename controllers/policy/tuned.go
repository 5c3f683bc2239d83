package policy

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// tuned says where the workload's tuning stands, as its own status tells.
func (s *scope) tuned() state {
	mode := s.policy.Spec.Tuning.Mode
	switch {
	case s.tuning != nil && s.tuning.DeletionTimestamp != nil:
		return state{metav1.ConditionFalse, v1alpha1.ReasonUndoing, messageOf(s.tuning, "what was changed is being taken away again")}
	case s.policy.Spec.From == nil || mode == v1alpha1.ModeObserve || mode == "":
		return state{metav1.ConditionUnknown, v1alpha1.ReasonObserveOnly, "mode Observe: nothing is proposed and nothing changed"}
	case s.policy.Spec.Suspend:
		return state{metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "suspended; what was changed before stays"}
	case s.source.trouble.any():
		return state{metav1.ConditionFalse, s.source.trouble.reason, s.source.trouble.message}
	case s.tuning == nil && s.nothingToTune():
		return state{metav1.ConditionTrue, v1alpha1.ReasonNothingToTune, "what was measured asks for no change"}
	case s.tuning == nil && s.nobodyLooks() != "":
		return state{metav1.ConditionUnknown, v1alpha1.ReasonNotJudged, s.nobodyLooks()}
	case s.tuning == nil:
		return state{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "it is not known yet whether anything needs to change"}
	default:
		return stateOf(s.tuning)
	}
}

// nothingToTune: the ports were judged on every link, and no figure asks for a change. Above the share that is watched,
// the tuning controller may be about to answer.
func (s *scope) nothingToTune() bool {
	return !slices.ContainsFunc(s.links, func(l *link) bool {
		if l.report == nil || l.report.Status.KeyFigures == nil || !portsJudged(l.report.Status.Judgements()) {
			return true
		}
		percent := l.report.Status.KeyFigures.PortUtilizationPercent
		return percent == nil || *percent >= watchedPercent
	})
}

// nobodyLooks says why no observer sees anything, nor is on its way; empty if one is.
func (s *scope) nobodyLooks() string {
	if asked := s.policy.Spec.Observe.Pods; asked != nil && *asked == 0 {
		return "observe.pods is 0: what the workload needs is seen in its own pods alone"
	}
	causes := s.observerTroubles()
	if len(causes) == 0 || len(causes) < len(s.observed) {
		return ""
	}
	return "no observer could look: " + causes[0]
}

// stateOf reads the conditions of a tuning.
func stateOf(tuning *v1alpha1.ConnectionTuning) state {
	ready := meta.FindStatusCondition(tuning.Status.Conditions, v1alpha1.ConditionReady)
	progressing := meta.FindStatusCondition(tuning.Status.Conditions, v1alpha1.ConditionProgressing)
	verified := meta.FindStatusCondition(tuning.Status.Conditions, v1alpha1.ConditionVerified)
	switch {
	case ready == nil || tuning.Status.ObservedGeneration != tuning.Generation:
		return state{metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "ConnectionTuning " + tuning.Name + " is being worked out"}
	case ready.Status == metav1.ConditionTrue && verified != nil && verified.Status == metav1.ConditionTrue:
		return state{metav1.ConditionTrue, verified.Reason, verified.Message}
	case ready.Status == metav1.ConditionTrue:
		return state{metav1.ConditionTrue, ready.Reason, ready.Message}
	case progressing != nil:
		return state{metav1.ConditionFalse, progressing.Reason, progressing.Message}
	default:
		return state{metav1.ConditionFalse, ready.Reason, ready.Message}
	}
}

func messageOf(tuning *v1alpha1.ConnectionTuning, otherwise string) string {
	if ready := meta.FindStatusCondition(tuning.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.Message != "" {
		return ready.Message
	}
	return otherwise
}

// tuningMoves says whether the operator itself is bringing a tuning on its way. One that waits for approval rests.
func tuningMoves(tuning *v1alpha1.ConnectionTuning) bool {
	if tuning == nil {
		return false
	}
	progressing := meta.FindStatusCondition(tuning.Status.Conditions, v1alpha1.ConditionProgressing)
	return progressing != nil && progressing.Status == metav1.ConditionTrue && progressing.Reason != v1alpha1.ReasonAwaitingApproval
}

// proposals are the tuning's values that the policy is asked to approve.
func proposals(policy *v1alpha1.ConnectionPolicy, tuning *v1alpha1.ConnectionTuning) []v1alpha1.Proposal {
	if policy.Spec.Tuning.Mode != v1alpha1.ModeRecommend || tuning == nil || tuning.Status.Hash == "" || tuning.Status.Proposed == nil {
		return nil
	}
	return []v1alpha1.Proposal{{
		Hash: tuning.Status.Hash, Tuning: tuning.Name,
		Approved: slices.Contains(policy.Spec.Tuning.Approve, tuning.Status.Hash),
	}}
}
