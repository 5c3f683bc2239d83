package smallwrites

import (
	"slices"

	"github.com/connpolicy/connpolicy/probes/stats"
)

const (
	// leastStall and mostStall, in microseconds, bound what a delayed acknowledgment can cost: Linux delays by 40 to 200 ms
	// (include/net/tcp.h, TCP_DELACK_MIN and TCP_DELACK_MAX), give or take a tick and a busy machine.
	leastStall = 30_000
	mostStall  = 220_000
)

// samples are the requests of both kinds, in microseconds, and the data segments of the responses to the delayed ones.
type samples struct {
	delayed, quick []float64
	segments       []float64
}

func (s *samples) add(quick bool, one sample) {
	if quick {
		s.quick = append(s.quick, one.took)
		return
	}
	s.delayed = append(s.delayed, one.took)
	s.segments = append(s.segments, float64(one.segments))
}

// stall is the median with delayed acknowledgments less the one with immediate ones, if the mechanism is seen; else zero.
// It is seen where both medians are apart beyond doubt and by as much as acknowledgments are delayed, and the response came
// in pieces, without which nothing was held back. With too few samples known is false.
func (s *samples) stall() (microseconds float64, known bool) {
	delayed, quick := slices.Sorted(slices.Values(s.delayed)), slices.Sorted(slices.Values(s.quick))
	delayedLow, _, delayedKnown := stats.MedianInterval(delayed)
	_, quickHigh, quickKnown := stats.MedianInterval(quick)
	if !delayedKnown || !quickKnown {
		return 0, false
	}
	difference := stats.Quantile(delayed, 0.5) - stats.Quantile(quick, 0.5)
	segments := stats.Quantile(slices.Sorted(slices.Values(s.segments)), 0.5)
	// Each piece but the first may wait for an acknowledgment of its own.
	if delayedLow <= quickHigh || difference < leastStall || difference > mostStall*(segments-1) {
		return 0, true
	}
	return difference, true
}
