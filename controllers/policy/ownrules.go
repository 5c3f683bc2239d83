package policy

import (
	"maps"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/userrules"
)

// ownRules are the rules that a policy adds to those of the product.
type ownRules struct {
	compiled []userrules.Compiled
	// problems are the rules that cannot be understood.
	problems []ruleProblem
}

type ruleProblem struct {
	rule userrules.Rule
	err  error
}

// compileRules understands a policy's own rules, each for itself: one that is wrong leaves the others alone.
// A rule of one figure takes 0.1 ms, a long one of lists 0.5 ms, so that none is kept from one reconcile to the next.
func compileRules(environment *userrules.Environment, spec *v1alpha1.AuditSpec) ownRules {
	var rules ownRules
	if spec == nil {
		return rules
	}
	for _, written := range spec.Rules {
		rule := userrules.Of(written)
		compiled, err := environment.Compile(rule)
		if err != nil {
			rules.problems = append(rules.problems, ruleProblem{rule, err})
			continue
		}
		rules.compiled = append(rules.compiled, compiled)
	}
	return rules
}

// judge returns a verdict for each rule. One that cannot be understood is unknown.
func (o ownRules) judge(in audit.Input) []audit.Verdict {
	var verdicts []audit.Verdict
	for _, rule := range o.compiled {
		verdicts = append(verdicts, rule.Verdict(in))
	}
	for _, problem := range o.problems {
		verdicts = append(verdicts, audit.Verdict{
			Rule: problem.rule.ID(), Title: userrules.Title, Result: audit.Unknown, Message: problem.err.Error(),
		})
	}
	return verdicts
}

// trouble is what keeps rules from being judged until somebody changes the policy.
func (o ownRules) trouble() trouble {
	if len(o.problems) == 0 {
		return trouble{}
	}
	return trouble{v1alpha1.ReasonInvalid, o.problems[0].err.Error()}
}

// gravestOf are the gravest severities that findings have, by the rules' ids, as the policy gives them. What is worth
// knowing only could not make the policy not compliant, so that it does not matter either if too little is known to judge it.
func (s *scope) gravestOf() map[string]audit.Severity {
	gravest := map[string]audit.Severity{}
	for _, rule := range audit.Rules() {
		gravest[rule.ID] = rule.Severity
	}
	for _, rule := range s.rules.compiled {
		gravest[rule.ID()] = rule.Severity
	}
	if s.policy.Spec.Audit != nil {
		maps.Copy(gravest, severitiesOf(s.policy.Spec.Audit))
	}
	return gravest
}

// severitiesOf are the severities that a policy gives the findings of rules.
func severitiesOf(spec *v1alpha1.AuditSpec) map[string]audit.Severity {
	severities := map[string]audit.Severity{}
	for _, given := range spec.Severities {
		severities[given.Rule] = audit.Severity(given.Severity)
	}
	return severities
}
