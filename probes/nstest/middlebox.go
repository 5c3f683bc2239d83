package nstest

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Middlebox is a hop of a link that keeps a table of TCP flows, as NAT, a stateful firewall and a load balancer do. A flow
// begins with its SYN; a packet of a flow that is not in the table meets what Forgets says.
type Middlebox struct {
	// IdleTimeout is how long a flow may be idle before it is forgotten; 0 is for ever.
	IdleTimeout time.Duration
	// PayloadOnly counts as activity only what carries data: so keepalive does not keep a flow, as with the idle timers of
	// proxies, which look at bytes and not at packets.
	PayloadOnly bool
	// Forgets says what happens when a flow is forgotten and to what comes later.
	Forgets Forgetting
	// Endpoints is how many servers stand behind a hop that is Loose: a flow that is opened anew meets the old one with
	// a chance of 1 in Endpoints, else one that knows nothing of it, which answers RST. 0 is 1.
	Endpoints int
}

// Forgetting is how a middlebox loses a flow.
type Forgetting int

// The ways to lose a flow.
const (
	// DropSilently drops what comes later, from either end: a stateful filter, conntrack with nf_conntrack_tcp_loose=0.
	DropSilently Forgetting = iota
	// ResetLater answers the next packet, from either end, with RST: what AWS's Network Load Balancer does.
	ResetLater
	// Loose lets the next packet of the client open the flow anew, and drops those of the server until then: conntrack
	// with NAT and nf_conntrack_tcp_loose=1.
	Loose
	// ResetAtOnce sends RST to both ends when the time is over, and answers what comes later with RST.
	ResetAtOnce
	// CloseAtOnce sends FIN to both ends when the time is over, as a proxy that closes both its connections. It
	// acknowledges what a closing end sends, and answers data with RST, as a closed socket does.
	CloseAtOnce
)

type flowKey struct{ client, server netip.AddrPort }

// flow is what a middlebox knows of one connection.
type flow struct {
	key             flowKey
	initialSequence uint32
	synsSeen        int
	lastActive      time.Time
	// ends is what the client (ToServer) and the server (ToClient) have sent.
	ends [2]end
	// closed is a flow that CloseAtOnce has ended.
	closed bool
}

// end is how far one end of a connection has come.
type end struct {
	hasSent, hasAcknowledged bool
	next, acknowledgment     uint32
}

// note follows what an end sends. A keepalive probe repeats an old sequence number, and does not lead back.
func (e *end) note(p Packet) {
	next := p.following()
	if !e.hasSent || isAfter(next, e.next) {
		e.hasSent, e.next = true, next
	}
	if p.Has(ACK) && (!e.hasAcknowledged || isAfter(p.Acknowledgment, e.acknowledgment)) {
		e.hasAcknowledged, e.acknowledgment = true, p.Acknowledgment
	}
}

// isAfter compares sequence numbers, which wrap around (RFC 9293 section 3.4).
func isAfter(a, b uint32) bool {
	return int32(a-b) > 0 //nolint:gosec // the sign is the order
}

// flowTable is a middlebox's memory. It decides and makes up packets; the link carries them.
type flowTable struct {
	flows map[flowKey]*flow
	// due is when the first flow may have been idle for too long; zero while none can.
	due       time.Time
	endpoints *rand.Rand
}

func newFlowTable(seed uint64) flowTable {
	return flowTable{
		flows:     map[flowKey]*flow{},
		endpoints: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // to be repeatable, not secret
	}
}

// madeUp is a packet that the middlebox sends on its own.
type madeUp struct {
	direction Direction
	data      []byte
}

type verdict int

const (
	pass verdict = iota
	dropSYN
	refuse
)

// see decides about a TCP packet, and gives the answer that its sender gets, nil for none.
func (f *flowTable) see(o *LinkOptions, p Packet, now time.Time) (verdict, []byte) {
	key := flowKey{p.client(), p.server()}
	known := f.flows[key]
	opens := p.Has(SYN) && !p.Has(ACK)
	if opens && (known == nil || known.initialSequence != p.Sequence) {
		known = f.open(o, key, now)
		known.initialSequence = p.Sequence
	}
	if known == nil {
		if o.Middlebox.Forgets != Loose || p.Direction != ToServer {
			return meetUnknown(o, p)
		}
		if endpoints := o.Middlebox.Endpoints; endpoints > 1 && f.endpoints.IntN(endpoints) > 0 {
			return refuse, resetFor(p)
		}
		known = f.open(o, key, now)
	}
	if known.closed {
		return refuse, known.answerClosed(p)
	}
	if !o.Middlebox.PayloadOnly || p.PayloadBytes > 0 {
		known.lastActive = now
	}
	if opens {
		if known.synsSeen++; known.synsSeen <= o.DropSYNs {
			return dropSYN, nil
		}
	}
	known.ends[p.Direction.index()].note(p)
	return pass, nil
}

func (f *flowTable) open(o *LinkOptions, key flowKey, now time.Time) *flow {
	opened := &flow{key: key, lastActive: now}
	f.flows[key] = opened
	if o.Middlebox.IdleTimeout > 0 && f.due.IsZero() {
		f.due = now.Add(o.Middlebox.IdleTimeout)
	}
	return opened
}

// meetUnknown decides about a packet of a flow that is not in the table, and is not to be opened anew.
func meetUnknown(o *LinkOptions, p Packet) (verdict, []byte) {
	switch o.Middlebox.Forgets {
	case ResetLater, ResetAtOnce, CloseAtOnce:
		return refuse, resetFor(p)
	default:
		return refuse, nil
	}
}

// resetFor is the RST that answers a packet of an unknown connection, which all but the first carry an acknowledgment
// (RFC 9293 section 3.10.7.1); nil for a RST, which is never answered.
func resetFor(p Packet) []byte {
	if p.Has(RST) {
		return nil
	}
	return segment(p.Destination, p.Source, RST, p.Acknowledgment, 0)
}

// answerClosed is what the socket of a proxy that has closed would send.
func (f *flow) answerClosed(p Packet) []byte {
	sender := &f.ends[p.Direction.index()]
	isOld := isAfter(sender.next, p.Sequence)
	sender.note(p)
	switch {
	case p.Has(RST):
		return nil
	case p.PayloadBytes > 0:
		return resetFor(p)
	case p.Has(FIN) || isOld:
		return segment(p.Destination, p.Source, ACK, p.Acknowledgment, sender.next)
	default:
		return nil
	}
}

// expire forgets the flows whose time is over.
func (f *flowTable) expire(o *LinkOptions, now time.Time) (forgotten int, packets []madeUp) {
	timeout := o.Middlebox.IdleTimeout
	if f.due.IsZero() || f.due.After(now) {
		return 0, nil
	}
	f.due = time.Time{}
	if timeout <= 0 {
		return 0, nil
	}
	forgotten, packets = f.forget(o, now.Add(-timeout))
	for _, remaining := range f.flows {
		if due := remaining.lastActive.Add(timeout); !remaining.closed && (f.due.IsZero() || due.Before(f.due)) {
			f.due = due
		}
	}
	return forgotten, packets
}

// forget loses the flows that were not active after that time.
func (f *flowTable) forget(o *LinkOptions, activeUntil time.Time) (forgotten int, packets []madeUp) {
	for key, idle := range f.flows {
		if idle.closed || idle.lastActive.After(activeUntil) {
			continue
		}
		forgotten++
		switch o.Middlebox.Forgets {
		case CloseAtOnce:
			idle.closed = true
			packets = append(packets, idle.tellBoth(FIN|ACK)...)
		case ResetAtOnce:
			packets = append(packets, idle.tellBoth(RST|ACK)...)
			delete(f.flows, key)
		default:
			delete(f.flows, key)
		}
	}
	return forgotten, packets
}

// tellBoth makes each end believe that the other sent these flags: with the sequence number that it waits for.
func (f *flow) tellBoth(flags TCPFlags) []madeUp {
	var packets []madeUp
	if client := f.ends[ToServer.index()]; client.hasSent {
		packets = append(packets, madeUp{ToClient, segment(f.key.server, f.key.client, flags, client.acknowledgment, client.next)})
	}
	if server := f.ends[ToClient.index()]; server.hasSent {
		packets = append(packets, madeUp{ToServer, segment(f.key.client, f.key.server, flags, server.acknowledgment, server.next)})
	}
	return packets
}
