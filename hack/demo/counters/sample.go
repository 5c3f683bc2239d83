// Package counters reads what the demo's client counts about itself: its errors, its connections, the ports it holds.
// Whether a cure helped is told from these alone, never from what the operator says.
package counters

import (
	"fmt"
	"io"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Names of the metrics that `probe load` serves.
const (
	metricConnections    = "connpolicy_load_connections_total"
	metricNotSent        = "connpolicy_load_not_sent_total"
	metricErrors         = "connpolicy_load_errors_total"
	metricConnectSeconds = "connpolicy_load_connect_seconds"
	metricPortsInUse     = "connpolicy_load_ports_in_use"
	metricStartedSeconds = "connpolicy_load_started_seconds"
)

// CauseNoPort is how the client names EADDRNOTAVAIL: connect() found no free local port towards the destination.
const CauseNoPort = "cannot assign requested address"

// Sample is what one client pod had counted at one moment.
type Sample struct {
	Pod string
	At  time.Time
	// StartedSeconds is when the client started, as a Unix time. Counters of different starts cannot be compared.
	StartedSeconds float64
	// Connections that were opened, since the start.
	Connections float64
	// NotSent counts the requests that were due and given up because all threads of the client were busy.
	NotSent float64
	// Errors since the start, by cause.
	Errors map[string]float64
	// PortsInUse is the client's own count of the ports it holds: open, or closed within the last 60 seconds.
	PortsInUse int
	// Connect is how long connect() took, since the start.
	Connect Histogram
}

// Parse reads the metrics of a client.
func Parse(pod string, at time.Time, metrics io.Reader) (Sample, error) {
	families, err := families(metrics)
	if err != nil {
		return Sample{}, fmt.Errorf("read the metrics of the client %s: %w", pod, err)
	}
	r := reader{pod: pod, families: families}
	sample := Sample{
		Pod:            pod,
		At:             at,
		StartedSeconds: r.value(metricStartedSeconds),
		Connections:    r.value(metricConnections),
		NotSent:        r.value(metricNotSent),
		PortsInUse:     int(r.value(metricPortsInUse)),
		Connect:        r.histogram(metricConnectSeconds),
		Errors:         map[string]float64{},
	}
	// A client that had no error yet need not serve the family.
	for _, metric := range families[metricErrors].GetMetric() {
		sample.Errors[label(metric, "cause")] += scalar(metric)
	}
	return sample, r.err
}

// parseObserved reads from an observer's metrics how many local ports are held, by destination.
func parseObserved(pod string, metrics io.Reader) (map[string]int, error) {
	families, err := families(metrics)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of the observer in %s: %w", pod, err)
	}
	held := map[string]int{}
	for _, metric := range families[result.MetricPortsInUse].GetMetric() {
		held[label(metric, "destination")] = int(scalar(metric))
	}
	if len(held) == 0 {
		return nil, fmt.Errorf("the observer in %s serves no %s", pod, result.MetricPortsInUse)
	}
	return held, nil
}

func families(metrics io.Reader) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(metrics)
}

// reader takes values out of metric families and remembers the first that is missing.
type reader struct {
	pod      string
	families map[string]*dto.MetricFamily
	err      error
}

func (r *reader) metric(name string) *dto.Metric {
	metrics := r.families[name].GetMetric()
	if len(metrics) != 1 {
		if r.err == nil {
			r.err = fmt.Errorf("the client %s serves %d metrics named %s where one is expected", r.pod, len(metrics), name)
		}
		return nil
	}
	return metrics[0]
}

func (r *reader) value(name string) float64 { return scalar(r.metric(name)) }

func (r *reader) histogram(name string) Histogram {
	var histogram Histogram
	for _, bucket := range r.metric(name).GetHistogram().GetBucket() {
		histogram = append(histogram, Bucket{UpperSeconds: bucket.GetUpperBound(), Cumulative: float64(bucket.GetCumulativeCount())})
	}
	return histogram
}

// scalar is the value of a counter or gauge, or of a metric whose type is not declared.
func scalar(metric *dto.Metric) float64 {
	switch {
	case metric.GetCounter() != nil:
		return metric.GetCounter().GetValue()
	case metric.GetGauge() != nil:
		return metric.GetGauge().GetValue()
	default:
		return metric.GetUntyped().GetValue()
	}
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}
