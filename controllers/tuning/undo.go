package tuning

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const (
	// undoMax is how long the values are waited for to leave the pods. After it the tuning goes: the pods lose them when
	// they are replaced.
	undoMax  = 10 * time.Minute
	undoLook = 5 * time.Second
)

func addFinalizer(t *v1alpha1.ConnectionTuning) {
	controllerutil.AddFinalizer(t, v1alpha1.FinalizerTuning)
}

// hold leaves the values that are in force where they are, and says what is wrong.
func (d *draft) hold(o obstacle) { d.stop(o.reason, o.message) }

// withdraw takes the values out of the spec, so that new pods come without them.
func (d *draft) withdraw(o obstacle) {
	revision := d.tuning.Spec.Revision
	d.tuning.Spec.Knobs = nil
	d.tuning.Spec.Revision = ""
	if revision != "" && !d.isRejected(revision) {
		d.record(revision, v1alpha1.ReasonRolledBack, "The values are taken back: "+o.message)
	}
	d.rest(o)
}

// undoIfWithdrawn takes values that are in the spec no more out of the pods too.
func (d *draft) undoIfWithdrawn() {
	if d.tuning.Spec.Knobs != nil || !controllerutil.ContainsFinalizer(d.tuning, v1alpha1.FinalizerTuning) {
		return
	}
	if waiting := d.undo(); waiting != "" {
		d.condition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonUndoing, waiting)
		return
	}
	d.tuning.Status.Rollout = nil
}

// finishDeletion lets a tuning go once what it changed is undone. The API server gives its values to no new pod since
// it is being deleted.
func (d *draft) finishDeletion() {
	if !controllerutil.ContainsFinalizer(d.tuning, v1alpha1.FinalizerTuning) {
		return
	}
	if waiting := d.undo(); waiting != "" {
		d.progress(v1alpha1.ReasonUndoing, waiting)
		d.condition(v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonRolledBack, waiting)
	}
}

// undo replaces the pods that have values, where that is allowed, and waits for the last of them to go. When nothing is
// left to wait for, it drops the finalizer and returns an empty string, else it says what it waits for.
func (d *draft) undo() string {
	stamped := d.stampedPods()
	if d.tuning.Status.Undo == nil {
		d.tuning.Status.Undo = &v1alpha1.UndoStatus{StartedAt: metav1.NewTime(d.Now)}
	}
	progress := d.tuning.Status.Undo
	progress.Stamped = stamped
	switch {
	case stamped == 0:
		return d.undone("No pod of the workload has the values any more.")
	case d.Workload == nil, d.Namespace.Terminating:
		return d.undone("The pods that have the values are going with their workload or namespace.")
	case !d.mayReplacePods():
		return d.undone(fmt.Sprintf("%d pods keep the values until they are replaced.", stamped))
	case d.Now.Sub(progress.StartedAt.Time) >= undoMax:
		return d.undone(fmt.Sprintf("%d pods still have the values after %s; they lose them when they are replaced.",
			stamped, undoMax))
	}
	d.lookAgain(undoLook)
	d.adoptUndoRestart()
	switch {
	case progress.RestartedAt != nil:
		return fmt.Sprintf("The pods are being replaced to take the values away: %d still have them. %s",
			stamped, d.Workload.Stuck)
	case d.Admission == nil || d.Admission.Failure != "" || d.Admission.Refusal != "":
		return "Waiting to learn from the API server whether new pods come without the values."
	case d.isOwnStamp(d.Admission.Stamp):
		return "Waiting for the API server to give the values to new pods no more."
	default:
		at := d.restart(progress.StartedAt.Time)
		progress.RestartedAt = &metav1.Time{Time: at}
		d.record("", v1alpha1.ReasonUndoing, fmt.Sprintf("Replacing the pods to take the values away from %d of them.", stamped))
		return fmt.Sprintf("The pods are being replaced to take the values away: %d still have them.", stamped)
	}
}

// undone drops the finalizer.
func (d *draft) undone(message string) string {
	controllerutil.RemoveFinalizer(d.tuning, v1alpha1.FinalizerTuning)
	d.tuning.Status.Undo = nil
	d.record("", v1alpha1.ReasonRolledBack, message)
	return ""
}

// mayReplacePods says whether the pods may be replaced to take the values away. That is for the policies to say, as they
// are now and whatever their mode; where none is left, what the last of them said counts.
func (s State) mayReplacePods() bool {
	if !s.MayApply {
		return false
	}
	if len(s.Policies) == 0 {
		return s.Tuning.Spec.Disruption == v1alpha1.DisruptionRestart
	}
	return !slices.ContainsFunc(s.Policies, func(policy v1alpha1.ConnectionPolicy) bool {
		return policy.Spec.Tuning.Disruption != v1alpha1.DisruptionRestart
	})
}

// adoptUndoRestart takes note of a replacement that was begun, if it is not noted. The one that brought the values may
// be dated after the undo began, when both are of one second.
func (d *draft) adoptUndoRestart() {
	progress, rollout := d.tuning.Status.Undo, d.tuning.Status.Rollout
	if rollout != nil && !d.Workload.RestartedAt.After(lastRestart(rollout)) {
		return
	}
	if progress.RestartedAt == nil && d.Workload.RestartedAt.After(progress.StartedAt.Time) {
		progress.RestartedAt = &metav1.Time{Time: d.Workload.RestartedAt}
	}
}

func (d *draft) stampedPods() int32 {
	count := int32(0)
	for _, pod := range d.Pods {
		if pod.Alive && d.isOwnStamp(pod.Stamp) {
			count++
		}
	}
	return count
}

// isOwnStamp says whether a stamp is of this tuning, whatever its revision.
func (d *draft) isOwnStamp(stamp string) bool {
	name, found := stampedBy(stamp)
	return found && name == d.Name
}
