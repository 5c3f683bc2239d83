package tuning

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// Decision is what shall be. The zero value asks for no tuning where there is none.
type Decision struct {
	// Delete asks for the deletion of the tuning.
	Delete bool
	// Tuning is the tuning as it shall be: owners, finalizer, spec and status. Nil: nothing is written.
	Tuning *v1alpha1.ConnectionTuning
	// StartCanaries are the canaries that need a pod.
	StartCanaries []CanaryStart
	// RemoveCanaryPods names the canary pods that nobody needs any more.
	RemoveCanaryPods []string
	// RestartAt is written to the pod template to replace the workload's pods. Nil: they are left alone.
	RestartAt *time.Time
	// RequeueAfter is when to look again though nothing changes. Zero: never.
	RequeueAfter time.Duration
}

// CanaryStart is a canary that needs a pod.
type CanaryStart struct {
	PodName, NodeKind, Node string
	Values                  v1alpha1.KnobValues
}

// Decide says what shall be, given what is.
func Decide(s State) Decision {
	demanding := demandingPolicies(s.Policies)
	d := newDraft(s, demanding)
	switch {
	case s.Tuning != nil && !s.Tuning.DeletionTimestamp.IsZero():
		d.finishDeletion()
	case len(demanding) == 0:
		return Decision{Delete: s.Tuning != nil}
	case !slices.ContainsFunc(demanding, isActive):
		if s.Tuning == nil {
			return Decision{}
		}
		d.standStill()
	case s.Tuning == nil && d.hasNothingToSay():
		return Decision{}
	default:
		d.pursue()
	}
	return d.decision()
}

// demandingPolicies are those that want more than to observe.
func demandingPolicies(policies []v1alpha1.ConnectionPolicy) []v1alpha1.ConnectionPolicy {
	var demanding []v1alpha1.ConnectionPolicy
	for _, policy := range policies {
		if mode := policy.Spec.Tuning.Mode; mode == v1alpha1.ModeRecommend || mode == v1alpha1.ModeApply {
			demanding = append(demanding, policy)
		}
	}
	return demanding
}

func isActive(policy v1alpha1.ConnectionPolicy) bool { return !policy.Spec.Suspend }

// draft is a tuning on its way from what is to what shall be.
type draft struct {
	State
	// active are the policies that want more than to observe, and are not suspended.
	active []v1alpha1.ConnectionPolicy
	// current are the values in force. Nil: none.
	current *v1alpha1.KnobValues
	// before is the status that the decision starts from.
	before v1alpha1.ConnectionTuningStatus
	// tuning is what shall be.
	tuning *v1alpha1.ConnectionTuning

	startCanaries    []CanaryStart
	removeCanaryPods []string
	restartAt        *time.Time
	requeueAfter     time.Duration
}

func newDraft(s State, demanding []v1alpha1.ConnectionPolicy) *draft {
	d := &draft{State: s, current: InForce(s.Tuning)}
	if s.Tuning != nil {
		d.tuning = s.Tuning.DeepCopy()
		d.before = *s.Tuning.Status.DeepCopy()
	} else {
		d.tuning = &v1alpha1.ConnectionTuning{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace.Name, Name: s.Name}}
		d.tuning.Spec.TargetRef = s.Target
	}
	for _, policy := range demanding {
		if isActive(policy) {
			d.active = append(d.active, policy)
		}
	}
	if len(demanding) > 0 && d.tuning.DeletionTimestamp.IsZero() {
		d.tuning.OwnerReferences = owners(demanding)
	}
	return d
}

// InForce returns the values that a tuning puts into new pods, if the operator put them there: their revision is theirs,
// and their way is written in the status. Values written by anyone else are none, and are replaced.
func InForce(t *v1alpha1.ConnectionTuning) *v1alpha1.KnobValues {
	if t == nil || t.Spec.Knobs == nil || t.Spec.Revision != tuner.Revision(*t.Spec.Knobs) {
		return nil
	}
	revision := t.Spec.Revision
	applied := t.Status.Rollout != nil && t.Status.Rollout.Revision == revision
	tried := slices.ContainsFunc(t.Status.Canaries, func(c v1alpha1.Canary) bool {
		return c.Revision == revision && c.Outcome == outcomeMeasured
	})
	if !applied && !tried {
		return nil
	}
	return t.Spec.Knobs
}

// owners refer to the policies, so that the tuning goes with the last of them. None is the controller: they share it.
func owners(policies []v1alpha1.ConnectionPolicy) []metav1.OwnerReference {
	references := make([]metav1.OwnerReference, 0, len(policies))
	for _, policy := range policies {
		references = append(references, metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(),
			Kind:       "ConnectionPolicy",
			Name:       policy.Name,
			UID:        policy.UID,
		})
	}
	return references
}

// hasNothingToSay tells whether a tuning that does not exist would be empty: no value, and no reason why there is none
// that somebody could do anything about.
func (d *draft) hasNothingToSay() bool {
	if d.Workload == nil {
		return true
	}
	if d.Workload.HostNetwork {
		return false
	}
	return d.Plan.Values == nil && d.Plan.Reason != v1alpha1.ReasonConflict && d.Plan.Reason != v1alpha1.ReasonOverridden
}

// pursue brings the tuning one step nearer to what the policies want.
func (d *draft) pursue() {
	d.describePlan()
	d.breakCircuit()
	goal, obstacle := d.goal()
	switch {
	case obstacle != nil && obstacle.keepsValues:
		d.hold(*obstacle)
	case obstacle != nil:
		d.withdraw(*obstacle)
	case goal.isInForce(d.current):
		d.rollOut(*goal)
	default:
		d.try(*goal)
	}
	d.undoIfWithdrawn()
}

// standStill changes nothing while every policy is suspended, unless what is in force does harm.
func (d *draft) standStill() {
	d.breakCircuit()
	if d.current == nil && d.tuning.Spec.Knobs != nil {
		d.withdraw(d.rejection(d.tuning.Spec.Revision))
	}
	d.undoIfWithdrawn()
}

// describePlan says what is recommended. Where nobody asks for the values any more because they serve, the reasons stay
// for which they were chosen.
func (d *draft) describePlan() {
	status := &d.tuning.Status
	if d.Plan.Hash != "" && d.Plan.Hash == status.Hash && len(d.Plan.Demands) == 0 && len(status.Demands) > 0 {
		return
	}
	status.Hash = d.Plan.Hash
	status.Proposed = d.Plan.Values.DeepCopy()
	status.Recommendations = d.Plan.Recommendations
	status.Demands = d.Plan.Demands
}

// decision is the draft's outcome.
func (d *draft) decision() Decision {
	d.tuning.Status.ObservedGeneration = d.tuning.Generation
	d.removeStrayCanaryPods()
	return Decision{
		Tuning:           d.tuning,
		StartCanaries:    d.startCanaries,
		RemoveCanaryPods: d.removeCanaryPods,
		RestartAt:        d.restartAt,
		RequeueAfter:     d.requeueAfter,
	}
}

// lookAgain asks for a reconcile after wait at the latest.
func (d *draft) lookAgain(wait time.Duration) {
	if d.requeueAfter == 0 || wait < d.requeueAfter {
		d.requeueAfter = wait
	}
}

// stamp is what pods with the values of a revision bear.
func (d *draft) stamp(revision string) string { return stampOf(d.Name, revision) }
