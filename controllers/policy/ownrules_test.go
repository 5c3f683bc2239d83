package policy

import (
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/userrules"
	"github.com/connpolicy/connpolicy/probes/result"
)

// One rule that is wrong is told, and leaves the others alone.
func TestARuleThatIsWrongLeavesTheOthers(t *testing.T) {
	environment, err := userrules.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	rules := compileRules(environment, &v1alpha1.AuditSpec{Rules: []v1alpha1.AuditRule{
		{Name: "fast", Expression: "handshake.connectMicroseconds.p50 < 1000", Message: "too slow", Severity: v1alpha1.SeverityError},
		{Name: "wrong", Expression: "handshake.connectMicroseconds.p51 < 1000", Severity: v1alpha1.SeverityWarning},
	}})
	if got := rules.trouble(); got.reason != v1alpha1.ReasonInvalid || !strings.Contains(got.message, "audit rule wrong: line 1, column 30: undefined field 'p51'") {
		t.Errorf("%+v", got)
	}
	list := verdicts(rules.judge(audit.Input{Probes: []audit.ProbeResult{{Node: "n1", Result: result.Result{Measurements: result.Measurements{
		Handshake: &result.Handshake{Meta: result.Meta{Outcome: result.Measured}, ConnectMicroseconds: &result.Distribution{P50: 2000}},
	}}}}}))
	if len(list) != 2 || list[0].Rule != "user/fast" || list[0].Result != v1alpha1.VerdictFail || list[0].Severity != v1alpha1.SeverityError ||
		list[0].Message != "From node n1: too slow" || list[0].Evidence["handshake.connectMicroseconds.p50"] != "2000" {
		t.Errorf("%+v", list)
	}
	if list[1].Rule != "user/wrong" || list[1].Result != v1alpha1.VerdictUnknown || !strings.Contains(list[1].Message, "undefined field") {
		t.Errorf("%+v", list[1])
	}
	if worst := worstFinding(list); worst != "user/fast: From node n1: too slow" {
		t.Errorf("the worst finding is %q", worst)
	}
}

func TestNoRulesOfOnesOwn(t *testing.T) {
	if rules := compileRules(nil, nil); rules.trouble().any() || rules.judge(audit.Input{}) != nil {
		t.Errorf("%+v", rules)
	}
}
