package audit

import "fmt"

const (
	portWarningPercent = 50
	portErrorPercent   = 90
)

func portHeadroom() Rule {
	return Rule{
		ID: "CP401", Title: "Local ports towards one destination are running short",
		Category: CategoryPorts, Severity: Error,
		Needs: []string{"observer"},
		Why:   "Every connection to one address and port holds a local port.",
		Cures: []string{"Reuse connections."},
		judge: judgePortHeadroom,
	}
}

func judgePortHeadroom(in Input) judgement {
	uses := PortUses(in)
	if len(uses) == 0 {
		return judgement{result: Unknown, message: "No observer has seen the workload's ports."}
	}
	fullest := uses[0]
	for _, u := range uses[1:] {
		if u.percent() > fullest.percent() {
			fullest = u
		}
	}
	message := fmt.Sprintf("Pod %s holds %d of %d local ports towards %s.", fullest.Pod, fullest.InUsePeak, fullest.Available, fullest.Address)
	switch percent := fullest.percent(); {
	case percent >= portErrorPercent:
		return judgement{result: Fail, severity: Error, message: message}
	case percent >= portWarningPercent:
		return judgement{result: Fail, severity: Warning, message: message}
	}
	return judgement{result: Pass, message: message}
}
