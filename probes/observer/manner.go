package observer

import "time"

// manner is how a connection ended, as result.Ends tells them apart. What is unanswered is orderly too.
type manner uint8

const (
	mannerUnknown manner = iota
	mannerOrderly
	mannerUnanswered
	mannerReset
	mannerResetHere
	mannerSilent
)

// heldAfter is how long an end may go untold until it counts as one that is not about to be told: the connection is over, but
// its process keeps the socket.
const heldAfter = 5 * time.Second

// aborts are counters of a whole namespace. Where tcp_info looks the same for two manners, they tell which of them there was
// none of since a connection was last seen.
type aborts struct {
	// resets counts established connections that ended without a farewell of this side: resets and timeouts.
	resets int64
	// timeouts counts those that the kernel gave up, for the peer did not answer.
	timeouts int64
	// unread counts those that this side reset, for it closed them with data unread.
	unread int64
}

func abortsOf(counters map[string]int64) (a aborts, known bool) {
	resets, hasResets := counters["Tcp.EstabResets"]
	timeouts, hasTimeouts := counters["TcpExt.TCPAbortOnTimeout"]
	unread, hasUnread := counters["TcpExt.TCPAbortOnClose"]
	return aborts{resets: resets, timeouts: timeouts, unread: unread}, hasResets && hasTimeouts && hasUnread
}

// noteAborts takes what the kernel counted, and whether each end was told, since the look before.
func (l *ledger) noteAborts(seen *look) {
	if !seen.endsComplete {
		l.untoldAt = l.looks
	}
	if !seen.abortsKnown {
		l.uncountedAt = l.looks
		return
	}
	if !l.lookedAt.IsZero() {
		for _, counter := range []struct {
			before, now int64
			grownAt     *int64
		}{
			{l.aborts.resets, seen.aborts.resets, &l.abortedAt.resets},
			{l.aborts.timeouts, seen.aborts.timeouts, &l.abortedAt.timeouts},
			{l.aborts.unread, seen.aborts.unread, &l.abortedAt.unread},
		} {
			if counter.now > counter.before {
				*counter.grownAt = l.looks
			}
		}
	}
	l.aborts = seen.aborts
}

// mannerOf says how a connection ended whose end was told.
//
// A FIN of this side is known by the place that it takes in the sequence. One that was never acknowledged came too late for
// its peer, unless the kernel gave up waiting. Without one the connection was reset, by this side only if it closed while
// something was unread.
func (l *ledger) mannerOf(c *connection, e ending) manner {
	farewells := e.surplus
	if !c.accepted {
		farewells-- // the SYN
	}
	switch {
	case !e.told || !e.surplusKnown || farewells < 0 || farewells > 1 || c.look <= l.uncountedAt:
		return mannerUnknown
	case e.retrying && l.abortedAt.timeouts >= c.look && (farewells == 0 || !c.peerClosed):
		return mannerSilent
	case farewells == 1 && e.sentLast():
		return mannerUnanswered
	case farewells == 1:
		return mannerOrderly
	case e.unread > 0 && l.abortedAt.unread >= c.look:
		return mannerResetHere
	default:
		return mannerReset
	}
}

// sentLast says whether the last data went and did not come. What went within the same tick of the kernel's clock as what
// came counts as answered. Where no data ever came, the clock tells nothing: the kernel dates it as if it had come with the
// answer to the SYN (net/ipv4/tcp_input.c, tcp_finish_connect), and the first request goes in the same tick.
func (e ending) sentLast() bool {
	return e.sent > 0 && (e.exchanges == 0 || e.sinceSent != unknown && e.sinceSent < e.sinceReceived)
}

// mannerOfVanished says how a connection ended that is listed no more although its end is not told, for its process keeps
// the socket: it was reset or given up, or this side has said its farewell by shutdown().
func (l *ledger) mannerOfVanished(c *connection) manner {
	switch {
	case c.look <= l.uncountedAt || c.look < l.untoldAt:
		return mannerUnknown
	case c.retrying && l.abortedAt.timeouts >= c.look:
		return mannerSilent
	case l.abortedAt.resets >= c.look:
		return mannerReset
	default:
		return mannerOrderly
	}
}

// countEnd counts how a connection ended, once.
func (c *connection) countEnd(m manner) {
	if c.counted || !c.established {
		return
	}
	c.counted = m != mannerUnknown
	counts := &c.group.total.ends
	switch m {
	case mannerUnanswered:
		counts.Orderly++
		counts.Unanswered++
	case mannerOrderly:
		counts.Orderly++
	case mannerReset:
		counts.Reset++
	case mannerResetHere:
		counts.ResetHere++
	case mannerSilent:
		counts.Silent++
	case mannerUnknown:
	}
}
