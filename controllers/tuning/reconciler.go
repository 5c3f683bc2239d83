package tuning

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// conflictWait is how long the cache gets to learn of a write that was newer than what the decision rested on.
const conflictWait = 200 * time.Millisecond

// Reconciler reconciles ConnectionTunings with what the policies of their workload want.
type Reconciler struct {
	// Client reads from the manager's cache and writes.
	Client client.Client
	// Live reads from the API server itself, tries pods there without creating them, and changes workloads.
	Live client.Client
	// Recorder tells people what happened.
	Recorder events.EventRecorder
	// Places gives out the places for canary pods, shared with the probe pods.
	Places *limits.Places
	// ProbeImage is the image of canary pods, ProbePriorityClass their PriorityClass. Empty: the cluster's default.
	ProbeImage, ProbePriorityClass string
	// MayApply says whether workloads may be changed (--enable-apply).
	MayApply bool
	// NodePorts is the cluster's NodePort range (--node-port-range).
	NodePorts tuner.PortRange
	// Clock tells the time. Nil: the machine's.
	Clock func() time.Time
}

// Reconcile gathers the state of one tuning, decides, and acts.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	g, err := r.gather(ctx, request.NamespacedName)
	if err != nil || g == nil {
		return ctrl.Result{}, err
	}
	decision := Decide(g.state)
	err = r.act(ctx, g, decision)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ctrl.Result{RequeueAfter: conflictWait}, nil
	}
	return ctrl.Result{RequeueAfter: decision.RequeueAfter}, err
}

func (r *Reconciler) now() time.Time {
	if r.Clock != nil {
		return r.Clock()
	}
	return time.Now()
}
