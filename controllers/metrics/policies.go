package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// runMetric is a figure of the probe runs of a link; value is nil where it is unknown.
type runMetric struct {
	Metric
	value func(*v1alpha1.ProbeRunStatus) *float64
}

func runMetrics() []runMetric {
	return []runMetric{
		{gaugeOfLink("connpolicy_link_last_result_timestamp_seconds", "When a probe pod brought a result last, in seconds since 1970."),
			func(r *v1alpha1.ProbeRunStatus) *float64 { return seconds(r.LastResultAt) }},
		{gaugeOfLink("connpolicy_link_probe_failures", "The probe pods of the present run that brought no result, in a row."),
			func(r *v1alpha1.ProbeRunStatus) *float64 { return per(1, &r.Failures) }},
	}
}

// policies is there whenever the operator works, whether there is a policy or none.
func policies() Metric {
	return gaugeOf("connpolicy_policies", "The number of ConnectionPolicies by their tuning.mode.", "mode")
}

// modes that a policy may have.
func modes() []v1alpha1.TuningMode {
	return []v1alpha1.TuningMode{v1alpha1.ModeObserve, v1alpha1.ModeRecommend, v1alpha1.ModeApply}
}

func policyConditions() Metric {
	return gaugeOf("connpolicy_policy_condition", "1 for the present state of each condition of a ConnectionPolicy.",
		"namespace", "policy", "type", "status", "reason")
}

func probeInterval() Metric {
	return gaugeOf("connpolicy_policy_probe_interval_seconds", "The time from one probe run to the next; absent while the policy is suspended.",
		"namespace", "policy")
}

// collectPolicies tells how many policies there are and how each stands.
func collectPolicies(list []v1alpha1.ConnectionPolicy, send chan<- prometheus.Metric) {
	counts := map[v1alpha1.TuningMode]int{}
	for i := range list {
		counts[modeOf(&list[i])]++
		collectPolicy(&list[i], send)
	}
	for _, mode := range modes() {
		send <- policies().gauge(float64(counts[mode]), string(mode))
	}
}

// modeOf is the mode of a policy; the API server fills in the default.
func modeOf(policy *v1alpha1.ConnectionPolicy) v1alpha1.TuningMode {
	if policy.Spec.Tuning.Mode == "" {
		return v1alpha1.ModeObserve
	}
	return policy.Spec.Tuning.Mode
}

func collectPolicy(policy *v1alpha1.ConnectionPolicy, send chan<- prometheus.Metric) {
	collectConditions(policyConditions(), policy.Namespace, policy.Name, policy.Status.Conditions, send)
	if !policy.Spec.Suspend {
		send <- probeInterval().gauge(float64(policy.Spec.Probe.IntervalSeconds), policy.Namespace, policy.Name)
	}
	for _, link := range policy.Status.Links {
		if link.Run == nil {
			continue
		}
		for _, metric := range runMetrics() {
			if value := metric.value(link.Run); value != nil {
				send <- metric.gauge(*value, policy.Namespace, policy.Name, link.Name)
			}
		}
	}
}

// collectConditions tells the present state of each condition of an object.
func collectConditions(metric Metric, namespace, name string, conditions []metav1.Condition, send chan<- prometheus.Metric) {
	for _, condition := range conditions {
		send <- metric.gauge(1, namespace, name, condition.Type, string(condition.Status), condition.Reason)
	}
}
