package scenario

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/hack/demo/counters"
)

// cured is an outcome that shows what the demonstration is meant to show.
func cured() *Outcome {
	return &Outcome{
		Before: counters.Figures{Pods: 2, Seconds: 20, Errors: 700, ErrorsPerSecond: 35, ConnectionsPerSecond: 960,
			ErrorCauses: map[string]float64{counters.CauseNoPort: 700}},
		After:       counters.Figures{Pods: 2, Seconds: 60, ConnectionsPerSecond: 1000},
		PortsBefore: []PortsHeld{{Pod: "client-1", Client: 28230, Observer: 28232}},
		Tuning: v1alpha1.ConnectionTuning{Status: v1alpha1.ConnectionTuningStatus{
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}},
			Rollout:    &v1alpha1.RolloutStatus{Revision: "0123abcd", Pods: 2, Stamped: 2, ReadBack: 2},
		}},
	}
}

func TestCheck(t *testing.T) {
	if err := cured().Check(); err != nil {
		t.Errorf("a cured client is refused: %v", err)
	}
	for name, test := range map[string]struct {
		spoil func(*Outcome)
		want  string
	}{
		"errors go on":           {func(o *Outcome) { o.After.Errors = 1 }, "errors have not stopped"},
		"nothing to cure":        {func(o *Outcome) { o.Before.Errors = 0 }, "nothing to cure"},
		"the clients gave up":    {func(o *Outcome) { o.After.ConnectionsPerSecond = 900 }, "900 connections/s"},
		"the tuning is not done": {func(o *Outcome) { o.Tuning.Status.Conditions = nil }, "not Ready"},
		"nobody counted":         {func(o *Outcome) { o.Tuning.Status.Rollout = nil }, "how many pods"},
		"one pod was not looked into": {func(o *Outcome) { o.Tuning.Status.Rollout.ReadBack = 1 },
			"in 1 the values were read back"},
	} {
		t.Run(name, func(t *testing.T) {
			outcome := cured()
			test.spoil(outcome)
			if err := outcome.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error about %q", err, test.want)
			}
		})
	}
}

func TestSummaryShowsBothCounts(t *testing.T) {
	outcome := cured()
	outcome.ReportBefore.Status.Verdicts = []v1alpha1.Verdict{
		{Rule: "CP401", Title: "Ports", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityError, Message: "all ports are held", Cure: "reuse connections"},
		{Rule: "CP102", Title: "SYN", Result: v1alpha1.VerdictPass, Message: "no SYN was lost"},
	}
	summary := outcome.Summary()
	for _, want := range []string{
		"35.0", "0.0", `700 × "cannot assign requested address"`, "28,230", "28,232",
		"CP401 error: Ports", "all ports are held", "Cure: reuse connections", "Findings in the end\n  none",
	} {
		if !strings.Contains(summary, want) {
			t.Errorf("the summary lacks %q:\n%s", want, summary)
		}
	}
	if strings.Contains(summary, "no SYN was lost") {
		t.Error("the summary lists a rule that passes among the findings")
	}
}
