package tuning

import (
	"context"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// needsAdmission says whether the answer to a tried pod matters: before pods are replaced to bring values into them or to
// take them away, and where pods are missing, perhaps because they are refused. Of the kinds of workload a Deployment
// alone says so in its status. Where no pod may be replaced, nobody waits for the answer.
func needsAdmission(s State) bool {
	if !s.MayApply || s.Tuning == nil || s.Workload == nil || !controllerutil.ContainsFinalizer(s.Tuning, v1alpha1.FinalizerTuning) {
		return false
	}
	inForce := InForce(s.Tuning)
	if inForce == nil || !s.Tuning.DeletionTimestamp.IsZero() {
		return s.mayReplacePods()
	}
	if s.lacksPods() {
		return true
	}
	return newDraft(s, demandingPolicies(s.Policies)).disruption(*inForce) == v1alpha1.DisruptionRestart &&
		slices.ContainsFunc(s.Pods, func(pod Pod) bool {
			return pod.Alive && pod.Stamp != stampOf(s.Name, s.Tuning.Spec.Revision)
		})
}

// askAdmission tries a pod of the workload at the API server, which answers what the pod would be and creates nothing
// (dry run). The answer is that of one API server; of several, another may learn of a change later.
func askAdmission(ctx context.Context, writer client.Writer, namespace string, workload *source) *Admission {
	if len(workload.creators) == 0 {
		return &Admission{Failure: "the Deployment has no ReplicaSet yet."}
	}
	pod := workload.newPod(namespace)
	err := writer.Create(ctx, pod, client.DryRunAll)
	switch {
	case isSysctlRefusal(err):
		return &Admission{Refusal: err.Error()}
	case err != nil:
		return &Admission{Failure: "a pod of the workload that was only tried (dry run) was refused: " + err.Error()}
	default:
		return &Admission{Stamp: pod.Annotations[v1alpha1.AnnotationTuning], Sysctls: sysctlsOf(pod.Spec)}
	}
}

// newPod is a pod as the workload's controller would create it next.
func (s *source) newPod(namespace string) *corev1.Pod {
	labels := maps.Clone(s.template.Labels)
	if s.podHash != "" {
		labels[appsv1.DefaultDeploymentUniqueLabelKey] = s.podHash
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       namespace,
			GenerateName:    s.creators[0].Name + "-",
			Labels:          labels,
			Annotations:     maps.Clone(s.template.Annotations),
			OwnerReferences: s.creators[:1],
		},
		Spec: *s.template.Spec.DeepCopy(),
	}
}

// isSysctlRefusal says whether Pod Security refused a pod for its sysctls
// (kubernetes pod-security-admission/policy/check_sysctls.go).
func isSysctlRefusal(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "forbidden sysctls")
}
