package tuning

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// gatherRefused finds the pods with the values in force that a kubelet refused and that are gone already: the controllers
// of StatefulSets and DaemonSets delete a failed pod at once, and its event alone is left. The kubelet writes it in the
// core group, which is the same object.
//
// Whoever may create events in the namespace can forge one. That does not more than take the values back, with one
// replacement of the pods where the policies allow it, once a revision and only while it is on its way into the pods. The
// cluster's role edit has this right, and that of deleting the pods and the tuning beside it.
func (r *Reconciler) gatherRefused(ctx context.Context, namespace string, s *State) error {
	if !mayHideRefusals(*s) {
		return nil
	}
	var list eventsv1.EventList
	selector := fields.Set{"regarding.kind": "Pod", "reason": reasonSysctlForbidden, "type": corev1.EventTypeWarning}.AsSelector()
	if err := r.Live.List(ctx, &list, client.InNamespace(namespace), client.MatchingFieldsSelector{Selector: selector}); err != nil {
		return fmt.Errorf("list the events of refused pods in namespace %s: %w", namespace, err)
	}
	for _, pod := range refusedPods(list.Items, s.Target, stampOf(s.Name, s.Tuning.Spec.Revision)) {
		exists, err := r.exists(ctx, namespace, pod)
		if err != nil {
			return err
		}
		if !exists {
			s.Refused = append(s.Refused, pod)
		}
	}
	return nil
}

// exists says whether a pod is still there, and not only a later one of its name. It can be asked then whose it is and
// how it is, and need not be taken for the workload's by its name.
func (r *Reconciler) exists(ctx context.Context, namespace string, pod Pod) (bool, error) {
	var found corev1.Pod
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: pod.Name}, &found)
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("look for pod %s/%s: %w", namespace, pod.Name, err)
	}
	return err == nil && found.UID == pod.UID, nil
}

// mayHideRefusals says whether values are on their way into pods whose controller deletes failed ones, and fewer pods
// run with them than should. The layer that applies brings the right to read events.
func mayHideRefusals(s State) bool {
	if !s.MayApply || s.Target.Kind != kindStatefulSet && s.Target.Kind != kindDaemonSet {
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
// refuses a sysctl by its name alone, so that what it says holds for the values in force. A kubelet refuses a pod once,
// so the event is as old as the refusal.
func refusedPods(events []eventsv1.Event, target v1alpha1.WorkloadReference, stamp string) []Pod {
	var pods []Pod
	for _, event := range events {
		if isPodName(event.Regarding.Name, target) {
			pods = append(pods, Pod{
				Name:    event.Regarding.Name,
				UID:     event.Regarding.UID,
				Created: event.CreationTimestamp.Time,
				Stamp:   stamp,
				Refusal: event.Note,
			})
		}
	}
	return pods
}

const (
	// The API server cuts the first part of a generated name to 58 characters and adds five of these
	// (apiserver pkg/storage/names/generate.go, apimachinery pkg/util/rand/rand.go).
	generatedPrefixMax  = 58
	generatedLength     = 5
	generatedCharacters = "bcdfghjklmnpqrstvwxz2456789"
)

// isPodName says whether the controller of a workload gives pods such names: <name>-<ordinal> for a StatefulSet, a
// generated one for a DaemonSet. An event does not tell the owner of its pod.
func isPodName(name string, workload v1alpha1.WorkloadReference) bool {
	prefix := workload.Name + "-"
	if workload.Kind == kindStatefulSet {
		suffix, found := strings.CutPrefix(name, prefix)
		return found && suffix != "" && strings.Trim(suffix, "0123456789") == ""
	}
	suffix, found := strings.CutPrefix(name, prefix[:min(len(prefix), generatedPrefixMax)])
	return found && len(suffix) == generatedLength && strings.Trim(suffix, generatedCharacters) == ""
}
