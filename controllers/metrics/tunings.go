package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func tuningConditions() Metric {
	return gaugeOf("connpolicy_tuning_condition", "1 for the present state of each condition of a ConnectionTuning.",
		"namespace", "tuning", "type", "status", "reason")
}

// tuningMetric is a figure of a tuning; value is nil where there is none.
type tuningMetric struct {
	Metric
	value func(*v1alpha1.ConnectionTuningStatus) *float64
}

func tuningMetrics() []tuningMetric {
	return []tuningMetric{
		ofRollout("connpolicy_tuning_pods", "The living pods of the tuned workload; absent while nothing is applied.",
			func(r *v1alpha1.RolloutStatus) int32 { return r.Pods }),
		ofRollout("connpolicy_tuning_stamped_pods", "The pods that were created with the values.",
			func(r *v1alpha1.RolloutStatus) int32 { return r.Stamped }),
		ofRollout("connpolicy_tuning_read_back_pods", "The pods in which the values were read back.",
			func(r *v1alpha1.RolloutStatus) int32 { return r.ReadBack }),
		{gaugeOf("connpolicy_tuning_rejected_revisions", "The revisions that were taken back and are not tried again.", "namespace", "tuning"),
			func(s *v1alpha1.ConnectionTuningStatus) *float64 { return new(float64(len(s.Rejected))) }},
	}
}

// ofRollout is a count of the workload's pods.
func ofRollout(name, help string, value func(*v1alpha1.RolloutStatus) int32) tuningMetric {
	return tuningMetric{gaugeOf(name, help, "namespace", "tuning"), func(s *v1alpha1.ConnectionTuningStatus) *float64 {
		if s.Rollout == nil {
			return nil
		}
		return new(float64(value(s.Rollout)))
	}}
}

// collectTuning tells how a tuning stands.
func collectTuning(tuning *v1alpha1.ConnectionTuning, send chan<- prometheus.Metric) {
	collectConditions(tuningConditions(), tuning.Namespace, tuning.Name, tuning.Status.Conditions, send)
	for _, metric := range tuningMetrics() {
		if value := metric.value(&tuning.Status); value != nil {
			send <- metric.gauge(*value, tuning.Namespace, tuning.Name)
		}
	}
}
