package tuner

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/figure"
)

// recommendation gives the reasons of values.
func (p planner) recommendation(values v1alpha1.KnobValues, worst podDemand) v1alpha1.Recommendation {
	r := v1alpha1.Recommendation{
		Knob:           v1alpha1.KnobEphemeralPorts,
		Current:        rangeOf(worst.pod.Sysctls).String(),
		Recommended:    valueRange(values).String(),
		UpperBound:     widen(valueRange(values), p.limits, p.reserved, everyPort).String(),
		Reason:         p.reason(values, worst),
		Evidence:       p.evidence(worst),
		Confidence:     p.confidence(values, worst),
		ExpectedEffect: p.expectedEffect(values, worst),
	}
	if kept := reasons(valueRange(values), p.reserved); kept != "" {
		r.Evidence["keptFree"] = kept
	}
	if p.serves(values) {
		r.LowerBound = widen(p.base(), p.limits, p.reserved, worst.held*100/askPercent+1).String()
		return r
	}
	if unbounded := widen(valueRange(values), p.safe, p.reserved, p.needed()); unbounded != valueRange(values) {
		r.Uncapped = unbounded.String()
	}
	return r
}

func (p planner) reason(values v1alpha1.KnobValues, worst podDemand) string {
	sentences := []string{heldInWords(worst)}
	switch {
	case worst.asks && worst.censored:
		sentences = append(sentences, fmt.Sprintf(
			"From %d %% on the ports themselves bound what can be seen: an attempt that found none leaves no trace, so how many would be enough is not known, and the widest safe range is recommended.",
			censoredPercent))
	case worst.asks && worst.held >= worst.untuned():
		sentences = append(sentences, fmt.Sprintf("Without the wider range there would be %s ports, and connections would fail.",
			figure.Count(worst.untuned())))
	case worst.asks && worst.pod.Tuned:
		sentences = append(sentences, fmt.Sprintf(
			"Without the wider range that would be %s of %s ports; from half of them on connect() searches long for a free one.",
			figure.PercentDown(worst.held, worst.untuned()), figure.Count(worst.untuned())))
	case worst.asks:
		if coming := worst.coming(); coming > worst.held {
			sentences = append(sentences, fmt.Sprintf("At this rate it comes to hold %s.", figure.Count(coming)))
		}
		sentences = append(sentences, fmt.Sprintf(
			"From half of the ports on connect() searches long for a free one; to hold at most %d %%, %s ports are needed.",
			aimPercent, figure.Count(worst.needed())))
	default:
		sentences = append(sentences, "The range that is in force is kept: taking it away would restart the pods for no gain.")
	}
	if worst.asks {
		sentences = append(sentences, firstCure(worst))
	}
	if !p.serves(values) && p.limits != p.safe {
		sentences = append(sentences, fmt.Sprintf("The policies bound the range: %s.", boundsInWords(p.links)))
	}
	return strings.Join(sentences, " ")
}

// firstCure says what helps better than more ports.
func firstCure(d podDemand) string {
	if 2*d.pod.TimeWait < d.pod.InUse {
		return "Most of these connections are open: the first cure is to hold fewer of them; more ports buy time."
	}
	return "The first cure is to reuse connections; more ports buy time."
}

// heldInWords says what was seen in the pod that decides.
func heldInWords(d podDemand) string {
	towards := "link " + d.link
	if d.pod.Address != "" {
		towards = d.pod.Address
	}
	words := fmt.Sprintf("Pod %s held %s of %s local ports (%s) towards %s, %s of them in TIME_WAIT",
		d.pod.Pod, figure.Count(d.held), figure.Count(d.pod.Available), figure.PercentDown(d.held, d.pod.Available), towards,
		figure.Count(d.pod.TimeWait))
	if rate := d.pod.ConnectionsPerSecond; rate != nil {
		words += fmt.Sprintf(", and opened %s connections a second", figure.Count(*rate))
	}
	return words + "."
}

// enoughInWords says why nothing is to be tuned.
func (p planner) enoughInWords(fullest podDemand) string {
	return fmt.Sprintf("%s That leaves enough: a wider range is recommended from %d %% on.", heldInWords(fullest), askPercent)
}

func (p planner) evidence(worst podDemand) map[string]string {
	evidence := map[string]string{
		"pod":            worst.pod.Pod,
		"portsHeld":      strconv.Itoa(worst.held),
		"portsAvailable": strconv.Itoa(worst.pod.Available),
		"timeWait":       strconv.Itoa(worst.pod.TimeWait),
	}
	if worst.pod.Address != "" {
		evidence["address"] = worst.pod.Address
	}
	if worst.pod.ConnectionsPerSecond != nil {
		evidence["connectionsPerSecond"] = strconv.Itoa(*worst.pod.ConnectionsPerSecond)
	}
	if !worst.censored {
		evidence["portsNeeded"] = strconv.Itoa(worst.needed())
	}
	return evidence
}

// confidence is low where the demand could not be seen, high where the values stood the test in the pods.
func (p planner) confidence(values v1alpha1.KnobValues, worst podDemand) v1alpha1.Confidence {
	switch {
	case !p.serves(values):
		return v1alpha1.ConfidenceLow
	case worst.pod.Tuned && p.isApplied(values):
		return v1alpha1.ConfidenceHigh
	}
	return v1alpha1.ConfidenceMedium
}

func (p planner) expectedEffect(values v1alpha1.KnobValues, worst podDemand) string {
	have, without := available(values), worst.untuned()
	words := fmt.Sprintf(
		"%s local ports instead of %s: while this side closes first, up to %s new connections a second to one address instead of %s, and up to %s before connect() slows down instead of %s.",
		figure.Count(have), figure.Count(without),
		ceiling(have), ceiling(without), ceiling(have*askPercent/100), ceiling(without*askPercent/100))
	switch {
	case worst.asks && worst.censored:
		words += " Whether that is enough shows a minute after the pods have it."
	case 100*worst.held >= askPercent*have:
		words += fmt.Sprintf(" That is not enough: the pod would still hold %s of them. Reuse connections, or spread them over more pods or addresses.",
			figure.PercentDown(worst.held, have))
	default:
		words += fmt.Sprintf(" The pod would hold %s of them.", figure.PercentDown(worst.held, have))
	}
	return words
}

// ceiling is the rate of new connections to one address that ports allow, when each port is held for TIME_WAIT.
func ceiling(ports int) string { return figure.Count(ports / timeWaitSeconds) }
