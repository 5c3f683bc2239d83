package policy

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// freeAgain is how soon to look again whether the name of a report is free: no watch tells.
const freeAgain = time.Minute

// gather reads what the operator itself made for the policy: probe pods, reports and the workload's tuning.
func (r *Reconciler) gather(ctx context.Context, s *scope) error {
	namespace := client.InNamespace(s.policy.Namespace)
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, namespace, client.MatchingLabels{v1alpha1.LabelProbe: s.policy.Name}); err != nil {
		return fmt.Errorf("list the policy's probe pods: %w", err)
	}
	// Canaries are the tuning's.
	s.pods = slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return !metav1.IsControlledBy(&pod, s.policy) })

	var reports v1alpha1.ConnectionReportList
	if err := r.Client.List(ctx, &reports, namespace, client.MatchingFields{indexReportPolicy: s.policy.Name}); err != nil {
		return fmt.Errorf("list the policy's reports: %w", err)
	}
	s.reports = map[string]*v1alpha1.ConnectionReport{}
	for i := range reports.Items {
		if metav1.IsControlledBy(&reports.Items[i], s.policy) {
			s.reports[reports.Items[i].Spec.LinkName] = &reports.Items[i]
		}
	}
	for _, l := range s.links {
		if l.report = s.reports[l.spec.Name]; l.report == nil {
			if err := r.checkReportName(ctx, s, l); err != nil {
				return err
			}
		}
	}
	return r.gatherTuning(ctx, s)
}

// checkReportName looks whether the name of a link's report is another link's: nothing could be reported then, so that
// nothing is measured.
func (r *Reconciler) checkReportName(ctx context.Context, s *scope, l *link) error {
	var report v1alpha1.ConnectionReport
	key := client.ObjectKey{Namespace: s.policy.Namespace, Name: reportName(s.policy.Name, l.spec.Name)}
	err := r.Client.Get(ctx, key, &report)
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("read ConnectionReport %s: %w", key.Name, err)
	case !isOf(&report, s, l):
		l.trouble = nameTaken(key.Name)
		s.wakeAt(s.now.Add(freeAgain))
	}
	return nil
}

// isOf says whether a report is a link's, of this policy or of an earlier one of its name.
func isOf(report *v1alpha1.ConnectionReport, s *scope, l *link) bool {
	return report.Spec.PolicyName == s.policy.Name && report.Spec.LinkName == l.spec.Name
}

func nameTaken(report string) trouble {
	return trouble{v1alpha1.ReasonInvalid,
		fmt.Sprintf("ConnectionReport %s exists already and is another policy's; give the link another name", report)}
}

func (r *Reconciler) gatherTuning(ctx context.Context, s *scope) error {
	if s.policy.Spec.From == nil {
		return nil
	}
	tuning := &v1alpha1.ConnectionTuning{}
	key := client.ObjectKey{Namespace: s.policy.Namespace, Name: tuner.Name(*s.policy.Spec.From)}
	err := r.Client.Get(ctx, key, tuning)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read ConnectionTuning %s: %w", key.Name, err)
	}
	s.tuning = tuning
	return nil
}
