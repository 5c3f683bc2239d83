package tuner

import "github.com/connpolicy/connpolicy/api/v1alpha1"

// Compute plans the knobs of a workload from the demands of all links on it.
func Compute(w Workload, demands []LinkDemand) Plan {
	if w.Applied != nil {
		return keep(w)
	}
	return Plan{Reason: v1alpha1.ReasonNotJudged, Message: "Nothing was seen of the workload's local ports yet."}
}

func keep(w Workload) Plan {
	return Plan{Values: w.Applied, Revision: Revision(*w.Applied), Hash: Hash(w.Target, *w.Applied)}
}
