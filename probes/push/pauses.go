package push

import (
	"sync"
	"time"
)

const (
	// tick is how often it is looked whether this process runs.
	tick = 10 * time.Millisecond
	// pausedBy is a time between two looks that is a pause and no late timer.
	pausedBy = 3 * tick
)

// pause is a time in which this process did not run: its processor was rationed, or the machine was busy.
type pause struct{ from, to time.Time }

// watchPauses looks on until it is told to stop, and then returns the pauses.
func watchPauses() (stop func() []pause) {
	var pauses []pause
	var looking sync.WaitGroup
	done := make(chan struct{})
	last := time.Now()
	look := func() {
		now := time.Now()
		if now.Sub(last) > pausedBy {
			pauses = append(pauses, pause{from: last, to: now})
		}
		last = now
	}
	looking.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				look()
				return
			case <-ticker.C:
				look()
			}
		}
	})
	return func() []pause {
		close(done)
		looking.Wait()
		return pauses
	}
}

// markLate marks what arrived in a pause or just behind it, when all that had come meanwhile was read at once.
func markLate(arrivals []arrival, pauses []pause) {
	for i := range arrivals {
		a := &arrivals[i]
		for _, p := range pauses {
			if !a.at.Before(p.from) && a.at.Before(p.to.Add(lateBy)) {
				a.late = true
			}
		}
	}
}
