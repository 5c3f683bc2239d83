package probepod

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func example() Spec {
	return Spec{
		Namespace: "shop", Name: "p-l-abc-0", Owner: metav1.OwnerReference{Kind: "ConnectionPolicy", Name: "p", UID: "1", Controller: new(true)},
		Policy: "p", Link: "l", Run: "abc", Role: v1alpha1.RoleProbe, Target: TargetHash("198.18.0.1:80"), Image: "probe",
		Node: "node-1", URL: "http://s.shop.svc:80/", Protocol: v1alpha1.ProtocolHTTP,
		Measurements:    []v1alpha1.MeasurementName{v1alpha1.MeasurementHandshake, v1alpha1.MeasurementReuse},
		Limits:          v1alpha1.ProbeLimits{Connections: 200, RequestsPerSecond: 50, Seconds: 30},
		Tolerations:     []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}},
		RefuseAddresses: []string{"198.18.1.1", "198.18.1.2"},
	}
}

func TestBuildGivesNoPower(t *testing.T) {
	pod := Build(example())
	spec, container := pod.Spec, pod.Spec.Containers[0]
	for what, holds := range map[string]bool{
		"no token":                 spec.AutomountServiceAccountToken != nil && !*spec.AutomountServiceAccountToken,
		"no service links":         spec.EnableServiceLinks != nil && !*spec.EnableServiceLinks,
		"not root":                 *spec.SecurityContext.RunAsNonRoot && *container.SecurityContext.RunAsNonRoot,
		"default seccomp":          spec.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"no capability":            slices.Equal(container.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}),
		"no escalation":            !*container.SecurityContext.AllowPrivilegeEscalation,
		"no sysctl":                len(spec.SecurityContext.Sysctls) == 0,
		"one container":            len(spec.Containers) == 1 && len(spec.InitContainers) == 0,
		"no volume":                len(spec.Volumes) == 0,
		"the scheduler decides":    spec.NodeName == "",
		"never restarted":          spec.RestartPolicy == corev1.RestartPolicyNever,
		"bounded in time":          *spec.ActiveDeadlineSeconds == 30+startSeconds,
		"never ready":              len(spec.ReadinessGates) == 1,
		"labels of its own only":   len(pod.Labels) == 6,
		"the node's taints":        len(spec.Tolerations) == 1,
		"refuses local addresses":  slices.Contains(container.Args, "--refuse-local"),
		"refuses the nodes":        container.Env[0].Value == "198.18.1.1,198.18.1.2",
		"measures what is asked":   strings.HasSuffix(strings.Join(container.Args, " "), "--measure handshake,reuse"),
		"meant for the node":       pod.Annotations[v1alpha1.AnnotationNode] == "node-1",
		"the node by its own name": spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0] == "node-1",
	} {
		if !holds {
			t.Errorf("not so: %s", what)
		}
	}
}

func TestBuildAnywhereAndAllThatSuits(t *testing.T) {
	s := example()
	s.Node, s.Measurements = "", nil
	pod := Build(s)
	if pod.Spec.Affinity != nil || pod.Annotations[v1alpha1.AnnotationNode] != "" {
		t.Error("a pod for any node is bound to one")
	}
	if arguments := strings.Join(pod.Spec.Containers[0].Args, " "); strings.Contains(arguments, "--measure") || strings.Contains(arguments, "--except") {
		t.Errorf("although nothing is named the probe is asked for %s", arguments)
	}
	s.Except = []v1alpha1.MeasurementName{v1alpha1.MeasurementIdle}
	if arguments := strings.Join(Build(s).Spec.Containers[0].Args, " "); !strings.HasSuffix(arguments, " --except idle") {
		t.Errorf("the probe is asked for %s", arguments)
	}
}

func TestBuildGivesIdleATimeOfItsOwn(t *testing.T) {
	s := example()
	s.Limits.IdleSeconds = new(int32(1000))
	pod := Build(s)
	if arguments := strings.Join(pod.Spec.Containers[0].Args, " "); !strings.Contains(arguments, " --limit-seconds 30 ") ||
		!strings.Contains(arguments, " --limit-idle-seconds 1000 ") || *pod.Spec.ActiveDeadlineSeconds != 30+1000+startSeconds {
		t.Errorf("deadline %d, arguments %s", *pod.Spec.ActiveDeadlineSeconds, arguments)
	}
}

func TestBuildMountsWhatTLSTakes(t *testing.T) {
	s := example()
	s.TLS = &v1alpha1.TLSClient{}
	if pod := Build(s); len(pod.Spec.Volumes) != 0 || strings.Contains(strings.Join(pod.Spec.Containers[0].Args, " "), "--tls") {
		t.Errorf("an empty tls gives volumes %v and arguments %v", pod.Spec.Volumes, pod.Spec.Containers[0].Args)
	}
	s.TLS = &v1alpha1.TLSClient{
		ServerName:              "bank.example",
		CAConfigMap:             &v1alpha1.ConfigMapKey{Name: "bank-ca", Key: "ca.crt"},
		ClientCertificateSecret: &v1alpha1.SecretName{Name: "bank-client"},
	}
	pod := Build(s)
	arguments := strings.Join(pod.Spec.Containers[0].Args, " ")
	const want = "--tls-server-name bank.example --tls-ca /connpolicy/configmap/bank-ca/ca.crt" +
		" --tls-certificate /connpolicy/secret/bank-client/tls.crt --tls-key /connpolicy/secret/bank-client/tls.key"
	if !strings.Contains(arguments, want) {
		t.Errorf("arguments %s", arguments)
	}
	if len(pod.Spec.Volumes) != 2 || len(pod.Spec.Containers[0].VolumeMounts) != 2 {
		t.Fatalf("volumes %v", pod.Spec.Volumes)
	}
	for i, volume := range pod.Spec.Volumes {
		mount := pod.Spec.Containers[0].VolumeMounts[i]
		optional := volume.ConfigMap != nil && *volume.ConfigMap.Optional || volume.Secret != nil && *volume.Secret.Optional
		if mount.Name != volume.Name || !mount.ReadOnly || !strings.Contains(arguments, mount.MountPath+"/") || !optional {
			t.Errorf("volume %+v is mounted as %+v", volume, mount)
		}
	}
}

func TestBuildAsksForHandshakeSamples(t *testing.T) {
	s := example()
	if arguments := strings.Join(Build(s).Spec.Containers[0].Args, " "); strings.Contains(arguments, "--handshake-samples") || strings.Contains(arguments, "--count-connects-above") {
		t.Errorf("asked for although the spec says nothing: %s", arguments)
	}
	s.HandshakeSamples, s.CountAbove = 299, 5000
	if arguments := strings.Join(Build(s).Spec.Containers[0].Args, " "); !strings.Contains(arguments, " --handshake-samples 299 --count-connects-above 5000 ") {
		t.Errorf("not asked for: %s", arguments)
	}
}

// What a name costs depends on the pod's own resolver.
func TestBuildResolvesAsTheSource(t *testing.T) {
	s := example()
	s.Names = Names{
		Policy: corev1.DNSNone, Config: &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("1")}}},
		Aliases: []corev1.HostAlias{{IP: "198.18.0.9", Hostnames: []string{"bank"}}},
	}
	if spec := Build(s).Spec; spec.DNSPolicy != corev1.DNSNone || *spec.DNSConfig.Options[0].Value != "1" || spec.HostAliases[0].IP != "198.18.0.9" {
		t.Errorf("%s, %+v, %+v", spec.DNSPolicy, spec.DNSConfig, spec.HostAliases)
	}
	if spec := Build(example()).Spec; spec.DNSPolicy != "" || spec.DNSConfig != nil || spec.HostAliases != nil {
		t.Errorf("without a source: %s, %+v, %+v", spec.DNSPolicy, spec.DNSConfig, spec.HostAliases)
	}
}

func TestTargetHashIsALabel(t *testing.T) {
	if a, b := TargetHash("198.18.0.1:80"), TargetHash("198.18.0.1:81"); a == b || len(a) != 16 {
		t.Errorf("hashes %s and %s", a, b)
	}
}
