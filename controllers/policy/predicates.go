package policy

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/observer"
)

// The predicates let through what can change an outcome, so that policies cost nothing while nothing happens.

// updated lets all creations and deletions through, and updates that matter.
func updated[T client.Object](matters func(before, after T) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, isBefore := e.ObjectOld.(T)
		after, isAfter := e.ObjectNew.(T)
		return isBefore && isAfter && matters(before, after)
	}}
}

// askedAnew: the user's part of a policy changed, not its status.
func askedAnew() predicate.Predicate {
	return updated(func(before, after *v1alpha1.ConnectionPolicy) bool {
		return before.Generation != after.Generation ||
			before.Annotations[v1alpha1.AnnotationRequestedAt] != after.Annotations[v1alpha1.AnnotationRequestedAt]
	})
}

func generationChanged() predicate.Predicate { return predicate.GenerationChangedPredicate{} }

func deletedOnly() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// podMatters: a probe pod's state, or where a source's pod stands and whether it and its observer run.
func podMatters() predicate.Predicate {
	return updated(func(before, after *corev1.Pod) bool {
		if after.Labels[v1alpha1.LabelProbe] != "" {
			return before.Status.Phase != after.Status.Phase || before.Spec.NodeName != after.Spec.NodeName ||
				(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
				!equality.Semantic.DeepEqual(before.Status.ContainerStatuses, after.Status.ContainerStatuses)
		}
		_, observedBefore := observer.RunningSince(before)
		_, observedAfter := observer.RunningSince(after)
		return ready(before) != ready(after) || ended(before) != ended(after) ||
			before.Spec.NodeName != after.Spec.NodeName ||
			(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
			before.Status.PodIP != after.Status.PodIP || observedBefore != observedAfter ||
			observer.Trouble(before) != observer.Trouble(after)
	})
}

func serviceMatters() predicate.Predicate {
	return updated(func(before, after *corev1.Service) bool {
		return !equality.Semantic.DeepEqual(before.Spec, after.Spec)
	})
}

// endpointsMatter: the addresses that are ready, those of them that stay, or the ports changed.
func endpointsMatter() predicate.Predicate {
	return updated(func(before, after *discoveryv1.EndpointSlice) bool {
		return !equality.Semantic.DeepEqual(before.Ports, after.Ports) ||
			!slices.Equal(addressesThat(isReady, before), addressesThat(isReady, after)) ||
			!slices.Equal(addressesThat(stays, before), addressesThat(stays, after))
	})
}

func addressesThat(are func(discoveryv1.Endpoint) bool, slice *discoveryv1.EndpointSlice) []string {
	var addresses []string
	for _, endpoint := range slice.Endpoints {
		if are(endpoint) && len(endpoint.Addresses) > 0 {
			addresses = append(addresses, endpoint.Addresses[0])
		}
	}
	slices.Sort(addresses)
	return addresses
}

func tuningMatters() predicate.Predicate {
	return updated(func(before, after *v1alpha1.ConnectionTuning) bool {
		return before.Generation != after.Generation || (before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
			!equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions) ||
			before.Status.Hash != after.Status.Hash
	})
}
