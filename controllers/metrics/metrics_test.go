package metrics

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// cache holds what a manager's cache would.
type cache struct {
	client.Reader
	policies []v1alpha1.ConnectionPolicy
	reports  []v1alpha1.ConnectionReport
	tunings  []v1alpha1.ConnectionTuning
	err      error
}

func (c *cache) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *v1alpha1.ConnectionPolicyList:
		list.Items = c.policies
	case *v1alpha1.ConnectionReportList:
		list.Items = c.reports
	case *v1alpha1.ConnectionTuningList:
		list.Items = c.tunings
		return c.err
	}
	return nil
}

// elected is a channel that says that the manager works, or that it waits.
func elected(yes bool) <-chan struct{} {
	channel := make(chan struct{})
	if yes {
		close(channel)
	}
	return channel
}

// gather reads a collector as a scrape does, with the checks of the client library.
func gather(t *testing.T, c *Collector) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// exposed renders what a scrape gets, without the lines about the metrics.
func exposed(t *testing.T, families []*dto.MetricFamily) string {
	t.Helper()
	var text strings.Builder
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			t.Fatal(err)
		}
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(text.String()), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "#")
	})
	return strings.Join(lines, "\n")
}

// shop is a policy with a link that is measured, judged and tuned, and one with nothing yet.
func shop() *cache {
	at := metav1.NewTime(time.Unix(1_800_000_000, 0))
	checkout := v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout", UID: "1"}}
	checkout.Spec.Tuning.Mode, checkout.Spec.Probe.IntervalSeconds = v1alpha1.ModeApply, 600
	checkout.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded},
		{Type: v1alpha1.ConditionCompliant, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonFindings},
	}
	checkout.Status.Links = []v1alpha1.LinkStatus{
		{Name: "payments", Run: &v1alpha1.ProbeRunStatus{LastResultAt: &at, Failures: 2}},
		{Name: "waiting"},
	}
	fresh := v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "fresh", UID: "2"}}
	fresh.Spec.Suspend, fresh.Spec.Probe.IntervalSeconds = true, 60

	owned := metav1.ObjectMeta{Namespace: "shop", OwnerReferences: []metav1.OwnerReference{
		*metav1.NewControllerRef(&checkout, v1alpha1.GroupVersion.WithKind("ConnectionPolicy"))}}
	report := v1alpha1.ConnectionReport{ObjectMeta: owned}
	report.Spec = v1alpha1.ConnectionReportSpec{PolicyName: "checkout", LinkName: "payments"}
	report.Status = v1alpha1.ConnectionReportStatus{
		ObservedTime: &at,
		KeyFigures: &v1alpha1.KeyFigures{
			HandshakeP99Microseconds: new(int64(1500)), SetupSharePercent: new(int32(22)), RequestsAtLeast: new(int32(327)),
			ConnectionsPerSecond: new(int32(490)), PortUtilizationPercent: new(int32(0)),
			IdleCutSeconds: new(int32(350)), IdleSurvivedSeconds: new(int32(349)), StallMicroseconds: new(int64(44000)), InitialWindowSegments: new(int32(10)),
		},
		Verdicts: []v1alpha1.Verdict{
			{Rule: "CP101", Result: v1alpha1.VerdictPass},
			{Rule: "CP204", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityWarning},
			{Rule: "CP401", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityError},
			{Rule: "CP403", Result: v1alpha1.VerdictUnknown},
		},
	}
	tuning := v1alpha1.ConnectionTuning{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "deployment-checkout"}}
	tuning.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonApplying},
	}
	tuning.Status.Rollout = &v1alpha1.RolloutStatus{Pods: 3, Stamped: 2, ReadBack: 1}
	tuning.Status.Rejected = []v1alpha1.RejectedRevision{{Revision: "1f3a"}}
	left := *report.DeepCopy() // of an earlier policy of the same name
	left.OwnerReferences[0].UID = "0"
	return &cache{
		policies: []v1alpha1.ConnectionPolicy{checkout, fresh},
		reports:  []v1alpha1.ConnectionReport{left, report, {ObjectMeta: owned}},
		tunings:  []v1alpha1.ConnectionTuning{tuning},
	}
}

func TestCollector(t *testing.T) {
	const want = `connpolicy_link_connections_opened_per_second{link="payments",namespace="shop",policy="checkout"} 490
connpolicy_link_finding{link="payments",namespace="shop",policy="checkout",rule="CP204",severity="warning"} 1
connpolicy_link_finding{link="payments",namespace="shop",policy="checkout",rule="CP401",severity="error"} 1
connpolicy_link_handshake_p99_seconds{link="payments",namespace="shop",policy="checkout"} 0.0015
connpolicy_link_idle_cut_seconds{link="payments",namespace="shop",policy="checkout"} 350
connpolicy_link_idle_survived_seconds{link="payments",namespace="shop",policy="checkout"} 349
connpolicy_link_initial_window_segments{link="payments",namespace="shop",policy="checkout"} 10
connpolicy_link_last_result_timestamp_seconds{link="payments",namespace="shop",policy="checkout"} 1.8e+09
connpolicy_link_port_utilization_ratio{link="payments",namespace="shop",policy="checkout"} 0
connpolicy_link_probe_failures{link="payments",namespace="shop",policy="checkout"} 2
connpolicy_link_report_timestamp_seconds{link="payments",namespace="shop",policy="checkout"} 1.8e+09
connpolicy_link_requests_per_connection{link="payments",namespace="shop",policy="checkout"} 327
connpolicy_link_setup_share_ratio{link="payments",namespace="shop",policy="checkout"} 0.22
connpolicy_link_stall_seconds{link="payments",namespace="shop",policy="checkout"} 0.044
connpolicy_link_verdicts{link="payments",namespace="shop",policy="checkout",result="disabled"} 0
connpolicy_link_verdicts{link="payments",namespace="shop",policy="checkout",result="fail"} 2
connpolicy_link_verdicts{link="payments",namespace="shop",policy="checkout",result="notApplicable"} 0
connpolicy_link_verdicts{link="payments",namespace="shop",policy="checkout",result="pass"} 1
connpolicy_link_verdicts{link="payments",namespace="shop",policy="checkout",result="unknown"} 1
connpolicy_policies{mode="Apply"} 1
connpolicy_policies{mode="Observe"} 1
connpolicy_policies{mode="Recommend"} 0
connpolicy_policy_condition{namespace="shop",policy="checkout",reason="Findings",status="False",type="Compliant"} 1
connpolicy_policy_condition{namespace="shop",policy="checkout",reason="Succeeded",status="True",type="Ready"} 1
connpolicy_policy_probe_interval_seconds{namespace="shop",policy="checkout"} 600
connpolicy_tuning_condition{namespace="shop",reason="Applying",status="False",tuning="deployment-checkout",type="Ready"} 1
connpolicy_tuning_pods{namespace="shop",tuning="deployment-checkout"} 3
connpolicy_tuning_read_back_pods{namespace="shop",tuning="deployment-checkout"} 1
connpolicy_tuning_rejected_revisions{namespace="shop",tuning="deployment-checkout"} 1
connpolicy_tuning_stamped_pods{namespace="shop",tuning="deployment-checkout"} 2`
	families := gather(t, &Collector{Reader: shop(), Elected: elected(true)})
	if got := exposed(t, families); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, metric := range Metrics() {
		if metric.Kind == Gauge && !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == metric.Name }) {
			t.Errorf("%s is not told", metric.Name)
		}
	}
}

// Where there is no policy the operator still says that it works.
func TestCollectorWithoutPolicies(t *testing.T) {
	const want = "connpolicy_policies{mode=\"Apply\"} 0\nconnpolicy_policies{mode=\"Observe\"} 0\nconnpolicy_policies{mode=\"Recommend\"} 0"
	if got := exposed(t, gather(t, &Collector{Reader: &cache{}, Elected: elected(true)})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAManagerThatWaitsTellsNothing(t *testing.T) {
	if got := exposed(t, gather(t, &Collector{Reader: shop(), Elected: elected(false)})); got != "" {
		t.Errorf("got\n%s", got)
	}
}

func TestAPartIsNotTakenForTheWhole(t *testing.T) {
	away := errors.New("the cache is not there")
	c := shop()
	c.err = away
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(&Collector{Reader: c, Elected: elected(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Gather(); err == nil || !strings.Contains(err.Error(), away.Error()) {
		t.Errorf("error %v", err)
	}
}

// Each key figure is a metric of its own, whatever is added to them.
func TestEveryKeyFigureIsAMetric(t *testing.T) {
	figures := reflect.TypeFor[v1alpha1.KeyFigures]()
	for i := range figures.NumField() {
		var known v1alpha1.KeyFigures
		field := reflect.ValueOf(&known).Elem().Field(i)
		field.Set(reflect.New(field.Type().Elem()))
		told := 0
		for _, metric := range linkMetrics() {
			if metric.value(&v1alpha1.ConnectionReportStatus{KeyFigures: &known}) != nil {
				told++
			}
		}
		if told != 1 {
			t.Errorf("%s is %d metrics, want one", figures.Field(i).Name, told)
		}
	}
}

func TestNames(t *testing.T) {
	for _, metric := range Metrics() {
		if !strings.HasPrefix(metric.Name, "connpolicy_") || !model.LegacyValidation.IsValidMetricName(metric.Name) {
			t.Errorf("%s is no name of a metric of connpolicy", metric.Name)
		}
		if strings.HasSuffix(metric.Name, "_total") != (metric.Kind == Counter) {
			t.Errorf("%s is a %s", metric.Name, metric.Kind)
		}
		for _, unit := range []string{"percent", "microseconds", "milliseconds", "minutes"} {
			if strings.Contains(metric.Name, unit) {
				t.Errorf("%s is in %s, which is no base unit", metric.Name, unit)
			}
		}
		for _, label := range metric.Labels {
			if label == "pod" || label == "node" || label == "address" {
				t.Errorf("%s has the label %s, whose values nobody bounds", metric.Name, label)
			}
		}
	}
}

func TestOutcomes(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	outcomes, err := NewOutcomes(registry)
	if err != nil {
		t.Fatal(err)
	}
	outcomes.Pod("measured")
	outcomes.Pod("measured")
	outcomes.Pod("lost")
	outcomes.Result(&result.Result{
		Measurements: result.Measurements{
			Handshake: &result.Handshake{Meta: result.Meta{Outcome: result.Measured}},
			Reuse:     &result.Reuse{Meta: result.Meta{Outcome: result.Unsupported}},
		},
		Dropped: []string{"sysctls", "dns"},
	})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	const want = `connpolicy_measurements_total{measurement="dns",outcome="lost"} 1
connpolicy_measurements_total{measurement="handshake",outcome="measured"} 1
connpolicy_measurements_total{measurement="reuse",outcome="unsupported"} 1
connpolicy_probe_pods_total{outcome="failed"} 0
connpolicy_probe_pods_total{outcome="lost"} 1
connpolicy_probe_pods_total{outcome="measured"} 2`
	if got := exposed(t, families); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := NewOutcomes(registry); err == nil {
		t.Error("counted twice in one registry")
	}
}
