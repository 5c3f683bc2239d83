package policy

import (
	"encoding/json"
	"slices"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

// reportBytes bounds the status of a report: under 16 KiB with what the API server adds, and with the longest names.
const reportBytes = 14<<10 + 1<<9

// fit makes a report's status small enough to be stored by the thousand, in steps, each taken only if the one before was not
// enough. First goes what can be read elsewhere: titles and the words of rules that have nothing to say here are in the
// registry, a figure's spread is in the vantages, and much of what a second vantage measured stands in the first. Then the
// words of rules that are met, then those of what is unknown. What explains a finding stays longest, and that of an error
// longer than that of a warning. The result of every rule stays; so does what the observers saw, by which settings are
// changed, and the whole history, by which growth is judged, and the last drain: nobody can measure them again. What the
// probes measured, which the rules judge again after a restart, gives way only to what no set of rules brings about.
func fit(status v1alpha1.ConnectionReportStatus) v1alpha1.ConnectionReportStatus {
	status.Verdicts, status.Vantages = slices.Clone(status.Verdicts), slices.Clone(status.Vantages)
	for _, sacrifice := range sacrifices() {
		if size(status) <= reportBytes {
			return status
		}
		sacrifice(&status)
	}
	for size(status) > reportBytes {
		if !dropMeasurements(&status) {
			break
		}
	}
	return status
}

// sacrifices in their order.
func sacrifices() []func(*v1alpha1.ConnectionReportStatus) {
	const pass, unknown, notApplicable = v1alpha1.VerdictPass, v1alpha1.VerdictUnknown, v1alpha1.VerdictNotApplicable
	return []func(*v1alpha1.ConnectionReportStatus){
		verdictsOf(is(pass, unknown, notApplicable, v1alpha1.VerdictDisabled), withoutTitle),
		verdictsOf(is(pass, unknown, notApplicable), withoutEvidence),
		verdictsOf(is(v1alpha1.VerdictDisabled), bare),
		nameNotApplicable,
		func(s *v1alpha1.ConnectionReportStatus) { s.Spread = differing(s.Spread) },
		verdictsOf(is(pass), words(80, 0)),
		func(s *v1alpha1.ConnectionReportStatus) { vantage.Shorten(s.Vantages) },
		func(s *v1alpha1.ConnectionReportStatus) { s.Drains = s.Drains[:min(len(s.Drains), 1)] },
		verdictsOf(is(unknown), words(160, 0)),
		namePassed,
		verdictsOf(is(unknown), words(80, 0)),
		verdictsOf(is(v1alpha1.VerdictFail), withoutEvidence),
		func(s *v1alpha1.ConnectionReportStatus) { s.WorstFinding = clip.To(s.WorstFinding, 160) },
		verdictsOf(finding(v1alpha1.SeverityInfo), words(240, 80)), // the registry has the rest of a cure
		verdictsOf(finding(v1alpha1.SeverityWarning), words(512, 160)),
		nameUnknown,
		verdictsOf(finding(v1alpha1.SeverityInfo), words(120, 0)),
		verdictsOf(finding(v1alpha1.SeverityWarning), words(240, 160)),
		verdictsOf(finding(v1alpha1.SeverityError), words(240, 160)),
		verdictsOf(finding(v1alpha1.SeverityInfo), bare),
		func(s *v1alpha1.ConnectionReportStatus) { s.Spread, s.Path, s.Delta = nil, nil, nil },
		fewerVantages,
		verdictsOf(finding(v1alpha1.SeverityWarning), words(120, 80)),
		verdictsOf(finding(v1alpha1.SeverityError), words(120, 80)),
		verdictsOf(finding(v1alpha1.SeverityWarning), bare),
		verdictsOf(finding(v1alpha1.SeverityError), bare),
		func(s *v1alpha1.ConnectionReportStatus) {
			eachVantage(s, func(v *v1alpha1.Vantage) bool { vantage.DropSysctls(v); return true })
		},
	}
}

// verdictsOf changes some of the verdicts.
func verdictsOf(some func(v1alpha1.Verdict) bool, change func(*v1alpha1.Verdict)) func(*v1alpha1.ConnectionReportStatus) {
	return func(s *v1alpha1.ConnectionReportStatus) {
		for i := range s.Verdicts {
			if some(s.Verdicts[i]) {
				change(&s.Verdicts[i])
			}
		}
	}
}

// is tells verdicts of these results.
func is(results ...v1alpha1.VerdictResult) func(v1alpha1.Verdict) bool {
	return func(v v1alpha1.Verdict) bool { return slices.Contains(results, v.Result) }
}

// finding tells findings of a severity.
func finding(severity v1alpha1.Severity) func(v1alpha1.Verdict) bool {
	return func(v v1alpha1.Verdict) bool { return v.Result == v1alpha1.VerdictFail && v.Severity == severity }
}

func withoutEvidence(v *v1alpha1.Verdict) { v.Evidence = nil }

func withoutTitle(v *v1alpha1.Verdict) { v.Title = "" }

// words cuts what a verdict says to so many bytes.
func words(message, cure int) func(*v1alpha1.Verdict) {
	return func(v *v1alpha1.Verdict) {
		v.Message, v.Cure = clip.To(v.Message, message), clip.To(v.Cure, cure)
	}
}

// bare leaves of a verdict its rule, its result and its severities.
func bare(v *v1alpha1.Verdict) {
	*v = v1alpha1.Verdict{Rule: v.Rule, Result: v.Result, Severity: v.Severity, OwnSeverity: v.OwnSeverity}
}

// differing are the figures that are not the same on all nodes.
func differing(spread []v1alpha1.FigureSpread) []v1alpha1.FigureSpread {
	var list []v1alpha1.FigureSpread
	for _, f := range spread {
		if f.Differs != "" {
			list = append(list, f)
		}
	}
	return list
}

// namePassed, nameUnknown and nameNotApplicable leave of verdicts the names of their rules, in a list.
func namePassed(s *v1alpha1.ConnectionReportStatus) {
	s.Passed = append(s.Passed, takeOut(s, v1alpha1.VerdictPass)...)
}

func nameUnknown(s *v1alpha1.ConnectionReportStatus) {
	verdictsOf(is(v1alpha1.VerdictUnknown), bare)(s) // those that remember a finding stay
	s.Unknown = append(s.Unknown, takeOut(s, v1alpha1.VerdictUnknown)...)
}

func nameNotApplicable(s *v1alpha1.ConnectionReportStatus) {
	s.NotApplicable = append(s.NotApplicable, takeOut(s, v1alpha1.VerdictNotApplicable)...)
}

// takeOut takes the verdicts of a result that have no severity out of the report, and returns their rules.
func takeOut(s *v1alpha1.ConnectionReportStatus, result v1alpha1.VerdictResult) (rules []string) {
	var kept []v1alpha1.Verdict
	for _, v := range s.Verdicts {
		if v.Result == result && v.Severity == "" {
			rules = append(rules, v.Rule)
			continue
		}
		kept = append(kept, v)
	}
	s.Verdicts = kept
	return rules
}

// fewerVantages keeps of those that measured anything as many as a run needs.
func fewerVantages(s *v1alpha1.ConnectionReportStatus) {
	measured := 0
	s.Vantages = slices.DeleteFunc(vantage.Whole(s.Vantages), func(v v1alpha1.Vantage) bool {
		if v.Outcome == string(result.Measured) {
			measured++
		}
		return v.Outcome == string(result.Measured) && measured > vantagesPerRun
	})
	vantage.Shorten(s.Vantages)
}

// dropMeasurements takes the measurement that explains least out of each vantage, and says whether there was one.
func dropMeasurements(s *v1alpha1.ConnectionReportStatus) bool {
	return eachVantage(s, vantage.DropMeasurement)
}

// eachVantage changes every vantage as it is when it is whole, and says whether any changed.
func eachVantage(s *v1alpha1.ConnectionReportStatus, change func(*v1alpha1.Vantage) bool) bool {
	changed := false
	s.Vantages = vantage.Whole(s.Vantages)
	for i := range s.Vantages {
		changed = change(&s.Vantages[i]) || changed
	}
	vantage.Shorten(s.Vantages)
	return changed
}

// size is the length of the status as it is sent. A status always marshals: it has neither channels nor functions.
func size(status v1alpha1.ConnectionReportStatus) int {
	text, err := json.Marshal(status)
	if err != nil {
		return reportBytes + 1
	}
	return len(text)
}
