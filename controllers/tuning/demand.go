package tuning

import (
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
	"github.com/connpolicy/connpolicy/probes/result"
)

// linkDemands turns what observers saw on the links of the policies into what the planner reads. Only pods that are
// alive count: a pod of an earlier rollout says nothing about today's.
func linkDemands(policies []v1alpha1.ConnectionPolicy, reports linkReports, pods []Pod) []tuner.LinkDemand {
	var demands []tuner.LinkDemand
	for _, policy := range demandingPolicies(policies) {
		bounds, allowed := portBounds(policy.Spec.Tuning.Knobs)
		if policy.Spec.Suspend || !allowed {
			continue
		}
		for _, link := range policy.Spec.To {
			demand := tuner.LinkDemand{Policy: policy.Name, Link: link.Name, Bounds: bounds}
			for _, reading := range reports[linkName{policy.Name, link.Name}].Status.Observers {
				if isOf(reading, pods) && reading.PortsInUse != nil && reading.PortsAvailable != nil {
					demand.Pods = append(demand.Pods, podPorts(reading))
				}
			}
			demands = append(demands, demand)
		}
	}
	return demands
}

// portBounds are the bounds that a policy sets on ephemeralPorts, and whether it lets it be changed at all. No knob named
// means all.
func portBounds(knobs []v1alpha1.KnobBounds) (bounds *v1alpha1.KnobBounds, allowed bool) {
	if len(knobs) == 0 {
		return nil, true
	}
	for i := range knobs {
		if knobs[i].Name == v1alpha1.KnobEphemeralPorts {
			return &knobs[i], true
		}
	}
	return nil, false
}

func podPorts(reading v1alpha1.ObserverReading) tuner.PodPorts {
	use := tuner.PodPorts{
		Pod:       reading.Pod,
		Address:   reading.Address,
		InUse:     int(*reading.PortsInUse),
		Available: int(*reading.PortsAvailable),
		InUsePeak: int(*reading.PortsInUse),
		Sysctls:   reading.Sysctls,
		Tuned:     reading.Tuning != "",
	}
	if reading.PortsInUsePeak != nil {
		use.InUsePeak = max(use.InUsePeak, int(*reading.PortsInUsePeak))
	}
	if reading.TimeWait != nil {
		use.TimeWait = int(*reading.TimeWait)
	}
	if reading.ConnectionsPerSecond != nil {
		use.ConnectionsPerSecond = new(int(*reading.ConnectionsPerSecond))
	}
	for _, port := range reading.ListeningPorts {
		use.ListeningPorts = append(use.ListeningPorts, int(port))
	}
	return use
}

// observerReadings are what observers saw of the sysctls in pods that are alive, one reading a pod: the newest.
func observerReadings(reports linkReports, pods []Pod) []Reading {
	type timed struct {
		Reading
		at time.Time
	}
	byPod := map[string]timed{}
	for _, report := range reports {
		for _, observed := range report.Status.Observers {
			if !isOf(observed, pods) {
				continue
			}
			reading := timed{Reading: Reading{
				Pod: observed.Pod, Stamp: observed.Tuning, Cause: observed.Cause,
				PortsInUse: observed.PortsInUse, PortsAvailable: observed.PortsAvailable,
			}}
			if observed.Outcome == string(result.Measured) {
				reading.Sysctls = observed.Sysctls
			}
			if observed.Time != nil {
				reading.at = observed.Time.Time
			}
			known, exists := byPod[observed.Pod]
			if !exists || known.Sysctls == nil && reading.Sysctls != nil ||
				(known.Sysctls == nil) == (reading.Sysctls == nil) && reading.at.After(known.at) {
				byPod[observed.Pod] = reading
			}
		}
	}
	readings := make([]Reading, 0, len(byPod))
	for _, reading := range byPod {
		readings = append(readings, reading.Reading)
	}
	slices.SortFunc(readings, func(a, b Reading) int {
		if a.Pod < b.Pod {
			return -1
		}
		return 1
	})
	return readings
}

// isOf says whether a reading is of one of the pods, and not of an earlier pod of the same name (StatefulSet).
func isOf(reading v1alpha1.ObserverReading, pods []Pod) bool {
	return slices.ContainsFunc(pods, func(pod Pod) bool {
		return pod.Alive && pod.Name == reading.Pod && pod.Stamp == reading.Tuning &&
			(reading.Time == nil || !reading.Time.Time.Before(pod.Created))
	})
}

// linkName is a link by its policy and its own name.
type linkName struct{ policy, link string }

// linkReports are the ConnectionReports of links.
type linkReports map[linkName]v1alpha1.ConnectionReport

// report is the name of the link's ConnectionReport. Another may have the same: link c of policy a-b, and b-c of a.
func (l linkName) report() string { return l.policy + "-" + l.link }

// owns says whether a ConnectionReport of that name is the link's.
func (l linkName) owns(report v1alpha1.ConnectionReport) bool {
	return report.Spec.PolicyName == l.policy && report.Spec.LinkName == l.link
}
