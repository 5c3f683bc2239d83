package observer

import (
	"net/netip"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

const (
	// maximumGroups bounds the destinations, and the listening ports, that are told apart.
	maximumGroups = 100
	// acceptsFor is how long a port counts as one that accepts after it was last seen to: what it accepted may stay in
	// FIN_WAIT2 and then in TIME_WAIT, a minute each.
	acceptsFor = 3 * time.Minute
	// busyWithin is how lately a connection that is in use has sent or received.
	busyWithin = time.Second
)

// ledger keeps count of the connections of a namespace, from looks at its sockets and from what the kernel tells of their
// ends. It does nothing but count.
//
// Connections that live from one look to another are followed by their cookie. Those in between are known from the kernel,
// where it tells their ends; and those that this side closed from TIME_WAIT, which lasts longer than the time between two
// lists of it. Each is counted once, for what is counted leaves its name in accounts until TIME_WAIT has been seen.
type ledger struct {
	// lookedAt and censusAt are when the last look and the last one with TIME_WAIT began; zero before the first.
	lookedAt, censusAt time.Time
	// widest is the longest time between two looks since the last census.
	widest          time.Duration
	looks, infoLook int64
	connections     map[uint64]*connection
	// outgoing and accepted hold maximumGroups at most; what comes beyond goes to the group of the zero key.
	outgoing map[netip.AddrPort]*group
	accepted map[uint16]*group
	// accepting holds when each port was last listened on, or seen to have accepted.
	accepting map[uint16]time.Time
	accounts  map[tuple]account
	queues    map[netip.AddrPort]queue
	peaks     map[netip.AddrPort]int
	listening map[uint16]bool
	// openedForgotten is what destinations had opened that are told apart no more.
	openedForgotten int64
	// timeWaitUnknown is the number of those at the last census that could be of either side.
	timeWaitUnknown int
	// aborts is what the kernel had counted at the last look, abortedAt the last looks that found each to have grown.
	aborts, abortedAt aborts
	// uncountedAt is the last look at which the kernel's counters could not be read, untoldAt the last before which not each
	// end was told.
	uncountedAt, untoldAt int64
	// ended gets each connection that ended. Nil for nothing.
	ended func(result.ConnectionRecord)
}

// connection is one that was seen at a look.
type connection struct {
	tuple
	accepted bool
	// sure: the kernel's figures say which side opened it, not its port alone.
	sure  bool
	group *group
	// opened is the latest time at which it can have opened, earlier how much before that it can have been; unknown if
	// it was there at the first look.
	opened         time.Time
	earlier        time.Duration
	look           int64
	established    bool
	keepalive      keepalive
	closeWaitSince time.Time
	// sent, received and exchanges are unknown until a look with tcp_info; retransmitted is what was counted already.
	sent, received, exchanges, retransmitted int64
	// idle is how long it had been idle when told was.
	idle time.Duration
	told time.Time
	// peerClosed: a look saw that the peer had closed. retrying as in facts, at the last look with tcp_info.
	peerClosed, retrying bool
	// over: it is counted as ended, and what the kernel may still tell of its end is not to be counted again.
	over time.Time
	// manner is how it seems to have ended then, if it was not told; counted whether how it ended is counted.
	manner  manner
	counted bool
}

type keepalive uint8

const (
	keepaliveUnknown keepalive = iota
	keepaliveNotArmed
	keepaliveArmed
)

func newLedger() *ledger {
	return &ledger{
		connections: map[uint64]*connection{},
		outgoing:    map[netip.AddrPort]*group{}, accepted: map[uint16]*group{},
		accepting: map[uint16]time.Time{}, accounts: map[tuple]account{}, peaks: map[netip.AddrPort]int{},
	}
}

// apply counts what a look showed. endings are what the kernel told up to the end of the look; chosen is what the kernel
// takes local ports from, nil if it could not be read.
func (l *ledger) apply(seen *look, endings []ending, chosen *chosenPorts) {
	l.looks++
	if seen.withInfo {
		l.infoLook++
	}
	l.noteListeners(seen)
	l.noteAborts(seen)
	gone := make(map[uint64]bool, len(endings))
	for _, e := range endings {
		gone[e.cookie] = true
		l.end(e)
	}
	l.eachGroup(func(g *group) { g.now = present{} })
	for i := range seen.sockets {
		// It may have been listed just before it ended.
		if s := &seen.sockets[i]; !gone[s.cookie] {
			l.see(s, seen)
		}
	}
	l.endVanished(seen)
	if !l.lookedAt.IsZero() {
		l.widest = max(l.widest, seen.at.Sub(l.lookedAt))
	}
	l.lookedAt = seen.at
	if seen.withTimeWait {
		l.takeCensus(seen, chosen)
	}
	l.eachGroup(func(g *group) {
		g.openPeak = max(g.openPeak, g.now.open)
		g.busyPeak = max(g.busyPeak, g.now.busy)
		g.total.open += int64(g.now.open)
		if g.now.full > 0 {
			g.used = seen.at
		}
	})
}

func (l *ledger) noteListeners(seen *look) {
	l.queues, l.listening = seen.queues, seen.listening
	for port := range seen.listening {
		l.accepting[port] = seen.at
	}
	for address, q := range seen.queues {
		if _, known := l.peaks[address]; known || len(l.peaks) < maximumGroups {
			l.peaks[address] = max(l.peaks[address], q.length)
		}
	}
	for port, at := range l.accepting {
		if seen.at.Sub(at) > acceptsFor {
			delete(l.accepting, port)
		}
	}
}

// accepts says whether connections on a local port were accepted here, as far as is known.
func (l *ledger) accepts(port uint16) bool {
	_, known := l.accepting[port]
	return known
}

// see counts one socket of a look.
func (l *ledger) see(s *socket, seen *look) {
	c := l.connections[s.cookie]
	if c == nil {
		c = l.begin(s, seen.at)
	}
	c.look = l.looks
	c.established = c.established || s.cameAbout() || s.told && s.established
	c.peerClosed = c.peerClosed || s.closedByPeer()
	if s.told {
		l.learn(c, s, seen.at)
	}
	if c.accepted {
		l.accepting[c.localPort] = seen.at
	}
	c.noteKeepalive(s)
	c.count(s, seen.at)
}

// begin takes up a connection that no look has shown before.
func (l *ledger) begin(s *socket, at time.Time) *connection {
	c := &connection{
		tuple: s.tuple, accepted: l.accepts(s.localPort), opened: at, earlier: unknown,
		sent: unknown, received: unknown, exchanges: unknown, idle: unknown,
	}
	c.group = l.groupOf(c.accepted, c.tuple)
	if !l.lookedAt.IsZero() {
		c.earlier = at.Sub(l.lookedAt)
		c.group.total.opened++
	}
	l.connections[s.cookie] = c
	return c
}

// learn takes what tcp_info tells.
func (l *ledger) learn(c *connection, s *socket, at time.Time) {
	if side := s.sideWhileOpen(); s.open() && !c.sure && side != sideUnknown {
		c.sure = true
		if accepted := side == sidePeer; accepted != c.accepted {
			l.move(c, accepted)
		}
	}
	c.sent, c.received, c.exchanges = s.sent, s.received, s.exchanges
	c.idle, c.told, c.retrying = s.idle(), at, s.retrying
	c.group.total.retransmitted += s.retransmitted - c.retransmitted
	c.retransmitted = s.retransmitted
	if c.earlier != unknown && s.sinceSent > 0 && at.Add(-s.sinceSent).Before(c.opened) {
		// What it sent, it sent after it opened.
		sooner := min(c.opened.Sub(at.Add(-s.sinceSent)), c.earlier)
		c.opened, c.earlier = c.opened.Add(-sooner), c.earlier-sooner
	}
}

// move puts a connection that was counted on the wrong side on the right one.
func (l *ledger) move(c *connection, accepted bool) {
	right := l.groupOf(accepted, c.tuple)
	if c.earlier != unknown {
		c.group.total.opened--
		right.total.opened++
	}
	c.group, c.accepted = right, accepted
}

func (c *connection) noteKeepalive(s *socket) {
	switch {
	case !s.open():
	case s.timer == sockdiag.TimerKeepalive:
		c.keepalive = keepaliveArmed
	case s.timer == sockdiag.TimerNone:
		c.keepalive = keepaliveNotArmed
	}
}

// count adds the connection to what its group shows at this look.
func (c *connection) count(s *socket, at time.Time) {
	g := c.group
	g.now.full++
	if !s.open() {
		return
	}
	g.now.open++
	g.total.samples++
	switch c.keepalive {
	case keepaliveArmed:
		g.now.keepalive.Armed++
	case keepaliveNotArmed:
		g.now.keepalive.NotArmed++
	case keepaliveUnknown:
		g.now.keepalive.Unknown++
	}
	if s.timer == sockdiag.TimerProbe0 {
		g.total.zeroWindow++
	}
	if s.state == sockdiag.CloseWait {
		if c.closeWaitSince.IsZero() {
			c.closeWaitSince = at
		}
		g.now.closeWait++
		g.now.closeWaitOldest = max(g.now.closeWaitOldest, at.Sub(c.closeWaitSince))
	}
	if !s.told {
		return
	}
	if s.state == sockdiag.CloseWait && s.sinceAck > at.Sub(c.closeWaitSince) {
		// The peer's FIN was the last that came, or came before it.
		c.closeWaitSince = at.Add(-s.sinceAck)
		g.now.closeWaitOldest = max(g.now.closeWaitOldest, s.sinceAck)
	}
	if idle := s.idle(); idle >= 0 && idle < busyWithin {
		g.now.busy++
	}
	if s.inFlight {
		g.total.inFlight++
	}
	if s.held {
		g.total.held++
	}
}

// endVanished counts the connections that the look no longer showed as ended. A connection that was reset vanishes long
// before its end is told, if its process does not close it.
func (l *ledger) endVanished(seen *look) {
	for cookie, c := range l.connections {
		if c.look == l.looks {
			continue
		}
		if seen.endsTold && !seen.last && c.look == l.looks-1 {
			// Its end may be told exactly in a moment. A census must not count it meanwhile.
			l.note(c, seen.at)
			continue
		}
		if c.over.IsZero() {
			l.close(c, seen.at)
			c.over, c.manner = seen.at, l.mannerOfVanished(c)
		}
		if seen.at.Sub(c.over) >= heldAfter {
			c.countEnd(c.manner)
		}
		if !seen.endsTold || seen.at.Sub(c.over) > acceptsFor || len(l.connections) > maximumSockets {
			delete(l.connections, cookie)
		}
	}
}

// end counts what the kernel told of a socket's end.
func (l *ledger) end(e ending) {
	c := l.connections[e.cookie]
	if e.remotePort == 0 {
		if c != nil {
			l.disconnect(c, e)
		}
		return
	}
	if c == nil {
		// What ended before the first look, or is counted by what it left in TIME_WAIT, may be told late.
		if known, counted := l.accounts[e.tuple]; l.lookedAt.IsZero() || counted && !known.told || e.longOver() {
			known.told, known.at = true, e.at
			l.accounts[e.tuple] = known
			return
		}
		c = l.begin(&e.socket, e.at)
		c.look = l.looks - 1
		c.dateBack(e)
	}
	delete(l.connections, e.cookie)
	if c.over.IsZero() {
		l.closeTold(c, e)
	}
	c.countEnd(l.mannerOf(c, e))
}

// longOver says that a connection was over so long ago that the ledger has forgotten it: its process kept the socket.
func (e ending) longOver() bool { return e.told && e.established && e.sinceAck > acceptsFor }

// closeTold counts the end of a connection with the last figures.
func (l *ledger) closeTold(c *connection, e ending) {
	if e.told {
		c.established = c.established || e.established
		if side := e.sideAtEnd(); c.established && !c.sure && side != sideUnknown && (side == sidePeer) != c.accepted {
			l.move(c, side == sidePeer)
		}
		c.sent, c.received, c.exchanges = e.sent, e.received, e.exchanges
		c.group.total.retransmitted += e.retransmitted - c.retransmitted
	}
	l.close(c, e.at)
}

// disconnect counts the end of a connection that this side threw away, with SO_LINGER 0 for the most part: the socket has
// forgotten its figures and its peer's port before it is freed (net/ipv4/tcp.c, tcp_disconnect), so that only a connection
// that a look has seen is known by its cookie.
func (l *ledger) disconnect(c *connection, e ending) {
	delete(l.connections, e.cookie)
	if c.over.IsZero() {
		l.close(c, e.at)
	}
	c.countEnd(mannerResetHere)
}

// dateBack dates the beginning of a connection that no look showed: before it last sent.
func (c *connection) dateBack(e ending) {
	if e.told && e.established && e.sinceSent > 0 {
		lived := min(e.sinceSent, c.earlier)
		c.opened, c.earlier = e.at.Add(-lived), c.earlier-lived
	}
}

// close counts the end of a connection.
func (l *ledger) close(c *connection, at time.Time) {
	g := c.group
	g.used = at
	l.note(c, at)
	if !c.established {
		g.total.failed++
		return
	}
	g.total.closed++
	if c.earlier == unknown {
		g.total.openBefore++
	}
	if c.exchanges != unknown && c.exchanges <= 1 {
		g.total.singleExchange++
	}
	r := record{
		opened: c.opened, earlier: c.earlier, closed: at,
		sent: c.sent, received: c.received, exchanges: c.exchanges,
	}
	g.records.add(r)
	if l.ended != nil {
		l.ended(logged(c.tuple, c.accepted, r))
	}
}

// note has the census know that a connection is counted.
func (l *ledger) note(c *connection, at time.Time) {
	if len(l.accounts) < maximumRemainders {
		l.accounts[c.tuple] = account{accepted: c.accepted, listed: l.accounts[c.tuple].listed, told: true, at: at}
	}
}

// groupOf returns the group of a connection, which is the one for all others when there are too many.
func (l *ledger) groupOf(accepted bool, t tuple) *group {
	if accepted {
		return groupIn(l.accepted, t.localPort)
	}
	return groupIn(l.outgoing, t.remoteAddress())
}

func groupIn[K comparable](groups map[K]*group, key K) *group {
	if g := groups[key]; g != nil {
		return g
	}
	if len(groups) >= maximumGroups {
		var others K
		key = others
		if g := groups[key]; g != nil {
			return g
		}
	}
	g := &group{}
	groups[key] = g
	return g
}

func (l *ledger) eachGroup(visit func(*group)) {
	for _, g := range l.outgoing {
		visit(g)
	}
	for _, g := range l.accepted {
		visit(g)
	}
}
