package policy

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// anywhere is a vantage on any node: the scheduler chooses it.
const anywhere = ""

// vantageChoice is where a link may be measured from.
type vantageChoice struct {
	// nodes to stand on, the best first; anywhere alone if any node will do. Empty: no run can begin.
	nodes []string
	// enough is how many vantages a run needs a result from, where there are as many.
	enough int
}

// vantageChoice is where the policy's links may be measured from: the nodes of the workload's pods, or where there is no
// workload any one node that takes probes. The operator names it, for a pod that the scheduler may put anywhere is not
// counted on its node until it stands there.
func (s *scope) vantageChoice() vantageChoice {
	switch {
	case s.policy.Spec.From != nil:
		return vantageChoice{nodes: nodesOf(s.source.pods), enough: vantagesPerRun}
	case len(s.probeNodes) > 0:
		return vantageChoice{nodes: s.probeNodes, enough: 1}
	default:
		return vantageChoice{nodes: []string{anywhere}, enough: 1}
	}
}

// nodesOf lists the nodes that the source's pods stand on, those with the most pods first: from there the probes see
// the path as the workload does.
func nodesOf(pods []corev1.Pod) []string {
	count := map[string]int{}
	for i := range pods {
		pod := &pods[i]
		if pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil && !ended(pod) {
			count[pod.Spec.NodeName]++
		}
	}
	nodes := make([]string, 0, len(count))
	for node := range count {
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	return nodes
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// nodesForProbes lists the nodes that take a pod without tolerations, in an order of the policy's own: policies spread
// over the nodes, and each stays on its node while others come and go.
func nodesForProbes(policyUID types.UID, nodes []corev1.Node) []string {
	var names []string
	rank := map[string][sha256.Size]byte{}
	for i := range nodes {
		if name := nodes[i].Name; takesProbes(&nodes[i]) {
			names = append(names, name)
			rank[name] = sha256.Sum256([]byte(string(policyUID) + "/" + name))
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		first, second := rank[a], rank[b]
		return bytes.Compare(first[:], second[:])
	})
	return names
}

// takesProbes says whether a node is ready for a pod of Linux without tolerations.
func takesProbes(node *corev1.Node) bool {
	keptOut := slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool {
		return taint.Effect != corev1.TaintEffectPreferNoSchedule
	})
	ready := slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	})
	return ready && !keptOut && !node.Spec.Unschedulable && node.DeletionTimestamp == nil &&
		node.Labels[corev1.LabelOSStable] == string(corev1.Linux)
}
