package load

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/probes/exposition"
)

// Names of the metrics of the load.
const (
	metricRequests       = "connpolicy_load_requests_total"
	metricConnections    = "connpolicy_load_connections_total"
	metricErrors         = "connpolicy_load_errors_total"
	metricNotSent        = "connpolicy_load_not_sent_total"
	metricConnectSeconds = "connpolicy_load_connect_seconds"
	metricPortsInUse     = "connpolicy_load_ports_in_use"
	metricStartedSeconds = "connpolicy_load_started_seconds"
)

// Metrics serves the counts in the text format of Prometheus.
func (l *Load) Metrics() http.Handler {
	return exposition.Handler(func(w *exposition.Writer) {
		l.count.snapshot(time.Now()).write(w)
		w.Metric(metricStartedSeconds, exposition.Gauge, "When the load began, in seconds since 1970.")
		w.Sample(metricStartedSeconds, float64(l.count.started.UnixMilli())/1000)
	})
}

func (s snapshot) write(w *exposition.Writer) {
	w.Metric(metricRequests, exposition.Counter, "Requests that were answered.")
	w.Sample(metricRequests, float64(s.requests))
	w.Metric(metricConnections, exposition.Counter, "Connections that were established.")
	w.Sample(metricConnections, float64(s.connections))
	w.Metric(metricErrors, exposition.Counter, "Requests that failed, by the cause that the application saw.")
	for _, cause := range slices.Sorted(maps.Keys(s.errors)) {
		w.Sample(metricErrors, float64(s.errors[cause]), exposition.Label{Name: "cause", Value: cause})
	}
	w.Metric(metricNotSent, exposition.Counter, "Requests that were due and given up because all threads were busy.")
	w.Sample(metricNotSent, float64(s.notSent))
	s.writeConnectTimes(w)
	w.Metric(metricPortsInUse, exposition.Gauge, "Local ports held: open connections, and those closed within the last 60 seconds.")
	w.Sample(metricPortsInUse, float64(s.portsInUse))
}

func (s snapshot) writeConnectTimes(w *exposition.Writer) {
	w.Metric(metricConnectSeconds, exposition.Histogram, "Time from connect() to an established connection.")
	bounds := append(connectBoundsSeconds(), math.Inf(1))
	cumulative := 0
	for i, bound := range bounds {
		cumulative += s.connectBuckets[i]
		text := "+Inf"
		if !math.IsInf(bound, 1) {
			text = strconv.FormatFloat(bound, 'g', -1, 64)
		}
		w.Sample(metricConnectSeconds+"_bucket", float64(cumulative), exposition.Label{Name: "le", Value: text})
	}
	w.Sample(metricConnectSeconds+"_sum", s.connectSumSeconds)
	w.Sample(metricConnectSeconds+"_count", float64(cumulative))
}
