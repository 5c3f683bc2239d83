package audit

import (
	"fmt"
	"math"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// objectiveShare is the share of connects that may take longer than a 99th percentile.
const objectiveShare = 0.01

func handshakeObjective() Rule {
	return Rule{
		ID: "CP103", Title: "The 99th percentile of connect() misses its objective",
		Category: CategorySetup, Severity: Warning, Needs: []string{needHandshake},
		AppliesNot: "Policies without the objective handshakeP99Microseconds, or that do not ask for the measurement handshake.",
		Why: "You set the objective handshakeP99Microseconds; it is judged by the exact binomial distribution with 95 % confidence, " +
			"which takes 299 connects, over all vantages, to prove that it is met if none is above it, and 473 if one is. " +
			"The probe makes 299 from each node if its limits allow it.",
		Cures: []string{
			"Compare connect() with the kernel's round trip in the report: if the round trip is as long, the path is; if not, the server is slow to answer SYNs (see CP102). Reused connections pay nothing.",
		},
		Source: "Clopper and Pearson, Biometrika 26 (1934), for the exact bound of a proportion",
		judge:  judgeHandshakeObjective,
	}
}

func judgeHandshakeObjective(in Input) judgement {
	if in.Objectives.HandshakeP99Microseconds == nil {
		return notApplicable("The policy sets no objective handshakeP99Microseconds.")
	}
	objective := float64(*in.Objectives.HandshakeP99Microseconds)
	var pool exceedance
	judged := perFigures(in, handshakeSource(), func(_ ProbeResult, h *result.Handshake) judgement {
		if h.ConnectMicroseconds == nil || h.Samples == 0 {
			return unknown("No connection was made.")
		}
		e := exceeding(h, objective)
		pool = exceedance{samples: pool.samples + e.samples, atLeast: pool.atLeast + e.atLeast, atMost: pool.atMost + e.atMost}
		if e.misses() {
			return fail(Warning, fmt.Sprintf("The 99th percentile of connect() is %s and at least %s of %s connects took longer than the objective of %s, which allows one in a hundred.",
				figure.Microseconds(h.ConnectMicroseconds.P99), figure.Count(e.atLeast), figure.Count(e.samples), figure.Microseconds(objective)), e.evidence(objective), 0)
		}
		return pass("", nil)
	})
	switch {
	case judged.result != Pass:
		return judged
	case pool.misses():
		return fail(Warning, fmt.Sprintf("At least %s of %s connects, over all vantages, took longer than the objective of %s, which allows one in a hundred.",
			figure.Count(pool.atLeast), figure.Count(pool.samples), figure.Microseconds(objective)), pool.evidence(objective), 0)
	case pool.meets():
		return pass(fmt.Sprintf("At most %s of %s connects took longer than %s, which proves the objective with 95 %% confidence.",
			figure.Count(pool.atMost), figure.Count(pool.samples), figure.Microseconds(objective)), pool.evidence(objective))
	}
	needed := samplesToMeet(pool.atLeast)
	tooFew := fmt.Sprintf("%s connects are too few to prove the objective of %s: with %s above it, %s are needed.",
		figure.Count(pool.samples), figure.Microseconds(objective), noneOrCount(pool.atLeast), figure.Count(needed))
	if pool.atLeast == 0 {
		tooFew += " " + limitsFor(needed, in.Probes)
	}
	return unknown(tooFew)
}

// limitsFor says which limits let the probes of a run make so many connects together.
func limitsFor(connects int, probes []ProbeResult) string {
	each := (connects + len(probes) - 1) / len(probes)
	connections := 0
	for _, p := range probes {
		sameRun := p.Result.Measurements
		sameRun.Idle = nil // it has a pod and limits of its own
		connections = max(connections, sameRun.ConnectionsFor(each))
	}
	share := ""
	if len(probes) > 1 {
		share = fmt.Sprintf(", %s from each of %d nodes", figure.Count(each), len(probes))
	}
	return fmt.Sprintf("For that%s, probe.limits.connections has to be %s or more, and so has requestsPerSecond × seconds.", share, figure.Count(connections))
}

func noneOrCount(n int) string {
	if n == 0 {
		return "none"
	}
	return figure.Count(n)
}

// exceedance bounds how many of a number of samples exceed a limit.
type exceedance struct{ samples, atLeast, atMost int }

// exceeding says how many connects exceed limit: as the probe counted them, if it counted for this limit, else as bounded
// by the quantiles.
func exceeding(h *result.Handshake, limit float64) exceedance {
	if counted := h.ConnectAbove; counted != nil && counted.Microseconds == limit {
		return exceedance{samples: counted.Of, atLeast: counted.Got, atMost: counted.Got}
	}
	return bounded(h.ConnectMicroseconds, h.Samples, limit)
}

// bounded reads from the quantiles of a distribution how many of its samples exceed limit. A quantile is a sample by
// nearest rank: of n sorted samples, the q-quantile is number ceil(q×n).
func bounded(d *result.Distribution, samples int, limit float64) exceedance {
	e := exceedance{samples: samples, atMost: samples}
	for _, known := range []struct{ quantile, value float64 }{{0, d.Min}, {0.5, d.P50}, {0.9, d.P90}, {0.99, d.P99}, {1, d.Max}} {
		rank := max(int(math.Ceil(known.quantile*float64(samples))), 1)
		if known.value > limit {
			e.atLeast = max(e.atLeast, samples-rank+1)
		} else {
			e.atMost = min(e.atMost, samples-rank)
		}
	}
	return e
}

// misses says that so many samples above the limit are too unlikely if one in a hundred were allowed to be.
func (e exceedance) misses() bool {
	return provenAbove(int64(e.atLeast), int64(e.samples), objectiveShare)
}

// meets says that so few samples above the limit are too unlikely if more than one in a hundred were.
func (e exceedance) meets() bool {
	return provenBelow(int64(e.atMost), int64(e.samples), objectiveShare)
}

func (e exceedance) evidence(objective float64) map[string]string {
	return map[string]string{
		"samples":               strconv.Itoa(e.samples),
		"samplesAboveAtLeast":   strconv.Itoa(e.atLeast),
		"samplesAboveAtMost":    strconv.Itoa(e.atMost),
		"objectiveMicroseconds": fmt.Sprintf("%.0f", objective),
	}
}

// samplesToMeet returns how many samples prove the objective if above of them exceed it.
func samplesToMeet(above int) int {
	n := above + 1
	for atMost(above, n, objectiveShare) > errorProbability {
		n++
	}
	return n
}
