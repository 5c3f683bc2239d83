// Package probepod builds the pods with which the operator measures, and reads what became of them.
package probepod

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const (
	// ContainerName is the name of the only container of a probe pod.
	ContainerName = "probe"
	// RefuseAddressesVariable is the environment variable that names further addresses that a probe must not connect
	// to, separated by commas.
	RefuseAddressesVariable = "CONNPOLICY_REFUSE_ADDRESSES"

	// terminationBudgetBytes is what the kubelet keeps of one container's termination message: the smaller of 4096 and
	// 12288 shared by the pod's containers (kubelet, MaxContainerTerminationMessageLength). A probe pod has one.
	terminationBudgetBytes = 4096
	terminationPath        = "/dev/termination-log"

	// neverReady is a readiness gate that nobody opens: no Service and no one else ever counts a probe pod as ready.
	neverReady = corev1.PodConditionType("connpolicy.dev/never-ready")

	// startSeconds is what a pod may take beyond its measuring time: image, sandbox and start.
	startSeconds = 90
	userID       = 65532
)

// Spec is what a probe pod is built from.
type Spec struct {
	Namespace, Name string
	// Owner is the controller that the pod belongs to.
	Owner metav1.OwnerReference
	// Policy, Link, Run, Role and Target become labels. Target is TargetHash of what is measured.
	Policy, Link, Run, Role, Target string
	// Image holds the probe.
	Image string
	// Node is the name of the node that the pod must stand on. Empty: any.
	Node string
	// NodeSelector and Tolerations are those of the source's pods.
	NodeSelector map[string]string
	Tolerations  []corev1.Toleration
	// Names says how the source's pods resolve names, so that the probe resolves them likewise.
	Names Names
	// URL is what is measured.
	URL string
	// Protocol and Measurements say how. No measurement named: all that suit the protocol but Except.
	Protocol     v1alpha1.Protocol
	Measurements []v1alpha1.MeasurementName
	Except       []v1alpha1.MeasurementName
	// TLS is the client's side of it. Nil: nothing is said about it.
	TLS *v1alpha1.TLSClient
	// HandshakeSamples is how many handshakes the probe takes at least, within the limits. 0: as many as their median needs.
	HandshakeSamples int
	// CountAbove, in microseconds, asks how many connects take longer. 0: not asked.
	CountAbove int64
	Limits     v1alpha1.ProbeLimits
	// Sysctls are set for the pod: a canary's values.
	Sysctls []corev1.Sysctl
	// RefuseAddresses are addresses that the probe must not connect to, beside loopback and link-local ones.
	RefuseAddresses []string
	// PriorityClassName of the pod. Empty: the cluster's default.
	PriorityClassName string
}

// Names is how a pod resolves names. The zero value is the cluster's default.
type Names struct {
	Policy  corev1.DNSPolicy
	Config  *corev1.PodDNSConfig
	Aliases []corev1.HostAlias
}

// Build builds the pod: Pod Security "restricted", no token, labels of its own alone, never ready, bounded in time.
func Build(s Spec) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       s.Namespace,
			Name:            s.Name,
			OwnerReferences: []metav1.OwnerReference{s.Owner},
			Labels: map[string]string{
				v1alpha1.LabelProbe:       s.Policy,
				v1alpha1.LabelRole:        s.Role,
				v1alpha1.LabelLink:        s.Link,
				v1alpha1.LabelRun:         s.Run,
				v1alpha1.LabelTarget:      s.Target,
				"sidecar.istio.io/inject": "false",
			},
			Annotations: map[string]string{
				"linkerd.io/inject":                       "disabled",
				"kubectl.kubernetes.io/default-container": ContainerName,
			},
		},
		Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{container(s)},
			Volumes:                       volumes(s.TLS),
			RestartPolicy:                 corev1.RestartPolicyNever,
			ReadinessGates:                []corev1.PodReadinessGate{{ConditionType: neverReady}},
			ActiveDeadlineSeconds:         new(int64(s.Limits.Seconds) + idleSeconds(s.Limits) + startSeconds),
			TerminationGracePeriodSeconds: new(int64(5)),
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			NodeSelector:                  s.NodeSelector,
			Tolerations:                   s.Tolerations,
			DNSPolicy:                     s.Names.Policy,
			DNSConfig:                     s.Names.Config,
			HostAliases:                   s.Names.Aliases,
			PriorityClassName:             s.PriorityClassName,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				RunAsUser:      new(int64(userID)),
				RunAsGroup:     new(int64(userID)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				Sysctls:        s.Sysctls,
			},
		},
	}
	if s.Node != "" {
		pod.Annotations[v1alpha1.AnnotationNode] = s.Node
		pod.Spec.Affinity = on(s.Node)
	}
	return pod
}

func container(s Spec) corev1.Container {
	return corev1.Container{
		Name:            ContainerName,
		Image:           s.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            arguments(s),
		VolumeMounts:    mounts(s.TLS),
		Env:             []corev1.EnvVar{{Name: RefuseAddressesVariable, Value: strings.Join(s.RefuseAddresses, ",")}},
		// Requests and a limit of memory, so that a quota that asks for them admits the pod. No limit of CPU: a throttled
		// probe would measure its own throttling.
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("10m"),
				corev1.ResourceMemory: resource.MustParse("32Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			RunAsNonRoot:             new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		TerminationMessagePath: terminationPath,
		// A probe that comes to no result says on its standard error why.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

func arguments(s Spec) []string {
	arguments := []string{
		"run",
		"--target", s.URL,
		"--protocol", string(s.Protocol),
		"--limit-connections", fmt.Sprint(s.Limits.Connections),
		"--limit-rps", fmt.Sprint(s.Limits.RequestsPerSecond),
		"--limit-seconds", fmt.Sprint(s.Limits.Seconds),
		"-o", "json",
		"--termination-message", terminationPath,
		"--termination-budget-bytes", fmt.Sprint(terminationBudgetBytes),
		"--refuse-local",
	}
	if idle := idleSeconds(s.Limits); idle > 0 {
		arguments = append(arguments, "--limit-idle-seconds", fmt.Sprint(idle))
	}
	if s.HandshakeSamples > 0 {
		arguments = append(arguments, "--handshake-samples", fmt.Sprint(s.HandshakeSamples))
	}
	if s.CountAbove > 0 {
		arguments = append(arguments, "--count-connects-above", fmt.Sprint(s.CountAbove))
	}
	arguments = append(arguments, tlsArguments(s.TLS)...)
	if len(s.Measurements) > 0 {
		arguments = append(arguments, "--measure", join(s.Measurements))
	}
	if len(s.Except) > 0 {
		arguments = append(arguments, "--except", join(s.Except))
	}
	return arguments
}

// idleSeconds is the time that the measurement of idle connections has beside the others.
func idleSeconds(limits v1alpha1.ProbeLimits) int64 {
	if limits.IdleSeconds == nil {
		return 0
	}
	return int64(*limits.IdleSeconds)
}

func join(names []v1alpha1.MeasurementName) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ",")
}

// on is the affinity to one node. It goes by the node's name: the label kubernetes.io/hostname may differ from it. The
// pod still passes the scheduler, which nodeName would bypass, with the node's taints and its room.
func on(node string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{
					Key:      metav1.ObjectNameField,
					Operator: corev1.NodeSelectorOpIn,
					Values:   []string{node},
				}},
			}},
		},
	}}
}
