package idle

import (
	"slices"
	"time"
)

const (
	// shortest is the shortest silence that is tried.
	shortest = 500 * time.Millisecond
	// step is the ratio of a rung to the one below it.
	step = 1.25
	// beside is how far the rungs beside a usual cut-off lie from it, as a share of it.
	beside = 0.05
)

// usual are the idle times that servers, load balancers and address translation are often set to.
func usual() []time.Duration {
	return []time.Duration{5 * time.Second, 60 * time.Second, 75 * time.Second, 240 * time.Second, 350 * time.Second, 600 * time.Second, 900 * time.Second}
}

// ladder returns at most count silences to try, ascending, of which the longest is longest: rungs on either side of the
// usual cut-offs, and between them such as grow by a quarter. Where there are more than count, the shorter ones are
// left out first, since the path is asked about the longest silence before all else.
func ladder(longest time.Duration, count int) []time.Duration {
	if longest < shortest || count < 1 {
		return nil
	}
	rungs := []time.Duration{longest}
	for _, cut := range usual() {
		for _, rung := range []time.Duration{scale(cut, 1-beside), scale(cut, 1+beside)} {
			if rung < longest {
				rungs = append(rungs, rung)
			}
		}
	}
	for rung := scale(longest, 1/step); rung >= shortest; rung = scale(rung, 1/step) {
		rungs = append(rungs, rung)
	}
	slices.Sort(rungs)
	rungs = apart(rungs)
	return rungs[max(0, len(rungs)-count):]
}

// apart leaves out rungs that lie closer than beside to the one above them.
func apart(rungs []time.Duration) []time.Duration {
	kept := rungs[:0:0]
	for i, rung := range rungs {
		if i == len(rungs)-1 || rung < scale(rungs[i+1], 1-beside) {
			kept = append(kept, rung)
		}
	}
	return kept
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
