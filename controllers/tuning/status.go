package tuning

import (
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const (
	historyKept = 10
	// messageBytes is what a message in the status may have at most (api/v1alpha1: maxLength 512).
	messageBytes = 512
)

// progress says that the values are on their way: reason is the step they are at.
func (d *draft) progress(reason, message string) {
	d.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	d.condition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, reason, message)
	d.condition(v1alpha1.ConditionVerified, metav1.ConditionFalse, reason, message)
}

// stop says that the values got as far as they will, and why that is not all the way.
func (d *draft) stop(reason, message string) {
	d.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	d.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, reason, message)
	d.condition(v1alpha1.ConditionVerified, metav1.ConditionFalse, reason, message)
}

// rest says that nothing is in force, and why that is right or what somebody has to do about it.
func (d *draft) rest(o obstacle) {
	switch o.reason {
	case v1alpha1.ReasonNothingToTune:
		d.stop(o.reason, o.message)
		d.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, o.reason, o.message)
	case v1alpha1.ReasonAwaitingApproval:
		d.recordOnce(d.Plan.Revision, o.reason, o.message)
		d.progress(o.reason, o.message)
	default:
		d.stop(o.reason, o.message)
	}
}

// verified says that the values were read back. The effect is not compared.
func (d *draft) verified(message string) {
	d.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, message)
	d.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonNotCompared, message)
	d.condition(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonNotCompared, message)
}

func (d *draft) condition(conditionType string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&d.tuning.Status.Conditions, metav1.Condition{
		Type:               conditionType,
		Status:             status,
		Reason:             reason,
		Message:            message,
		ObservedGeneration: d.tuning.Generation,
		LastTransitionTime: metav1.NewTime(d.Now),
	})
}

// record adds to the history what happened to a revision. The same thing is not said twice in a row.
func (d *draft) record(revision, reason, message string) {
	history := d.tuning.Status.History
	if len(history) > 0 && history[0].Revision == revision && history[0].Reason == reason {
		return
	}
	d.tell(revision, reason, message)
}

// recordOnce records what is true for as long as the history reaches back, whatever happened since.
func (d *draft) recordOnce(revision, reason, message string) {
	known := slices.ContainsFunc(d.tuning.Status.History, func(e v1alpha1.TuningEvent) bool {
		return e.Revision == revision && e.Reason == reason
	})
	if !known {
		d.tell(revision, reason, message)
	}
}

// tell adds to the history what happened to a revision.
func (d *draft) tell(revision, reason, message string) {
	history := slices.Insert(d.tuning.Status.History, 0, v1alpha1.TuningEvent{
		Time:     metav1.NewTime(d.Now),
		Revision: revision,
		Reason:   reason,
		Message:  shorten(message),
	})
	d.tuning.Status.History = history[:min(len(history), historyKept)]
}

// shorten cuts a message to what the status may hold, at a whole character.
func shorten(message string) string {
	if len(message) <= messageBytes {
		return message
	}
	cut := messageBytes - len("…")
	for !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + "…"
}

// newEvents are the entries of a history that were not there before, the oldest first.
func newEvents(before, after []v1alpha1.TuningEvent) []v1alpha1.TuningEvent {
	fresh := len(after)
	if len(before) > 0 {
		known := slices.IndexFunc(after, func(e v1alpha1.TuningEvent) bool {
			return e.Time.Equal(&before[0].Time) && e.Revision == before[0].Revision && e.Reason == before[0].Reason
		})
		if known >= 0 {
			fresh = known
		}
	}
	events := slices.Clone(after[:fresh])
	slices.Reverse(events)
	return events
}
