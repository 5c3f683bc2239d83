package prometheus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	promql "github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"
)

const (
	alertsFile = "config/prometheus/prometheus_rule.yaml"
	interval   = time.Minute
	pages      = "https://github.com/connpolicy/connpolicy/blob/main/"
)

func readRule(t *testing.T) monitoringv1.PrometheusRule {
	t.Helper()
	rule := read[monitoringv1.PrometheusRule](t, alertsFile)
	if len(rule.Spec.Groups) == 0 {
		t.Fatalf("%s has no groups", alertsFile)
	}
	return rule
}

func eachAlert(t *testing.T, look func(monitoringv1.Rule)) {
	t.Helper()
	for _, group := range readRule(t).Spec.Groups {
		for _, rule := range group.Rules {
			look(rule)
		}
	}
}

func TestAlertsAskForWhatIsTold(t *testing.T) {
	c := readContract(t)
	eachAlert(t, func(rule monitoringv1.Rule) {
		for _, wrong := range c.check(rule.Expr.String()) {
			t.Errorf("%s: %s", rule.Alert, wrong)
		}
	})
}

func TestAlertsAreComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository, metricsPage))
	if err != nil {
		t.Fatal(err)
	}
	eachAlert(t, func(rule monitoringv1.Rule) {
		severity := rule.Labels["severity"]
		if severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity %q", rule.Alert, severity)
		}
		if rule.For == nil {
			t.Errorf("%s wakes people for what may be over in a moment", rule.Alert)
		}
		for _, name := range []string{"summary", "description", "runbook_url"} {
			if rule.Annotations[name] == "" {
				t.Errorf("%s has no %s", rule.Alert, name)
			}
		}
		if !strings.Contains(string(page), fmt.Sprintf("| `%s` | %s |", rule.Alert, severity)) {
			t.Errorf("%s does not tell of %s, %s", metricsPage, rule.Alert, severity)
		}
	})
}

// firing is an alert that fires, with what people read of it.
type firing struct {
	name        string
	labels      string
	annotations labels.Labels
}

// evaluate has Prometheus evaluate the alerts each minute over these series, and returns those that fire after so long.
func evaluate(t *testing.T, series string, after time.Duration) []firing {
	t.Helper()
	parser := promql.NewParser(promql.Options{})
	suite, err := promqltest.NewLazyLoader("load 1m\n"+series, promqltest.LazyLoaderOpts{
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: parser})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := suite.Close(); err != nil {
			t.Error(err)
		}
	}()
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		AppendableV2: suite.Storage(),
		Context:      t.Context(),
		NotifyFunc:   func(context.Context, string, ...*rules.Alert) {},
		Logger:       promslog.NewNopLogger(),
		Parser:       parser,
	})
	groups, failed := manager.LoadGroups(interval, labels.EmptyLabels(), "", nil, false, rulesFile(t))
	if len(failed) > 0 {
		t.Fatal(failed)
	}
	for at := time.Duration(0); at <= after; at += interval {
		suite.WithSamplesTill(time.Unix(0, 0).Add(at), func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range groups {
				group.Eval(suite.Context(), time.Unix(0, 0).UTC().Add(at))
			}
		})
	}
	var fired []firing
	for _, group := range groups {
		for _, rule := range group.Rules() {
			if rule.LastError() != nil {
				t.Errorf("%s: %v", rule.Name(), rule.LastError())
			}
			alerting, isAlerting := rule.(*rules.AlertingRule)
			if !isAlerting {
				t.Fatalf("%s is no alert", rule.Name())
			}
			for _, alert := range alerting.ActiveAlerts() {
				if alert.State == rules.StateFiring {
					told := labels.NewBuilder(alert.Labels).Del(labels.AlertName).Labels()
					fired = append(fired, firing{rule.Name(), told.String(), alert.Annotations})
				}
			}
		}
	}
	return fired
}

// rulesFile writes the groups as Prometheus reads them, without the object around them.
func rulesFile(t *testing.T) string {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{"groups": readRule(t).Spec.Groups})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	// working is told by each manager that works.
	working = `connpolicy_policies{mode="Observe"} 1x3000` + "\n"
	link    = `namespace="shop", policy="checkout", link="payments"`
	policy  = `namespace="shop", policy="checkout"`
	tuning  = `namespace="shop", tuning="deployment-web"`

	portsHeld = `connpolicy_link_port_utilization_ratio{` + link + `} `
	portError = `connpolicy_link_finding{` + link + `, rule="CP401", severity="error"} `
	// notProbed is told while a link of the policy cannot be measured.
	notProbed = `connpolicy_policy_condition{` + policy + `, type="Probed", status="False", reason="ProbeFailed"} `
	lastAt    = `connpolicy_link_last_result_timestamp_seconds{` + link + `} `
	every     = `connpolicy_policy_probe_interval_seconds{` + policy + `} `
)

func TestAlerts(t *testing.T) {
	const ofLink = `{link="payments", namespace="shop", policy="checkout", `
	const linkCritical, linkWarning = ofLink + `severity="critical"}`, ofLink + `severity="warning"}`
	const ofPolicy = `{namespace="shop", policy="checkout", severity="warning"}`
	tuningAt := func(condition, status, reason string) string {
		return fmt.Sprintf(`connpolicy_tuning_condition{%s, type=%q, status=%q, reason=%q} `, tuning, condition, status, reason)
	}
	ofTuning := func(reason string) string {
		return fmt.Sprintf(`{namespace="shop", reason=%q, severity="warning", tuning="deployment-web"}`, reason)
	}
	for _, test := range []struct {
		name   string
		series string
		after  time.Duration
		want   []string
	}{
		{"all is well", working + portsHeld + "0.2x700\n" + every + "600x700\n" + lastAt + "0+60x700\n" +
			`connpolicy_policy_condition{` + policy + `, type="Probed", status="True", reason="Succeeded"} 1x700` + "\n" +
			tuningAt("Ready", "True", "Succeeded") + "1x700\n" + tuningAt("Progressing", "False", "NotCompared") + "1x700\n" +
			`connpolicy_link_finding{` + link + `, rule="CP204", severity="warning"} 1x700` + "\n" +
			`controller_runtime_reconcile_errors_total{controller="policy"} 7x700` + "\n", 11 * time.Hour, nil},

		{"ports ran out just now", working + portsHeld + "1x60\n" + portError + "1x60\n", 4 * time.Minute, nil},
		{"ports ran out", working + portsHeld + "1x60\n" + portError + "1x60\n", 6 * time.Minute,
			[]string{"ConnPolicyPortsRunOut " + linkCritical}},
		{"ports ran out for a moment", working + portsHeld + "1x3 0.3x60\n" + portError + "1x3 _x60\n", 20 * time.Minute, nil},
		{"ports are full and the rule is disabled", working + portsHeld + "1x200\n", 15 * time.Minute, nil},
		{"ports have just come to where they would run out", working + portsHeld + "0.1+0.0016666x400\n", 290 * time.Minute, nil},
		{"ports grow by a tenth an hour", working + portsHeld + "0.1+0.0016666x400\n", 305 * time.Minute,
			[]string{"ConnPolicyPortsWillRunOut " + linkWarning}},
		{"ports grow and are few", working + portsHeld + "0.01+0.001x300\n", 290 * time.Minute, nil},
		{"ports are many and do not grow", working + portsHeld + "0.7x900\n", 800 * time.Minute, nil},
		{"ports grew until they ran out", working + portsHeld + "0.1+0.002x450\n" + portError + "_x400 1x50\n", 445 * time.Minute,
			[]string{"ConnPolicyPortsRunOut " + linkCritical}},

		{"an error just now", working + `connpolicy_link_finding{` + link + `, rule="CP206", severity="error"} 1x60` + "\n", 9 * time.Minute, nil},
		{"an error", working + `connpolicy_link_finding{` + link + `, rule="CP206", severity="error"} 1x60` + "\n", 11 * time.Minute,
			[]string{`ConnPolicyErrorFinding {link="payments", namespace="shop", policy="checkout", rule="CP206", severity="critical"}`}},
		{"an error of a rule of the user's own", working + `connpolicy_link_finding{` + link + `, rule="user/fast", severity="error"} 1x60` + "\n",
			11 * time.Minute,
			[]string{`ConnPolicyErrorFinding {link="payments", namespace="shop", policy="checkout", rule="user/fast", severity="critical"}`}},
		{"an error that is cured", working + `connpolicy_link_finding{` + link + `, rule="CP206", severity="error"} 1x30 _x60` + "\n",
			40 * time.Minute, nil},
		{"a warning", working + `connpolicy_link_finding{` + link + `, rule="CP206", severity="warning"} 1x60` + "\n", 50 * time.Minute, nil},

		{"probes fail", working + notProbed + "1x100\n", 59 * time.Minute, nil},
		{"probes fail for an hour", working + notProbed + "1x100\n", 61 * time.Minute, []string{"ConnPolicyNotMeasured " + ofPolicy}},
		{"a workload is missing for an hour", working +
			`connpolicy_policy_condition{` + policy + `, type="Probed", status="False", reason="WorkloadNotFound"} 1x100` + "\n",
			61 * time.Minute, []string{"ConnPolicyNotMeasured " + ofPolicy}},
		{"probes fail now for one reason and now for another", working + notProbed + "1x40 _x60\n" +
			`connpolicy_policy_condition{` + policy + `, type="Probed", status="False", reason="NoEndpoints"} _x40 1x60` + "\n",
			61 * time.Minute, []string{"ConnPolicyNotMeasured " + ofPolicy}},
		{"a policy is suspended", working +
			`connpolicy_policy_condition{` + policy + `, type="Probed", status="Unknown", reason="Suspended"} 1x500` + "\n" +
			lastAt + "0x500\n", 490 * time.Minute, nil},

		{"results are three intervals old", working + every + "600x300\n" + lastAt + "0x300\n", 50 * time.Minute, nil},
		{"results are three intervals old, for long", working + every + "600x300\n" + lastAt + "0x300\n", 62 * time.Minute,
			[]string{"ConnPolicyResultsStale " + linkWarning}},
		{"results are old since probes fail", working + every + "600x300\n" + lastAt + "0x300\n" + notProbed + "1x300\n", 62 * time.Minute,
			[]string{"ConnPolicyNotMeasured " + ofPolicy}},
		{"results come once a day", working + every + "86400x3000\n" + lastAt + "0x3000\n", 40 * time.Hour, nil},

		{"a tuning was forbidden", working + tuningAt("Ready", "False", "Forbidden") + "1x60\n", 6 * time.Minute,
			[]string{"ConnPolicyTuningFailed " + ofTuning("Forbidden")}},
		{"a tuning was taken back", working + tuningAt("Ready", "False", "RolledBack") + "1x60\n", 6 * time.Minute,
			[]string{"ConnPolicyTuningFailed " + ofTuning("RolledBack")}},
		{"a tuning is on its way", working + tuningAt("Ready", "False", "Applying") + "1x600\n" +
			tuningAt("Progressing", "True", "Applying") + "1x600\n", 590 * time.Minute, nil},
		{"a tuning waits for approval", working + tuningAt("Ready", "False", "AwaitingApproval") + "1x600\n" +
			tuningAt("Progressing", "True", "AwaitingApproval") + "1x600\n", 590 * time.Minute, nil},
		{"a tuning is tried for long", working + tuningAt("Progressing", "True", "Canary") + "1x100\n", 61 * time.Minute,
			[]string{"ConnPolicyTuningStuck " + ofTuning("Canary")}},

		{"a controller fails for a while", working + `controller_runtime_reconcile_errors_total{controller="policy"} 0 0+1x10 10x200` + "\n",
			100 * time.Minute, nil},
		{"a controller fails every quarter of an hour", working +
			`controller_runtime_reconcile_errors_total{controller="policy"} 0x14 1x15 2x15 3x15 4x15 5x15 6x15 7x15 8x15` + "\n",
			110 * time.Minute, []string{`ConnPolicyReconcileFails {controller="policy", severity="warning"}`}},
		{"a controller of somebody else's fails", working + `controller_runtime_reconcile_errors_total{controller="certificate"} 0+1x200` + "\n",
			190 * time.Minute, nil},

		{"no manager works", `connpolicy_policies{mode="Observe"} 1x10` + "\n", 32 * time.Minute,
			[]string{`ConnPolicyNotWorking {severity="warning"}`}},
		{"one manager follows another", `connpolicy_policies{mode="Observe", instance="a"} 1x10 _x100` + "\n" +
			`connpolicy_policies{mode="Observe", instance="b"} _x20 1x100` + "\n", 60 * time.Minute, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, alert := range evaluate(t, test.series, test.after) {
				got = append(got, alert.name+" "+alert.labels)
				checkAnnotations(t, alert)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("after %s fire %q, want %q", test.after, got, test.want)
			}
		})
	}
}

// Each alert fires in some test.
func TestEveryAlertIsTested(t *testing.T) {
	source, err := os.ReadFile("alerts_test.go")
	if err != nil {
		t.Fatal(err)
	}
	eachAlert(t, func(rule monitoringv1.Rule) {
		if !strings.Contains(string(source), rule.Alert+" ") {
			t.Errorf("%s is never seen to fire", rule.Alert)
		}
	})
}

// checkAnnotations reads what an alert tells as a person would: the page that it names has to exist.
func checkAnnotations(t *testing.T, alert firing) {
	t.Helper()
	alert.annotations.Range(func(annotation labels.Label) {
		if strings.Contains(annotation.Value, "<error") || strings.Contains(annotation.Value, "<no value>") ||
			strings.Contains(annotation.Value, "{{") {
			t.Errorf("%s: %s is %q", alert.name, annotation.Name, annotation.Value)
		}
	})
	page, found := strings.CutPrefix(alert.annotations.Get("runbook_url"), pages)
	if !found {
		t.Errorf("%s: the page %q is not of this repository", alert.name, alert.annotations.Get("runbook_url"))
		return
	}
	path, heading, _ := strings.Cut(page, "#")
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Errorf("%s: %v", alert.name, err)
		return
	}
	if heading != "" && !regexp.MustCompile(`(?mi)^#+ `+regexp.QuoteMeta(heading)+`$`).Match(text) {
		t.Errorf("%s: %s has no heading %s", alert.name, path, heading)
	}
}
