package policy

import (
	"slices"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/metrics"
)

// count counts the probe pods that came to an end, once their outcomes are recorded in the status: what is not recorded
// is found again by the next reconcile.
func (s *scope) count(outcomes *metrics.Outcomes) {
	for _, l := range s.links {
		for _, pod := range endedSince(s.runBefore(l.spec.Name), l.status.Run) {
			outcomes.Pod(pod.Outcome)
			if r := l.measured[pod.Name]; r != nil {
				outcomes.Result(r)
			}
		}
	}
}

// runBefore is the run of a link as the status held it when the policy was read. Nil: none.
func (s *scope) runBefore(link string) *v1alpha1.ProbeRunStatus {
	i := slices.IndexFunc(s.before.Status.Links, func(status v1alpha1.LinkStatus) bool { return status.Name == link })
	if i < 0 {
		return nil
	}
	return s.before.Status.Links[i].Run
}

// endedSince are the pods of a run that have an outcome which they had not before. The name of a pod tells its run and
// attempt.
func endedSince(before, after *v1alpha1.ProbeRunStatus) []v1alpha1.ProbePodStatus {
	if after == nil {
		return nil
	}
	var ended []v1alpha1.ProbePodStatus
	for _, pod := range after.Pods {
		if pod.Outcome == "" {
			continue
		}
		known := before != nil && slices.ContainsFunc(before.Pods, func(p v1alpha1.ProbePodStatus) bool {
			return p.Name == pod.Name && p.Outcome != ""
		})
		if !known {
			ended = append(ended, pod)
		}
	}
	return ended
}
