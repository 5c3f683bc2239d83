package tuning

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// gatherRefused finds the pods with the values in force that a kubelet refused and that may be gone already: the
// controllers of StatefulSets and DaemonSets delete a failed pod at once, and its event alone is left.
func (r *Reconciler) gatherRefused(ctx context.Context, namespace string, s *State) error {
	if !mayHideRefusals(*s) {
		return nil
	}
	var list eventsv1.EventList
	selector := fields.Set{"regarding.kind": "Pod", "reason": reasonSysctlForbidden, "type": corev1.EventTypeWarning}.AsSelector()
	if err := r.Live.List(ctx, &list, client.InNamespace(namespace), client.MatchingFieldsSelector{Selector: selector}); err != nil {
		return fmt.Errorf("list the events of refused pods in namespace %s: %w", namespace, err)
	}
	s.Refused = refusedPods(list.Items, s.Target, stampOf(s.Name, s.Tuning.Spec.Revision))
	return nil
}

// mayHideRefusals says whether values are on their way into pods whose controller deletes failed ones, and fewer pods
// run with them than should.
func mayHideRefusals(s State) bool {
	if s.Target.Kind != kindStatefulSet && s.Target.Kind != kindDaemonSet {
		return false
	}
	if s.Tuning == nil || s.Tuning.Spec.Knobs == nil || s.Tuning.Status.Rollout == nil ||
		s.Tuning.Status.Rollout.StartedAt == nil {
		return false
	}
	running := 0
	for _, pod := range s.Pods {
		if pod.Running && pod.Stamp == stampOf(s.Name, s.Tuning.Spec.Revision) {
			running++
		}
	}
	return running < s.Workload.Desired
}

// refusedPods are the workload's pods that events tell of. An event does not say which stamp its pod had; the kubelet
// refuses a sysctl by its name alone, so that what it says holds for the values in force.
func refusedPods(events []eventsv1.Event, target v1alpha1.WorkloadReference, stamp string) []Pod {
	var pods []Pod
	for _, event := range events {
		if isPodName(event.Regarding.Name, target) {
			pods = append(pods, Pod{
				Name:    event.Regarding.Name,
				Created: event.CreationTimestamp.Time,
				Stamp:   stamp,
				Refusal: event.Note,
			})
		}
	}
	return pods
}

// isPodName says whether the controller of a workload gives pods such names: <name>-<ordinal> for a StatefulSet,
// <name>-<five letters or digits> for a DaemonSet. An event does not tell the owner of its pod.
func isPodName(name string, workload v1alpha1.WorkloadReference) bool {
	suffix, found := strings.CutPrefix(name, workload.Name+"-")
	if workload.Kind == kindStatefulSet {
		return found && suffix != "" && strings.Trim(suffix, "0123456789") == ""
	}
	return found && len(suffix) == 5 && !strings.ContainsAny(suffix, "-.")
}
