package probepod

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// patience is how long a pod may be without a node, without its image or without a sandbox before it is given up:
	// retrying later, and perhaps elsewhere, is better than to hold a place.
	patience = 60 * time.Second
	// silence is how long after its deadline a pod may still claim to run before its node counts as lost.
	silence = 60 * time.Second

	reasonSysctlForbidden = "SysctlForbidden"
)

// Reading is what became of a probe pod.
type Reading struct {
	// Finished: nothing more will come from the pod, or it is not worth waiting for. A pod that has not ended by
	// itself is to be deleted then.
	Finished bool
	// Result that the pod brought, if Outcome is measured.
	Result *result.Result
	// Outcome is measured, failed or lost. Empty while the pod is under way.
	Outcome result.Outcome
	// Cause says why the outcome is not measured.
	Cause string
	// Rejected: a node refused the pod because of the sysctls that it asks for.
	Rejected bool
}

// Read says what became of pod by now. It is pure.
func Read(pod *corev1.Pod, now time.Time) Reading {
	if terminated := terminatedState(pod); terminated != nil {
		return readTerminated(pod, terminated)
	}
	switch {
	case pod.Status.Phase == corev1.PodFailed:
		return Reading{
			Finished: true, Outcome: result.Failed, Cause: podCause(pod),
			Rejected: pod.Status.Reason == reasonSysctlForbidden,
		}
	case pod.Status.Phase == corev1.PodSucceeded:
		return Reading{Finished: true, Outcome: result.Lost, Cause: "the pod succeeded and its container's state is gone"}
	case Overdue(pod, now):
		return Reading{
			Finished: true, Outcome: result.Lost,
			Cause: fmt.Sprintf("node %s has not reported the pod's end %s after its deadline", pod.Spec.NodeName, silence),
		}
	// The API server sets the timestamp to the end of the grace period, not to the request.
	case pod.DeletionTimestamp != nil && now.After(pod.DeletionTimestamp.Add(silence)):
		return Reading{
			Finished: true, Outcome: result.Lost,
			Cause: fmt.Sprintf("the pod was deleted, and its end was not reported %s after it was due", silence),
		}
	case pod.DeletionTimestamp != nil:
		return Reading{}
	case pod.Spec.NodeName == "":
		return readUnscheduled(pod, now)
	default:
		return readStarting(pod, now)
	}
}

// readTerminated reads the message that the probe left. A probe that was stopped half-way leaves a message too; what it
// did not come to would stand as unknown beside what an undisturbed run finds out, so such a run is made again.
func readTerminated(pod *corev1.Pod, terminated *corev1.ContainerStateTerminated) Reading {
	r, err := result.DecodeMessage([]byte(terminated.Message))
	if err == nil && (!disturbed(pod) || complete(r)) {
		return Reading{Finished: true, Result: &r, Outcome: result.Measured}
	}
	cause := ""
	switch {
	case disturbed(pod):
		cause = podCause(pod)
	case terminated.Reason == "OOMKilled":
		cause = "the probe was killed because it needed more memory than its limit (OOMKilled)"
	case absent(pod, terminated.Message) != "":
		cause = absent(pod, terminated.Message)
	case errors.Is(err, result.ErrNoResult):
		cause = fmt.Sprintf("the probe ended without a result: exit code %d, %s", terminated.ExitCode, terminated.Reason)
		if tail := lastWords(terminated.Message); tail != "" {
			cause += ": " + tail
		}
	default:
		cause = err.Error()
	}
	return Reading{Finished: true, Outcome: result.Failed, Cause: cause, Rejected: pod.Status.Reason == reasonSysctlForbidden}
}

// lastWords is what a probe said of its own end, in the last line that begins with its name; all that is there if none does.
func lastWords(message string) string {
	for _, line := range slices.Backward(strings.Split(message, "\n")) {
		if strings.HasPrefix(line, "probe ") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(message)
}

// readUnscheduled gives a pod up that no node takes.
func readUnscheduled(pod *corev1.Pod, now time.Time) Reading {
	if now.Sub(pod.CreationTimestamp.Time) < patience {
		return Reading{}
	}
	cause := "the scheduler has not looked at the pod"
	if scheduled := condition(pod, corev1.PodScheduled); scheduled != nil && scheduled.Message != "" {
		cause = scheduled.Message
	}
	return Reading{
		Finished: true, Outcome: result.Failed,
		Cause: fmt.Sprintf("not scheduled within %s: %s", patience, cause),
	}
}

// readStarting gives a pod up that does not start on its node.
func readStarting(pod *corev1.Pod, now time.Time) Reading {
	waiting := waitingState(pod)
	if waiting == nil && len(pod.Status.ContainerStatuses) > 0 {
		return Reading{}
	}
	bound := pod.CreationTimestamp.Time
	if scheduled := condition(pod, corev1.PodScheduled); scheduled != nil {
		bound = scheduled.LastTransitionTime.Time
	}
	if now.Sub(bound) < patience {
		return Reading{}
	}
	cause := "the node has not taken the pod up"
	if waiting != nil {
		cause = waiting.Reason
		if waiting.Message != "" {
			cause += ": " + waiting.Message
		}
	}
	return Reading{
		Finished: true, Outcome: result.Failed,
		Cause: fmt.Sprintf("not started on node %s within %s: %s", pod.Spec.NodeName, patience, cause),
	}
}

// disturbed: somebody else ended the pod.
func disturbed(pod *corev1.Pod) bool {
	return pod.Status.Reason != "" || pod.DeletionTimestamp != nil || disruption(pod) != nil
}

// podCause says in words who or what ended the pod.
func podCause(pod *corev1.Pod) string {
	var parts []string
	if pod.Status.Reason != "" {
		parts = append(parts, pod.Status.Reason)
	}
	if pod.Status.Message != "" {
		parts = append(parts, pod.Status.Message)
	}
	if target := disruption(pod); target != nil {
		parts = append(parts, target.Reason, target.Message)
	}
	if len(parts) == 0 && pod.DeletionTimestamp != nil {
		parts = append(parts, "the pod was deleted before it had measured")
	}
	if len(parts) == 0 {
		parts = append(parts, "the pod failed without saying why")
	}
	return strings.Join(parts, ": ")
}

// disruption is the condition that the API server, the scheduler or the kubelet sets before it ends a pod.
func disruption(pod *corev1.Pod) *corev1.PodCondition {
	if target := condition(pod, corev1.DisruptionTarget); target != nil && target.Status == corev1.ConditionTrue {
		return target
	}
	return nil
}

// Overdue says whether a pod has outlived its deadline by a minute. Its kubelet should have ended it; the probe has ended
// by its own limit in any case, and what is left is a record that a lost node does not bring up to date.
func Overdue(pod *corev1.Pod, now time.Time) bool {
	if pod.Status.StartTime == nil || pod.Spec.ActiveDeadlineSeconds == nil {
		return false
	}
	deadline := time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second
	return now.After(pod.Status.StartTime.Add(deadline + silence))
}

// complete says whether every measurement of a result came to its own end.
func complete(r result.Result) bool {
	for _, m := range r.Measurements.Outcomes() {
		if m.Outcome != result.Measured && m.Outcome != result.Unsupported {
			return false
		}
	}
	return true
}

func condition(pod *corev1.Pod, of corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == of {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func terminatedState(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == ContainerName {
			return status.State.Terminated
		}
	}
	return nil
}

func waitingState(pod *corev1.Pod) *corev1.ContainerStateWaiting {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == ContainerName {
			return status.State.Waiting
		}
	}
	return nil
}
