package tuning

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// The kinds of workload, and the one between a Deployment and its pods.
const (
	kindDeployment  = "Deployment"
	kindStatefulSet = "StatefulSet"
	kindDaemonSet   = "DaemonSet"
	kindReplicaSet  = "ReplicaSet"
)

// clockSkew is how far ahead of this machine's clock a time may be that another machine wrote.
const clockSkew = time.Minute

// source is a workload as the API server has it.
type source struct {
	uid      types.UID
	selector *metav1.LabelSelector
	template corev1.PodTemplateSpec
	// creators are the objects that own its pods: itself, or the ReplicaSets of a Deployment, the newest first.
	creators []metav1.OwnerReference
	// podHash is the pod-template-hash of the newest ReplicaSet of a Deployment.
	podHash string
	// facts are what a decision needs to know.
	facts Workload
}

// readSource reads a workload as it is now from the API server itself, since a restart that a cache does not know yet
// would be made twice. It returns nil if there is none.
func readSource(ctx context.Context, live, cached client.Reader, namespace string, target v1alpha1.WorkloadReference,
	now time.Time) (*source, error) {
	key := types.NamespacedName{Namespace: namespace, Name: target.Name}
	s, err := read(ctx, live, key, target.Kind)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", target.Kind, key, err)
	}
	if target.Kind == kindDeployment {
		if err := s.addReplicaSets(ctx, cached, namespace); err != nil {
			return nil, err
		}
	}
	s.facts.HostNetwork = s.template.Spec.HostNetwork
	s.facts.OptedOut = s.template.Labels[v1alpha1.LabelTuning] == v1alpha1.TuningDisabled
	s.facts.RestartedAt = restartedAt(s.template.Annotations, now)
	return s, nil
}

func read(ctx context.Context, live client.Reader, key types.NamespacedName, kind string) (*source, error) {
	switch kind {
	case kindDeployment:
		var deployment appsv1.Deployment
		if err := live.Get(ctx, key, &deployment); err != nil {
			return nil, err
		}
		return fromDeployment(&deployment), nil
	case kindStatefulSet:
		var set appsv1.StatefulSet
		if err := live.Get(ctx, key, &set); err != nil {
			return nil, err
		}
		return fromStatefulSet(&set), nil
	case kindDaemonSet:
		var set appsv1.DaemonSet
		if err := live.Get(ctx, key, &set); err != nil {
			return nil, err
		}
		return fromDaemonSet(&set), nil
	default:
		return nil, fmt.Errorf("%s is no kind of workload: use Deployment, StatefulSet or DaemonSet", kind)
	}
}

func fromDeployment(d *appsv1.Deployment) *source {
	s := &source{uid: d.UID, selector: d.Spec.Selector, template: d.Spec.Template}
	current := d.Status.ObservedGeneration >= d.Generation
	replicas := replicasOf(d.Spec.Replicas)
	s.facts.Desired = int(replicas)
	s.facts.RolledOut = current && d.Status.UpdatedReplicas == replicas && d.Status.Replicas == replicas &&
		d.Status.AvailableReplicas == replicas
	if d.Spec.Paused {
		s.facts.Stuck = "The Deployment is paused; kubectl rollout resume lets it go on."
	}
	for _, condition := range d.Status.Conditions {
		switch {
		case condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse && current &&
			condition.Reason == "ProgressDeadlineExceeded":
			s.facts.RolloutFailure, s.facts.RolloutFailedAt = condition.Message, condition.LastUpdateTime.Time
		case condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue:
			s.facts.CreationFailure = condition.Message
		}
	}
	return s
}

func fromStatefulSet(set *appsv1.StatefulSet) *source {
	s := &source{uid: set.UID, selector: set.Spec.Selector, template: set.Spec.Template}
	s.creators = []metav1.OwnerReference{controllerReference(kindStatefulSet, set.Name, set.UID)}
	replicas := replicasOf(set.Spec.Replicas)
	s.facts.Desired = int(replicas)
	s.facts.RolledOut = set.Status.ObservedGeneration >= set.Generation && set.Status.UpdatedReplicas == replicas &&
		set.Status.AvailableReplicas == replicas
	update := set.Spec.UpdateStrategy
	switch {
	case update.Type == appsv1.OnDeleteStatefulSetStrategyType:
		s.facts.Stuck = "Its updateStrategy is OnDelete: delete the pods when it suits you."
	case update.RollingUpdate != nil && update.RollingUpdate.Partition != nil && *update.RollingUpdate.Partition > 0:
		s.facts.Stuck = fmt.Sprintf("Its updateStrategy keeps the pods below ordinal %d as they are (partition).",
			*update.RollingUpdate.Partition)
	}
	return s
}

func fromDaemonSet(set *appsv1.DaemonSet) *source {
	s := &source{uid: set.UID, selector: set.Spec.Selector, template: set.Spec.Template}
	s.creators = []metav1.OwnerReference{controllerReference(kindDaemonSet, set.Name, set.UID)}
	desired := set.Status.DesiredNumberScheduled
	s.facts.Desired = int(desired)
	s.facts.RolledOut = set.Status.ObservedGeneration >= set.Generation && set.Status.UpdatedNumberScheduled == desired &&
		set.Status.NumberAvailable == desired
	if set.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		s.facts.Stuck = "Its updateStrategy is OnDelete: delete the pods when it suits you."
	}
	return s
}

// replicasOf is the number of replicas that is asked for; the API server's default is one.
func replicasOf(replicas *int32) int32 {
	if replicas == nil {
		return 1
	}
	return *replicas
}

// addReplicaSets finds the ReplicaSets through which a Deployment owns its pods.
func (s *source) addReplicaSets(ctx context.Context, cached client.Reader, namespace string) error {
	selector, err := metav1.LabelSelectorAsSelector(s.selector)
	if err != nil {
		return fmt.Errorf("read the Deployment's selector: %w", err)
	}
	var sets appsv1.ReplicaSetList
	if err := cached.List(ctx, &sets, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return fmt.Errorf("list the Deployment's ReplicaSets: %w", err)
	}
	owned := slices.DeleteFunc(sets.Items, func(set appsv1.ReplicaSet) bool {
		owner := metav1.GetControllerOf(&set)
		return owner == nil || owner.UID != s.uid
	})
	slices.SortFunc(owned, func(a, b appsv1.ReplicaSet) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	for i := range owned {
		s.creators = append(s.creators, controllerReference(kindReplicaSet, owned[i].Name, owned[i].UID))
	}
	if len(owned) > 0 {
		s.podHash = owned[0].Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	}
	return nil
}

func controllerReference(kind, name string, uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: appsv1.SchemeGroupVersion.String(), Kind: kind, Name: name, UID: uid, Controller: new(true),
	}
}

// restartedAt reads the annotation by which pods are replaced. One that is no time, or a time to come, was not written
// by the operator: taken for a replacement, it would date every pod before it for as long as it lies ahead.
func restartedAt(annotations map[string]string, now time.Time) time.Time {
	at, err := time.Parse(time.RFC3339, annotations[v1alpha1.AnnotationRestartedAt])
	if err != nil || at.After(now.Add(clockSkew)) {
		return time.Time{}
	}
	return at
}

// plannerView is what the planner needs to know of a workload.
func (s *source) plannerView(target v1alpha1.WorkloadReference, nodePorts tuner.PortRange, tuning *v1alpha1.ConnectionTuning) tuner.Workload {
	w := tuner.Workload{Target: target, NodePorts: nodePorts, Applied: InForce(tuning)}
	if tuning != nil {
		w.Proposed = tuning.Status.Proposed
	}
	w.ContainerPorts = containerPorts(s.template.Spec)
	w.TemplateSysctls = sysctlsOf(s.template.Spec)
	return w
}

// sysctlsOf are the sysctls that a pod sets, by the name with dots: the kubelet takes net/ipv4/x for net.ipv4.x.
func sysctlsOf(spec corev1.PodSpec) map[string]string {
	sysctls := map[string]string{}
	if spec.SecurityContext != nil {
		for _, sysctl := range spec.SecurityContext.Sysctls {
			sysctls[strings.ReplaceAll(sysctl.Name, "/", ".")] = sysctl.Value
		}
	}
	return sysctls
}

// containerPorts are the ports that a pod says it listens on: those that its containers declare, and those that the
// kubelet probes, ascending.
func containerPorts(spec corev1.PodSpec) []int {
	var ports []int
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, port := range container.Ports {
			if port.Protocol == "" || port.Protocol == corev1.ProtocolTCP {
				ports = append(ports, int(port.ContainerPort))
			}
		}
		for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe, container.StartupProbe} {
			ports = append(ports, probePorts(probe)...)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// probePorts are the ports of a probe by number. A name is that of a port that its container declares.
func probePorts(probe *corev1.Probe) []int {
	switch {
	case probe == nil:
		return nil
	case probe.HTTPGet != nil && probe.HTTPGet.Port.Type == intstr.Int:
		return []int{probe.HTTPGet.Port.IntValue()}
	case probe.TCPSocket != nil && probe.TCPSocket.Port.Type == intstr.Int:
		return []int{probe.TCPSocket.Port.IntValue()}
	case probe.GRPC != nil:
		return []int{int(probe.GRPC.Port)}
	default:
		return nil
	}
}
