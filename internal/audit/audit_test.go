package audit

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRulesJudge(t *testing.T) {
	for _, c := range ruleCases() {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			v := verdictOf(t, c.rule, Judge(c.in))
			if v.Result != c.want || v.Severity != c.severity {
				t.Errorf("%s %s, want %s %s: %s", v.Result, v.Severity, c.want, c.severity, v.Message)
			}
			if v.Message == "" || !strings.Contains(v.Message, c.message) {
				t.Errorf("the message %q does not contain %q", v.Message, c.message)
			}
			if (v.Result == Fail) != (v.Cure != "") || !strings.HasPrefix(v.Cure, c.cure) {
				t.Errorf("%s with the cure %q, want %q", v.Result, v.Cure, c.cure)
			}
			if v.Result == Fail && len(v.Evidence) == 0 {
				t.Error("a finding without evidence")
			}
		})
	}
}

func TestEveryRuleHasACaseOfEachResult(t *testing.T) {
	for _, rule := range Rules() {
		for _, want := range []Result{Fail, Pass, Unknown, NotApplicable} {
			if !slices.ContainsFunc(ruleCases(), func(c ruleCase) bool { return c.rule == rule.ID && c.want == want }) {
				t.Errorf("%s has no case that is %s", rule.ID, want)
			}
		}
	}
}

func TestEveryFindingHasTheSeverityThatItsRuleAllows(t *testing.T) {
	for _, rule := range Rules() {
		gravest := judgement{result: Fail, severity: rule.Severity}
		reached := false
		for _, c := range ruleCases() {
			if c.rule != rule.ID || c.want != Fail {
				continue
			}
			found := judgement{result: Fail, severity: c.severity}
			reached = reached || found.severity == rule.Severity
			if found.gravity() > gravest.gravity() {
				t.Errorf("%s says %q is its gravest, but %q is %s", rule.ID, rule.Severity, c.name, c.severity)
			}
		}
		if !reached {
			t.Errorf("%s never reaches its severity %s", rule.ID, rule.Severity)
		}
	}
}

func TestRulesAreComplete(t *testing.T) {
	rules := Rules()
	if !slices.IsSortedFunc(rules, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("the rules are not sorted by id")
	}
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.ID] {
			t.Errorf("%s is there twice", r.ID)
		}
		seen[r.ID] = true
		if len(r.ID) != 5 || !strings.HasPrefix(r.ID, "CP") {
			t.Errorf("%s is not CP and three digits", r.ID)
		}
		if r.Title == "" || len(r.Title) > 128 || r.Category == "" || r.Severity == "" || len(r.Needs) == 0 || r.AppliesNot == "" || r.Why == "" || len(r.Cures) == 0 || r.Source == "" {
			t.Errorf("%s lacks a text, or its title is longer than 128 bytes", r.ID)
		}
		for _, cure := range r.Cures {
			if len(cure) > textBytes {
				t.Errorf("a cure of %s has %d bytes", r.ID, len(cure))
			}
		}
	}
}

func TestJudgeAnswersForEveryRule(t *testing.T) {
	verdicts := Judge(Input{})
	rules := Rules()
	if len(verdicts) != len(rules) {
		t.Fatalf("%d verdicts of %d rules", len(verdicts), len(rules))
	}
	for i, v := range verdicts {
		if v.Rule != rules[i].ID || v.Title != rules[i].Title {
			t.Errorf("verdict %d is of %s", i, v.Rule)
		}
		if v.Result == Pass {
			t.Errorf("%s passes although nothing was measured", v.Rule)
		}
	}
}

func TestCureFitsWhatHoldsThePorts(t *testing.T) {
	for timeWait, want := range map[int]string{27900: "Reuse connections", 100: "Hold fewer connections open"} {
		in := with(http(), func(in *Input) { in.Observations = seen(pod("a", 28100, timeWait, 468)) })
		if v := verdictOf(t, "CP401", Judge(in)); !strings.HasPrefix(v.Cure, want) {
			t.Errorf("with %d in TIME_WAIT: %s", timeWait, v.Cure)
		}
	}
}

func TestDisabledRulesAreNotJudged(t *testing.T) {
	in := http(probe(handshakeOf(62, 3), closed("announced")))
	in.Disabled = []string{"CP102"}
	if v := verdictOf(t, "CP102", Judge(in)); v.Result != Disabled || v.Severity != "" || v.Cure != "" {
		t.Errorf("%+v", v)
	}
	if v := verdictOf(t, "CP201", Judge(in)); v.Result != Fail {
		t.Errorf("another rule is %s", v.Result)
	}
}

func TestTextsFitIntoAReport(t *testing.T) {
	long := strings.Repeat("é", 253/2)
	in := http(probe(handshakeOf(62, 3), reuseOf(60)))
	in.Probes[0].Node = long
	in.Observations = seen(pod(long+long, 28100, 28000, 468))
	for _, v := range Judge(in) {
		if len(v.Message) > 512 || !utf8.ValidString(v.Message) {
			t.Errorf("%s: %d bytes: %q", v.Rule, len(v.Message), v.Message)
		}
	}
	v := verdictOf(t, "CP401", Judge(in))
	if !strings.HasSuffix(v.Message, "…") {
		t.Errorf("a message that was cut does not say so: %q", v.Message)
	}
}

func verdictOf(t *testing.T, rule string, verdicts []Verdict) Verdict {
	t.Helper()
	i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Rule == rule })
	if i < 0 {
		t.Fatalf("no verdict of %s", rule)
	}
	return verdicts[i]
}

func TestAPolicyGivesFindingsAnotherSeverity(t *testing.T) {
	in := http(probe(handshakeOf(10, 3), closed("announced")))
	in.Severities = map[string]Severity{"CP102": Error, "CP201": Warning, "CP101": Error}
	judged := Judge(in)
	for id, want := range map[string][2]Severity{"CP102": {Error, Warning}, "CP201": {Warning, ""}, "CP101": {"", ""}} {
		if v := verdictOf(t, id, judged); v.Severity != want[0] || v.OwnSeverity != want[1] {
			t.Errorf("%s is %s of %q, its own %q", id, v.Result, v.Severity, v.OwnSeverity)
		}
	}
}
