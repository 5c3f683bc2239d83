package audit

import (
	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// countedSeconds is the length of the time that an observation's counts are of. The observer may have looked for longer, and
// peaks are of all that time.
func countedSeconds(o PodObservation) float64 {
	if period := o.Observation.PeriodSeconds; period != nil {
		return *period
	}
	return o.Observation.UptimeSeconds
}

// period says in words when that was.
func period(o PodObservation) string {
	counted := figure.Lasting(countedSeconds(o))
	if countedSeconds(o) < o.Observation.UptimeSeconds {
		return "in the last " + counted
	}
	return "since the observer began to look " + counted + " ago"
}

// sinceItBegan is the pod with what its observer counted since it began.
func sinceItBegan(o PodObservation) PodObservation {
	if o.Totals != nil {
		o.Observation, o.Totals = *o.Totals, nil
	}
	return o
}

// totalTo is how the pod's connections to one destination were used since its observer began. Where that is not told of the
// destination, it is what is told of the observation's period.
func totalTo(o PodObservation, d result.Destination) *result.Connections {
	for _, total := range sinceItBegan(o).Observation.Destinations {
		if total.Address == d.Address && total.Connections != nil {
			return total.Connections
		}
	}
	return d.Connections
}
