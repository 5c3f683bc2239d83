package policy

import (
	"encoding/json"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// reportBytes bounds the status of a report: under 16 KiB with its metadata.
const reportBytes = 15 << 10

// fit makes a report's status small enough to be stored by the thousand. What explains least goes first: the evidence
// of rules that are met, their words, the oldest history, at last the evidence and the cures of findings. Verdicts and
// figures always stay.
func fit(status v1alpha1.ConnectionReportStatus) v1alpha1.ConnectionReportStatus {
	met := func(v *v1alpha1.Verdict) bool { return v.Result != v1alpha1.VerdictFail }
	sacrifices := []func(){
		func() {
			eachVerdict(&status, func(v *v1alpha1.Verdict) {
				if met(v) {
					v.Evidence = nil
				}
			})
		},
		func() {
			eachVerdict(&status, func(v *v1alpha1.Verdict) {
				if met(v) {
					v.Message = clip(v.Message, 80)
				}
			})
		},
		func() { status.History = status.History[:min(len(status.History), 5)] },
		func() { eachVerdict(&status, func(v *v1alpha1.Verdict) { v.Evidence = nil }) },
		func() { eachVerdict(&status, func(v *v1alpha1.Verdict) { v.Cure = clip(v.Cure, 80) }) },
		func() { eachVerdict(&status, func(v *v1alpha1.Verdict) { v.Message = clip(v.Message, 80) }) },
		func() { eachVerdict(&status, func(v *v1alpha1.Verdict) { v.Cure, v.Title = "", clip(v.Title, 40) }) },
		func() { status.Vantages = status.Vantages[:min(len(status.Vantages), vantagesPerRun)] },
		func() { eachVerdict(&status, func(v *v1alpha1.Verdict) { v.Message = clip(v.Message, 40) }) },
	}
	for _, sacrifice := range sacrifices {
		if size(status) <= reportBytes {
			return status
		}
		sacrifice()
	}
	return status
}

func eachVerdict(status *v1alpha1.ConnectionReportStatus, change func(*v1alpha1.Verdict)) {
	for i := range status.Verdicts {
		change(&status.Verdicts[i])
	}
}

// size is the length of the status as it is sent. A status always marshals: it has neither channels nor functions.
func size(status v1alpha1.ConnectionReportStatus) int {
	text, err := json.Marshal(status)
	if err != nil {
		return reportBytes + 1
	}
	return len(text)
}
