package policy

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// maximumVantages bounds the vantages of a report.
const maximumVantages = 4

// mergeVantages are the vantages that stand after fresh results came in: the newest result of each node, as many as a
// run has, and the attempts of the present run that brought none. A result on a node that the workload has left does
// not stand beside others.
func mergeVantages(known []v1alpha1.Vantage, fresh []v1alpha1.Vantage, run *v1alpha1.ProbeRunStatus, from vantageChoice, now metav1.Time) []v1alpha1.Vantage {
	newestFirst := slices.Concat(fresh, known)
	slices.SortStableFunc(newestFirst, func(a, b v1alpha1.Vantage) int { return b.Time.Compare(a.Time.Time) })
	var standing []v1alpha1.Vantage
	for _, here := range []bool{true, false} {
		for _, vantage := range newestFirst {
			isHere := slices.Contains(from.nodes, vantage.Node) || slices.Contains(from.nodes, anywhere)
			enough := len(standing) >= from.enough || !here && len(standing) > 0
			if vantage.Outcome == string(result.Measured) && isHere == here && !enough && !hasNode(standing, vantage.Node) {
				standing = append(standing, vantage)
			}
		}
	}
	if run != nil {
		for _, pod := range slices.Backward(run.Pods) {
			if pod.Outcome == "" || pod.Outcome == string(result.Measured) || hasNode(standing, pod.Node) || len(standing) == maximumVantages {
				continue
			}
			failed := v1alpha1.Vantage{Time: now, Node: pod.Node, Pod: pod.Name, Outcome: pod.Outcome, Cause: pod.Cause}
			if i := slices.IndexFunc(known, func(v v1alpha1.Vantage) bool { return v.Pod == pod.Name }); i >= 0 {
				failed.Time = known[i].Time
			}
			standing = append(standing, failed)
		}
	}
	slices.SortStableFunc(standing, func(a, b v1alpha1.Vantage) int { return cmp.Compare(a.Node, b.Node) })
	return standing
}

func hasNode(vantages []v1alpha1.Vantage, node string) bool {
	return slices.ContainsFunc(vantages, func(v v1alpha1.Vantage) bool { return v.Node == node })
}
