package cel

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/internal/observer"
)

// testObservers adds containers to a pod as the operator, which may add an observer and nothing that sees more.
func (c *cluster) testObservers(t *testing.T) {
	const namespace, refused = "observers", "the operator may add an observer to a pod"
	c.namespace(t, namespace, nil)
	pod := newPod(namespace, "watched")
	pod.Spec.Volumes = []corev1.Volume{{Name: "data"}}
	if err := c.admin.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	addTo := func(pod *corev1.Pod, by client.Client, container corev1.EphemeralContainer, options ...client.SubResourcePatchOption) error {
		changed := pod.DeepCopy()
		changed.Spec.EphemeralContainers = []corev1.EphemeralContainer{container}
		return by.SubResource("ephemeralcontainers").Patch(t.Context(), changed, client.StrategicMergeFrom(pod), options...)
	}
	add := func(by client.Client, container corev1.EphemeralContainer, options ...client.SubResourcePatchOption) error {
		return addTo(pod, by, container, options...)
	}
	bad := map[string]func(*corev1.EphemeralContainer){
		"another name":         func(e *corev1.EphemeralContainer) { e.Name = "debugger" },
		"processes of another": func(e *corev1.EphemeralContainer) { e.TargetContainerName = "app" },
		"a variable":           func(e *corev1.EphemeralContainer) { e.Env = []corev1.EnvVar{{Name: "A", Value: "b"}} },
		"a secret": func(e *corev1.EphemeralContainer) {
			source := corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "token"}}
			e.EnvFrom = []corev1.EnvFromSource{{SecretRef: &source}}
		},
		"a mount": func(e *corev1.EphemeralContainer) {
			e.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		},
		"another program":  func(e *corev1.EphemeralContainer) { e.Args = []string{"load"} },
		"no arguments":     func(e *corev1.EphemeralContainer) { e.Args = nil },
		"standard input":   func(e *corev1.EphemeralContainer) { e.Stdin = true },
		"a terminal":       func(e *corev1.EphemeralContainer) { e.TTY = true },
		"a command":        func(e *corev1.EphemeralContainer) { e.Command = []string{"sh"} },
		"root":             func(e *corev1.EphemeralContainer) { e.SecurityContext.RunAsNonRoot = nil },
		"the image's user": func(e *corev1.EphemeralContainer) { e.SecurityContext.RunAsUser = nil },
		"a file system":    func(e *corev1.EphemeralContainer) { e.SecurityContext.ReadOnlyRootFilesystem = nil },
		"any system call":  func(e *corev1.EphemeralContainer) { e.SecurityContext.SeccompProfile = nil },
		"unconfined": func(e *corev1.EphemeralContainer) {
			e.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
		},
		"unconfined by AppArmor": func(e *corev1.EphemeralContainer) {
			e.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		},
		"another SELinux type": func(e *corev1.EphemeralContainer) {
			e.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"}
		},
		"privilege":        func(e *corev1.EphemeralContainer) { e.SecurityContext.AllowPrivilegeEscalation = nil },
		"all capabilities": func(e *corev1.EphemeralContainer) { e.SecurityContext.Capabilities = nil },
		"a capability": func(e *corev1.EphemeralContainer) {
			e.SecurityContext.Capabilities.Add = []corev1.Capability{"NET_RAW"}
		},
		"no security context": func(e *corev1.EphemeralContainer) { e.SecurityContext = nil },
	}
	// The policy may not be active yet.
	eventually(t, func(context.Context) string {
		container := observer.Container("example.com/probe:v1", 9964)
		container.TargetContainerName = "app"
		return mismatch(add(c.as(t, operator), container, client.DryRunAll), refused)
	})
	for name, change := range bad {
		t.Run(name, func(t *testing.T) {
			container := observer.Container("example.com/probe:v1", 9964)
			change(&container)
			expect(t, add(c.as(t, operator), container, client.DryRunAll), refused)
		})
	}
	for name, change := range map[string]func(*corev1.PodSpec){
		"the node's network":   func(s *corev1.PodSpec) { s.HostNetwork = true },
		"the node's processes": func(s *corev1.PodSpec) { s.HostPID = true },
		"shared processes":     func(s *corev1.PodSpec) { s.ShareProcessNamespace = new(true) },
	} {
		t.Run(name, func(t *testing.T) {
			open := newPod(namespace, "open")
			change(&open.Spec)
			if err := c.admin.Create(t.Context(), open); err != nil {
				t.Fatal(err)
			}
			container := observer.Container("example.com/probe:v1", 9964)
			expect(t, addTo(open, c.as(t, operator), container), "a network and processes of its own")
			expect(t, c.admin.Delete(t.Context(), open, client.GracePeriodSeconds(0)), "")
		})
	}
	// Others debug as they may, and what they added does not keep the observer out.
	debugger := observer.Container("example.com/debug:v1", 9964)
	debugger.Name, debugger.TargetContainerName, debugger.SecurityContext = "debugger", "app", nil
	expect(t, add(c.admin, debugger), "")
	expect(t, add(c.as(t, operator), observer.Container("example.com/probe:v1", 9964)), "")
}
