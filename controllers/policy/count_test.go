package policy

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/metrics"
	"github.com/connpolicy/connpolicy/probes/result"
)

// counted are the counters of outcomes, by the values of their labels.
func counted(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.Metric {
			name := ""
			for _, label := range metric.Label {
				name += label.GetValue() + " "
			}
			if value := metric.Counter.GetValue(); value > 0 {
				counts[name] = value
			}
		}
	}
	return counts
}

func TestAnOutcomeIsCountedOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	outcomes, err := metrics.NewOutcomes(registry)
	if err != nil {
		t.Fatal(err)
	}
	run := func(pods ...v1alpha1.ProbePodStatus) *v1alpha1.ProbeRunStatus {
		return &v1alpha1.ProbeRunStatus{Pods: pods}
	}
	pod := func(name, outcome string) v1alpha1.ProbePodStatus {
		return v1alpha1.ProbePodStatus{Name: name, Outcome: outcome}
	}
	var before *v1alpha1.ProbeRunStatus
	for _, step := range []struct {
		name     string
		after    *v1alpha1.ProbeRunStatus
		measured []string
		// lost: the status could not be written, so nothing is counted and the next step begins where this one did.
		lost bool
		want map[string]float64
	}{
		{"a pod is created", run(pod("a", "")), nil, false, map[string]float64{}},
		{"it brings its result, which cannot be recorded", run(pod("a", "measured")), []string{"a"}, true, map[string]float64{}},
		{"its result is read again", run(pod("a", "measured"), pod("b", "")), []string{"a"}, false,
			map[string]float64{"measured ": 1, "handshake measured ": 1}},
		{"the second fails", run(pod("a", "measured"), pod("b", "failed")), nil, false,
			map[string]float64{"measured ": 1, "handshake measured ": 1, "failed ": 1}},
		{"a third is refused", run(pod("a", "measured"), pod("b", "failed"), pod("c", "failed")), nil, false,
			map[string]float64{"measured ": 1, "handshake measured ": 1, "failed ": 2}},
		{"the next run begins", run(pod("d", "")), nil, false,
			map[string]float64{"measured ": 1, "handshake measured ": 1, "failed ": 2}},
		{"and brings a result", run(pod("d", "measured")), []string{"d"}, false,
			map[string]float64{"measured ": 2, "handshake measured ": 2, "failed ": 2}},
		{"no run any more", nil, nil, false, map[string]float64{"measured ": 2, "handshake measured ": 2, "failed ": 2}},
	} {
		s := scopeOf("l")
		s.before.Status.Links = []v1alpha1.LinkStatus{{Name: "other"}, {Name: "l", Run: before}}
		s.links[0].status.Run, s.links[0].measured = step.after, map[string]*result.Result{}
		for _, name := range step.measured {
			s.links[0].measured[name] = &result.Result{Measurements: result.Measurements{
				Handshake: &result.Handshake{Meta: result.Meta{Outcome: result.Measured}}}}
		}
		if !step.lost {
			s.count(outcomes)
			before = step.after
		}
		if got := counted(t, registry); !maps.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}
