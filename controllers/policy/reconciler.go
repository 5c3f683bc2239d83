// Package policy carries out ConnectionPolicies: it finds what their links lead to, has probes measure them and observers
// look at the workload's own sockets, has what was seen judged, and writes reports and the policy's status.
package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/controllers/metrics"
	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/internal/userrules"
)

// Reconciler carries out ConnectionPolicies.
type Reconciler struct {
	// Client reads from the manager's cache and writes.
	Client client.Client
	// Live reads from the API server itself.
	Live client.Reader
	// Places bound the probe pods that live at once.
	Places *limits.Places
	// Events records what people should know of.
	Events events.EventRecorder
	// Outcomes counts what became of probes.
	Outcomes *metrics.Outcomes
	// HTTP reads observers. It does not follow redirects.
	HTTP *http.Client
	// Now is the clock.
	Now func() time.Time

	// ProbeImage holds the probe and the observer.
	ProbeImage string
	// ProbePriorityClass of probe pods. Empty: the cluster's default.
	ProbePriorityClass string
	// ObserverPort is the port that observers serve on.
	ObserverPort int
	// NodePorts is the cluster's range of NodePorts (--node-port-range). Nil: not known.
	NodePorts *ports.Range
	// AuditRules is what audit rules of policies may name.
	AuditRules *userrules.Environment
	// Ceilings of the administrator; zero fields have none.
	Ceilings v1alpha1.ProbeLimits

	sightings sightings
	witnesses witnesses
}

// Reconcile takes one policy one step on. What it decides on is read once, at the beginning of each step; the status is
// written once, at the end, and only if it changed.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	policy := &v1alpha1.ConnectionPolicy{}
	if err := r.Client.Get(ctx, request.NamespacedName, policy); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if policy.DeletionTimestamp != nil {
		return ctrl.Result{}, nil // owner references remove what the policy made
	}
	s := newScope(policy, r.Now())
	s.nodePorts = r.NodePorts
	s.rules = compileRules(r.AuditRules, policy.Spec.Audit)
	defer func() {
		s.tell(r.Events, s.tidings) // the reports that they are from are written
		if written := r.writeStatus(ctx, s); written != nil {
			err = errors.Join(err, written)
		} else {
			s.tell(r.Events, probesFailed(s.before.Status.Conditions, s.policy.Status.Conditions))
			s.count(r.Outcomes)
		}
		if apierrors.IsConflict(err) { // the policy changed meanwhile: look again, there is nothing to report
			result, err = ctrl.Result{RequeueAfter: time.Second}, nil
		}
	}()

	needed, others := r.steps(policy)
	for _, step := range needed {
		if err := step(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
	}
	var failed error
	for _, step := range others {
		failed = errors.Join(failed, step(ctx, s))
	}
	s.summarise()
	if failed != nil {
		return ctrl.Result{}, failed
	}
	return s.requeue(), nil
}

// steps in their order. Without those that are needed nothing can be said of the policy; the others go on although one
// of them fails.
func (r *Reconciler) steps(policy *v1alpha1.ConnectionPolicy) (needed, others []func(context.Context, *scope) error) {
	type steps = []func(context.Context, *scope) error
	if policy.Spec.Suspend {
		return steps{r.gather, r.halt}, nil
	}
	return steps{r.gather, r.resolve}, steps{r.probe, r.observe, r.audit, r.sweep}
}

// writeStatus writes the status, if it changed, over the one that was read and no other.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	if !s.changed() {
		return nil
	}
	patch := client.MergeFromWithOptions(s.before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, s.policy, patch, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		if apierrors.IsNotFound(err) { // deleted meanwhile
			return nil
		}
		return fmt.Errorf("write the status: %w", err)
	}
	return nil
}
