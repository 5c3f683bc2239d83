package audit

import "slices"

// Result is the judgement of a rule.
type Result string

const (
	// Pass: what was measured meets the rule.
	Pass Result = "pass"
	// Fail: what was measured breaks the rule. A fail is a finding.
	Fail Result = "fail"
	// Unknown: too little was measured to say.
	Unknown Result = "unknown"
	// NotApplicable: the rule has nothing to say about this link.
	NotApplicable Result = "notApplicable"
	// Disabled: the policy says that the rule is not to be judged.
	Disabled Result = "disabled"
)

// Severity of a finding.
type Severity string

const (
	// Error: something breaks, or is about to.
	Error Severity = "error"
	// Warning: something costs, or will break under more load.
	Warning Severity = "warning"
	// Info: worth knowing.
	Info Severity = "info"
)

// Verdict is what a rule says about a link.
type Verdict struct {
	// Rule is the id of the rule, Title its title.
	Rule, Title string
	Result      Result
	// Severity of the finding. Empty unless Result is Fail.
	Severity Severity
	// OwnSeverity is the one that the rule itself gives the finding. Empty unless the policy gives it another.
	OwnSeverity Severity
	// Message says in words and figures what was seen, or why the rule could not be judged. At most 512 bytes.
	Message string
	// Evidence are the figures behind the message, with the unit in the name.
	Evidence map[string]string
	// Cure says what to do first. Empty unless Result is Fail. At most 512 bytes.
	Cure string
}

// Judge returns the verdict of every rule, sorted by the rules' ids.
func Judge(in Input) []Verdict {
	rules := Rules()
	verdicts := make([]Verdict, 0, len(rules))
	for _, r := range rules {
		if slices.Contains(in.Disabled, r.ID) {
			verdicts = append(verdicts, Verdict{Rule: r.ID, Title: r.Title, Result: Disabled,
				Message: "Not judged: the policy names this rule in audit.disable."})
			continue
		}
		v := r.verdict(in)
		if given, set := in.Severities[r.ID]; set && v.Result == Fail && given != v.Severity {
			v.Severity, v.OwnSeverity = given, v.Severity
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}
