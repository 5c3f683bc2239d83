package v1alpha1

import (
	"cmp"
	"slices"
)

// Judgements are the verdicts of all rules, those among them of which the report has no more to say than their result,
// sorted by rule.
func (s *ConnectionReportStatus) Judgements() []Verdict {
	all := slices.Clone(s.Verdicts)
	for result, rules := range map[VerdictResult][]string{VerdictPass: s.Passed, VerdictUnknown: s.Unknown, VerdictNotApplicable: s.NotApplicable} {
		for _, rule := range rules {
			all = append(all, Verdict{Rule: rule, Result: result})
		}
	}
	slices.SortStableFunc(all, func(a, b Verdict) int { return cmp.Compare(a.Rule, b.Rule) })
	return all
}
