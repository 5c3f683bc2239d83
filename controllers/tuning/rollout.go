package tuning

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

const (
	// rolloutLook is how often a rollout is looked at beside the changes of its pods: nothing tells when the API server
	// has learnt the values.
	rolloutLook = 5 * time.Second
	// idleLook is the same where the operator replaces no pod.
	idleLook = time.Minute
	// restartsMax is how often the pods are replaced for one revision. The second time is for pods that were created by
	// an API server that did not know the values yet.
	restartsMax = 2
	// readBackWait is how long an observer in a pod with the values is waited for.
	readBackWait = 10 * time.Minute
)

// tally counts the workload's pods by how far they have come to the values.
type tally struct {
	pods, stamped, readBack int32
	// late pods have no stamp although they were created after the last replacement.
	late int32
	// mismatch says what an observer read instead of the values. Empty: no pod with the stamp says anything else.
	mismatch string
	// unread says why an observer in a pod with the stamp brought no reading.
	unread string
	// heldPercent is the share of the ports that the fullest pod with the values holds towards one destination. Nil:
	// unknown.
	heldPercent *int
}

// rollOut brings values that are in the spec into the workload's pods and says how far that is.
func (d *draft) rollOut(g goal) {
	d.setSpec(g)
	d.tuning.Status.Undo = nil
	if r := d.tuning.Status.Rollout; r == nil || r.Revision != g.revision {
		d.tuning.Status.Rollout = &v1alpha1.RolloutStatus{Revision: g.revision, StartedAt: &metav1.Time{Time: d.startTime()}}
	}
	d.adoptRestart()
	counted := d.count(g)
	switch {
	case counted.pods == 0:
		d.applying("The workload has no pod at the moment; those that come get the values.", "")
	case counted.stamped < counted.pods:
		d.replace(g, counted)
	default:
		d.verify(g, counted)
	}
	if g.note != nil {
		d.note(*g.note)
	}
}

// setSpec makes the spec what the values ask for, and makes sure that they will be undone.
func (d *draft) setSpec(g goal) {
	spec := &d.tuning.Spec
	spec.Revision = g.revision
	spec.Knobs = g.values.DeepCopy()
	spec.Disruption = d.disruption(g.values)
	addFinalizer(d.tuning)
}

// adoptRestart takes note of a replacement that was begun, if it is not noted: the operator may have stopped between the
// two.
func (d *draft) adoptRestart() {
	r := d.tuning.Status.Rollout
	if d.Workload.RestartedAt.After(lastRestart(r)) && r.Restarts < restartsMax {
		r.Restarts++
		r.RestartedAt = &metav1.Time{Time: d.Workload.RestartedAt}
	}
}

// startTime is now, but not before the last replacement of the pods, so that what comes after it can be told from it.
func (d *draft) startTime() time.Time {
	if d.Workload != nil && d.Workload.RestartedAt.After(d.Now) {
		return d.Workload.RestartedAt
	}
	return d.Now
}

func lastRestart(r *v1alpha1.RolloutStatus) time.Time {
	switch {
	case r.RestartedAt != nil:
		return r.RestartedAt.Time
	case r.StartedAt != nil:
		return r.StartedAt.Time
	default:
		return time.Time{}
	}
}

// count counts the pods and notes it in the status.
func (d *draft) count(g goal) tally {
	stamp := d.stamp(g.revision)
	rollout := d.tuning.Status.Rollout
	var counted tally
	for _, pod := range d.Pods {
		if !pod.Alive {
			continue
		}
		counted.pods++
		switch {
		case pod.Stamp == stamp:
			counted.stamped++
		case rollout.RestartedAt != nil && !pod.Created.Before(rollout.RestartedAt.Time):
			counted.late++
		}
	}
	for _, reading := range d.Readings {
		if reading.Stamp == stamp {
			counted.add(reading, g.values)
		}
	}
	rollout.Pods, rollout.Stamped, rollout.ReadBack = counted.pods, counted.stamped, counted.readBack
	return counted
}

func (t *tally) add(reading Reading, values v1alpha1.KnobValues) {
	if reading.Sysctls == nil {
		t.unread = fmt.Sprintf("pod %s: %s", reading.Pod, reading.Cause)
		return
	}
	same, difference := tuner.InForce(values, reading.Sysctls)
	if !same {
		t.mismatch = fmt.Sprintf("in pod %s %s", reading.Pod, difference)
		return
	}
	t.readBack++
	if reading.PortsInUse != nil && reading.PortsAvailable != nil && *reading.PortsAvailable > 0 {
		held := int(100 * int64(*reading.PortsInUse) / int64(*reading.PortsAvailable))
		if t.heldPercent == nil || held > *t.heldPercent {
			t.heldPercent = &held
		}
	}
}

// replace brings pods without the stamp to the values, as far as the policies allow.
func (d *draft) replace(g goal, counted tally) {
	rollout := d.tuning.Status.Rollout
	have := fmt.Sprintf("%d of %d pods were created with the values", counted.stamped, counted.pods)
	switch {
	case d.tuning.Spec.Disruption != v1alpha1.DisruptionRestart:
		d.applying(fmt.Sprintf("%s. The rest get them when they are replaced; spec.tuning.disruption: Restart of the "+
			"policy would replace them now.", have), "")
	case rollout.Restarts == 0:
		d.restartOnceKnown(g, have)
	case !d.Workload.RolledOut:
		d.applying(fmt.Sprintf("The pods are being replaced: %s.", have), d.Workload.Stuck)
	case counted.late == 0:
		d.applying(fmt.Sprintf("The pods are being replaced: %s.", have), "")
	case rollout.Restarts < restartsMax:
		d.restartOnceKnown(g, fmt.Sprintf("%d new pods came without the values", counted.late))
	default:
		message := fmt.Sprintf("The pods were replaced %d times and %d of %d still came without the values. Look whether "+
			"MutatingAdmissionPolicyBinding tuning.connpolicy.dev exists; the next pods that are created get the values if it does.",
			rollout.Restarts, counted.pods-counted.stamped, counted.pods)
		d.record(g.revision, v1alpha1.ReasonInconclusive, message)
		d.stop(v1alpha1.ReasonInconclusive, message)
	}
}

// restartOnceKnown replaces the pods as soon as a pod that is created would get the values.
func (d *draft) restartOnceKnown(g goal, have string) {
	if waiting := d.admissionLacks(g); waiting != "" {
		d.applying(fmt.Sprintf("%s. Before the pods are replaced, the API server must give the values to new ones: %s",
			have, waiting), "")
		return
	}
	rollout := d.tuning.Status.Rollout
	at := d.restart(lastRestart(rollout))
	rollout.Restarts++
	rollout.RestartedAt = &metav1.Time{Time: at}
	message := fmt.Sprintf("The pods are being replaced (time %d of at most %d for this revision): %s.",
		rollout.Restarts, restartsMax, have)
	d.tell(g.revision, v1alpha1.ReasonApplying, message)
	d.applying(message, d.Workload.Stuck)
}

// admissionLacks says what a new pod would lack. Empty: it would get the values.
func (d *draft) admissionLacks(g goal) string {
	switch {
	case d.Admission == nil:
		return "it was not asked yet."
	case d.Admission.Failure != "":
		return d.Admission.Failure
	case d.Admission.Stamp != d.stamp(g.revision):
		return "it does not yet. That takes a moment. If it lasts, look whether MutatingAdmissionPolicyBinding " +
			"tuning.connpolicy.dev exists (Kubernetes 1.36 or newer)."
	}
	if same, difference := tuner.InForce(g.values, d.Admission.Sysctls); !same {
		return "it stamps them, but " + difference + "."
	}
	return ""
}

// restart asks for a replacement of the pods and returns its time, which is after every one before: the same time again
// would change nothing.
func (d *draft) restart(after time.Time) time.Time {
	at := d.Now
	for _, earlier := range []time.Time{after, d.Workload.RestartedAt} {
		if !at.After(earlier) {
			at = earlier.Add(time.Second)
		}
	}
	d.restartAt = &at
	return at
}

// verify judges what was read back, once every pod was created with the values.
func (d *draft) verify(g goal, counted tally) {
	rollout := d.tuning.Status.Rollout
	all := fmt.Sprintf("All %d pods were created with the values", counted.pods)
	switch {
	case counted.mismatch != "":
		message := fmt.Sprintf("%s, but %s.", all, counted.mismatch)
		d.record(g.revision, v1alpha1.ReasonInconclusive, message)
		d.stop(v1alpha1.ReasonInconclusive, message)
	case counted.readBack > 0 && (d.Workload.RolledOut || rollout.Restarts == 0), d.wasVerified(g.revision):
		message := fmt.Sprintf("Created with the values: %d of %d pods. Read back in %d of them; the effect was not compared.",
			counted.stamped, counted.pods, counted.readBack)
		d.record(g.revision, v1alpha1.ReasonNotCompared, message)
		if counted.heldPercent != nil {
			message += fmt.Sprintf(" The fullest holds %d %% of its local ports towards one destination.", *counted.heldPercent)
		}
		d.verified(message)
	case counted.readBack > 0:
		d.applying(all+"; the workload's rollout is not finished.", d.Workload.Stuck)
	case d.Now.Sub(lastRestart(rollout)) < readBackWait:
		d.applying(all+"; waiting for an observer to read them back.", counted.unread)
	default:
		message := fmt.Sprintf("%s, but no observer read them back in %s. %s", all, readBackWait, counted.unread)
		d.record(g.revision, v1alpha1.ReasonInconclusive, message)
		d.stop(v1alpha1.ReasonInconclusive, message)
	}
}

// applying says that the pods are on their way to the values, and what stands in the way, if anything does.
func (d *draft) applying(message, hindrance string) {
	if hindrance != "" {
		message += " " + hindrance
	}
	d.progress(v1alpha1.ReasonApplying, message)
	if d.tuning.Spec.Disruption == v1alpha1.DisruptionRestart {
		d.lookAgain(rolloutLook)
		return
	}
	d.lookAgain(idleLook)
}

// wasVerified says whether the values of a revision were read back before. Observers come and go with the pods; that
// does not unprove it.
func (d *draft) wasVerified(revision string) bool {
	return d.before.Rollout != nil && d.before.Rollout.Revision == revision &&
		meta.IsStatusConditionTrue(d.before.Conditions, v1alpha1.ConditionVerified)
}

// rolloutUnderWay says whether a revision is in the spec and its way into the pods has not ended, well or not.
func (d *draft) rolloutUnderWay(revision string) bool {
	if d.before.Rollout == nil || d.before.Rollout.Revision != revision || d.wasVerified(revision) {
		return false
	}
	progressing := meta.FindStatusCondition(d.before.Conditions, v1alpha1.ConditionProgressing)
	return progressing != nil && progressing.Status == metav1.ConditionTrue && progressing.Reason == v1alpha1.ReasonApplying
}

// note says what stands against a newer plan while the values in force stay.
func (d *draft) note(o obstacle) {
	status := metav1.ConditionFalse
	if o.reason == v1alpha1.ReasonAwaitingApproval {
		status = metav1.ConditionTrue
	}
	d.condition(v1alpha1.ConditionProgressing, status, o.reason, o.message)
}
