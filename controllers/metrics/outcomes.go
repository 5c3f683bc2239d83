package metrics

import (
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Outcomes counts what became of probe pods and of what they were to measure, since this process started.
type Outcomes struct {
	pods, measurements *prometheus.CounterVec
}

func probePods() Metric {
	return Metric{Name: "connpolicy_probe_pods_total", Help: "The probe pods that came to an end, by what became of them.",
		Kind: Counter, Labels: []string{"outcome"}}
}

func measurements() Metric {
	return Metric{Name: "connpolicy_measurements_total", Help: "The measurements that probe pods were asked for, by what became of them.",
		Kind: Counter, Labels: []string{"measurement", "outcome"}}
}

// NewOutcomes registers the counters.
func NewOutcomes(registerer prometheus.Registerer) (*Outcomes, error) {
	o := &Outcomes{probePods().counters(), measurements().counters()}
	for _, counters := range []*prometheus.CounterVec{o.pods, o.measurements} {
		if err := registerer.Register(counters); err != nil {
			return nil, fmt.Errorf("register the counters of outcomes: %w", err)
		}
	}
	// The first failure is an increase only if there was a zero before it.
	for _, outcome := range podOutcomes() {
		o.pods.WithLabelValues(string(outcome))
	}
	return o, nil
}

// podOutcomes are what can become of a probe pod.
func podOutcomes() []result.Outcome {
	return []result.Outcome{result.Measured, result.Failed, result.Lost}
}

// Pod counts a probe pod that came to an end.
func (o *Outcomes) Pod(outcome string) { o.pods.WithLabelValues(outcome).Inc() }

// Result counts the measurements in a result, and those that did not fit into it.
func (o *Outcomes) Result(r *result.Result) {
	for name, meta := range r.Measurements.Outcomes() {
		o.measurements.WithLabelValues(name, string(meta.Outcome)).Inc()
	}
	for _, field := range result.Fields() {
		if slices.Contains(r.Dropped, field.Name) {
			o.measurements.WithLabelValues(field.Name, string(result.Lost)).Inc()
		}
	}
}

func (m Metric) counters() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}
