package policy

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// vantages lists the nodes that the source's pods stand on, those with the most pods first: from there the probes see
// the path as the workload does.
func vantages(pods []corev1.Pod) []string {
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
