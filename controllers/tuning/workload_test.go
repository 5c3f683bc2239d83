package tuning

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestFromDeployment reads how far a Deployment's rollout is.
func TestFromDeployment(t *testing.T) {
	tests := map[string]struct {
		change func(*appsv1.Deployment)
		want   Workload
	}{
		"rolled out": {func(*appsv1.Deployment) {}, Workload{Desired: 2, RolledOut: true}},
		"the controller has not seen the template": {func(d *appsv1.Deployment) { d.Generation = 8 },
			Workload{Desired: 2}},
		"an old pod is left":     {func(d *appsv1.Deployment) { d.Status.Replicas = 3 }, Workload{Desired: 2}},
		"a pod is not available": {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }, Workload{Desired: 2}},
		"paused": {func(d *appsv1.Deployment) { d.Spec.Paused = true }, Workload{Desired: 2, RolledOut: true,
			Stuck: "The Deployment is paused; kubectl rollout resume lets it go on."}},
		"no progress": {func(d *appsv1.Deployment) {
			d.Status.AvailableReplicas = 1
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse,
				Reason: "ProgressDeadlineExceeded", Message: "timed out", LastUpdateTime: metav1.NewTime(noon)}}
		}, Workload{Desired: 2, RolloutFailure: "timed out", RolloutFailedAt: noon}},
		"pods are refused": {func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure,
				Status: corev1.ConditionTrue, Message: "forbidden sysctls"}}
		}, Workload{Desired: 2, RolledOut: true, CreationFailure: "forbidden sysctls"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := &appsv1.Deployment{}
			d.Generation, d.Status.ObservedGeneration = 7, 7
			d.Spec.Replicas = new(int32(2))
			d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas = 2, 2, 2
			test.change(d)
			if got := fromDeployment(d).facts; got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestFromSets reads why the pods of other workloads may not come to a new template by themselves.
func TestFromSets(t *testing.T) {
	stateful := &appsv1.StatefulSet{}
	stateful.Status.UpdatedReplicas, stateful.Status.AvailableReplicas = 1, 1
	if got := fromStatefulSet(stateful).facts; got != (Workload{Desired: 1, RolledOut: true}) {
		t.Errorf("got %+v", got)
	}
	stateful.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(1))}
	if got := fromStatefulSet(stateful).facts; got.Stuck == "" {
		t.Error("a partition is not told")
	}
	stateful.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
	if got := fromStatefulSet(stateful).facts; got.Stuck == "" {
		t.Error("OnDelete of a StatefulSet is not told")
	}
	daemon := &appsv1.DaemonSet{}
	daemon.Status.DesiredNumberScheduled, daemon.Status.UpdatedNumberScheduled, daemon.Status.NumberAvailable = 3, 3, 2
	daemon.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	if got := fromDaemonSet(daemon).facts; got.Stuck == "" || got.RolledOut || got.Desired != 3 {
		t.Errorf("got %+v", got)
	}
}

// TestContainerPorts finds the ports that must stay free for listeners.
func TestContainerPorts(t *testing.T) {
	spec := corev1.PodSpec{
		InitContainers: []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 15090}}}},
		Containers: []corev1.Container{{
			Ports: []corev1.ContainerPort{{ContainerPort: 8080}, {ContainerPort: 53, Protocol: corev1.ProtocolUDP}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
				HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(9000)},
			}},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
				TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("http")},
			}},
			StartupProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 8080}}},
		}},
	}
	if got, want := containerPorts(spec), []int{8080, 9000, 15090}; !slices.Equal(got, want) {
		t.Errorf("ports are %v, want %v", got, want)
	}
}

// TestSysctlsOf knows both spellings of a sysctl.
func TestSysctlsOf(t *testing.T) {
	spec := corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net/ipv4/x", Value: "1"}}}}
	if got := sysctlsOf(spec)["net.ipv4.x"]; got != "1" {
		t.Errorf("got %v", sysctlsOf(spec))
	}
}

// TestRestartedAt takes what is no time, or a time to come, for no replacement.
func TestRestartedAt(t *testing.T) {
	ahead := noon.Add(time.Minute)
	for text, want := range map[string]time.Time{
		noon.Format(time.RFC3339):                   noon,
		ahead.Format(time.RFC3339):                  ahead,
		ahead.Add(time.Second).Format(time.RFC3339): {},
		"2099-01-01T00:00:00Z":                      {},
		"yesterday":                                 {},
	} {
		if got := restartedAt(map[string]string{"connpolicy.dev/restartedAt": text}, noon); !got.Equal(want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
