// Package trim drops what no controller reads from the objects in the manager's cache: the cache holds the pods of the
// whole cluster. What was read from the cache is therefore never written back whole.
package trim

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// ManagedFields drops who wrote which field. It is a cache transform for all kinds.
func ManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

// Pod keeps what says where a pod stands, whose it is, how it is and what settings it has. It is a cache transform.
func Pod(object any) (any, error) {
	pod, isPod := object.(*corev1.Pod)
	if !isPod { // a tombstone
		return object, nil
	}
	pod.ManagedFields = nil
	pod.Spec.Volumes = nil
	pod.Spec.InitContainers = nil
	pod.Status.InitContainerStatuses = nil
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		*container = corev1.Container{Name: container.Name, Image: container.Image, Ports: container.Ports}
	}
	for i := range pod.Spec.EphemeralContainers {
		container := &pod.Spec.EphemeralContainers[i]
		container.EphemeralContainerCommon = corev1.EphemeralContainerCommon{Name: container.Name, Image: container.Image}
	}
	return pod, nil
}

// ReplicaSet keeps what says whose a ReplicaSet is and which pods are of it, all of which is metadata. It is a cache
// transform.
func ReplicaSet(object any) (any, error) {
	if set, isSet := object.(*appsv1.ReplicaSet); isSet {
		set.ManagedFields = nil
		set.Annotations = nil
		set.Spec = appsv1.ReplicaSetSpec{}
		set.Status = appsv1.ReplicaSetStatus{}
	}
	return object, nil
}

// Node drops the list of images, the longest part of a node. It is a cache transform.
func Node(object any) (any, error) {
	if node, isNode := object.(*corev1.Node); isNode {
		node.ManagedFields = nil
		node.Status.Images = nil
	}
	return object, nil
}
