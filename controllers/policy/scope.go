package policy

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/probes/result"
)

// scope is one reconcile of one policy: what was read, and what came of it.
type scope struct {
	// policy is worked on; before is as it was read.
	policy, before *v1alpha1.ConnectionPolicy
	now            time.Time

	source source
	links  []*link
	// pods are the operator's pods of the policy.
	pods []corev1.Pod
	// reports of the policy that exist, by link. Reports of links that are gone are among them.
	reports map[string]*v1alpha1.ConnectionReport
	// tuning of the source workload. Nil: none.
	tuning *v1alpha1.ConnectionTuning
	// nodeAddresses are never probed.
	nodeAddresses []string
	// nodePorts is the cluster's range of NodePorts. Nil: not known.
	nodePorts *ports.Range
	// probeNodes take the probes of a policy without a workload, the best first.
	probeNodes []string
	// rules of the policy's own.
	rules ownRules
	// observed pods of the source.
	observed []observed

	wake    time.Time
	tidings []tiding
}

// source is the workload that opens the connections.
type source struct {
	trouble trouble
	// nodeSelector and tolerations of its pods.
	nodeSelector map[string]string
	tolerations  []corev1.Toleration
	// names is how its pods resolve names.
	names probepod.Names
	pods  []corev1.Pod
}

// link is one entry of spec.to.
type link struct {
	spec v1alpha1.Link
	// status is worked on.
	status  v1alpha1.LinkStatus
	target  target
	trouble trouble
	// waiting says what a run waits for, idleWaiting what that of idle waits for.
	waiting, idleWaiting string
	// idleUntil is when the pod that looks at silence is done, about. Zero: none looks.
	idleUntil time.Time
	// previous is the run as it was read, previousIdle that of idle.
	previous, previousIdle *v1alpha1.ProbeRunStatus
	// begun: a run began in this reconcile.
	begun bool
	// measured are results that came in during this reconcile, by the pod's name, and idleMeasured those of idle.
	measured, idleMeasured map[string]*result.Result
	// verdicts as the report holds them.
	report *v1alpha1.ConnectionReport
	// witness of the endpoints behind it. Nil: nobody looks at them.
	witness *witness
	// drains that were witnessed, those that the report holds among them.
	drains []v1alpha1.Drain
}

func newScope(policy *v1alpha1.ConnectionPolicy, now time.Time) *scope {
	s := &scope{policy: policy.DeepCopy(), before: policy, now: now}
	for _, spec := range policy.Spec.To {
		l := &link{spec: spec, status: v1alpha1.LinkStatus{Name: spec.Name}}
		if i := slices.IndexFunc(policy.Status.Links, func(status v1alpha1.LinkStatus) bool { return status.Name == spec.Name }); i >= 0 {
			l.status.Run = policy.Status.Links[i].Run.DeepCopy()
			l.status.IdleRun = policy.Status.Links[i].IdleRun.DeepCopy()
		}
		s.links = append(s.links, l)
	}
	return s
}

// wakeAt asks for another look at a time, if nothing happens before.
func (s *scope) wakeAt(when time.Time) {
	if !when.IsZero() && (s.wake.IsZero() || when.Before(s.wake)) {
		s.wake = when
	}
}

func (s *scope) requeue() ctrl.Result {
	if s.wake.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(s.wake.Sub(s.now), time.Second)}
}

func (s *scope) changed() bool {
	return !equality.Semantic.DeepEqual(s.before.Status, s.policy.Status)
}

// requestedAt is a request for a run that was not answered yet; empty if there is none.
func (s *scope) requestedAt() string {
	asked := clip.To(s.policy.Annotations[v1alpha1.AnnotationRequestedAt], maximumRequestBytes)
	if asked == s.policy.Status.LastHandledRequestedAt {
		return ""
	}
	return asked
}
