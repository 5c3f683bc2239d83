package tuning

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
)

// reasonSysctlForbidden is the status.reason of a pod whose sysctl the kubelet does not allow
// (kubernetes pkg/kubelet/sysctl/allowlist.go, ForbiddenReason).
const reasonSysctlForbidden = "SysctlForbidden"

// listPods lists the pods of a workload. Those that are being deleted are on their way out and are left away.
func (r *Reconciler) listPods(ctx context.Context, s *source, namespace string) ([]Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(s.selector)
	if err != nil {
		return nil, fmt.Errorf("read the workload's selector: %w", err)
	}
	var list corev1.PodList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list the workload's pods: %w", err)
	}
	var pods []Pod
	for i := range list.Items {
		if pod := &list.Items[i]; pod.DeletionTimestamp == nil && s.created(pod) {
			p := podOf(pod)
			if p.Waiting && r.MayApply {
				if p.Refusal, err = sandboxFailure(ctx, r.Live, pod); err != nil {
					return nil, err
				}
			}
			pods = append(pods, p)
		}
	}
	return pods, nil
}

// created says whether the workload is the pod's controller, itself or through a ReplicaSet.
func (s *source) created(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && slices.ContainsFunc(s.creators, func(creator metav1.OwnerReference) bool {
		return creator.UID == owner.UID
	})
}

func podOf(pod *corev1.Pod) Pod {
	p := Pod{
		Name:    pod.Name,
		UID:     pod.UID,
		Created: pod.CreationTimestamp.Time,
		Stamp:   pod.Annotations[v1alpha1.AnnotationTuning],
		Alive:   pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded,
	}
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == reasonSysctlForbidden {
		p.Refusal = pod.Status.Message
	}
	p.Running = pod.Status.Phase == corev1.PodRunning
	p.Waiting = p.Stamp != "" && lacksSandbox(pod)
	return p
}

// listCanaryPods lists the canary pods that the operator created for a tuning, by name, with what became of them.
func (r *Reconciler) listCanaryPods(ctx context.Context, s State) (map[string]CanaryPod, error) {
	var list corev1.PodList
	if err := r.Client.List(ctx, &list, client.InNamespace(s.Namespace.Name),
		client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleCanary}); err != nil {
		return nil, fmt.Errorf("list canary pods: %w", err)
	}
	canaries := map[string]CanaryPod{}
	for i := range list.Items {
		pod := &list.Items[i]
		if !metav1.IsControlledBy(pod, s.Tuning) {
			continue
		}
		canary := CanaryPod{UID: string(pod.UID), Reading: probepod.Read(pod, s.Now)}
		if r.MayApply && lacksSandbox(pod) {
			var err error
			if canary.SandboxFailure, err = sandboxFailure(ctx, r.Live, pod); err != nil {
				return nil, err
			}
		}
		canaries[pod.Name] = canary
	}
	return canaries, nil
}
