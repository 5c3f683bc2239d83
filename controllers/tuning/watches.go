package tuning

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// SetupWithManager makes the manager run the reconciler, woken by everything that a decision rests on.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("tuning").
		For(&v1alpha1.ConnectionTuning{}).
		Watches(&v1alpha1.ConnectionPolicy{}, handler.EnqueueRequestsFromMapFunc(ofPolicy),
			builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.ConnectionReport{}, handler.EnqueueRequestsFromMapFunc(r.ofReport)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.ofPod)).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(r.ofWorkload(kindDeployment))).
		Watches(&appsv1.StatefulSet{}, handler.EnqueueRequestsFromMapFunc(r.ofWorkload(kindStatefulSet))).
		Watches(&appsv1.DaemonSet{}, handler.EnqueueRequestsFromMapFunc(r.ofWorkload(kindDaemonSet))).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace),
			builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Complete(r)
}

// ofPolicy names the tuning of the workload that a policy is about.
func ofPolicy(_ context.Context, object client.Object) []reconcile.Request {
	policy, isPolicy := object.(*v1alpha1.ConnectionPolicy)
	if !isPolicy || policy.Spec.From == nil {
		return nil
	}
	return request(policy.Namespace, tuner.Name(*policy.Spec.From))
}

// ofReport names the tuning of the workload that the report's policy is about.
func (r *Reconciler) ofReport(ctx context.Context, object client.Object) []reconcile.Request {
	report, isReport := object.(*v1alpha1.ConnectionReport)
	if !isReport {
		return nil
	}
	var policy v1alpha1.ConnectionPolicy
	key := types.NamespacedName{Namespace: report.Namespace, Name: report.Spec.PolicyName}
	if err := r.Client.Get(ctx, key, &policy); err != nil {
		return nil // a policy that is gone wakes its tuning itself
	}
	return ofPolicy(ctx, &policy)
}

// ofPod names the tuning that a pod is stamped with, or that it is a canary of, or that its workload has.
func (r *Reconciler) ofPod(ctx context.Context, object client.Object) []reconcile.Request {
	if name, stamped := stampedBy(object.GetAnnotations()[v1alpha1.AnnotationTuning]); stamped {
		return request(object.GetNamespace(), name)
	}
	owner := metav1.GetControllerOf(object)
	switch {
	case owner == nil:
		return nil
	case owner.Kind == "ConnectionTuning":
		return request(object.GetNamespace(), owner.Name)
	case owner.Kind == kindReplicaSet:
		deployment, isOne := strings.CutSuffix(owner.Name, "-"+object.GetLabels()[appsv1.DefaultDeploymentUniqueLabelKey])
		if !isOne {
			return nil
		}
		return r.ifTuned(ctx, object.GetNamespace(), kindDeployment, deployment)
	default:
		return r.ifTuned(ctx, object.GetNamespace(), owner.Kind, owner.Name)
	}
}

func (r *Reconciler) ofWorkload(kind string) handler.MapFunc {
	return func(ctx context.Context, object client.Object) []reconcile.Request {
		return r.ifTuned(ctx, object.GetNamespace(), kind, object.GetName())
	}
}

// ifTuned names the tuning of a workload if there is one. Most workloads of a cluster have none, and their pods come and
// go all the time.
func (r *Reconciler) ifTuned(ctx context.Context, namespace, kind, name string) []reconcile.Request {
	key := types.NamespacedName{Namespace: namespace, Name: tuner.Name(v1alpha1.WorkloadReference{Kind: kind, Name: name})}
	var t v1alpha1.ConnectionTuning
	if err := r.Client.Get(ctx, key, &t); err != nil {
		return nil // reads from the cache; there is nothing to wake, or nothing to read it from
	}
	return request(key.Namespace, key.Name)
}

// ofNamespace names all tunings of a namespace: it may have opted in or out.
func (r *Reconciler) ofNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	var tunings v1alpha1.ConnectionTuningList
	if err := r.Client.List(ctx, &tunings, client.InNamespace(object.GetName())); err != nil {
		return nil // reads from the cache; without a cache there is no event either
	}
	var requests []reconcile.Request
	for _, t := range tunings.Items {
		requests = append(requests, request(t.Namespace, t.Name)...)
	}
	return requests
}

func request(namespace, name string) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
}
