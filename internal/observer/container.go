// Package observer describes the container that looks at the sockets of a workload's pod from inside, and reads what it
// saw.
package observer

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Name of the observer's container in a pod.
const Name = "connpolicy-observer"

const userID = 65532

// Container is the ephemeral container that serves the observer's metrics on port. It needs no privilege and fits Pod
// Security "restricted" and pods that set runAsNonRoot. An ephemeral container has neither resources nor ports nor
// probes: the API allows none.
func Container(image string, port int) corev1.EphemeralContainer {
	return corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name:            Name,
		Image:           image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            []string{"observe", "--listen", fmt.Sprintf(":%d", port)},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			RunAsNonRoot:             new(true),
			RunAsUser:                new(int64(userID)),
			RunAsGroup:               new(int64(userID)),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}}
}

// Present says whether pod has an observer, running or not.
func Present(pod *corev1.Pod) bool {
	for _, container := range pod.Spec.EphemeralContainers {
		if container.Name == Name {
			return true
		}
	}
	return false
}

// RunningSince says whether the observer of pod runs, and since when.
func RunningSince(pod *corev1.Pod) (time.Time, bool) {
	status := statusOf(pod)
	if status == nil || status.State.Running == nil {
		return time.Time{}, false
	}
	return status.State.Running.StartedAt.Time, true
}

// Trouble says in words why the observer of pod does not run; empty if it runs or was not taken up yet.
func Trouble(pod *corev1.Pod) string {
	status := statusOf(pod)
	switch {
	case status == nil:
		return ""
	case status.State.Terminated != nil:
		terminated := status.State.Terminated
		return fmt.Sprintf("the observer ended with exit code %d (%s) %s; it returns with the pod's successor",
			terminated.ExitCode, terminated.Reason, terminated.Message)
	case status.State.Waiting != nil && status.State.Waiting.Reason != "ContainerCreating" && status.State.Waiting.Reason != "PodInitializing":
		return fmt.Sprintf("the observer does not start: %s %s", status.State.Waiting.Reason, status.State.Waiting.Message)
	default:
		return ""
	}
}

func statusOf(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.EphemeralContainerStatuses {
		if pod.Status.EphemeralContainerStatuses[i].Name == Name {
			return &pod.Status.EphemeralContainerStatuses[i]
		}
	}
	return nil
}
