// Package openreports tells what was found in the words of OpenReports (openreports.io), which dashboards of other
// policy engines read: one Report for each policy, where that kind is installed.
package openreports

import (
	"context"
	"fmt"

	reportsapi "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// Reconciler keeps a Report for each policy.
type Reconciler struct {
	// Client reads from the manager's cache.
	Client client.Reader
	// Live writes to the API server. It has no cache: one of a kind that may go would have to go with it.
	Live client.Writer
}

// Reconcile writes the Report of one policy, if the kind is there. It goes by itself when its policy goes, to which it
// belongs, or its kind.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	installed, err := r.installed(ctx)
	if err != nil || !installed {
		return ctrl.Result{}, err
	}
	var policy v1alpha1.ConnectionPolicy
	if err := r.Client.Get(ctx, request.NamespacedName, &policy); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if policy.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	var reports v1alpha1.ConnectionReportList
	if err := r.Client.List(ctx, &reports, client.InNamespace(policy.Namespace)); err != nil {
		return ctrl.Result{}, fmt.Errorf("list the ConnectionReports: %w", err)
	}
	return ctrl.Result{}, r.write(ctx, translate(&policy, reports.Items))
}

// installed says whether there is a kind to write.
func (r *Reconciler) installed(ctx context.Context) (bool, error) {
	definition := Definition()
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(definition), definition)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the definition of OpenReports: %w", err)
	}
	return definition.DeletionTimestamp == nil, nil
}

// write applies a report. The API server leaves one alone that says so already.
func (r *Reconciler) write(ctx context.Context, report *reportsapi.Report) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(report)
	if err != nil {
		return fmt.Errorf("render the Report: %w", err)
	}
	object := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(object.Object, "metadata", "creationTimestamp") // null, and not ours
	err = r.Live.Apply(ctx, client.ApplyConfigurationFromUnstructured(object),
		client.FieldOwner(v1alpha1.FieldManager), client.ForceOwnership)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	if err != nil { // a kind that is defined and not served yet among them: tried again, ever more slowly
		return fmt.Errorf("write the Report: %w", err)
	}
	return nil
}
