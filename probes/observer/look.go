package observer

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

// look is what one list of the namespace's sockets showed.
type look struct {
	at time.Time
	// withInfo and withTimeWait say what was asked for.
	withInfo, withTimeWait bool
	// endsTold says whether the kernel tells the ends of connections, endsComplete whether it told each since the look
	// before; last whether there will be no further look.
	endsTold, endsComplete, last bool
	// aborts is what the kernel had counted at the end of the look, if abortsKnown.
	aborts      aborts
	abortsKnown bool
	// queues are the accept queues of the addresses that are listened on.
	queues map[netip.AddrPort]queue
	// listening are their ports, with those that were listened on when the list began.
	listening  map[uint16]bool
	sockets    []socket
	remainders []remainder
}

// queue is the accept queue of all sockets that listen on one address.
type queue struct{ length, limit int }

// socket is a full socket of a connection.
type socket struct {
	tuple
	cookie uint64
	state  sockdiag.State
	timer  sockdiag.Timer
	// told says whether there are facts.
	told bool
	facts
}

// remainder is what the kernel keeps of a closed connection: in TIME_WAIT, or in FIN_WAIT2 until the peer closes too.
type remainder struct {
	tuple
	timeWait bool
	// age is how long ago it came into TIME_WAIT.
	age time.Duration
}

const (
	// maximumSockets bounds the sockets that a look lists, and with them the observer's memory.
	maximumSockets    = 60_000
	maximumRemainders = 200_000
)

var errTooMany = fmt.Errorf("there are more sockets than the observer keeps in memory (%d open, %d in TIME_WAIT)",
	maximumSockets, maximumRemainders)

// take lists the sockets. The lists of the look before are used again.
func (l *look) take(dump dumpFunc, at time.Time, withInfo, withTimeWait bool) error {
	*l = look{
		at: at, withInfo: withInfo, withTimeWait: withTimeWait, listening: map[uint16]bool{},
		sockets: l.sockets[:0], remainders: l.remainders[:0],
	}
	states := sockdiag.AllStates &^ sockdiag.StateSet(sockdiag.Listen, sockdiag.SynReceived, sockdiag.NewSynReceived)
	if !withTimeWait {
		states &^= sockdiag.StateSet(sockdiag.TimeWait)
	}
	// A listener that comes or goes while the others are listed accepted some of them.
	if err := l.takeListeners(dump); err != nil {
		return err
	}
	if err := dump(sockdiag.Query{States: states, WithInfo: withInfo}, l.add); err != nil {
		return err
	}
	if len(l.sockets) > maximumSockets || len(l.remainders) > maximumRemainders {
		return errTooMany
	}
	return l.takeListeners(dump)
}

func (l *look) takeListeners(dump dumpFunc) error {
	l.queues = map[netip.AddrPort]queue{}
	return dump(sockdiag.Query{States: sockdiag.StateSet(sockdiag.Listen)}, func(s sockdiag.Socket) {
		l.listening[s.Local.Port()] = true
		q := l.queues[s.Local]
		l.queues[s.Local] = queue{length: q.length + int(s.ReceiveQueue), limit: q.limit + int(s.SendQueue)}
	})
}

func (l *look) add(s sockdiag.Socket) {
	switch {
	case s.Remote.Port() == 0:
		// Bound and not connected: it has no destination.
	case s.Timer == sockdiag.TimerTimeWait:
		if l.withTimeWait && len(l.remainders) <= maximumRemainders {
			l.remainders = append(l.remainders, remainder{
				tuple: tupleOf(s), timeWait: s.State == sockdiag.TimeWait, age: timeWaitLength - s.Expires,
			})
		}
	case len(l.sockets) <= maximumSockets:
		l.sockets = append(l.sockets, socketOf(s))
	}
}

func socketOf(s sockdiag.Socket) socket {
	seen := socket{tuple: tupleOf(s), cookie: s.Cookie, state: s.State, timer: s.Timer}
	if s.Info != nil {
		seen.told, seen.facts = true, factsOf(s.Info)
	}
	return seen
}

// open says whether data can still be sent.
func (s socket) open() bool { return s.state == sockdiag.Established || s.state == sockdiag.CloseWait }

// cameAbout says whether the state is one that a connection comes to only once it is established.
func (s socket) cameAbout() bool {
	return s.open() || s.closedByPeer() || s.state == sockdiag.FinWait1 || s.state == sockdiag.FinWait2
}

// closedByPeer says whether the peer's FIN has come.
func (s socket) closedByPeer() bool {
	return s.state == sockdiag.CloseWait || s.state == sockdiag.LastAck || s.state == sockdiag.Closing
}

// ending is a socket that the kernel freed. Its surplus counts the SYN and the FIN that were sent, acknowledged or not.
type ending struct {
	socket
	at time.Time
	// unread is what had come and was not read: bytes, and one more for the peer's FIN.
	unread uint32
}

func endingOf(s sockdiag.Socket, at time.Time) ending {
	e := ending{socket: socketOf(s), at: at, unread: s.ReceiveQueue}
	if i := s.Info; i != nil && i.BytesAcked != nil && i.NotSentBytes != nil && e.sent != unknown {
		// What was under way when a reset came is not counted among the segments that wait for an acknowledgement any more,
		// but the sequence numbers remember it (net/ipv4/tcp.c, tcp_write_queue_purge).
		underWay := int64(s.SendQueue) - int64(*i.NotSentBytes)
		e.surplus, e.surplusKnown = int64(*i.BytesAcked)+underWay-e.sent, true //nolint:gosec // no connection carries 2^63 bytes
	}
	return e
}
