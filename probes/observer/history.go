package observer

import (
	"net/netip"
	"time"
)

// peakPeriod is how far back a peak looks.
const peakPeriod = 5 * time.Minute

// peaks remembers the ports held by each destination over the last peakPeriod.
type peaks map[netip.AddrPort][]heldPorts

type heldPorts struct {
	at    time.Time
	ports int
}

// remember adds the fullest destinations of a census and forgets what is older than peakPeriod.
func (p peaks) remember(c census, maximum int) {
	for _, destination := range c.fullest(maximum) {
		p[destination] = append(p[destination], heldPorts{c.at, c.destinations[destination].ports})
	}
	for destination, held := range p {
		for len(held) > 0 && c.at.Sub(held[0].at) > peakPeriod {
			held = held[1:]
		}
		if len(held) == 0 {
			delete(p, destination)
		} else {
			p[destination] = held
		}
	}
}

// of returns the highest number of ports that a destination held.
func (p peaks) of(destination netip.AddrPort) int {
	highest := 0
	for _, held := range p[destination] {
		highest = max(highest, held.ports)
	}
	return highest
}

// openings follows a counter of connections opened and tells its rate over a window.
type openings struct {
	window  time.Duration
	samples []openingSample
}

type openingSample struct {
	at    time.Time
	count int64
}

// add appends a reading and forgets those that no window needs any more.
func (o *openings) add(at time.Time, count int64) {
	o.samples = append(o.samples, openingSample{at, count})
	for len(o.samples) > 2 && at.Sub(o.samples[1].at) >= o.window {
		o.samples = o.samples[1:]
	}
}

// perSecond returns the rate over the last window; ok is false until there were readings for a whole one.
func (o *openings) perSecond() (rate float64, ok bool) {
	if len(o.samples) < 2 {
		return 0, false
	}
	first, last := o.samples[0], o.samples[len(o.samples)-1]
	elapsed := last.at.Sub(first.at)
	if elapsed < o.window {
		return 0, false
	}
	return float64(last.count-first.count) / elapsed.Seconds(), true
}

// last returns the newest reading; ok is false if there is none.
func (o *openings) last() (count int64, ok bool) {
	if len(o.samples) == 0 {
		return 0, false
	}
	return o.samples[len(o.samples)-1].count, true
}
