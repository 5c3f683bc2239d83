package tuning

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func node(name, kubelet string, change func(*corev1.Node)) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": "web"}}}
	n.Status.NodeInfo = corev1.NodeSystemInfo{KubeletVersion: kubelet, KernelVersion: "6.18.0"}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if change != nil {
		change(&n)
	}
	return n
}

// TestNodeKinds groups the nodes that a workload may be scheduled to.
func TestNodeKinds(t *testing.T) {
	taint := func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule}}
	}
	nodes := []corev1.Node{
		node("c", "v1.37.2", nil), node("a", "v1.37.2", nil), node("b", "v1.36.0", nil),
		node("tainted", "v1.35.0", taint),
		node("preferred not", "v1.37.2", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "soft", Effect: corev1.TaintEffectPreferNoSchedule}}
		}),
		node("elsewhere", "v1.34.0", func(n *corev1.Node) { n.Labels["pool"] = "batch" }),
		node("cordoned", "v1.33.0", func(n *corev1.Node) { n.Spec.Unschedulable = true }),
		node("not ready", "v1.32.0", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }),
		node("never ready", "v1.31.0", func(n *corev1.Node) { n.Status.Conditions = nil }),
		node("windows", "v1.30.0", func(n *corev1.Node) { n.Labels[corev1.LabelOSStable] = "windows" }),
		node("windows without its label", "v1.29.0", func(n *corev1.Node) { n.Status.NodeInfo.OperatingSystem = "windows" }),
		node("linux by its label", "v1.36.0", func(n *corev1.Node) {
			n.Labels[corev1.LabelOSStable], n.Status.NodeInfo.OperatingSystem = "linux", "unheard-of"
		}),
	}
	var template corev1.PodTemplateSpec
	template.Spec.NodeSelector = map[string]string{"pool": "web"}
	wantKinds(t, nodeKinds(template, nodes), []NodeKind{
		{Name: "kubelet v1.37.2, kernel 6.18.0", Node: "a", Nodes: 3},
		{Name: "kubelet v1.36.0, kernel 6.18.0", Node: "b", Nodes: 2},
	})

	template.Spec.Tolerations = []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}}
	template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{
				Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{"tainted"},
			}},
		}}},
	}}
	wantKinds(t, nodeKinds(template, nodes), []NodeKind{{Name: "kubelet v1.35.0, kernel 6.18.0", Node: "tainted", Nodes: 1}})
}

func wantKinds(t *testing.T, got, want []NodeKind) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("kinds are %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("kind %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}
