package policy

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// Indexes of the cache.
const (
	indexSource       = "connpolicy.source"
	indexService      = "connpolicy.service"
	indexReportPolicy = "connpolicy.reportPolicy"
	indexClusterIP    = "connpolicy.clusterIP"

	// policiesAtOnce bounds the reconciles that run at once; they wait for observers most of the time.
	policiesAtOnce = 4
)

// SetupWithManager registers the controller, its indexes and its watches.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	workload := func(kind string) handler.EventHandler {
		return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
			return r.policiesFrom(ctx, object.GetNamespace(), v1alpha1.WorkloadReference{Kind: kind, Name: object.GetName()})
		})
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("policy").
		For(&v1alpha1.ConnectionPolicy{}, builder.WithPredicates(askedAnew())).
		Owns(&v1alpha1.ConnectionReport{}, builder.WithPredicates(deletedOnly())).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.policiesOfPod), builder.WithPredicates(podMatters())).
		Watches(&appsv1.Deployment{}, workload(kindDeployment), builder.WithPredicates(generationChanged())).
		Watches(&appsv1.StatefulSet{}, workload(kindStatefulSet), builder.WithPredicates(generationChanged())).
		Watches(&appsv1.DaemonSet{}, workload(kindDaemonSet), builder.WithPredicates(generationChanged())).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.policiesOfService), builder.WithPredicates(serviceMatters())).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(r.policiesOfSlice), builder.WithPredicates(endpointsMatter())).
		Watches(&v1alpha1.ConnectionTuning{}, handler.EnqueueRequestsFromMapFunc(r.policiesOfTuning), builder.WithPredicates(tuningMatters())).
		WithOptions(controller.Options{MaxConcurrentReconciles: policiesAtOnce}).
		Complete(r)
}

func index(ctx context.Context, indexer client.FieldIndexer) error {
	policies := &v1alpha1.ConnectionPolicy{}
	if err := indexer.IndexField(ctx, policies, indexSource, func(object client.Object) []string {
		policy := object.(*v1alpha1.ConnectionPolicy)
		if policy.Spec.From == nil {
			return nil
		}
		return []string{sourceKey(*policy.Spec.From)}
	}); err != nil {
		return fmt.Errorf("index policies by their workload: %w", err)
	}
	if err := indexer.IndexField(ctx, policies, indexService, func(object client.Object) []string {
		policy := object.(*v1alpha1.ConnectionPolicy)
		var services []string
		for _, link := range policy.Spec.To {
			if link.Service != nil {
				services = append(services, serviceNamespace(policy, link)+"/"+link.Service.Name)
			}
		}
		return slices.Compact(slices.Sorted(slices.Values(services)))
	}); err != nil {
		return fmt.Errorf("index policies by their services: %w", err)
	}
	if err := indexer.IndexField(ctx, &v1alpha1.ConnectionReport{}, indexReportPolicy, func(object client.Object) []string {
		return []string{object.(*v1alpha1.ConnectionReport).Spec.PolicyName}
	}); err != nil {
		return fmt.Errorf("index reports by their policy: %w", err)
	}
	if err := indexer.IndexField(ctx, &corev1.Service{}, indexClusterIP, func(object client.Object) []string {
		return clusterIPKeys(object.(*corev1.Service))
	}); err != nil {
		return fmt.Errorf("index Services by their addresses: %w", err)
	}
	return nil
}

func sourceKey(ref v1alpha1.WorkloadReference) string { return ref.Kind + "/" + ref.Name }

// policiesOfPod: a probe pod's policy, or the policies of the workload that the pod belongs to.
func (r *Reconciler) policiesOfPod(ctx context.Context, object client.Object) []reconcile.Request {
	pod := object.(*corev1.Pod)
	if policy := pod.Labels[v1alpha1.LabelProbe]; policy != "" {
		if pod.Labels[v1alpha1.LabelRole] == v1alpha1.RoleCanary {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.Namespace, Name: policy}}}
	}
	if workload := workloadOf(pod); workload.Kind != "" {
		return r.policiesFrom(ctx, pod.Namespace, workload)
	}
	return nil
}

func (r *Reconciler) policiesFrom(ctx context.Context, namespace string, workload v1alpha1.WorkloadReference) []reconcile.Request {
	return r.policiesBy(ctx, client.InNamespace(namespace), client.MatchingFields{indexSource: sourceKey(workload)})
}

func (r *Reconciler) policiesOfService(ctx context.Context, object client.Object) []reconcile.Request {
	return r.policiesBy(ctx, client.MatchingFields{indexService: object.GetNamespace() + "/" + object.GetName()})
}

func (r *Reconciler) policiesOfSlice(ctx context.Context, object client.Object) []reconcile.Request {
	service := object.GetLabels()[discoveryv1.LabelServiceName]
	if service == "" {
		return nil
	}
	return r.policiesBy(ctx, client.MatchingFields{indexService: object.GetNamespace() + "/" + service})
}

func (r *Reconciler) policiesOfTuning(ctx context.Context, object client.Object) []reconcile.Request {
	return r.policiesFrom(ctx, object.GetNamespace(), object.(*v1alpha1.ConnectionTuning).Spec.TargetRef)
}

// policiesBy lists policies from the cache. If that fails the event is lost, and the policies' own timers remain.
func (r *Reconciler) policiesBy(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	var policies v1alpha1.ConnectionPolicyList
	if err := r.Client.List(ctx, &policies, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the policies that an event concerns")
		return nil
	}
	requests := make([]reconcile.Request, len(policies.Items))
	for i := range policies.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&policies.Items[i])
	}
	return requests
}
