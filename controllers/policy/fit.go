package policy

import (
	"encoding/json"
	"slices"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/internal/vantage"
)

// reportBytes bounds the status of a report: under 16 KiB with its metadata, of which the managed fields are most.
const reportBytes = 14 << 10

// fit makes a report's status small enough to be stored by the thousand. What explains least goes first: the words of
// rules that have nothing to say here and of those that are met, what can be read from the rest, the oldest history, what is
// unknown and why. What explains a finding stays longest, and that of an error longer than that of a warning. The result of every rule stays, and
// so does what the observers saw, by which settings are changed. What the probes measured, which the rules judge again
// after a restart, gives way only to what no set of rules brings about.
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
	return []func(*v1alpha1.ConnectionReportStatus){
		verdictsOf(is(v1alpha1.VerdictPass, v1alpha1.VerdictUnknown, v1alpha1.VerdictNotApplicable), withoutEvidence),
		verdictsOf(is(v1alpha1.VerdictNotApplicable, v1alpha1.VerdictDisabled), bare),
		verdictsOf(is(v1alpha1.VerdictPass), words(80, 0)),
		verdictsOf(is(v1alpha1.VerdictUnknown), words(160, 0)),
		func(s *v1alpha1.ConnectionReportStatus) { s.Spread = differing(s.Spread) }, // the vantages hold the rest
		historyOf(15),
		verdictsOf(is(v1alpha1.VerdictPass), bare),
		historyOf(10),
		verdictsOf(is(v1alpha1.VerdictUnknown), words(80, 0)),
		verdictsOf(is(v1alpha1.VerdictFail), withoutEvidence),
		historyOf(5),
		verdictsOf(finding(v1alpha1.SeverityInfo), words(160, 80)),
		historyOf(2),
		verdictsOf(finding(v1alpha1.SeverityWarning), words(240, 160)),
		verdictsOf(is(v1alpha1.VerdictUnknown), bare),
		verdictsOf(finding(v1alpha1.SeverityError), words(240, 160)),
		verdictsOf(finding(v1alpha1.SeverityInfo), bare),
		func(s *v1alpha1.ConnectionReportStatus) { s.Spread, s.Path, s.Delta = nil, nil, nil },
		func(s *v1alpha1.ConnectionReportStatus) {
			s.Vantages = s.Vantages[:min(len(s.Vantages), vantagesPerRun)]
		},
		verdictsOf(finding(v1alpha1.SeverityWarning), words(120, 80)),
		verdictsOf(finding(v1alpha1.SeverityError), words(120, 80)),
		verdictsOf(finding(v1alpha1.SeverityWarning), bare),
		verdictsOf(finding(v1alpha1.SeverityError), bare),
		func(s *v1alpha1.ConnectionReportStatus) {
			for i := range s.Vantages {
				vantage.DropSysctls(&s.Vantages[i])
			}
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

func historyOf(entries int) func(*v1alpha1.ConnectionReportStatus) {
	return func(s *v1alpha1.ConnectionReportStatus) { s.History = s.History[:min(len(s.History), entries)] }
}

// dropMeasurements takes the measurement that explains least out of each vantage, and says whether there was one.
func dropMeasurements(s *v1alpha1.ConnectionReportStatus) bool {
	dropped := false
	for i := range s.Vantages {
		dropped = vantage.DropMeasurement(&s.Vantages[i]) || dropped
	}
	return dropped
}

// size is the length of the status as it is sent. A status always marshals: it has neither channels nor functions.
func size(status v1alpha1.ConnectionReportStatus) int {
	text, err := json.Marshal(status)
	if err != nil {
		return reportBytes + 1
	}
	return len(text)
}
