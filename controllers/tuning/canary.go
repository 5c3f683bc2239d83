package tuning

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// canaryLimits bound what a canary costs its target: enough to see that connections can be opened with the values.
var canaryLimits = v1alpha1.ProbeLimits{Connections: 20, RequestsPerSecond: 10, Seconds: 15}

// canaryTarget is the link that canaries measure. Its key is that of the link's probes, so that a canary and a probe do
// not knock at one target at once.
type canaryTarget struct {
	policy, link, url, key string
	protocol               v1alpha1.Protocol
	tls                    *v1alpha1.TLSClient
}

// chooseCanaryTarget takes the first link that demands something and was measured before.
func chooseCanaryTarget(policies []v1alpha1.ConnectionPolicy, reports linkReports,
	demands []v1alpha1.Demand) (canaryTarget, bool) {
	var found canaryTarget
	for _, policy := range demandingPolicies(policies) {
		for _, link := range policy.Spec.To {
			target := reports[linkName{policy.Name, link.Name}].Status.Target
			if policy.Spec.Suspend || target == nil || target.URL == "" || target.Key == "" {
				continue
			}
			candidate := canaryTarget{policy: policy.Name, link: link.Name, url: target.URL, key: target.Key, protocol: link.Protocol, tls: link.TLS}
			for _, demand := range demands {
				if demand.PolicyName == policy.Name && demand.LinkName == link.Name {
					return candidate, true
				}
			}
			if found.url == "" {
				found = candidate
			}
		}
	}
	return found, found.url != ""
}

// startCanary creates the pod of a canary, or finds the one that was created before. Why it could not is noted in the
// status; a refusal of the sysctls themselves is returned as such.
func (r *Reconciler) startCanary(ctx context.Context, t *v1alpha1.ConnectionTuning, g *gathered, start CanaryStart) error {
	target, found := chooseCanaryTarget(g.state.Policies, g.reports, t.Status.Demands)
	if !found {
		CanaryWaits(&t.Status, start.PodName, "no link was probed yet, so the canary has no target.")
		return nil
	}
	pod := probepod.Build(probepod.Spec{
		Namespace:       t.Namespace,
		Name:            start.PodName,
		Owner:           *metav1.NewControllerRef(t, v1alpha1.GroupVersion.WithKind("ConnectionTuning")),
		Policy:          target.policy,
		Link:            target.link,
		Run:             "canary-" + tuner.Revision(start.Values),
		Role:            v1alpha1.RoleCanary,
		Target:          probepod.TargetHash(target.key),
		Image:           r.ProbeImage,
		Node:            start.Node,
		NodeSelector:    g.source.template.Spec.NodeSelector,
		Tolerations:     g.source.template.Spec.Tolerations,
		URL:             target.url,
		Protocol:        target.protocol,
		TLS:             target.tls,
		Measurements:    []v1alpha1.MeasurementName{v1alpha1.MeasurementHandshake, v1alpha1.MeasurementTimeWait},
		Limits:          canaryLimits,
		Sysctls:         podSysctls(start.Values),
		RefuseAddresses: g.nodeAddresses,

		PriorityClassName: r.ProbePriorityClass,
	})
	err := r.Places.Create(ctx, pod)
	var noPlace *limits.NoPlaceError
	switch {
	case err == nil:
		CanaryStarted(&t.Status, start.PodName, string(pod.UID))
		return nil
	case apierrors.IsAlreadyExists(err):
		return r.adoptCanary(ctx, t, pod)
	case errors.As(err, &noPlace):
		CanaryWaits(&t.Status, start.PodName, "waiting for a place: "+noPlace.Limit+".")
		return nil
	case isSysctlRefusal(err):
		CanaryRefused(&t.Status, start.PodName, err.Error())
		return nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		CanaryWaits(&t.Status, start.PodName, "the pod was refused: "+err.Error())
		return nil
	default:
		return fmt.Errorf("create canary pod %s: %w", start.PodName, err)
	}
}

// adoptCanary takes a pod that was created shortly before the operator stopped.
func (r *Reconciler) adoptCanary(ctx context.Context, t *v1alpha1.ConnectionTuning, wanted *corev1.Pod) error {
	var existing corev1.Pod
	if err := r.Live.Get(ctx, types.NamespacedName{Namespace: wanted.Namespace, Name: wanted.Name}, &existing); err != nil {
		return fmt.Errorf("read canary pod %s: %w", wanted.Name, err)
	}
	if !metav1.IsControlledBy(&existing, t) {
		CanaryWaits(&t.Status, wanted.Name, "a pod of that name exists and is not the operator's; delete it.")
		return nil
	}
	CanaryStarted(&t.Status, wanted.Name, string(existing.UID))
	return nil
}

// removeCanary deletes a canary pod.
func (r *Reconciler) removeCanary(ctx context.Context, namespace, name string) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := r.Client.Delete(ctx, pod); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete canary pod %s: %w", name, err)
	}
	return nil
}

func podSysctls(values v1alpha1.KnobValues) []corev1.Sysctl {
	var sysctls []corev1.Sysctl
	for _, sysctl := range tuner.Sysctls(values) {
		sysctls = append(sysctls, corev1.Sysctl{Name: sysctl.Name, Value: sysctl.Value})
	}
	return sysctls
}
