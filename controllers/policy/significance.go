package policy

import (
	"maps"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/clip"
)

const (
	// writeAtLeast is how old a report may become while nothing significant happens.
	writeAtLeast = time.Hour
	// figuresApart is the least time between two writes for figures alone. Verdicts, pods and settings are told at once.
	figuresApart = time.Minute
	// changePercent is the relative change of a figure that is significant, if it is above the figure's own floor too:
	// small figures jitter more, and the 99th percentile of a run's samples is not much more than their maximum.
	changePercent = 15

	floorMicroseconds = 50
	floorPercent      = 2
	floorRate         = 5
	floorRequests     = 1
	floorSeconds      = 1
	floorSegments     = 1
	// floorStall is the least that a delayed acknowledgment costs on Linux (TCP_DELACK_MIN is 40 ms), halved.
	floorStall = 20_000
)

// significant says whether next is worth writing over old.
func significant(old, next *v1alpha1.ConnectionReportStatus, now time.Time) bool {
	if old.ObservedTime == nil {
		return true
	}
	age := now.Sub(old.ObservedTime.Time)
	return age >= writeAtLeast ||
		verdictsDiffer(old.Judgements(), next.Judgements()) ||
		targetDiffers(old.Target, next.Target) ||
		vantagesDiffer(old.Vantages, next.Vantages) ||
		observersDiffer(old.Observers, next.Observers) ||
		drainsDiffer(old.Drains, next.Drains) ||
		age >= figuresApart && (figuresDiffer(old.KeyFigures, next.KeyFigures) || portsDiffer(old.Observers, next.Observers))
}

// verdictsDiffer looks at what the rules say, not at the figures in their messages, nor at how much room there was for a
// cure.
func verdictsDiffer(old, next []v1alpha1.Verdict) bool {
	return !slices.EqualFunc(old, next, func(a, b v1alpha1.Verdict) bool {
		return a.Rule == b.Rule && a.Result == b.Result && a.Severity == b.Severity && a.OwnSeverity == b.OwnSeverity &&
			(a.Cure == "" || b.Cure == "" || clip.Same(a.Cure, b.Cure))
	})
}

func figuresDiffer(old, next *v1alpha1.KeyFigures) bool {
	if old == nil || next == nil {
		return old != next
	}
	before, after := listed(*old), listed(*next)
	for i := range before {
		if moved(before[i].value, after[i].value, before[i].floor) {
			return true
		}
	}
	return false
}

func targetDiffers(old, next *v1alpha1.ReportTarget) bool {
	if old == nil || next == nil {
		return old != next
	}
	return old.Name != next.Name || old.URL != next.URL || old.Key != next.Key || !slices.Equal(old.Addresses, next.Addresses)
}

func vantagesDiffer(old, next []v1alpha1.Vantage) bool {
	return !slices.EqualFunc(old, next, func(a, b v1alpha1.Vantage) bool {
		return a.Node == b.Node && a.Outcome == b.Outcome && a.Kernel == b.Kernel
	})
}

func observersDiffer(old, next []v1alpha1.ObserverReading) bool {
	return !slices.EqualFunc(old, next, func(a, b v1alpha1.ObserverReading) bool {
		return a.Pod == b.Pod && a.Tuning == b.Tuning && a.Outcome == b.Outcome &&
			maps.Equal(a.Sysctls, b.Sysctls) && slices.Equal(a.ListeningPorts, b.ListeningPorts) &&
			known(a.PortsInUsePeak) == known(b.PortsInUsePeak)
	})
}

// portsDiffer compares the figures of pods that observersDiffer finds the same.
func portsDiffer(old, next []v1alpha1.ObserverReading) bool {
	return !slices.EqualFunc(old, next, func(a, b v1alpha1.ObserverReading) bool {
		return !moved(a.PortsAvailable, b.PortsAvailable, 0) &&
			!moved(a.PortsInUsePeak, b.PortsInUsePeak, portsFloor(a.PortsAvailable)) &&
			!moved(a.ConnectionsPerSecond, b.ConnectionsPerSecond, floorRate)
	})
}

func known(figure *int32) bool { return figure != nil }

// portsFloor is the number of ports that makes floorPercent of those available.
func portsFloor(available *int32) int32 {
	if available == nil {
		return 0
	}
	return *available * floorPercent / 100
}

// moved says whether a figure became known or unknown, or changed by changePercent or more and by more than floor.
func moved[T int32 | int64](old, next *T, floor T) bool {
	if old == nil || next == nil {
		return old != next
	}
	change := max(*old, *next) - min(*old, *next)
	return change > floor && change*100 >= max(*old, *next)*changePercent
}
