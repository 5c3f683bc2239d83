package tuning

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// act carries a decision out: the tuning first, then what follows from it, the status last, so that what the status says
// was done was done. Events come after the status.
func (r *Reconciler) act(ctx context.Context, g *gathered, decision Decision) error {
	before := g.state.Tuning
	if decision.Delete {
		return r.remove(ctx, before)
	}
	if decision.Tuning == nil {
		return nil
	}
	t := decision.Tuning
	status := t.Status.DeepCopy()
	if err := r.writeTuning(ctx, before, t); err != nil {
		return err
	}
	t.Status = *status
	t.Status.ObservedGeneration = t.Generation
	problem := errors.Join(r.actOnCanaries(ctx, g, t, decision), r.actOnWorkload(ctx, g, t, decision))
	if err := r.writeStatus(ctx, before, t); err != nil {
		return errors.Join(problem, err)
	}
	if g.state.Namespace.Terminating {
		return problem // a namespace that is being deleted takes no events
	}
	var told []v1alpha1.TuningEvent
	if before != nil {
		told = before.Status.History
	}
	for _, event := range newEvents(told, t.Status.History) {
		r.announce(t, event)
	}
	return problem
}

func (r *Reconciler) remove(ctx context.Context, t *v1alpha1.ConnectionTuning) error {
	if err := r.Client.Delete(ctx, t, client.Preconditions{UID: &t.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete ConnectionTuning %s/%s: %w", t.Namespace, t.Name, err)
	}
	return nil
}

// writeTuning creates or updates all but the status. The update fails if somebody else wrote since.
func (r *Reconciler) writeTuning(ctx context.Context, before, t *v1alpha1.ConnectionTuning) error {
	if before == nil {
		if err := r.Client.Create(ctx, t); err != nil {
			return fmt.Errorf("create ConnectionTuning %s/%s: %w", t.Namespace, t.Name, err)
		}
		return nil
	}
	same := equality.Semantic.DeepEqual(before.Spec, t.Spec) &&
		equality.Semantic.DeepEqual(before.OwnerReferences, t.OwnerReferences) &&
		equality.Semantic.DeepEqual(before.Finalizers, t.Finalizers)
	if same {
		return nil
	}
	if err := r.Client.Update(ctx, t); err != nil {
		return fmt.Errorf("update ConnectionTuning %s/%s: %w", t.Namespace, t.Name, err)
	}
	return nil
}

func (r *Reconciler) actOnCanaries(ctx context.Context, g *gathered, t *v1alpha1.ConnectionTuning, decision Decision) error {
	var problems []error
	for _, name := range decision.RemoveCanaryPods {
		problems = append(problems, r.removeCanary(ctx, t.Namespace, name))
	}
	for _, start := range decision.StartCanaries {
		problems = append(problems, r.startCanary(ctx, t, g, start))
	}
	return errors.Join(problems...)
}

// actOnWorkload replaces the workload's pods. If that fails, the status does not say that it was done.
func (r *Reconciler) actOnWorkload(ctx context.Context, g *gathered, t *v1alpha1.ConnectionTuning, decision Decision) error {
	if decision.RestartAt == nil {
		return nil
	}
	err := r.restart(ctx, g, *decision.RestartAt)
	if err != nil {
		RestartFailed(&t.Status, g.state.Tuning.Status, err.Error())
	}
	return err
}

// restart writes one annotation to the pod template, as kubectl rollout restart does, and claims nothing else of the
// workload. The UID keeps server-side apply from creating a workload that was deleted meanwhile. It goes past the
// manager's client, which would keep a cache of all workloads of this kind to see what it wrote.
func (r *Reconciler) restart(ctx context.Context, g *gathered, at time.Time) error {
	target := g.state.Target
	patch := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": target.Group + "/v1",
		"kind":       target.Kind,
		"metadata": map[string]any{
			"namespace": g.state.Namespace.Name,
			"name":      target.Name,
			"uid":       string(g.source.uid),
		},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{
			v1alpha1.AnnotationRestartedAt: at.UTC().Format(time.RFC3339),
		}}}},
	}}
	err := r.Live.Apply(ctx, client.ApplyConfigurationFromUnstructured(patch), client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsConflict(err) {
		// Not wrapped: this conflict does not pass by reading again, as one with an older version of an object does.
		return fmt.Errorf("replace the pods of %s %s/%s: another writer holds the annotation %s of the pod template; remove it there: %s",
			target.Kind, g.state.Namespace.Name, target.Name, v1alpha1.AnnotationRestartedAt, err.Error())
	}
	if err != nil {
		return fmt.Errorf("replace the pods of %s %s/%s: %w", target.Kind, g.state.Namespace.Name, target.Name, err)
	}
	return nil
}

// writeStatus writes the status if it changed. It fails if somebody else wrote since.
func (r *Reconciler) writeStatus(ctx context.Context, before, t *v1alpha1.ConnectionTuning) error {
	var old v1alpha1.ConnectionTuningStatus
	if before != nil {
		old = before.Status
	}
	if equality.Semantic.DeepEqual(old, t.Status) {
		return nil
	}
	base := t.DeepCopy()
	base.Status = old
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	err := r.Client.Status().Patch(ctx, t, patch)
	if apierrors.IsNotFound(err) && !t.DeletionTimestamp.IsZero() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the status of ConnectionTuning %s/%s: %w", t.Namespace, t.Name, err)
	}
	return nil
}

// announce tells people what happened to a tuning.
func (r *Reconciler) announce(t *v1alpha1.ConnectionTuning, event v1alpha1.TuningEvent) {
	kind := corev1.EventTypeNormal
	switch event.Reason {
	case v1alpha1.ReasonForbidden, v1alpha1.ReasonInconclusive, v1alpha1.ReasonUnsupported:
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(t, nil, kind, event.Reason, "Tune", "%s", eventNote(event))
}

func eventNote(event v1alpha1.TuningEvent) string {
	if event.Revision == "" {
		return event.Message
	}
	return fmt.Sprintf("Revision %s: %s", event.Revision, event.Message)
}

// RestartFailed takes back what a status says of a replacement of the pods that did not come about.
func RestartFailed(status *v1alpha1.ConnectionTuningStatus, before v1alpha1.ConnectionTuningStatus, cause string) {
	status.History = before.History
	if status.Undo != nil {
		status.Undo.RestartedAt = nil
	}
	if status.Rollout != nil && before.Rollout != nil {
		status.Rollout.Restarts, status.Rollout.RestartedAt = before.Rollout.Restarts, before.Rollout.RestartedAt
	}
	for i := range status.Conditions {
		condition := &status.Conditions[i]
		if condition.Status == metav1.ConditionFalse || condition.Type == v1alpha1.ConditionProgressing {
			condition.Message = shorten("The pods could not be replaced: " + cause)
		}
	}
}
