package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// ofLink are the labels that name a link.
func ofLink(more ...string) []string { return append([]string{"namespace", "policy", "link"}, more...) }

func gaugeOfLink(name, help string, labels ...string) Metric {
	return gaugeOf(name, help, ofLink(labels...)...)
}

// linkMetric is a figure of a link as its report has it; value is nil where it is unknown.
type linkMetric struct {
	Metric
	value func(*v1alpha1.ConnectionReportStatus) *float64
}

// linkMetrics are the figures of a link, in base units.
func linkMetrics() []linkMetric {
	return []linkMetric{
		ofFigures("connpolicy_link_handshake_p99_seconds", "The 99th percentile of the time of connect(), the worst vantage.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(1e6, k.HandshakeP99Microseconds) }),
		ofFigures("connpolicy_link_setup_share_ratio", "The share of a small transaction on a new connection that is set-up, the worst vantage.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(100, k.SetupSharePercent) }),
		ofFigures("connpolicy_link_requests_per_connection", "The requests that one connection was seen to carry at least, the worst vantage.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(1, k.RequestsAtLeast) }),
		ofFigures("connpolicy_link_connections_opened_per_second", "The rate of connections opened to the link, the busiest observed pod.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(1, k.ConnectionsPerSecond) }),
		ofFigures("connpolicy_link_port_utilization_ratio", "The share of the local ports held towards one address of the link, the fullest observed pod.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(100, k.PortUtilizationPercent) }),
		ofFigures("connpolicy_link_idle_cut_seconds", "The shortest silence that cut a connection; absent where none was cut, or it was not looked at.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(1, k.IdleCutSeconds) }),
		ofFigures("connpolicy_link_idle_survived_seconds", "The longest silence that a connection was seen to survive.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(1, k.IdleSurvivedSeconds) }),
		ofFigures("connpolicy_link_stall_seconds", "What a request loses to small writes that wait for acknowledgments, the worst vantage.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(1e6, k.StallMicroseconds) }),
		ofFigures("connpolicy_link_initial_window_segments", "The server's first flight on a new connection in segments, the worst vantage.",
			func(k *v1alpha1.KeyFigures) *float64 { return per(1, k.InitialWindowSegments) }),
		{gaugeOfLink("connpolicy_link_report_timestamp_seconds", "When what the report says was seen, in seconds since 1970."),
			func(s *v1alpha1.ConnectionReportStatus) *float64 { return seconds(s.ObservedTime) }},
	}
}

// ofFigures is a metric that one of the key figures gives.
func ofFigures(name, help string, value func(*v1alpha1.KeyFigures) *float64) linkMetric {
	return linkMetric{gaugeOfLink(name, help), func(s *v1alpha1.ConnectionReportStatus) *float64 {
		if s.KeyFigures == nil {
			return nil
		}
		return value(s.KeyFigures)
	}}
}

// per turns a figure into a base unit, of which it counts parts.
func per[T int32 | int64](parts float64, figure *T) *float64 {
	if figure == nil {
		return nil
	}
	return new(float64(*figure) / parts)
}

// seconds since 1970 of a time; nil if there is none.
func seconds(at *metav1.Time) *float64 {
	if at.IsZero() {
		return nil
	}
	return new(float64(at.Unix()))
}

func findings() Metric {
	return gaugeOfLink("connpolicy_link_finding", "1 for each rule that fails on the link; absent for the others.", "rule", "severity")
}

func verdicts() Metric {
	return gaugeOfLink("connpolicy_link_verdicts", "The number of rules by their verdict on the link.", "result")
}

// results that a verdict may have.
func results() []v1alpha1.VerdictResult {
	return []v1alpha1.VerdictResult{
		v1alpha1.VerdictPass, v1alpha1.VerdictFail, v1alpha1.VerdictUnknown, v1alpha1.VerdictNotApplicable, v1alpha1.VerdictDisabled,
	}
}

// collectReport tells what a report says.
func collectReport(report *v1alpha1.ConnectionReport, send chan<- prometheus.Metric) {
	link := []string{report.Namespace, report.Spec.PolicyName, report.Spec.LinkName}
	for _, metric := range linkMetrics() {
		if value := metric.value(&report.Status); value != nil {
			send <- metric.gauge(*value, link...)
		}
	}
	judgements := report.Status.Judgements()
	if len(judgements) == 0 {
		return // nothing was judged, which is not the same as no verdict of a kind
	}
	counts := map[v1alpha1.VerdictResult]int{}
	for _, verdict := range judgements {
		counts[verdict.Result]++
		if verdict.Result == v1alpha1.VerdictFail {
			send <- findings().gauge(1, append(link[:3:3], verdict.Rule, string(verdict.Severity))...)
		}
	}
	for _, result := range results() {
		send <- verdicts().gauge(float64(counts[result]), append(link[:3:3], string(result))...)
	}
}
