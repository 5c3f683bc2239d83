package metrics

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	_ "sigs.k8s.io/controller-runtime" // registers its metrics, as the manager does
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// documentation is what people, alerts and the dashboard know of the metrics; test/prometheus holds those to it.
const documentation = "../../docs/observability.md"

// row is one metric as the documentation lists it.
func row(m Metric) string {
	labels := make([]string, len(m.Labels))
	for i, label := range m.Labels {
		labels[i] = "`" + label + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |", m.Name, m.Kind, strings.Join(labels, ", "), m.Help)
}

// rows are the lines of the documentation that begin with a metric of some prefix.
func rows(t *testing.T, prefix string) []string {
	t.Helper()
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `"+prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// Those of observers are served, and held to the documentation, in probes/observer.
func TestEveryMetricIsDocumented(t *testing.T) {
	var want []string
	for _, metric := range Metrics() {
		want = append(want, row(metric))
	}
	got := slices.DeleteFunc(rows(t, "connpolicy_"), func(line string) bool { return strings.HasPrefix(line, "| `connpolicy_observer_") })
	if !slices.Equal(got, want) {
		t.Errorf("%s lists\n%s\nwant\n%s", documentation, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What the documentation says of the metrics of controller-runtime is so, which its version decides.
func TestMetricsOfControllerRuntime(t *testing.T) {
	registry, isCollector := ctrlmetrics.Registry.(prometheus.Collector)
	if !isCollector {
		t.Fatal("the registry of controller-runtime does not describe its metrics")
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		registry.Describe(descriptions)
	}()
	described := regexp.MustCompile(`fqName: "([^"]+)".* variableLabels: \{([^}]*)\}`)
	known := map[string]string{}
	for description := range descriptions {
		if parts := described.FindStringSubmatch(description.String()); parts != nil {
			known[parts[1]] = parts[2]
		}
	}
	listed := append(rows(t, "controller_runtime_"), rows(t, "workqueue_")...)
	if len(listed) == 0 {
		t.Fatalf("%s lists none", documentation)
	}
	for _, line := range listed {
		cells := strings.Split(line, " | ")
		name := strings.Trim(cells[0], "| `")
		labels, exists := known[name]
		if !exists {
			t.Errorf("%s does not exist", name)
			continue
		}
		if documented := strings.NewReplacer("`", "", " ", "").Replace(cells[2]); documented != labels {
			t.Errorf("%s has the labels %s, and not %s", name, labels, documented)
		}
	}
}

// The values of labels that alerts and the dashboard select by.
func TestLabelsAreDocumented(t *testing.T) {
	words := func(list ...string) string { return "`" + strings.Join(list, "`, `") + "`" }
	text := func(values any) string { return words(strings.Fields(strings.Trim(fmt.Sprint(values), "[]"))...) }
	outcomes := []result.Outcome{result.Measured, result.Unsupported, result.Skipped, result.Failed, result.Lost}
	for label, want := range map[string]string{
		"mode":   text(modes()),
		"result": text(results()),
		"severity": text([]v1alpha1.Severity{
			v1alpha1.SeverityError, v1alpha1.SeverityWarning, v1alpha1.SeverityInfo}),
		"outcome": text(outcomes),
	} {
		found := false
		for _, line := range rows(t, label+"`") {
			found = true
			if !strings.Contains(line, "| "+want+" |") {
				t.Errorf("%s: %s\nwant %s", label, line, want)
			}
		}
		if !found {
			t.Errorf("%s does not say what %s may be", documentation, label)
		}
	}
}
