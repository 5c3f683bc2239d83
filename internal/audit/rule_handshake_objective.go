package audit

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// objectiveShare is the share of connects that may take longer than a 99th percentile.
const objectiveShare = 0.01

// PoolAge is for how long the connects of a run count for an objective. A day holds what load goes up and down by itself;
// what is older tells of another time.
const PoolAge = 24 * time.Hour

func handshakeObjective() Rule {
	return Rule{
		ID: "CP103", Title: "The 99th percentile of connect() misses its objective",
		Category: CategorySetup, Severity: Warning, Needs: []string{needHandshake},
		AppliesNot: "Policies without the objective handshakeP99Microseconds, or that do not ask for the measurement handshake.",
		Why: "You set the objective handshakeP99Microseconds; it is judged by the exact binomial distribution with 95 % confidence, " +
			"over the results of the last 24 hours, the newest 40 at the most. It takes 299 connects to prove that it is met if none is above it, and 473 if one is. " +
			"The probe makes 299 from each node if its limits allow it; else the runs bring them together.",
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
	var last connectPool
	measured := perFigures(in, handshakeSource(), func(p ProbeResult, h *result.Handshake) judgement {
		if h.ConnectMicroseconds == nil || h.Samples == 0 {
			return unknown("No connection was made.")
		}
		last.add(p.Node, exceeding(h, objective))
		return pass("", nil)
	})
	if measured.result != Pass {
		return measured
	}
	pool := poolOf(in)
	if pool.results == 0 {
		pool = last
	}
	all, evidence := pool.all(), pool.all().evidence(objective)
	evidence["results"] = strconv.Itoa(pool.results)
	if p99 := Figures(in).HandshakeP99Microseconds; p99 != nil {
		evidence["lastP99Microseconds"] = strconv.FormatInt(*p99, 10)
	}
	switch missing := pool.missing(); {
	case len(missing) > 0 && len(missing) < len(pool.nodes):
		n := missing[0]
		evidence["node"] = n.node
		return fail(Warning, fmt.Sprintf("From node %s at least %s of %s connects%s took longer than the objective of %s, which allows one in a hundred.",
			n.node, figure.Count(n.atLeast), figure.Count(n.samples), pool.over(), figure.Microseconds(objective)), evidence, 0)
	case all.missesAmong(1):
		return fail(Warning, fmt.Sprintf("At least %s of %s connects%s, over all vantages, took longer than the objective of %s, which allows one in a hundred.",
			figure.Count(all.atLeast), figure.Count(all.samples), pool.over(), figure.Microseconds(objective)), evidence, 0)
	case all.meets():
		return pass(fmt.Sprintf("At most %s of %s connects%s took longer than %s, which proves the objective with 95 %% confidence.",
			figure.Count(all.atMost), figure.Count(all.samples), pool.over(), figure.Microseconds(objective)), evidence)
	}
	needed := samplesToMeet(all.atLeast)
	return unknown(fmt.Sprintf("%s connects%s are too few to prove the objective of %s: with %s above it, %s are needed. The next runs add theirs. %s",
		figure.Count(all.samples), pool.over(), figure.Microseconds(objective), noneOrCount(all.atLeast), figure.Count(needed), limitsFor(needed, in.Probes)))
}

// connectPool is the connects of several results, by the node that they were made from.
type connectPool struct {
	results int
	// began is when the oldest of them came in. Zero: all are of the last run.
	began time.Duration
	nodes []nodeConnects
}

type nodeConnects struct {
	node string
	exceedance
}

// poolOf are the results of the last hours that were counted for the objective that is set.
func poolOf(in Input) connectPool {
	var pool connectPool
	if in.Connects == nil || in.Objectives.HandshakeP99Microseconds == nil || in.Connects.AboveMicroseconds != *in.Objectives.HandshakeP99Microseconds {
		return pool
	}
	for _, c := range in.Connects.Counts {
		if age := in.Now.Sub(c.At); age <= PoolAge {
			pool.add(c.Node, exceedance{samples: c.Connects, atLeast: c.Above, atMost: c.Above})
			pool.began = max(pool.began, age)
		}
	}
	return pool
}

func (p *connectPool) add(node string, e exceedance) {
	p.results++
	i := slices.IndexFunc(p.nodes, func(n nodeConnects) bool { return n.node == node })
	if i < 0 {
		p.nodes = append(p.nodes, nodeConnects{node: node, exceedance: e})
		return
	}
	p.nodes[i].exceedance = p.nodes[i].plus(e)
}

func (p connectPool) all() exceedance {
	var all exceedance
	for _, n := range p.nodes {
		all = all.plus(n.exceedance)
	}
	return all
}

// missing are the nodes from which the objective is missed, each by its own connects.
func (p connectPool) missing() []nodeConnects {
	var missing []nodeConnects
	for _, n := range p.nodes {
		if n.missesAmong(len(p.nodes)) {
			missing = append(missing, n)
		}
	}
	return missing
}

// over says of how many results the connects are, where they are not of one run alone.
func (p connectPool) over() string {
	if p.results <= len(p.nodes) || p.began == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d results of the last %s)", p.results, figure.Lasting(p.began.Seconds()))
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
	return fmt.Sprintf("For all in one run%s, probe.limits.connections has to be %s or more, and so has requestsPerSecond × seconds.", share, figure.Count(connections))
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

func (e exceedance) plus(other exceedance) exceedance {
	return exceedance{samples: e.samples + other.samples, atLeast: e.atLeast + other.atLeast, atMost: e.atMost + other.atMost}
}

// missesAmong says, of one of so many rows of samples, that so many above the limit are too unlikely if one in a hundred were
// allowed to be.
func (e exceedance) missesAmong(rows int) bool {
	return provenAboveAmong(rows, int64(e.atLeast), int64(e.samples), objectiveShare)
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
