package observer

import "time"

// peakPeriod is how far back a peak looks.
const peakPeriod = 5 * time.Minute

// portUse is the local ports that a group held at the last census, and before.
type portUse struct {
	held, timeWait int
	parity
	history []heldPorts
}

type heldPorts struct {
	at    time.Time
	ports int
}

// remember notes what is held and forgets what is older than peakPeriod. Of several in ten seconds it keeps the highest, so
// that the history is short however often it is asked.
func (p *portUse) remember(at time.Time) {
	const resolution = 10 * time.Second
	if last := len(p.history) - 1; last >= 0 && at.Sub(p.history[last].at) < resolution {
		p.history[last].ports = max(p.history[last].ports, p.held)
	} else {
		p.history = append(p.history, heldPorts{at, p.held})
	}
	for len(p.history) > 0 && at.Sub(p.history[0].at) > peakPeriod {
		p.history = p.history[1:]
	}
}

// peak returns the highest number of ports that were held.
func (p *portUse) peak() int {
	highest := p.held
	for _, held := range p.history {
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
