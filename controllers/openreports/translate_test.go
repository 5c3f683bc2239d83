package openreports

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	reportsapi "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

var seen = metav1.NewTime(time.Unix(1_800_000_000, 0))

// checkout is a policy with these links.
func checkout(links ...string) *v1alpha1.ConnectionPolicy {
	policy := &v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "checkout", UID: "uid", CreationTimestamp: metav1.NewTime(time.Unix(1_700_000_000, 0))}}
	policy.Spec.From = &v1alpha1.WorkloadReference{Group: "apps", Kind: "StatefulSet", Name: "web"}
	for _, name := range links {
		policy.Spec.To = append(policy.Spec.To, v1alpha1.Link{Name: name})
	}
	return policy
}

// reportOf is the report of a link of a policy.
func reportOf(policy *v1alpha1.ConnectionPolicy, link string, verdicts ...v1alpha1.Verdict) v1alpha1.ConnectionReport {
	report := v1alpha1.ConnectionReport{ObjectMeta: metav1.ObjectMeta{
		Namespace: policy.Namespace, Name: policy.Name + "-" + link,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(policy, v1alpha1.GroupVersion.WithKind("ConnectionPolicy"))},
	}}
	report.Spec = v1alpha1.ConnectionReportSpec{PolicyName: policy.Name, LinkName: link}
	report.Status = v1alpha1.ConnectionReportStatus{ObservedTime: &seen, Verdicts: verdicts}
	return report
}

func TestOutcomeOf(t *testing.T) {
	const high, medium, info, none = severityHigh, severityMedium, severityInfo, reportsapi.ResultSeverity("")
	for _, test := range []struct {
		result   v1alpha1.VerdictResult
		severity v1alpha1.Severity

		want         reportsapi.Result
		wantSeverity reportsapi.ResultSeverity
		scored       bool
	}{
		{v1alpha1.VerdictPass, "", resultPass, none, true},
		{v1alpha1.VerdictFail, v1alpha1.SeverityError, resultFail, high, true},
		{v1alpha1.VerdictFail, v1alpha1.SeverityWarning, resultWarn, medium, false},
		{v1alpha1.VerdictFail, v1alpha1.SeverityInfo, resultWarn, info, false},
		{v1alpha1.VerdictUnknown, "", resultError, none, false},
		{v1alpha1.VerdictUnknown, v1alpha1.SeverityError, resultError, high, false},
		{v1alpha1.VerdictNotApplicable, "", resultSkip, none, false},
		{v1alpha1.VerdictDisabled, "", resultSkip, none, false},
		{"of a later version", "", resultError, none, false},
	} {
		policy := checkout("payments")
		verdict := v1alpha1.Verdict{Rule: "CP401", Result: test.result, Severity: test.severity}
		report := translate(policy, []v1alpha1.ConnectionReport{reportOf(policy, "payments", verdict)})
		if len(report.Results) != 1 {
			t.Fatalf("%s: %d results", test.result, len(report.Results))
		}
		if got := report.Results[0]; got.Result != test.want || got.Severity != test.wantSeverity || got.Scored != test.scored {
			t.Errorf("%s %s: %s, severity %q, scored %t; want %s, %q, %t",
				test.result, test.severity, got.Result, got.Severity, got.Scored, test.want, test.wantSeverity, test.scored)
		}
	}
}

func TestTranslate(t *testing.T) {
	policy := checkout("payments", "bank", "new", "empty")
	other := checkout()
	other.UID = "of an earlier policy of this name"
	finding := v1alpha1.Verdict{Rule: "CP401", Title: "Ports run short", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityError,
		Message: "Pod a holds all of them.", Cure: "Reuse connections.", Evidence: map[string]string{"percent": "100"}}
	pass := v1alpha1.Verdict{Rule: "CP101", Result: v1alpha1.VerdictPass}
	own := v1alpha1.Verdict{Rule: "user/fast", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityWarning}
	report := translate(policy, []v1alpha1.ConnectionReport{
		reportOf(policy, "gone", finding),
		reportOf(policy, "bank", pass, own),
		reportOf(other, "new", pass),
		reportOf(policy, "payments", pass, finding),
		reportOf(policy, "empty"),
	})

	if report.Name != "connpolicy-checkout" || report.Namespace != "shop" || report.Source != "connpolicy" ||
		report.APIVersion != "openreports.io/v1alpha1" || report.Kind != "Report" || !metav1.IsControlledBy(report, policy) {
		t.Errorf("metadata %+v", report.ObjectMeta)
	}
	if want := (corev1.ObjectReference{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: "shop", Name: "web"}); *report.Scope != want {
		t.Errorf("scope %+v, want %+v", report.Scope, want)
	}
	var got []string
	for _, result := range report.Results {
		got = append(got, result.Properties["link"]+" "+result.Rule+" "+string(result.Result)+" "+result.Category)
	}
	want := []string{
		"payments CP101 pass Set-up", "payments CP401 fail Ports",
		"bank CP101 pass Set-up", "bank user/fast warn ",
		"new  error ", "empty  error ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("results %q, want %q", got, want)
	}
	if want := (reportsapi.ReportSummary{Pass: 2, Fail: 1, Warn: 1, Error: 2}); report.Summary != want {
		t.Errorf("summary %+v, want %+v", report.Summary, want)
	}
	told := report.Results[1]
	if told.Policy != "checkout" || told.Source != "connpolicy" || told.Description != finding.Message || told.Timestamp.Seconds != seen.Unix() {
		t.Errorf("result %+v", told)
	}
	if want := map[string]string{"link": "payments", "report": "checkout-payments", "title": finding.Title, "cure": finding.Cure,
		"evidence.percent": "100"}; !maps.Equal(told.Properties, want) {
		t.Errorf("properties %v, want %v", told.Properties, want)
	}
	if silent := report.Results[4]; silent.Description != notJudged || silent.Timestamp.Seconds != policy.CreationTimestamp.Unix() {
		t.Errorf("of a link without a verdict: %+v", silent)
	}
}

func TestScopeWithoutWorkload(t *testing.T) {
	policy := checkout()
	policy.Spec.From = nil
	want := corev1.ObjectReference{APIVersion: "connpolicy.dev/v1alpha1", Kind: "ConnectionPolicy", Namespace: "shop", Name: "checkout"}
	if got := translate(policy, nil).Scope; *got != want {
		t.Errorf("scope %+v, want %+v", got, want)
	}
}

// The largest Report that policies and their reports allow is far from what the API server stores (1.5 MiB).
func TestTheLargestReportCanBeStored(t *testing.T) {
	const links, verdicts, reportBytes, storedBytes = 16, 100, 15 << 10, 3 << 19
	policy := checkout()
	policy.Name = strings.Repeat("p", 40)
	var reports []v1alpha1.ConnectionReport
	for i := range links {
		name := fmt.Sprintf("%020d", i)
		policy.Spec.To = append(policy.Spec.To, v1alpha1.Link{Name: name})
		report := reportOf(policy, name)
		for j := range verdicts {
			report.Status.Verdicts = append(report.Status.Verdicts, v1alpha1.Verdict{
				Rule: fmt.Sprintf("user/%040d", j), Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityWarning,
				Message: strings.Repeat("m", reportBytes/verdicts),
			})
		}
		reports = append(reports, report)
	}
	text, err := json.Marshal(translate(policy, reports))
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > storedBytes*2/3 {
		t.Errorf("%d bytes", len(text))
	}
	t.Logf("%d bytes", len(text))
}
