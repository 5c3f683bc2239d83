package observer

import (
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// group gathers the connections to one destination, or those that one port accepted.
type group struct {
	now      present
	total    totals
	past     []pastTotals
	openPeak int
	busyPeak int
	records  ring
	ports    portUse
	opens    rate
	// used is when it last had a socket.
	used time.Time
}

// present is what the last look showed.
type present struct {
	// full counts all sockets, open those that are established or closed by the peer alone.
	full, open, busy, closeWait int
	closeWaitOldest             time.Duration
	keepalive                   result.Keepalive
}

// totals is what was counted since the observer began.
type totals struct {
	opened, failed, closed, openBefore, closedHere int64
	singleExchange, retransmitted                  int64
	samples, inFlight, held, zeroWindow            int64
	// open sums the open connections of all looks.
	open int64
	// ends are those of closed whose manner is known.
	ends result.Ends
}

func (t *totals) add(o totals) {
	t.opened += o.opened
	t.failed += o.failed
	t.closed += o.closed
	t.openBefore += o.openBefore
	t.closedHere += o.closedHere
	t.singleExchange += o.singleExchange
	t.retransmitted += o.retransmitted
	t.samples += o.samples
	t.inFlight += o.inFlight
	t.held += o.held
	t.zeroWindow += o.zeroWindow
	t.open += o.open
	t.ends.Add(o.ends)
}

func (p *present) add(o present) {
	p.full += o.full
	p.open += o.open
	p.busy += o.busy
	p.closeWait += o.closeWait
	p.closeWaitOldest = max(p.closeWaitOldest, o.closeWaitOldest)
	p.keepalive.Armed += o.keepalive.Armed
	p.keepalive.NotArmed += o.keepalive.NotArmed
	p.keepalive.Unknown += o.keepalive.Unknown
}

// merge adds the figures of another group, for the sum of those that are not told apart. Peaks are added too, as if they
// had come at one time.
func (g *group) merge(o *group) {
	g.now.add(o.now)
	g.total.add(o.total)
	g.openPeak += o.openPeak
	g.busyPeak += o.busyPeak
	g.ports.history = []heldPorts{{ports: g.ports.peak() + o.ports.peak()}}
	g.ports.held += o.ports.held
	g.ports.timeWait += o.ports.timeWait
	g.ports.merge(o.ports.parity)
	g.records.merge(o.records)
	g.opens.merge(o.opens)
}

// rate is how fast a count grew between the last two censuses.
type rate struct {
	known     bool
	perSecond float64
	at        time.Time
	count     int64
}

// update notes a count. After more time than TIME_WAIT lasts, some of what came in between has left no trace, and the rate
// is not known.
func (r *rate) update(at time.Time, count int64, began time.Time) {
	before, from := r.count, r.at
	if from.IsZero() {
		// A destination that is new since the census before had nothing then.
		from = began
	}
	elapsed := at.Sub(from)
	r.known = !from.IsZero() && elapsed > 0 && elapsed <= timeWaitLength
	if r.known {
		// A connection that turns out to have been accepted is taken back.
		r.perSecond = max(0, float64(count-before)) / elapsed.Seconds()
	}
	r.at, r.count = at, count
}

func (r *rate) merge(o rate) {
	r.known = r.known || o.known
	if o.known {
		r.perSecond += o.perSecond
	}
}
