package tuning

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	schedulingcorev1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// nodeKinds groups the nodes on which a pod of the template may be scheduled now by what decides whether a sysctl works:
// the kubelet's version and the kernel's. The most frequent kind comes first.
func nodeKinds(template corev1.PodTemplateSpec, nodes []corev1.Node) []NodeKind {
	affinity := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: template.Spec})
	byName := map[string]*NodeKind{}
	for i := range nodes {
		node := &nodes[i]
		if !takesPods(node, template.Spec.Tolerations) {
			continue
		}
		// A term that cannot be parsed matches no node, for the scheduler as here.
		if matches, err := affinity.Match(node); err != nil || !matches {
			continue
		}
		name := fmt.Sprintf("kubelet %s, kernel %s", node.Status.NodeInfo.KubeletVersion, node.Status.NodeInfo.KernelVersion)
		kind := byName[name]
		if kind == nil {
			kind = &NodeKind{Name: name, Node: node.Name}
			byName[name] = kind
		}
		kind.Nodes++
		kind.Node = min(kind.Node, node.Name)
	}
	kinds := make([]NodeKind, 0, len(byName))
	for _, kind := range byName {
		kinds = append(kinds, *kind)
	}
	slices.SortFunc(kinds, func(a, b NodeKind) int {
		return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), cmp.Compare(a.Name, b.Name))
	})
	return kinds
}

// takesPods says whether a node runs Linux, is ready and lets pods with these tolerations in. A cordoned node bears a
// taint too.
func takesPods(node *corev1.Node, tolerations []corev1.Toleration) bool {
	if !runsLinux(node) {
		return false
	}
	_, kept := schedulingcorev1.FindMatchingUntoleratedTaint(logr.Discard(), node.Spec.Taints, tolerations,
		func(taint *corev1.Taint) bool { return taint.Effect != corev1.TaintEffectPreferNoSchedule }, false)
	if kept || node.Spec.Unschedulable {
		return false
	}
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// runsLinux says whether a node has the sysctls at all. Its label decides, as it does for the scheduler; the kubelet's
// own word counts where the label is missing. A node of which neither is known is tried: that shows it.
func runsLinux(node *corev1.Node) bool {
	system := node.Labels[corev1.LabelOSStable]
	if system == "" {
		system = node.Status.NodeInfo.OperatingSystem
	}
	return system == "" || system == string(corev1.Linux)
}
