package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/history"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

// audit has each link judged, and writes its report if what it says changed significantly.
func (r *Reconciler) audit(ctx context.Context, s *scope) error {
	var failed error
	for _, l := range s.links {
		if s.source.trouble.any() || l.trouble.any() {
			keepResults(l)
			continue // what was seen before stays as it is
		}
		if err := r.auditLink(ctx, s, l); err != nil {
			keepResults(l)
			failed = errors.Join(failed, fmt.Errorf("link %s: %w", l.spec.Name, err))
		}
	}
	return failed
}

// keepResults puts the run back as it was read, if results came in that the report does not hold: the next reconcile
// reads them from their pods again, and finds a pod again that was created meanwhile.
func keepResults(l *link) {
	if len(l.measured) > 0 {
		l.status.Run = l.previous
	}
	if len(l.idleMeasured) > 0 {
		l.status.IdleRun = l.previousIdle
	}
}

func (r *Reconciler) auditLink(ctx context.Context, s *scope, l *link) error {
	var known v1alpha1.ConnectionReportStatus
	if l.report != nil {
		known = l.report.Status
	}
	if known.Target != nil && known.Target.URL != l.target.url {
		known.Vantages = nil // they tell of something else
	}
	// Those of an operator of another version may be of another contract.
	known.Vantages = slices.DeleteFunc(vantage.Whole(known.Vantages), func(v v1alpha1.Vantage) bool {
		return v.Outcome == string(result.Measured) && !vantage.Readable(v)
	})
	fresh, err := freshVantages(s, l)
	if err != nil {
		return err
	}
	if known.Target != nil && known.Target.Name != l.target.name || !equality.Semantic.DeepEqual(known.Source, s.policy.Spec.From) {
		known.Drains = nil
	}
	l.drains = allDrains(known.Drains, l.witness)
	standing := mergeVantages(known.Vantages, fresh, l.status.Run, s.vantageChoice(), metav1.NewTime(s.now))
	silence := s.silence(l, known.Vantages)
	if err := putSilence(standing, silence); err != nil {
		return err
	}
	if len(standing) == 0 && !slices.ContainsFunc(s.observed, func(o observed) bool { return o.seen.outcome != "" }) {
		return nil // nothing was seen yet
	}
	next, err := reportStatus(s, l, standing, history.Looks(known.History))
	if err != nil {
		return err
	}
	before, judged := known.Judgements(), next.Verdicts
	keepFindings(before, judged)
	next = fit(next)
	if !significant(&known, &next, s.now) && len(l.idleMeasured) == 0 { // silence is measured too seldom to wait for
		s.wakeAt(known.ObservedTime.Add(writeAtLeast))
		return nil
	}
	written, err := r.writeReport(ctx, s, l, next)
	if err != nil {
		return err
	}
	if written == nil {
		keepResults(l)
		return nil
	}
	l.report = written
	if l.witness != nil {
		l.witness.told = nil
	}
	s.tidings = append(s.tidings, findingsChanged(l.spec.Name, before, judged)...)
	return nil
}

// freshVantages are the results that came in during this reconcile.
func freshVantages(s *scope, l *link) ([]v1alpha1.Vantage, error) {
	var fresh []v1alpha1.Vantage
	if l.status.Run == nil {
		return nil, nil
	}
	for _, pod := range l.status.Run.Pods {
		if r := l.measured[pod.Name]; r != nil {
			v, err := vantage.Of(pod.Node, pod.Name, *r, metav1.NewTime(s.now))
			if err != nil {
				return nil, err
			}
			fresh = append(fresh, v)
		}
	}
	return fresh, nil
}

// writeReport writes a link's report. Nil without an error: the name is another policy's report's, or the namespace is
// going.
func (r *Reconciler) writeReport(ctx context.Context, s *scope, l *link, status v1alpha1.ConnectionReportStatus) (*v1alpha1.ConnectionReport, error) {
	report := l.report.DeepCopy()
	if report == nil {
		report = &v1alpha1.ConnectionReport{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.policy.Namespace, Name: reportName(s.policy.Name, l.spec.Name)},
			Spec:       v1alpha1.ConnectionReportSpec{PolicyName: s.policy.Name, LinkName: l.spec.Name},
		}
		if err := ctrl.SetControllerReference(s.policy, report, r.Client.Scheme()); err != nil {
			return nil, fmt.Errorf("own the report: %w", err)
		}
		err := r.Client.Create(ctx, report, client.FieldOwner(v1alpha1.FieldManager))
		switch {
		case apierrors.IsAlreadyExists(err):
			return nil, r.findReport(ctx, s, l, report.Name)
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("create the report: %w", err)
		}
	}
	before := report.DeepCopy()
	report.Status = status
	if err := r.Client.Status().Patch(ctx, report, client.MergeFrom(before), client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	return report, nil
}

// findReport looks at the report that stands under a link's name although the cache has none of this link.
func (r *Reconciler) findReport(ctx context.Context, s *scope, l *link, name string) error {
	var report v1alpha1.ConnectionReport
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.policy.Namespace, Name: name}, &report); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	switch {
	case !isOf(&report, s, l):
		l.trouble = nameTaken(name)
	case !metav1.IsControlledBy(&report, s.policy): // an earlier policy of this name left it
		if err := r.Client.Delete(ctx, &report, client.Preconditions{UID: &report.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete the report of an earlier policy: %w", err)
		}
	}
	s.wakeAt(s.now.Add(lookAgain)) // the cache will know then
	return nil
}

func reportName(policy, link string) string { return policy + "-" + link }
