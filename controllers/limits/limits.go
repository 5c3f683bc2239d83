// Package limits holds the places for the pods with which the operator knocks at targets: one at a time on a target, few
// on a node, few in the cluster. The places are counted from the pods that live, so that neither a restart nor a new
// leader can double them.
package limits

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
)

// Places gives out the places. One value is shared by all controllers of a manager.
type Places struct {
	// Reader reads pods from the API server itself: a cache may not know yet of a pod that takes a place.
	Reader client.Reader
	// Writer creates pods.
	Writer client.Writer
	// InCluster and OnNode bound the number of pods that live at once.
	InCluster, OnNode int
	// Now is the clock.
	Now func() time.Time

	// counting is held from the count to the creation, so that no place is given twice.
	counting sync.Mutex
	// counted are the pods that lived at countedAt. By them a pod may be refused, and none created.
	counted   []corev1.Pod
	countedAt time.Time
}

// countLasts is how long pods are refused by the same count: those that wait ask together, every few seconds.
const countLasts = time.Second

// ErrUncounted says that the pods that live could not be counted; nobody has judged the pod itself then.
var ErrUncounted = errors.New("count the probe pods that live")

// NoPlaceError says that a limit forbids one more pod at the moment.
type NoPlaceError struct {
	// Limit in words, for people.
	Limit string
}

// Error says which limit is reached.
func (e *NoPlaceError) Error() string {
	return "no place for a probe pod: " + e.Limit
}

// Create creates pod if there is a place for it. It fails with a *NoPlaceError if there is none, with ErrUncounted if
// that is not known, and with the API server's own error if the server refuses the pod. The pod bears LabelProbe and
// LabelTarget, and AnnotationNode if it is meant for a node.
func (p *Places) Create(ctx context.Context, pod *corev1.Pod) error {
	p.counting.Lock()
	defer p.counting.Unlock()

	now := p.Now()
	if now.Sub(p.countedAt) < countLasts {
		if reached := p.reached(pod, p.counted, now); reached != "" {
			return &NoPlaceError{Limit: reached}
		}
	}
	var live corev1.PodList
	if err := p.Reader.List(ctx, &live,
		client.HasLabels{v1alpha1.LabelProbe},
		client.MatchingFieldsSelector{Selector: fields.AndSelectors(
			fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
			fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
		)},
	); err != nil {
		return fmt.Errorf("%w: %w", ErrUncounted, err)
	}
	p.counted, p.countedAt = live.Items, now
	if reached := p.reached(pod, live.Items, now); reached != "" {
		return &NoPlaceError{Limit: reached}
	}
	return p.Writer.Create(ctx, pod)
}

// reached names the limit that forbids one more pod beside those that live, or is empty. A pod that lives under the
// same name already is not counted: creating it again creates nothing. Nor is one that is over.
func (p *Places) reached(pod *corev1.Pod, live []corev1.Pod, now time.Time) string {
	node := nodeOf(pod)
	inCluster, onNode, idleInCluster, idleOnNode := 0, 0, 0, 0
	for i := range live {
		other := &live[i]
		if other.Namespace == pod.Namespace && other.Name == pod.Name || over(other, now) {
			continue
		}
		here := node != "" && nodeOf(other) == node
		inCluster++
		if here {
			onNode++
		}
		if isIdle(other) {
			idleInCluster++
			if here {
				idleOnNode++
			}
		}
		if target := pod.Labels[v1alpha1.LabelTarget]; target != "" && other.Labels[v1alpha1.LabelTarget] == target {
			return fmt.Sprintf("pod %s/%s measures the same target", other.Namespace, other.Name)
		}
	}
	switch {
	case inCluster >= p.InCluster:
		return fmt.Sprintf("%d probe pods live in the cluster, and %d may", inCluster, p.InCluster)
	case onNode >= p.OnNode:
		return fmt.Sprintf("%d probe pods live on node %s, and %d may", onNode, node, p.OnNode)
	case isIdle(pod) && idleInCluster >= half(p.InCluster):
		return fmt.Sprintf("%d pods that look at silent connections live in the cluster, and %d may", idleInCluster, half(p.InCluster))
	case isIdle(pod) && idleOnNode >= half(p.OnNode):
		return fmt.Sprintf("%d pods that look at silent connections live on node %s, and %d may", idleOnNode, node, half(p.OnNode))
	default:
		return ""
	}
}

// isIdle says whether a pod looks at silent connections, which takes a quarter of an hour. Such pods may take half of the
// places, or those that take half a minute would wait for them.
func isIdle(pod *corev1.Pod) bool { return pod.Labels[v1alpha1.LabelRole] == v1alpha1.RoleIdle }

// half of the places, but one at the least.
func half(places int) int { return max(places/2, 1) }

// over says whether a pod measures nothing any more, though its node, which may never come back, has not said so: it is
// overdue, or it was deleted before its start was reported. If its node started it all the same, that was before the
// node could learn of the deletion, and the pod's deadline has passed since.
func over(pod *corev1.Pod, now time.Time) bool {
	if pod.Status.StartTime != nil || pod.DeletionTimestamp == nil || pod.Spec.ActiveDeadlineSeconds == nil {
		return probepod.Overdue(pod, now)
	}
	return now.After(pod.DeletionTimestamp.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second))
}

// nodeOf is the node that a pod stands on, or is meant for; empty if it may go anywhere.
func nodeOf(pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName
	}
	return pod.Annotations[v1alpha1.AnnotationNode]
}
