package cel

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

const (
	portRange     = "net.ipv4.ip_local_port_range"
	reservedPorts = "net.ipv4.ip_local_reserved_ports"
)

// tuned are the sysctls that newTuning asks for.
func tuned() []corev1.Sysctl {
	return []corev1.Sysctl{
		{Name: portRange, Value: "1024 65535"},
		{Name: reservedPorts, Value: "8080,30000-32767"},
	}
}

// TestSysctlsOfTheTuner: the operator expects in pods what the admission policy puts there.
func TestSysctlsOfTheTuner(t *testing.T) {
	var expected []corev1.Sysctl
	for _, sysctl := range tuner.Sysctls(*newTuning("default", "x", v1alpha1.WorkloadReference{}).Spec.Knobs) {
		expected = append(expected, corev1.Sysctl{Name: sysctl.Name, Value: sysctl.Value})
	}
	if !slices.Equal(expected, tuned()) {
		t.Errorf("the tuner expects %v, the tests of the admission policy want %v", expected, tuned())
	}
}

// tunedNamespace makes a namespace that has opted in.
func (c *cluster) tunedNamespace(t *testing.T, name string) {
	t.Helper()
	c.namespace(t, name, map[string]string{v1alpha1.LabelTuning: v1alpha1.TuningEnabled})
}

// ownedPod is a pod as the workload's controller would create it.
func ownedPod(namespace, kind, workload string) *corev1.Pod {
	pod := newPod(namespace, workload+"-x7k2p")
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: kind, Name: workload, UID: "0"}
	if kind == "Deployment" {
		pod.Labels = map[string]string{"pod-template-hash": "5d9c7b6f4"}
		owner.Kind, owner.Name = "ReplicaSet", workload+"-5d9c7b6f4"
	}
	controls := true
	owner.Controller = &controls
	pod.OwnerReferences = []metav1.OwnerReference{owner}
	return pod
}

// admit sends a pod through admission, without storing it, and returns what came out.
func (c *cluster) admit(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	admitted := pod.DeepCopy()
	err := c.admin.Create(ctx, admitted, client.DryRunAll)
	return admitted, err
}

// complain says how a pod differs from what is wanted.
func complain(pod *corev1.Pod, sysctls []corev1.Sysctl, stamp string) string {
	if got := pod.Spec.SecurityContext.Sysctls; !slices.Equal(got, sysctls) {
		return fmt.Sprintf("sysctls are %v, want %v", got, sysctls)
	}
	if got := pod.Annotations[v1alpha1.AnnotationTuning]; got != stamp {
		return fmt.Sprintf("stamp is %q, want %q", got, stamp)
	}
	return ""
}

// createTuning creates a tuning and waits until the API server puts it into pods.
func (c *cluster) createTuning(t *testing.T, namespace, kind, workload string) *v1alpha1.ConnectionTuning {
	t.Helper()
	target := v1alpha1.WorkloadReference{Kind: kind, Name: workload}
	tuning := newTuning(namespace, strings.ToLower(kind)+"-"+workload, target)
	if err := c.as(t, operator).Create(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	c.waitForPod(t, ownedPod(namespace, kind, workload), tuned(), tuning.Name+".0a1b2c3d")
	return tuning
}

// waitForPod waits until a pod comes out of admission as wanted.
func (c *cluster) waitForPod(t *testing.T, pod *corev1.Pod, sysctls []corev1.Sysctl, stamp string) {
	t.Helper()
	eventually(t, func(ctx context.Context) string {
		admitted, err := c.admit(ctx, pod)
		if err != nil {
			return err.Error()
		}
		return complain(admitted, sysctls, stamp)
	})
}

func (c *cluster) testTuning(t *testing.T) {
	t.Run("pods of a workload", c.testTunedPods)
	t.Run("pods of other workloads", c.testOtherPods)
	t.Run("what a pod sets itself", c.testOwnSysctls)
	t.Run("deleted", c.testDeletedTuning)
	t.Run("without knobs", c.testTuningWithoutKnobs)
	t.Run("two tunings", c.testTwoTunings)
	t.Run("namespaces", c.testTunedNamespaces)
	t.Run("restricted", c.testRestricted)
	t.Run("reinvoked", c.testReinvoked)
	t.Run("without the binding", c.testBreakGlass)
}

func (c *cluster) testTunedPods(t *testing.T) {
	const namespace = "tuned"
	c.tunedNamespace(t, namespace)
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		t.Run(kind, func(t *testing.T) {
			tuning := c.createTuning(t, namespace, kind, "web")
			pod := ownedPod(namespace, kind, "web")
			pod.Name, pod.GenerateName = "", "web-"
			pod.Annotations = map[string]string{"team": "shop"}
			if err := c.admin.Create(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			if complaint := complain(pod, tuned(), tuning.Name+".0a1b2c3d"); complaint != "" {
				t.Error(complaint)
			}
			if pod.Annotations["team"] != "shop" {
				t.Errorf("annotations are %v: the pod's own are gone", pod.Annotations)
			}
		})
	}
}

// testOtherPods sends pods that resemble those of a tuned Deployment, and are not.
func (c *cluster) testOtherPods(t *testing.T) {
	const namespace = "others"
	c.tunedNamespace(t, namespace)
	c.createTuning(t, namespace, "Deployment", "web")
	for name, change := range map[string]func(*corev1.Pod){
		"on the node's network": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"for Windows": func(p *corev1.Pod) {
			p.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
			p.Spec.SecurityContext.SeccompProfile = nil
			p.Spec.Containers[0].SecurityContext = nil
		},
		"opted out": func(p *corev1.Pod) {
			p.Labels[v1alpha1.LabelTuning] = v1alpha1.TuningDisabled
		},
		"without owner":       func(p *corev1.Pod) { p.OwnerReferences = nil },
		"without controller":  func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil },
		"of a similar name":   func(p *corev1.Pod) { p.OwnerReferences[0].Name = "web-admin-5d9c7b6f4" },
		"of another revision": func(p *corev1.Pod) { p.OwnerReferences[0].Name = "web-77777" },
		"without hash":        func(p *corev1.Pod) { delete(p.Labels, "pod-template-hash") },
		"without labels":      func(p *corev1.Pod) { p.Labels = nil },
		"of another kind": func(p *corev1.Pod) {
			p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "StatefulSet", "web"
		},
		"of another group": func(p *corev1.Pod) { p.OwnerReferences[0].APIVersion = "example.com/v1" },
	} {
		t.Run(name, func(t *testing.T) {
			pod := ownedPod(namespace, "Deployment", "web")
			change(pod)
			c.wantPod(t, pod, nil, "")
		})
	}
	t.Run("of the operator", func(t *testing.T) {
		pod := ownedPod(namespace, "Deployment", "web")
		pod.Labels[v1alpha1.LabelProbe] = "web-to-api"
		if err := c.as(t, operator).Create(t.Context(), pod, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		if complaint := complain(pod, nil, ""); complaint != "" {
			t.Error(complaint)
		}
	})
}

// wantPod sends a pod through admission once and wants it to come out so.
func (c *cluster) wantPod(t *testing.T, pod *corev1.Pod, sysctls []corev1.Sysctl, stamp string) {
	t.Helper()
	admitted, err := c.admit(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	if complaint := complain(admitted, sysctls, stamp); complaint != "" {
		t.Error(complaint)
	}
}

func (c *cluster) testOwnSysctls(t *testing.T) {
	const namespace = "own"
	c.tunedNamespace(t, namespace)
	stamp := c.createTuning(t, namespace, "Deployment", "web").Name + ".0a1b2c3d"
	for _, test := range []struct {
		name  string
		own   []corev1.Sysctl
		added []corev1.Sysctl
		stamp string
	}{
		{"something else", []corev1.Sysctl{{Name: "net.ipv4.tcp_fin_timeout", Value: "30"}}, tuned(), stamp},
		{"the range", []corev1.Sysctl{{Name: portRange, Value: "20000 30000"}}, nil, ""},
		{"the range, with slashes", []corev1.Sysctl{{Name: "net/ipv4/ip_local_port_range", Value: "20000 30000"}}, nil, ""},
		{"the reserved ports alone", []corev1.Sysctl{{Name: reservedPorts, Value: "9000"}}, nil, ""},
		{"a lower first unprivileged port",
			[]corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}, tuned(), stamp},
		{"a higher first unprivileged port",
			[]corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "2000"}}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := ownedPod(namespace, "Deployment", "web")
			pod.Spec.SecurityContext.Sysctls = test.own
			c.wantPod(t, pod, slices.Concat(test.own, test.added), test.stamp)
		})
	}
	t.Run("no security context", func(t *testing.T) {
		pod := ownedPod(namespace, "Deployment", "web")
		pod.Spec.SecurityContext = nil
		c.wantPod(t, pod, tuned(), stamp)
	})
}

func (c *cluster) testDeletedTuning(t *testing.T) {
	const namespace = "deleted"
	c.tunedNamespace(t, namespace)
	tuning := c.createTuning(t, namespace, "Deployment", "web")
	tuning.Finalizers = []string{v1alpha1.FinalizerTuning}
	if err := c.as(t, operator).Update(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	if err := c.as(t, operator).Delete(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	c.waitForPod(t, ownedPod(namespace, "Deployment", "web"), nil, "")
	if err := c.admin.Get(t.Context(), client.ObjectKeyFromObject(tuning), tuning); err != nil {
		t.Fatalf("the tuning must still be there, under deletion: %v", err)
	}
	tuning.Finalizers = nil
	if err := c.as(t, operator).Update(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) testTuningWithoutKnobs(t *testing.T) {
	const namespace = "knobs"
	c.tunedNamespace(t, namespace)
	tuning := c.createTuning(t, namespace, "Deployment", "web")
	tuning.Spec.Knobs, tuning.Spec.Revision = nil, ""
	if err := c.as(t, operator).Update(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	pod := ownedPod(namespace, "Deployment", "web")
	c.waitForPod(t, pod, nil, "")

	tuning.Spec.Knobs = &v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 20000, Last: 60999}}
	tuning.Spec.Revision = "ffff0000"
	if err := c.as(t, operator).Update(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	c.waitForPod(t, pod, []corev1.Sysctl{{Name: portRange, Value: "20000 60999"}}, tuning.Name+".ffff0000")
}

func (c *cluster) testTwoTunings(t *testing.T) {
	const namespace = "two"
	c.tunedNamespace(t, namespace)
	c.createTuning(t, namespace, "Deployment", "web")
	c.createTuning(t, namespace, "StatefulSet", "web")
	c.wantPod(t, ownedPod(namespace, "Deployment", "web"), tuned(), "deployment-web.0a1b2c3d")
	c.wantPod(t, ownedPod(namespace, "StatefulSet", "web"), tuned(), "statefulset-web.0a1b2c3d")

	// Two of one workload are never written by the operator. If they are there, a pod gets each setting once.
	second := newTuning(namespace, "second", v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"})
	other := newTuning(namespace, "other", v1alpha1.WorkloadReference{Kind: "Deployment", Name: "other"})
	for _, tuning := range []*v1alpha1.ConnectionTuning{second, other} {
		if err := c.as(t, operator).Create(t.Context(), tuning); err != nil {
			t.Fatal(err)
		}
	}
	c.waitForPod(t, ownedPod(namespace, "Deployment", "other"), tuned(), "other.0a1b2c3d")
	admitted, err := c.admit(t.Context(), ownedPod(namespace, "Deployment", "web"))
	if err != nil {
		t.Fatal(err)
	}
	if got := admitted.Spec.SecurityContext.Sysctls; !slices.Equal(got, tuned()) {
		t.Errorf("sysctls are %v, want %v", got, tuned())
	}
}

func (c *cluster) testTunedNamespaces(t *testing.T) {
	c.tunedNamespace(t, "opted-in")
	c.namespace(t, "not-opted-in", nil)
	c.createTuning(t, "opted-in", "Deployment", "web")
	target := v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"}
	if err := c.as(t, operator).Create(t.Context(), newTuning("not-opted-in", "deployment-web", target)); err != nil {
		t.Fatal(err)
	}
	// A tuning that is made later is in force in a namespace that has opted in, so this one has been seen.
	c.createTuning(t, "opted-in", "StatefulSet", "later")
	c.wantPod(t, ownedPod("not-opted-in", "Deployment", "web"), nil, "")

	c.tunedNamespace(t, "without-tuning")
	c.wantPod(t, ownedPod("without-tuning", "Deployment", "web"), nil, "")
}

// testRestricted: what is added passes Pod Security at its strictest.
func (c *cluster) testRestricted(t *testing.T) {
	const namespace = "restricted"
	c.namespace(t, namespace, map[string]string{
		v1alpha1.LabelTuning:                 v1alpha1.TuningEnabled,
		"pod-security.kubernetes.io/enforce": "restricted",
	})
	c.createTuning(t, namespace, "Deployment", "web")
	pod := ownedPod(namespace, "Deployment", "web")
	pod.Spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "net.core.somaxconn", Value: "1024"}}
	_, err := c.admit(t.Context(), pod)
	expect(t, err, "violates PodSecurity")
}

// testReinvoked adds a policy that changes pods after ours did, so that ours is evaluated again.
func (c *cluster) testReinvoked(t *testing.T) {
	const namespace, label = "reinvoked", "example.com/later"
	c.tunedNamespace(t, namespace)
	stamp := c.createTuning(t, namespace, "Deployment", "web").Name + ".0a1b2c3d"
	for _, object := range newLabelPolicy("zz-later.example.com", namespace, label) {
		if err := c.admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func(ctx context.Context) string {
		admitted, err := c.admit(ctx, ownedPod(namespace, "Deployment", "web"))
		switch {
		case err != nil:
			return err.Error()
		case admitted.Labels[label] == "":
			return "the other policy does not change pods yet"
		default:
			return complain(admitted, tuned(), stamp)
		}
	})
}

// testBreakGlass deletes the binding, as an administrator does to stop all tuning at once.
func (c *cluster) testBreakGlass(t *testing.T) {
	const namespace = "break-glass"
	c.tunedNamespace(t, namespace)
	c.createTuning(t, namespace, "Deployment", "web")
	binding := newBinding()
	if err := c.admin.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	c.waitForPod(t, ownedPod(namespace, "Deployment", "web"), nil, "")
}
