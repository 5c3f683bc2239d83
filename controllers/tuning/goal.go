package tuning

import (
	"fmt"
	"slices"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// goal is a set of values that shall come into force, or stay so.
type goal struct {
	values   v1alpha1.KnobValues
	revision string
	// note is said beside the state of these values: a newer proposal that waits, for example. Nil: nothing.
	note *obstacle
}

// obstacle is why no values shall come into force.
type obstacle struct {
	reason, message string
	// keepsValues leaves values that are in force where they are.
	keepsValues bool
}

func newGoal(values v1alpha1.KnobValues) *goal {
	return &goal{values: values, revision: tuner.Revision(values)}
}

func (g *goal) isInForce(current *v1alpha1.KnobValues) bool {
	return current != nil && tuner.Revision(*current) == g.revision
}

// goal chooses the values that shall be in force, or says why there are none.
func (d *draft) goal() (*goal, *obstacle) {
	if problem := d.workloadProblem(); problem != nil {
		return nil, problem
	}
	wanted, problem := d.wanted()
	if problem == nil {
		problem = d.notEnabled()
	}
	if problem != nil {
		return nil, problem
	}
	return wanted, nil
}

// workloadProblem is what makes the workload itself unfit for any value.
func (d *draft) workloadProblem() *obstacle {
	switch {
	case d.Workload == nil:
		return &obstacle{
			reason:      v1alpha1.ReasonWorkloadNotFound,
			message:     fmt.Sprintf("%s %s does not exist.", d.Target.Kind, d.Target.Name),
			keepsValues: true,
		}
	case d.Workload.HostNetwork:
		return &obstacle{
			reason: v1alpha1.ReasonUnsupported,
			message: "The pods use the network of their node (hostNetwork), where they have no settings of their own. " +
				"Take hostNetwork out of the pod template, or tune the nodes.",
		}
	case d.Workload.OptedOut:
		return &obstacle{
			reason: v1alpha1.ReasonUnsupported,
			message: fmt.Sprintf("The pod template opts out by its label %s: %s.",
				v1alpha1.LabelTuning, v1alpha1.TuningDisabled),
		}
	case d.Plan.Reason == v1alpha1.ReasonOverridden:
		return &obstacle{reason: v1alpha1.ReasonOverridden, message: d.Plan.Message}
	default:
		return nil
	}
}

// wanted weighs the plan against what is in force: a change under way is finished first, a plan that is refused or not
// approved does not push out values that serve.
func (d *draft) wanted() (*goal, *obstacle) {
	var kept *goal
	if d.current != nil && d.consents(tuner.Hash(d.Target, *d.current)) {
		kept = newGoal(*d.current)
	}
	if kept != nil && d.rolloutUnderWay(kept.revision) && d.endsByItself() {
		return kept, nil
	}
	planned, problem := d.planned()
	switch {
	case problem == nil:
		return planned, nil
	case kept == nil:
		return nil, problem
	case planned != nil && planned.revision == kept.revision:
		return kept, nil
	default:
		kept.note = problem
		return kept, nil
	}
}

// endsByItself says whether a rollout needs nobody but the operator to come to its end.
func (d *draft) endsByItself() bool {
	return d.tuning.Spec.Disruption == v1alpha1.DisruptionRestart && d.Workload.Stuck == ""
}

// planned is the goal that the plan sets, and what stands against it.
func (d *draft) planned() (*goal, *obstacle) {
	if d.Plan.Values == nil {
		return nil, &obstacle{reason: d.Plan.Reason, message: d.Plan.Message}
	}
	planned := newGoal(*d.Plan.Values)
	switch {
	case d.isRejected(planned.revision):
		problem := d.rejection(planned.revision)
		return planned, &problem
	case !d.consents(d.Plan.Hash):
		return planned, &obstacle{
			reason: v1alpha1.ReasonAwaitingApproval,
			message: fmt.Sprintf("To carry this out, add %s to spec.tuning.approve of ConnectionPolicy %s.",
				d.Plan.Hash, d.active[0].Name),
		}
	default:
		return planned, nil
	}
}

// consents says whether a policy lets values with this hash be carried out. One is enough: its author may change the
// workload, and the bounds of all others hold in any case.
func (d *draft) consents(hash string) bool {
	return slices.ContainsFunc(d.active, func(policy v1alpha1.ConnectionPolicy) bool {
		return consentsTo(policy, hash)
	})
}

func consentsTo(policy v1alpha1.ConnectionPolicy, hash string) bool {
	switch policy.Spec.Tuning.Mode {
	case v1alpha1.ModeApply:
		return true
	case v1alpha1.ModeRecommend:
		return slices.Contains(policy.Spec.Tuning.Approve, hash)
	default:
		return false
	}
}

// notEnabled says which switch of the administrator or of the namespace is off.
func (d *draft) notEnabled() *obstacle {
	switch {
	case !d.MayApply:
		return &obstacle{
			reason: v1alpha1.ReasonNotEnabled,
			message: "connpolicy was installed without the layer that changes workloads. Install " +
				"dist/install-apply.yaml (it starts the manager with --enable-apply), or choose mode Recommend or Observe.",
		}
	case !d.Namespace.OptedIn:
		return &obstacle{
			reason: v1alpha1.ReasonNotEnabled,
			message: fmt.Sprintf("Namespace %s has not opted in. Run: kubectl label namespace %s %s=%s",
				d.Namespace.Name, d.Namespace.Name, v1alpha1.LabelTuning, v1alpha1.TuningEnabled),
		}
	default:
		return nil
	}
}

// disruption is the strictest of the policies that carry the values out: None beats Restart.
func (d *draft) disruption(values v1alpha1.KnobValues) v1alpha1.Disruption {
	hash := tuner.Hash(d.Target, values)
	for _, policy := range d.active {
		if consentsTo(policy, hash) && policy.Spec.Tuning.Disruption != v1alpha1.DisruptionRestart {
			return v1alpha1.DisruptionNone
		}
	}
	return v1alpha1.DisruptionRestart
}

func (d *draft) isRejected(revision string) bool {
	return slices.ContainsFunc(d.tuning.Status.Rejected, func(r v1alpha1.RejectedRevision) bool {
		return r.Revision == revision
	})
}

// rejection is the obstacle that a rejected revision is.
func (d *draft) rejection(revision string) obstacle {
	for _, rejected := range d.tuning.Status.Rejected {
		if rejected.Revision == revision {
			return obstacle{
				reason: rejected.Reason,
				message: fmt.Sprintf("Revision %s was taken back and is not tried again: %s To try it again, delete this "+
					"ConnectionTuning once the cause is gone.", revision, rejected.Message),
			}
		}
	}
	return obstacle{reason: v1alpha1.ReasonRolledBack, message: fmt.Sprintf("Revision %s was taken back.", revision)}
}
