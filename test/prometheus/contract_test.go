package prometheus

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promql "github.com/prometheus/prometheus/promql/parser"
)

const (
	repository = "../.."
	// metricsPage lists the operator's metrics and what their labels may be. The operator's own tests hold it to the code
	// (controllers/metrics), these tests hold alerts and dashboard to it.
	metricsPage = "docs/observability.md"
)

// contract is what the operator tells.
type contract struct {
	// labels of each metric, by its name.
	labels map[string][]string
	// values that a label may have, by its name. A label that is absent may have any.
	values map[string][]string
}

func readContract(t *testing.T) contract {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, metricsPage))
	if err != nil {
		t.Fatal(err)
	}
	c := contract{labels: map[string][]string{}, values: map[string][]string{}}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name := inCode(cells[0])
		switch {
		case len(name) != 1:
		case len(cells) == 4 && strings.TrimSpace(cells[1]) == "histogram":
			c.labels[name[0]+"_bucket"] = append(inCode(cells[2]), labels.BucketLabel)
			c.labels[name[0]+"_sum"], c.labels[name[0]+"_count"] = inCode(cells[2]), inCode(cells[2])
		case len(cells) == 4 && slices.Contains([]string{"gauge", "counter"}, strings.TrimSpace(cells[1])):
			c.labels[name[0]] = inCode(cells[2])
		case len(cells) == 2 && len(inCode(cells[1])) > 1:
			c.values[name[0]] = inCode(cells[1])
		}
	}
	if len(c.labels) < 10 || len(c.values) < 3 {
		t.Fatalf("%s lists %d metrics, and the values of %d labels", metricsPage, len(c.labels), len(c.values))
	}
	constants := readConstants(t)
	c.values["reason"], c.values["type"] = constants["Reason"], constants["Condition"]
	c.values["status"] = []string{"True", "False", "Unknown"}
	c.values["controller"] = []string{"policy", "tuning", "openreports"}
	return c
}

// inCode are the words of a text that are set as code.
func inCode(text string) []string {
	var words []string
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			words = append(words, part)
		}
	}
	return words
}

// readConstants reads the values of the API's constants whose names begin with Reason or Condition.
func readConstants(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository, "api/v1alpha1/conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, isSpec := node.(*ast.ValueSpec)
		if !isSpec || len(spec.Values) != 1 {
			return true
		}
		literal, isLiteral := spec.Values[0].(*ast.BasicLit)
		if !isLiteral {
			return true
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"Reason", "Condition"} {
			if strings.HasPrefix(spec.Names[0].Name, prefix) {
				values[prefix] = append(values[prefix], value)
			}
		}
		return true
	})
	if len(values["Reason"]) == 0 || len(values["Condition"]) == 0 {
		t.Fatalf("the API names the reasons %q and the conditions %q", values["Reason"], values["Condition"])
	}
	return values
}

// check says what an expression asks for that the operator does not tell: a metric, a label of it, or a value that the
// label never has.
func (c contract) check(expression string) []string {
	parsed, err := promql.NewParser(promql.Options{}).ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	known := []string{} // labels of any of the metrics
	promql.Inspect(parsed, func(node promql.Node, _ []promql.Node) error {
		if selector, isSelector := node.(*promql.VectorSelector); isSelector {
			wrong = append(wrong, c.checkSelector(selector)...)
			known = append(known, c.labels[selector.Name]...)
		}
		return nil
	})
	promql.Inspect(parsed, func(node promql.Node, _ []promql.Node) error {
		var named []string
		switch node := node.(type) {
		case *promql.AggregateExpr:
			named = node.Grouping
		case *promql.BinaryExpr:
			if node.VectorMatching != nil {
				named = append(node.VectorMatching.MatchingLabels, node.VectorMatching.Include...)
			}
		}
		for _, label := range named {
			if !slices.Contains(known, label) {
				wrong = append(wrong, "no metric in it has the label "+label)
			}
		}
		return nil
	})
	return wrong
}

func (c contract) checkSelector(selector *promql.VectorSelector) []string {
	told, exists := c.labels[selector.Name]
	if !exists {
		return []string{fmt.Sprintf("%s is no metric of the operator", selector)}
	}
	var wrong []string
	for _, matcher := range selector.LabelMatchers {
		switch {
		case matcher.Name == model.MetricNameLabel:
		case !slices.Contains(told, matcher.Name):
			wrong = append(wrong, fmt.Sprintf("%s has no label %s", selector.Name, matcher.Name))
		default:
			wrong = append(wrong, c.checkMatcher(selector.Name, matcher)...)
		}
	}
	return wrong
}

// checkMatcher looks at each of the values that a matcher names.
func (c contract) checkMatcher(metric string, matcher *labels.Matcher) []string {
	values, bounded := c.values[matcher.Name]
	if !bounded {
		return nil
	}
	var wrong []string
	for _, value := range strings.Split(matcher.Value, "|") {
		if !slices.Contains(values, value) {
			wrong = append(wrong, fmt.Sprintf("%s never has %s=%q", metric, matcher.Name, value))
		}
	}
	return wrong
}

// A check that finds nothing would pass everything.
func TestTheContractFindsWhatIsWrong(t *testing.T) {
	c := readContract(t)
	for expression, want := range map[string]string{
		`connpolicy_link_finding{severity="error"}`:                                           "",
		`sum by (severity) (connpolicy_link_finding)`:                                         "",
		`connpolicy_policy_condition{reason=~"Findings|NotJudged"}`:                           "",
		`sum by (le) (rate(controller_runtime_reconcile_time_seconds_bucket[5m]))`:            "",
		`connpolicy_link_findings`:                                                            "connpolicy_link_findings is no metric of the operator",
		`connpolicy_link_finding{level="error"}`:                                              "connpolicy_link_finding has no label level",
		`connpolicy_link_finding{severity="critical"}`:                                        `connpolicy_link_finding never has severity="critical"`,
		`connpolicy_policy_condition{reason=~"Findings|Broken"}`:                              `connpolicy_policy_condition never has reason="Broken"`,
		`sum by (pod) (connpolicy_link_finding)`:                                              "no metric in it has the label pod",
		`connpolicy_link_finding and on (node) connpolicy_link_verdicts`:                      "no metric in it has the label node",
		`rate(controller_runtime_reconcile_errors_total{controller="policies"}[5m])`:          `controller_runtime_reconcile_errors_total never has controller="policies"`,
		`histogram_quantile(0.9, rate(controller_runtime_reconcile_time_seconds[5m]))`:        "controller_runtime_reconcile_time_seconds is no metric of the operator",
		`absent(connpolicy_policies{mode="Apply"}) or connpolicy_policies{mode="Everything"}`: `connpolicy_policies never has mode="Everything"`,
	} {
		if got := strings.Join(c.check(expression), "; "); got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
	if got := c.check(`sum by (`); len(got) != 1 {
		t.Errorf("what is no PromQL: %q", got)
	}
}
