package observer

import (
	"time"
)

// timeWaitLength is how long Linux keeps TIME_WAIT (include/net/tcp.h, TCP_TIMEWAIT_LEN).
const timeWaitLength = 60 * time.Second

// A socket comes into TIME_WAIT while the kernel lists the others, before or after its own turn, and the kernel's clock for
// it ticks coarsely. So those that came up to edge before the last census count too, unless their names stand in accounts,
// which keeps those that were listed then and were not much older than that.
const (
	edge     = 2 * time.Second
	keptEdge = 3 * time.Second
)

// account is a connection that is counted already and may still be seen in TIME_WAIT, or has been.
type account struct {
	accepted bool
	// listed: it was seen in TIME_WAIT. told: its end was told, or seen.
	listed, told bool
	// at is when it was counted.
	at time.Time
}

// takeCensus counts the remainders of connections, and with them the local ports held.
func (l *ledger) takeCensus(seen *look, chosen *chosenPorts) {
	l.eachGroup(func(g *group) { g.ports.held, g.ports.timeWait, g.ports.otherParity = g.now.full, 0, 0 })
	for _, c := range l.connections {
		if c.look == l.looks && chosen.triedLast(c.localPort) {
			c.group.ports.otherParity++
		}
	}
	kept := l.accountsSince(seen.at.Add(-edge))
	l.timeWaitUnknown = 0
	for _, r := range seen.remainders {
		known, counted := l.accounts[r.tuple]
		switch {
		case counted:
		case l.accepts(r.localPort):
			known.accepted = true
		case chosen != nil && !chosen.Contains(int(r.localPort)):
			if r.timeWait {
				l.timeWaitUnknown++
			}
			continue
		}
		g := l.groupOf(known.accepted, r.tuple)
		g.used = seen.at
		g.ports.held++
		if r.timeWait {
			g.ports.timeWait++
		}
		if chosen.triedLast(r.localPort) {
			g.ports.otherParity++
		}
		if !counted && seen.endsTold && !seen.last && !l.censusAt.IsZero() && r.timeWait && r.age < toldWithin {
			// Its end may be told in a moment; the next census counts it if not.
			continue
		}
		if l.countRemainder(g, r, known, counted, seen.at) {
			known.listed, known.at = r.timeWait, seen.at
			kept[r.tuple] = known
		}
	}
	l.eachGroup(func(g *group) {
		g.ports.remember(seen.at)
		g.ports.noteParity(chosen)
		g.opens.update(seen.at, g.total.opened, l.censusAt)
	})
	l.accounts, l.censusAt, l.widest = kept, seen.at, 0
	l.forget(seen.at)
}

// accountsSince returns the accounts of what ended so late that the census may have come too early to list it.
func (l *ledger) accountsSince(at time.Time) map[tuple]account {
	late := map[tuple]account{}
	for name, a := range l.accounts {
		if a.told && a.at.After(at) {
			late[name] = a
		}
	}
	return late
}

// countRemainder counts a remainder that came since the last census, and says whether the next census must know of it.
func (l *ledger) countRemainder(g *group, r remainder, known account, counted bool, at time.Time) bool {
	if r.timeWait && r.age >= keptEdge && (l.censusAt.IsZero() || r.age >= at.Sub(l.censusAt)+edge) {
		return false
	}
	if l.censusAt.IsZero() {
		// It ended before the observer began.
		return true
	}
	if isNew := !r.timeWait || r.age < at.Sub(l.censusAt)+edge; isNew && !counted {
		l.countUnseen(g, r, known.accepted, at)
	}
	if r.timeWait && r.age < at.Sub(l.censusAt)+edge && !known.listed {
		g.total.closedHere++
	}
	return !r.timeWait || r.age < keptEdge
}

// countUnseen counts a connection of which nothing was seen but its remainder: it opened and ended between two looks.
func (l *ledger) countUnseen(g *group, r remainder, accepted bool, at time.Time) {
	closed := at
	if r.timeWait {
		closed = at.Add(-r.age)
	}
	g.total.opened++
	g.total.closed++
	c := record{opened: closed, earlier: l.widest, closed: closed, sent: unknown, received: unknown, exchanges: unknown}
	g.records.add(c)
	if l.ended != nil {
		l.ended(logged(r.tuple, accepted, c))
	}
}

// forget drops the groups that have had no socket for as long as a peak lasts.
func (l *ledger) forget(at time.Time) {
	for destination, g := range l.outgoing {
		if at.Sub(g.used) > peakPeriod && g.peakGone() {
			l.openedForgotten += g.total.opened
			delete(l.outgoing, destination)
		}
	}
	for port, g := range l.accepted {
		if at.Sub(g.used) > peakPeriod && !l.listening[port] {
			delete(l.accepted, port)
		}
	}
	for address := range l.peaks {
		if _, listened := l.queues[address]; !listened {
			delete(l.peaks, address)
		}
	}
}

func (g *group) peakGone() bool { return g.ports.peak() == 0 }
