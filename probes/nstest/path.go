package nstest

import (
	"math/rand/v2"
	"time"
)

// path is one way over a link: it decides, packet by packet, what becomes of it and when it arrives.
type path struct {
	loss, reordering *rand.Rand
	// free is when the line has sent everything that waits for its turn.
	free time.Time
}

// newPath has its own random numbers for each purpose and direction, so that the fate of the n-th packet does not depend
// on what happens the other way, nor on other options.
func newPath(seed uint64, direction Direction) path {
	stream := uint64(direction) << 1
	return path{
		loss:       rand.New(rand.NewPCG(seed, stream)),   //nolint:gosec // to be repeatable, not secret
		reordering: rand.New(rand.NewPCG(seed, stream+1)), //nolint:gosec // as above
	}
}

type fate int

const (
	carried fate = iota
	carriedLate
	lost
	overflowed
)

// send decides about a packet that reaches the path now.
func (p *path) send(o *LinkOptions, now time.Time, packetBytes int) (arrival time.Time, f fate) {
	// Both are drawn for every packet, whatever becomes of it.
	isLost, isLate := p.loss.Float64() < o.LossProbability, p.reordering.Float64() < o.ReorderProbability
	if isLost {
		return time.Time{}, lost
	}
	arrival = now
	if o.BitsPerSecond > 0 {
		if p.free.Before(now) {
			p.free = now
		}
		waitingBytes := p.free.Sub(now).Seconds() * float64(o.BitsPerSecond) / 8
		if waitingBytes+float64(packetBytes) > float64(o.queueBytes()) {
			return time.Time{}, overflowed
		}
		p.free = p.free.Add(time.Duration(float64(packetBytes) * 8 / float64(o.BitsPerSecond) * float64(time.Second)))
		arrival = p.free
	}
	arrival = arrival.Add(o.Delay)
	if isLate {
		return arrival.Add(o.ReorderDelay), carriedLate
	}
	return arrival, carried
}
