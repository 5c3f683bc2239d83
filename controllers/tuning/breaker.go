package tuning

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

const (
	rejectedKept = 10
	// silentLook is how often pods that are missing, or lack a sandbox, are looked at: nothing changes when they fail.
	silentLook = 10 * time.Second
)

// breakCircuit takes the values in force back at once if they keep one pod, anywhere, from running.
func (d *draft) breakCircuit() {
	if d.current == nil {
		return
	}
	revision := tuner.Revision(*d.current)
	if d.lacksPods() || slices.ContainsFunc(d.Pods, func(pod Pod) bool { return pod.Waiting }) {
		d.lookAgain(silentLook)
	}
	if message := d.refusal(revision); message != "" {
		d.reject(revision, v1alpha1.ReasonForbidden, message)
		d.current = nil
		return
	}
	if message := d.failedRollout(revision); message != "" {
		d.reject(revision, v1alpha1.ReasonRolledBack, message)
		d.current = nil
	}
}

// refusal says who refuses the values of a revision, or nothing.
func (d *draft) refusal(revision string) string {
	for _, pod := range slices.Concat(d.Pods, d.Refused) {
		if pod.Stamp == d.stamp(revision) && !d.isOlderThanRollout(pod) && namesSysctl(pod.Refusal, *d.current) {
			return fmt.Sprintf("The node refused pod %s: %s.", pod.Name, strings.TrimSuffix(pod.Refusal, "."))
		}
	}
	if message := d.creationRefusal(); namesSysctl(message, *d.current) {
		return fmt.Sprintf("Pod Security refuses new pods of the workload: %s.", strings.TrimSuffix(message, "."))
	}
	return ""
}

func (d *draft) creationRefusal() string {
	if d.Admission != nil && d.Admission.Refusal != "" {
		return d.Admission.Refusal
	}
	if d.Workload != nil && strings.Contains(d.Workload.CreationFailure, "forbidden sysctls") {
		return d.Workload.CreationFailure
	}
	return ""
}

// isOlderThanRollout says whether a pod is left over from an earlier time that the same values were in force.
func (d *draft) isOlderThanRollout(pod Pod) bool {
	rollout := d.before.Rollout
	return rollout != nil && rollout.StartedAt != nil && pod.Created.Before(rollout.StartedAt.Time)
}

// failedRollout says how the replacement of the pods that brought the values failed, or nothing. Whether the values are
// at fault cannot be told, so they are taken back.
func (d *draft) failedRollout(revision string) string {
	rollout := d.before.Rollout
	if d.Workload == nil || d.Workload.RolloutFailure == "" || rollout == nil || rollout.Revision != revision ||
		rollout.RestartedAt == nil || d.Workload.RolloutFailedAt.Before(rollout.RestartedAt.Time) ||
		!d.rolloutUnderWay(revision) {
		return ""
	}
	return fmt.Sprintf("The pods did not come back after their replacement: %s.",
		strings.TrimSuffix(d.Workload.RolloutFailure, "."))
}

// namesSysctl says whether a message is about a sysctl that values set, and not about one of the pod's own. Container
// runtimes write its name as a path too.
func namesSysctl(message string, values v1alpha1.KnobValues) bool {
	message = strings.ReplaceAll(message, "/", ".")
	return slices.ContainsFunc(tuner.Sysctls(values), func(sysctl tuner.Sysctl) bool {
		return strings.Contains(message, sysctl.Name)
	})
}

// reject notes that a revision was taken back, so that it is not tried again.
func (d *draft) reject(revision, reason, message string) {
	status := &d.tuning.Status
	status.Rejected = slices.DeleteFunc(status.Rejected, func(r v1alpha1.RejectedRevision) bool {
		return r.Revision == revision
	})
	status.Rejected = slices.Insert(status.Rejected, 0, v1alpha1.RejectedRevision{
		Revision: revision,
		Reason:   reason,
		Message:  shorten(message),
		Time:     metav1.NewTime(d.Now),
	})
	status.Rejected = status.Rejected[:min(len(status.Rejected), rejectedKept)]
	d.record(revision, reason, message)
}
