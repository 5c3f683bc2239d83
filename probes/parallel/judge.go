package parallel

import (
	"math"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
)

const (
	// followedShare of the requests that are due are answered where the target keeps up with them.
	followedShare = 0.9
	// mostLatency is by what a median may grow over that of one connection.
	mostLatency = 1.5
	// mostBusy is how much of the time the probe's own thread may be at work before what it sees may be its own doing.
	mostBusy = 0.7
	// mostDelayed is how much of the time the thread may wait for a processor. What is dammed up meanwhile drains in the
	// part of the time that busyShare leaves, so that less than this keeps fewer than half of the requests waiting, and
	// the median is not its doing.
	mostDelayed = (1 - busyShare) / 2
	// blocks of a level are what its rate of answers is known from, and how well.
	blocks = 10
)

// Why the climb ends, beside a status.
const (
	stoppedByKnee    = "knee"
	stoppedByLatency = "latency"
	stoppedByErrors  = "errors"
	stoppedByLimit   = "limit"
	stoppedByProbe   = "probe"
)

// figures are what a level showed. Times are in microseconds, rates per second.
type figures struct {
	offered, answered float64
	// rateLow and rateHigh bound the median of the rates in the level's blocks, p50Low and p50High that of the times.
	rateLow, rateHigh float64
	p50, p99          float64
	p50Low, p50High   float64
	// busy is the share of the time that the probe's thread was at work, delayed that in which it waited for a processor.
	busy, delayed float64
}

// figures sums a level up. It returns false if there are too few answers to know anything.
func (l *level) figures() (figures, bool) {
	f := figures{offered: float64(l.taken) / l.length.Seconds()}
	times := stats.Summarise(l.took)
	if times == nil || times.P50Low == nil {
		return figures{}, false
	}
	f.busy, f.delayed = 1-l.waited.Seconds()/l.length.Seconds(), l.delayed.Seconds()/l.length.Seconds()
	f.p50, f.p99, f.p50Low, f.p50High = times.P50, times.P99, *times.P50Low, *times.P50High
	var counts [blocks]float64
	var first, last time.Duration
	within := 0
	for _, at := range l.answers {
		if at >= l.length {
			continue
		}
		if within == 0 {
			first = at
		}
		within, last = within+1, at
		counts[int(blocks*at/l.length)]++
	}
	// Between the first answer and the last there is one interval less than there are answers.
	if last > first {
		f.answered = float64(within-1) / (last - first).Seconds()
	}
	for i := range counts {
		counts[i] *= blocks / l.length.Seconds()
	}
	slices.Sort(counts[:])
	f.rateLow, f.rateHigh, _ = stats.MedianInterval(counts[:])
	return f, true
}

// judge says why more connections than this level's are of no use: they bring no more answers, or each comes later. It is
// empty if they may be. single is what one connection showed, before what half as many did.
//
// Answers that keep up with what is due are a gain, since more was due than before. Only where they do not, the rates
// themselves decide, and a difference within their noise is none. A probe that has more to do than it can says so instead.
func judge(single, before, this figures) string {
	noGain := this.answered < followedShare*this.offered && this.rateLow <= before.rateHigh
	late := this.p50Low > mostLatency*single.p50High
	switch {
	case (noGain || late) && (this.busy > mostBusy || this.delayed > mostDelayed):
		return stoppedByProbe
	case noGain:
		return stoppedByKnee
	case late:
		return stoppedByLatency
	}
	return ""
}

// worse joins two looks at one connection: what is not beyond doubt in both of them does not count as the load's doing.
func worse(a, b figures) figures {
	a.p50High = math.Max(a.p50High, b.p50High)
	return a
}

// report is a level as the result has it.
func (f figures) report(connections, errors int) result.ParallelLevel {
	return result.ParallelLevel{
		Connections: connections, OfferedPerSecond: f.offered, RequestsPerSecond: f.answered,
		P50Microseconds: f.p50, P99Microseconds: f.p99, Errors: errors,
	}
}
