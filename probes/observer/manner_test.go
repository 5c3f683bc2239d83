package observer

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

// followed is a ledger that has seen one connection, or none, at a look, and goes on from there.
type followed struct {
	*ledger
	at     time.Time
	aborts aborts
	socket socket
	// untold and uncounted: at the next look some ends are lost, or the kernel's counters cannot be read.
	untold, uncounted bool
}

func follow(accepted bool) *followed {
	f := &followed{ledger: newLedger(), at: time.Unix(1_000_000, 0)}
	f.socket = socket{tuple: life{cookie: 1}.tuple(), cookie: 1, state: sockdiag.Established, told: true}
	f.socket.facts = facts{established: true, surplus: 1, surplusKnown: true}
	if accepted {
		f.socket.localPort, f.socket.surplus = 8080, 0
	}
	f.look(nil)
	return f
}

// look goes on by a second.
func (f *followed) look(endings []ending, sockets ...socket) {
	f.at = f.at.Add(time.Second)
	seen := look{
		at: f.at, withInfo: true, endsTold: true, endsComplete: !f.untold, aborts: f.aborts, abortsKnown: !f.uncounted,
		listening: map[uint16]bool{8080: true}, sockets: sockets,
	}
	f.untold, f.uncounted = false, false
	for i := range endings {
		endings[i].at = f.at
	}
	f.apply(&seen, endings, &chosenPorts{PortRange: procnet.PortRange{Low: 32768, High: 60999}})
}

// ending is what the kernel tells of the connection, changed.
func (f *followed) ending(change func(*ending)) []ending {
	e := ending{socket: f.socket}
	e.state, e.sent, e.received, e.exchanges = sockdiag.Close, 100, 50, 1
	e.sinceSent, e.sinceReceived = 40*time.Millisecond, 20*time.Millisecond
	change(&e)
	return []ending{e}
}

// ends is what was counted of both sides.
func (f *followed) ends() (ends result.Ends, closed int64) {
	var sum totals
	f.eachGroup(func(g *group) { sum.add(g.total) })
	return sum.ends, sum.closed
}

func TestMannerByFigures(t *testing.T) {
	orderly, unanswered, reset := result.Ends{Orderly: 1}, result.Ends{Orderly: 1, Unanswered: 1}, result.Ends{Reset: 1}
	here, silent := result.Ends{ResetHere: 1}, result.Ends{Silent: 1}
	with := func(farewells int64, change func(*ending)) func(*ending) {
		return func(e *ending) { e.surplus += farewells; change(e) }
	}
	asItIs := func(*ending) {}
	for _, c := range []struct {
		name   string
		seen   sockdiag.State
		aborts aborts
		ending func(*ending)
		want   result.Ends
	}{
		{"farewell", 0, aborts{}, with(1, asItIs), orderly},
		{"farewell to one that had closed", sockdiag.CloseWait, aborts{}, with(1, asItIs), orderly},
		{"farewell that nobody answers", 0, aborts{timeouts: 1}, with(1, func(e *ending) { e.retrying = true }), silent},
		{"farewell to one that had closed and is gone", sockdiag.CloseWait, aborts{timeouts: 1}, with(1, func(e *ending) { e.retrying = true }), orderly},
		{"farewell that is answered by a reset at last", 0, aborts{}, with(1, func(e *ending) { e.retrying = true }), orderly},
		{"sent last", 0, aborts{}, with(1, func(e *ending) { e.sinceSent = 16 * time.Millisecond }), unanswered},
		{"sent and received within a tick", 0, aborts{}, with(1, func(e *ending) { e.sinceSent = e.sinceReceived }), orderly},
		{"nothing was ever received", 0, aborts{}, with(1, func(e *ending) { e.received, e.exchanges, e.sinceSent = 1, 0, e.sinceReceived }), unanswered},
		{"nothing was sent", 0, aborts{}, with(1, func(e *ending) { e.sent, e.exchanges, e.sinceSent = 0, 0, 0 }), orderly},
		{"when it sent is not known", 0, aborts{}, with(1, func(e *ending) { e.sinceSent = unknown }), orderly},
		{"when it received is not known", 0, aborts{}, with(1, func(e *ending) { e.sinceReceived = unknown }), orderly},

		{"no farewell", 0, aborts{resets: 1}, asItIs, reset},
		{"no farewell, sent last", 0, aborts{resets: 1}, func(e *ending) { e.sinceSent = 0 }, reset},
		{"no farewell to one that had closed", sockdiag.CloseWait, aborts{resets: 1}, func(e *ending) { e.unread = 1 }, reset},
		{"no answer", 0, aborts{resets: 1, timeouts: 1}, func(e *ending) { e.retrying = true }, silent},
		{"no answer of one that had closed", sockdiag.CloseWait, aborts{resets: 1, timeouts: 1}, func(e *ending) { e.retrying = true }, silent},
		{"another was given up", 0, aborts{resets: 2, timeouts: 1}, asItIs, reset},
		{"a probe is answered by a reset", 0, aborts{resets: 1}, func(e *ending) { e.retrying = true }, reset},
		{"closed with data unread", 0, aborts{resets: 1, unread: 1}, func(e *ending) { e.unread = 500 }, here},
		{"closed with a byte unread", 0, aborts{resets: 1, unread: 1}, func(e *ending) { e.unread = 1 }, here},
		{"reset while data was unread", 0, aborts{resets: 1}, func(e *ending) { e.unread = 500 }, reset},
		{"another was closed with data unread", 0, aborts{resets: 2, unread: 1}, asItIs, reset},

		{"no tcp_info", sockdiag.Established, aborts{resets: 1}, func(e *ending) { e.told = false }, result.Ends{}},
		{"no count of bytes", 0, aborts{resets: 1}, func(e *ending) { e.surplusKnown = false }, result.Ends{}},
		{"a count that cannot be", 0, aborts{resets: 1}, with(5, asItIs), result.Ends{}},
		{"another count that cannot be", 0, aborts{resets: 1}, with(-5, asItIs), result.Ends{}},
	} {
		for _, accepted := range []bool{false, true} {
			for _, before := range []bool{false, true} {
				if c.seen != 0 && !before {
					continue // a look has to see it so
				}
				f := follow(accepted)
				if before {
					s := f.socket
					if c.seen != 0 {
						s.state = c.seen
					}
					f.look(nil, s)
				}
				f.aborts = c.aborts
				f.look(f.ending(c.ending))
				if ends, closed := f.ends(); ends != c.want || closed != 1 {
					t.Errorf("%s (accepted %v, seen before %v): %+v of %d closed, want %+v", c.name, accepted, before, ends, closed, c.want)
				}
			}
		}
	}
}

// All manners of a destination are served once one is known, and none before: no resets and nobody who knows are two things.
func TestMetricsOfEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		k.open(3, payments)
		k.open(2, bank)
		o := newObserver(t, k)
		o.lookAround()
		ends := func(destination, manner string) string {
			return fmt.Sprintf("%s{destination=%q,manner=%q}", result.MetricEnds, destination, manner)
		}
		check(t, scrape(t, o), map[string]string{ends(payments, "orderly"): "", ends(payments, "reset"): ""})
		for i := range 2 {
			ended := k.sockets[i]
			ended.State, ended.Info = sockdiag.Close, infoOf(2, 90, 5000)
			k.told = append(k.told, ended)
		}
		k.sockets = k.sockets[2:]
		time.Sleep(time.Second)
		o.lookAround()
		check(t, scrape(t, o), map[string]string{
			ends(payments, "orderly"): "2", ends(payments, "unanswered"): "0", ends(payments, "reset"): "0",
			ends(payments, "resetHere"): "0", ends(payments, "silent"): "0", ends(bank, "orderly"): "", ends(bank, "reset"): "",
		})
	})
}

// A connection that a look has met after its farewell alone, without tcp_info, has ended and not failed.
func TestEndedIsNotFailed(t *testing.T) {
	for state, want := range map[sockdiag.State]totals{
		sockdiag.FinWait1: {closed: 1}, sockdiag.FinWait2: {closed: 1}, sockdiag.Closing: {closed: 1}, sockdiag.LastAck: {closed: 1},
		sockdiag.CloseWait: {closed: 1}, sockdiag.SynSent: {failed: 1}, sockdiag.Close: {failed: 1},
	} {
		f := follow(false)
		f.look(nil, socket{tuple: f.socket.tuple, cookie: 1, state: state})
		f.look(nil)
		f.look(nil)
		g := f.outgoing[netip.MustParseAddrPort("198.18.0.7:80")]
		if g == nil || g.total.closed != want.closed || g.total.failed != want.failed {
			t.Errorf("state %d: %+v", state, g)
		}
	}
}

// What was counted by the kernel before a connection was last seen does not tell of its end.
func TestMannerByWhatTheKernelCountedLast(t *testing.T) {
	f := follow(false)
	f.look(nil, f.socket)
	f.aborts = aborts{resets: 2, timeouts: 1, unread: 1} // of others
	f.look(nil, f.socket)
	f.look(nil, f.socket)
	f.look(f.ending(func(e *ending) { e.retrying, e.unread = true, 12 }))
	if ends, _ := f.ends(); ends != (result.Ends{Reset: 1}) {
		t.Errorf("%+v", ends)
	}

	// Without the counters nobody knows.
	for later, want := range []result.Ends{{}, {}, {Reset: 1}} {
		f = follow(false)
		f.look(nil, f.socket)
		f.uncounted = true
		for range later {
			f.look(nil, f.socket)
		}
		f.look(f.ending(func(*ending) {}))
		if ends, closed := f.ends(); ends != want || closed != 1 {
			t.Errorf("%d looks later: %+v of %d closed, want %+v", later, ends, closed, want)
		}
	}
}

// With SO_LINGER 0 a socket forgets its peer's port before its end is told.
func TestDisconnect(t *testing.T) {
	forgetful := func(e *ending) { e.remotePort, e.facts, e.told = 0, facts{sent: 7}, true }
	f := follow(false)
	f.look(nil, f.socket)
	f.look(f.ending(forgetful))
	f.look(f.ending(forgetful))
	if ends, closed := f.ends(); ends != (result.Ends{ResetHere: 1}) || closed != 1 || len(f.connections) != 0 {
		t.Errorf("%+v of %d closed, %d are kept", ends, closed, len(f.connections))
	}

	// Whose it was is not known if no look has seen it.
	f = follow(false)
	f.look(f.ending(forgetful))
	if ends, closed := f.ends(); ends != (result.Ends{}) || closed != 0 || len(f.outgoing)+len(f.accepted) != 0 {
		t.Errorf("of an unknown one: %+v of %d closed", ends, closed)
	}

	// One that never came about has failed.
	f = follow(false)
	f.socket.state, f.socket.established, f.socket.surplus = sockdiag.SynSent, false, 0
	f.look(nil, f.socket)
	f.look(f.ending(forgetful))
	if g := f.outgoing[netip.MustParseAddrPort("198.18.0.7:80")]; g == nil || g.total.failed != 1 || g.total.closed != 0 || g.total.ends != (result.Ends{}) {
		t.Errorf("of one that never came about: %+v", g)
	}
}

// A process may keep the socket of a connection that is over. Its end is told when it lets go, long after.
func TestEndsThatAreNotTold(t *testing.T) {
	asItIs, retries, asBefore := func(*socket) {}, func(s *socket) { s.retrying = true }, func(*followed) {}
	for _, c := range []struct {
		name   string
		aborts aborts
		seen   func(*socket)
		lose   func(*followed)
		// want is counted after a while, atLast when the end is told.
		want, atLast result.Ends
	}{
		{"reset", aborts{resets: 1}, asItIs, asBefore, result.Ends{Reset: 1}, result.Ends{Reset: 1}},
		{"given up", aborts{resets: 1, timeouts: 1}, retries, asBefore, result.Ends{Silent: 1}, result.Ends{Silent: 1}},
		{"reset when it was sent to again", aborts{resets: 1}, retries, asBefore, result.Ends{Reset: 1}, result.Ends{Reset: 1}},
		{"farewell by shutdown", aborts{}, asItIs, asBefore, result.Ends{Orderly: 1}, result.Ends{Orderly: 1}},
		{"an end was lost", aborts{resets: 1}, asItIs, func(f *followed) { f.untold = true }, result.Ends{}, result.Ends{Reset: 1}},
		{"the counters could not be read", aborts{resets: 1}, asItIs, func(f *followed) { f.uncounted = true }, result.Ends{}, result.Ends{}},
	} {
		f := follow(false)
		s := f.socket
		c.seen(&s)
		f.look(nil, s)
		f.aborts = c.aborts
		c.lose(f)
		f.look(nil)
		f.look(nil)
		for range int(heldAfter/time.Second) - 1 {
			f.look(nil)
			if ends, closed := f.ends(); ends != (result.Ends{}) || closed != 1 {
				t.Errorf("%s: too early %+v of %d closed", c.name, ends, closed)
			}
		}
		f.look(nil)
		if ends, closed := f.ends(); ends != c.want || closed != 1 {
			t.Errorf("%s: %+v of %d closed, want %+v", c.name, ends, closed, c.want)
		}
		f.look(f.ending(func(*ending) {}))
		if ends, closed := f.ends(); ends != c.atLast || closed != 1 {
			t.Errorf("%s, told at last: %+v of %d closed, want %+v", c.name, ends, closed, c.atLast)
		}
	}
}

// What is told soon after a connection has vanished says more than that it has.
func TestEndThatIsToldLate(t *testing.T) {
	f := follow(false)
	f.look(nil, f.socket)
	f.aborts = aborts{resets: 1} // of another
	f.look(nil)
	f.look(nil)
	f.look(f.ending(func(e *ending) { e.surplus++ }))
	for range 2 * int(heldAfter/time.Second) {
		f.look(nil)
	}
	if ends, closed := f.ends(); ends != (result.Ends{Orderly: 1}) || closed != 1 {
		t.Errorf("%+v of %d closed", ends, closed)
	}
}

// A socket that a process lets go of when the ledger has long forgotten its connection is not one more connection.
func TestEndThatIsToldWhenForgotten(t *testing.T) {
	f := follow(false)
	f.look(nil, f.socket)
	f.aborts = aborts{resets: 1}
	for range int(acceptsFor/time.Second) + 5 {
		f.look(nil)
	}
	if len(f.connections) != 0 {
		t.Fatalf("%d connections are kept", len(f.connections))
	}
	f.look(f.ending(func(e *ending) { e.sinceAck = acceptsFor + 4*time.Second }))
	g := f.outgoing[netip.MustParseAddrPort("198.18.0.7:80")]
	if g.total.ends != (result.Ends{Reset: 1}) || g.total.opened != 1 || g.total.closed != 1 {
		t.Errorf("%+v", g.total)
	}
}
