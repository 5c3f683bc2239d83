package tuner

import (
	"fmt"
	"strings"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// Compute plans the knobs of a workload from the demands of all links on it.
//
// The plan is stable under its own effect: what is applied is kept while it is enough, and is never made narrower unless
// the policies' bounds ask for it.
func Compute(w Workload, links []LinkDemand) Plan {
	if name, set := ownSetting(w.TemplateSysctls); set {
		return Plan{Reason: v1alpha1.ReasonOverridden, Message: fmt.Sprintf(
			"The pod template of %s %s sets %s itself, and that is left alone. Remove it there to let connpolicy choose the ports.",
			w.Target.Kind, w.Target.Name, name)}
	}
	p := planner{w: w, links: links, safe: safeLimits(w, links)}
	p.limits = bounded(p.safe, links)
	if p.limits.Count() < 2 {
		return Plan{Reason: v1alpha1.ReasonConflict, Message: fmt.Sprintf(
			"No range of local ports satisfies everybody: %s, and ports from %d to %d are safe. Change tuning.knobs in one of the policies.",
			boundsInWords(links), p.safe.First, p.safe.Last)}
	}
	p.demands = demandsOf(links, holds(w.Proposed))
	p.lasting, p.reserved = lastingReservations(w, links), allReservations(w, links)
	return p.plan()
}

// ownSetting returns the sysctl behind ephemeralPorts that a pod template sets, if it sets one.
func ownSetting(template map[string]string) (name string, set bool) {
	sysctls := withDots(template)
	for _, name := range []string{sysctlPortRange, sysctlReservedPorts} {
		if _, set := sysctls[name]; set {
			return name, true
		}
	}
	return "", false
}

// withDots returns sysctls under the names with dots. The kubelet takes net/ipv4/x for net.ipv4.x.
func withDots(sysctls map[string]string) map[string]string {
	dotted := make(map[string]string, len(sysctls))
	for name, value := range sysctls {
		dotted[strings.ReplaceAll(name, "/", ".")] = value
	}
	return dotted
}

// planner holds what a plan of ephemeralPorts is made from.
type planner struct {
	w       Workload
	links   []LinkDemand
	demands []podDemand
	// safe are the ports that the range may contain, limits those that the policies allow too.
	safe, limits PortRange
	// lasting and reserved are the ports to keep free; see lastingReservations and allReservations.
	lasting, reserved []reservation
}

func (p planner) plan() Plan {
	if len(p.demands) == 0 {
		return p.planUnseen()
	}
	worst := gravest(p.demands)
	values, found := p.choose(worst)
	if !found {
		return Plan{Reason: v1alpha1.ReasonNothingToTune, Message: p.enoughInWords(worst)}
	}
	if !p.isApplied(values) && available(values) <= mostUntuned(p.demands) {
		return p.planForbidden(worst, values)
	}
	return p.identified(values, p.recommendation(values, worst))
}

// planUnseen keeps what there is: that nothing was seen just now is no reason to change anything.
func (p planner) planUnseen() Plan {
	for _, kept := range []*v1alpha1.KnobValues{p.w.Applied, p.w.Proposed} {
		if !holds(kept) || !p.allowed(*kept) {
			continue
		}
		return p.identified(*kept, v1alpha1.Recommendation{
			Knob: v1alpha1.KnobEphemeralPorts, Recommended: valueRange(*kept).String(), Confidence: v1alpha1.ConfidenceLow,
			Reason: "Kept as it was: no observer has told how many local ports the workload holds since.",
		})
	}
	return Plan{Reason: v1alpha1.ReasonNotJudged,
		Message: "No observer has told yet how many local ports the workload holds, so there is nothing to plan from."}
}

// planForbidden says that the range cannot be made larger than it is.
func (p planner) planForbidden(worst podDemand, capped v1alpha1.KnobValues) Plan {
	unbounded := newValues(widen(p.base(), p.safe, p.reserved, p.needed()), p.reserved)
	plan := Plan{Demands: asking(p.demands)}
	if available(unbounded) <= available(capped) {
		plan.Reason = v1alpha1.ReasonNothingToTune
		plan.Message = heldInWords(worst) + " The range is as wide already as is safe: only reusing connections, or spreading them over more pods or addresses, helps."
		return plan
	}
	plan.Reason = v1alpha1.ReasonConflict
	plan.Message = fmt.Sprintf("%s More ports are needed, but %s, which gives no more than there are now. Change tuning.knobs, or reuse connections.",
		heldInWords(worst), boundsInWords(p.links))
	current := rangeOf(worst.pod.Sysctls).String()
	plan.Recommendations = []v1alpha1.Recommendation{{
		Knob: v1alpha1.KnobEphemeralPorts, Current: current, Recommended: current,
		Uncapped: valueRange(unbounded).String(), Reason: plan.Message, Evidence: p.evidence(worst), Confidence: v1alpha1.ConfidenceLow,
	}}
	return plan
}

// identified is the plan that has values.
func (p planner) identified(values v1alpha1.KnobValues, r v1alpha1.Recommendation) Plan {
	return Plan{
		Values: &values, Revision: Revision(values), Hash: Hash(p.w.Target, values),
		Recommendations: []v1alpha1.Recommendation{r}, Demands: asking(p.demands),
	}
}

// choose returns the values to have, and whether there are any: what is applied or proposed while it serves, else a range
// made wide enough.
func (p planner) choose(worst podDemand) (v1alpha1.KnobValues, bool) {
	applied := holds(p.w.Applied)
	if !worst.asks && !applied {
		return v1alpha1.KnobValues{}, false
	}
	if applied && p.allowed(*p.w.Applied) && p.enough(*p.w.Applied) {
		return p.withDeclared(*p.w.Applied), true
	}
	if holds(p.w.Proposed) && p.allowed(*p.w.Proposed) && p.enough(*p.w.Proposed) && p.covers(*p.w.Proposed) {
		return *p.w.Proposed, true
	}
	return newValues(widen(p.base(), p.limits, p.reserved, p.needed()), p.reserved), true
}

// needed is the number of ports that serves all demands: as many as there are if one is censored. Where values are
// applied already, it is never less than the use of having them takes: more ports than without.
func (p planner) needed() int {
	most := 0
	if holds(p.w.Applied) {
		most = min(untunedPorts+1, available(*p.w.Applied))
	}
	for _, d := range p.demands {
		switch {
		case d.asks && d.censored:
			return everyPort
		case d.asks || d.pod.Tuned:
			most = max(most, d.needed())
		}
	}
	return most
}

// base is the range that a plan starts from: what is applied, and what the pods have without it.
func (p planner) base() PortRange {
	if holds(p.w.Applied) {
		return valueRange(*p.w.Applied)
	}
	return rangeOf(roomiest(p.demands).pod.Sysctls)
}

// allowed says whether the policies and the kernel allow values.
func (p planner) allowed(v v1alpha1.KnobValues) bool {
	r := valueRange(v)
	return p.limits.First <= r.First && r.Last <= p.limits.Last
}

// enough says whether values serve all demands, or are as many ports as can be had.
func (p planner) enough(v v1alpha1.KnobValues) bool {
	return p.serves(v) || valueRange(v) == widen(valueRange(v), p.limits, p.reserved, everyPort)
}

// serves says whether each pod would hold less than askPercent of the ports. A plan is made for aimPercent; the space
// between keeps it from being made anew with every small rise of the load.
func (p planner) serves(v v1alpha1.KnobValues) bool {
	for _, d := range p.demands {
		if d.asks && d.censored || 100*d.held >= askPercent*available(v) {
			return false
		}
	}
	return true
}

// covers says whether values reserve all that is to be kept free for good, and hold all of the range that is applied.
func (p planner) covers(v v1alpha1.KnobValues) bool {
	r, reserved := valueRange(v), valueReserved(v)
	if holds(p.w.Applied) {
		applied := valueRange(*p.w.Applied).Intersect(p.limits)
		if applied.Intersect(r) != applied {
			return false
		}
	}
	return reserved.Union(within(r, p.lasting)).Count() == reserved.Count()
}

func (p planner) isApplied(v v1alpha1.KnobValues) bool {
	return holds(p.w.Applied) && Revision(v) == Revision(*p.w.Applied)
}

// withDeclared adds ports that the pod template has come to declare. Nothing else is a reason to replace pods again.
func (p planner) withDeclared(v v1alpha1.KnobValues) v1alpha1.KnobValues {
	reserved := valueReserved(v)
	with := reserved.Union(within(valueRange(v), declaredReservations(p.w)))
	if with.Count() == reserved.Count() {
		return v
	}
	v.EphemeralPorts = v.EphemeralPorts.DeepCopy()
	v.EphemeralPorts.Reserved = with.Compact(reservedItems).Items()
	return v
}

// holds says whether there are values of ephemeralPorts.
func holds(v *v1alpha1.KnobValues) bool { return v != nil && v.EphemeralPorts != nil }
