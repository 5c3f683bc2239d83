package observer

import (
	"slices"
	"time"
)

const (
	// recentPeriod is the shortest time that the counts of late are of, once the observer has looked for as long; markEvery is
	// how often what was counted is noted, and so how much longer it can be.
	recentPeriod = time.Hour
	markEvery    = 10 * time.Minute
)

// mark is what had been counted at one time. What each group had counted stands in the group, and goes with it.
type mark struct {
	at            time.Time
	looks, opened int64
	// counters are the kernel's. Nil if they could not be read.
	counters map[string]int64
}

// pastTotals are those of a group at a mark.
type pastTotals struct {
	at     time.Time
	totals totals
}

// noteMark notes what has been counted, if that was long enough ago, and forgets what is older than counts of late need. It
// keeps seven marks at the most.
func (o *Observer) noteMark(now time.Time) {
	last := o.began
	if len(o.marks) > 0 {
		last = o.marks[len(o.marks)-1]
	}
	if now.Sub(last.at) < markEvery {
		return
	}
	o.marks = append(o.marks, mark{at: now, looks: o.ledger.looks, opened: o.ledger.opened(), counters: o.counters})
	for len(o.marks) > 1 && now.Sub(o.marks[1].at) >= recentPeriod {
		o.marks = o.marks[1:]
	}
	o.ledger.eachGroup(func(g *group) { g.noteTotals(now, o.marks[0].at) })
}

// recently is the mark since which counts are of late: recentPeriod ago or somewhat more, or when the observer began.
func (o *Observer) recently(now time.Time) mark {
	if len(o.marks) > 0 && now.Sub(o.marks[0].at) >= recentPeriod {
		return o.marks[0]
	}
	return o.began
}

// noteTotals notes them, and forgets those before the oldest mark.
func (g *group) noteTotals(at, oldest time.Time) {
	g.past = slices.DeleteFunc(g.past, func(past pastTotals) bool { return past.at.Before(oldest) })
	g.past = append(g.past, pastTotals{at, g.total})
}

// counted returns the group with what it counted since a mark as its totals. One that came later has counted all of it since.
func (g *group) counted(from mark) *group {
	counted, before := *g, totals{}
	for _, past := range g.past {
		if past.at.Equal(from.at) {
			before = past.totals
		}
	}
	counted.total = g.total.since(before)
	return &counted
}

// since returns by how much totals grew. What turns out to have been counted for the wrong group is taken back (ledger.move),
// so that a count can be lower than before: then nothing is known to have been added. A connection that began before and
// failed since, or of which it showed late that this side had closed it, is left out, so that a part is never more than the
// whole.
func (t totals) since(before totals) totals {
	grown := func(now, then int64) int64 { return max(0, now-then) }
	opened, closed := grown(t.opened, before.opened), grown(t.closed, before.closed)
	return totals{
		opened: opened, failed: min(opened, grown(t.failed, before.failed)),
		closed: closed, openBefore: min(closed, grown(t.openBefore, before.openBefore)),
		closedHere:     min(closed, grown(t.closedHere, before.closedHere)),
		singleExchange: min(closed, grown(t.singleExchange, before.singleExchange)),
		retransmitted:  grown(t.retransmitted, before.retransmitted),
		samples:        grown(t.samples, before.samples), inFlight: grown(t.inFlight, before.inFlight), held: grown(t.held, before.held),
		zeroWindow: grown(t.zeroWindow, before.zeroWindow), open: grown(t.open, before.open),
		ends: t.ends.Since(before.ends),
	}
}
