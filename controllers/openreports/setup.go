package openreports

import (
	"context"

	reportsapi "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// Definition names the CustomResourceDefinition whose presence says that Reports are wanted. Its metadata is enough.
func Definition() *metav1.PartialObjectMetadata {
	definition := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "reports." + reportsapi.GroupName}}
	definition.APIVersion, definition.Kind = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
	return definition
}

// DefinitionAlone has a manager's cache watch that one definition and no other: the operator has no right to more.
func DefinitionAlone() cache.ByObject {
	return cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", Definition().Name)}
}

// SetupWithManager registers the controller and its watches. The manager's cache must watch Definition by DefinitionAlone.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("openreports").
		For(&v1alpha1.ConnectionPolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.ConnectionReport{}, handler.EnqueueRequestsFromMapFunc(policyOf)).
		Watches(Definition(), handler.EnqueueRequestsFromMapFunc(r.everyPolicy), builder.OnlyMetadata).
		Complete(r)
}

func policyOf(_ context.Context, object client.Object) []reconcile.Request {
	report, isReport := object.(*v1alpha1.ConnectionReport)
	if !isReport {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: report.Namespace, Name: report.Spec.PolicyName}}}
}

// everyPolicy: the kind came, and each policy is to have a Report; or it changed or went, which costs nothing to look at.
func (r *Reconciler) everyPolicy(ctx context.Context, _ client.Object) []reconcile.Request {
	var policies v1alpha1.ConnectionPolicyList
	if err := r.Client.List(ctx, &policies); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the policies that are to have a Report")
		return nil
	}
	requests := make([]reconcile.Request, len(policies.Items))
	for i := range policies.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&policies.Items[i])
	}
	return requests
}
