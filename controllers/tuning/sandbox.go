package tuning

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// reasonSandboxFailed is the reason of the kubelet's event about a pod whose sandbox could not be made
// (kubernetes pkg/kubelet/events/event.go). The kernel refuses the value of a sysctl there, and nothing in the pod's
// status says so.
const reasonSandboxFailed = "FailedCreatePodSandBox"

// lacksSandbox says whether a pod is on a node and has no sandbox there yet.
func lacksSandbox(pod *corev1.Pod) bool {
	if pod.Spec.NodeName == "" || pod.Status.Phase != corev1.PodPending {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReadyToStartContainers {
			return condition.Status == corev1.ConditionFalse
		}
	}
	return false
}

// sandboxFailure is why the sandbox of a pod could not be made, as the kubelet's latest event says. It is empty if no
// event says so. The layer that applies brings the right to read events.
func sandboxFailure(ctx context.Context, live client.Reader, pod *corev1.Pod) (string, error) {
	var list eventsv1.EventList
	selector := fields.Set{"regarding.uid": string(pod.UID), "reason": reasonSandboxFailed}.AsSelector()
	if err := live.List(ctx, &list, client.InNamespace(pod.Namespace), client.MatchingFieldsSelector{Selector: selector}); err != nil {
		return "", fmt.Errorf("list the events of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if len(list.Items) == 0 {
		return "", nil
	}
	return list.Items[len(list.Items)-1].Note, nil
}
