package policy

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// strayAfter is how old a live pod must be to count as forgotten: a younger one may belong to a run that this process
// does not see yet.
const strayAfter = 2 * time.Minute

// sweep deletes what belongs to no run and no link any more. Pods of a link's present or last run are kept for their
// logs.
func (r *Reconciler) sweep(ctx context.Context, s *scope) error {
	for i := range s.pods {
		if !stray(&s.pods[i], s.links, s.now) {
			continue
		}
		if err := r.deletePod(ctx, s.policy.Namespace, s.pods[i].Name, s.pods[i].UID); err != nil {
			return err
		}
	}
	for name, report := range s.reports {
		if slices.ContainsFunc(s.links, func(l *link) bool { return l.spec.Name == name }) {
			continue
		}
		if err := r.Client.Delete(ctx, report); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete the report of link %s, which is gone: %w", name, err)
		}
	}
	return nil
}

// stray says whether a pod belongs to no run any more.
func stray(pod *corev1.Pod, links []*link, now time.Time) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, l := range links {
		for _, run := range []*v1alpha1.ProbeRunStatus{l.status.Run, l.status.IdleRun} {
			if run != nil && slices.ContainsFunc(run.Pods, func(known v1alpha1.ProbePodStatus) bool { return known.UID == string(pod.UID) }) {
				return false
			}
		}
	}
	return ended(pod) || now.Sub(pod.CreationTimestamp.Time) > strayAfter
}

// halt stops what is under way for a suspended policy. What was measured and changed stays.
func (r *Reconciler) halt(ctx context.Context, s *scope) error {
	for i := range s.pods {
		if ended(&s.pods[i]) {
			continue
		}
		if err := r.deletePod(ctx, s.policy.Namespace, s.pods[i].Name, s.pods[i].UID); err != nil {
			return err
		}
	}
	for _, l := range s.links {
		if l.status.Run != nil && l.status.Run.Phase != v1alpha1.RunFinished {
			l.status.Run = nil // begun anew when the policy goes on
		}
		if l.status.IdleRun != nil && l.status.IdleRun.Phase != v1alpha1.RunFinished {
			l.status.IdleRun = nil
		}
	}
	return nil
}
