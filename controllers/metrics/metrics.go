// Package metrics tells Prometheus how links, policies and tunings stand, and what becomes of probes. It keeps no state of
// its own but the counts of what happened: all else is read from the manager's cache when asked, so that a restart loses
// nothing and what is deleted is gone at once. Its labels name a namespace and a policy, link or tuning in it, and never a
// pod or a node, whose number nobody bounds.
package metrics

import "github.com/prometheus/client_golang/prometheus"

// Metric is a metric of the operator.
type Metric struct {
	Name, Help string
	Kind       Kind
	Labels     []string
}

// Kind is the type of a metric.
type Kind string

// The kinds in use.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
)

// Metrics lists all metrics, in the order in which the documentation does.
func Metrics() []Metric {
	var list []Metric
	for _, metric := range linkMetrics() {
		list = append(list, metric.Metric)
	}
	list = append(list, findings(), verdicts())
	for _, metric := range runMetrics() {
		list = append(list, metric.Metric)
	}
	list = append(list, policies(), policyConditions(), probeInterval(), tuningConditions())
	for _, metric := range tuningMetrics() {
		list = append(list, metric.Metric)
	}
	return append(list, probePods(), measurements())
}

// desc describes a metric to the client library.
func (m Metric) desc() *prometheus.Desc { return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil) }

// gauge is the present value of one series of a metric.
func (m Metric) gauge(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(m.desc(), prometheus.GaugeValue, value, labels...)
}

// gaugeOf begins the description of a gauge.
func gaugeOf(name, help string, labels ...string) Metric {
	return Metric{Name: name, Help: help, Kind: Gauge, Labels: labels}
}
