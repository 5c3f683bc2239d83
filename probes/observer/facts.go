package observer

import (
	"time"

	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

// unknown stands for a figure that the kernel did not tell, where a pointer for each of ten thousand sockets would cost.
const unknown = -1

// facts is what the observer takes from one tcp_info. Figures are unknown where the kernel does not tell them.
type facts struct {
	// sent and received are bytes of data without retransmissions.
	sent, received int64
	// surplus is how many more bytes were acknowledged than data was sent: SYN and FIN take a place in the sequence, and
	// the SYN of a connection that was accepted is not counted. Only true while nothing is under way.
	surplus int64
	// surplusKnown is false where the kernel does not count, or something is under way.
	surplusKnown bool
	// exchanges is the most requests with an answer that can have been carried: the lesser number of data segments.
	exchanges int64
	// established is false of a connection that never came about.
	established bool
	// sinceSent and sinceReceived are how long ago data went and came, sinceAck how long ago the peer acknowledged any.
	sinceSent, sinceReceived, sinceAck time.Duration
	// inFlight: something waits for its acknowledgement. held: moreover, less than a segment waits to be sent although the
	// congestion window has room, which is Nagle's algorithm at work.
	inFlight, held bool
	// retrying: something was sent again, or the peer was probed, and no answer has come since.
	retrying bool
	// retransmitted counts segments.
	retransmitted int64
}

func factsOf(i *tcpinfo.Info) facts {
	f := facts{
		sent: unknown, received: unknown, exchanges: unknown,
		sinceSent: since(i.LastDataSentMilliseconds), sinceReceived: since(i.LastDataReceivedMilliseconds),
		sinceAck: since(i.LastAckReceivedMilliseconds),
	}
	if i.BytesReceived != nil {
		f.received = int64(*i.BytesReceived) //nolint:gosec // no connection carries 2^63 bytes
	}
	if i.BytesSent != nil && i.BytesRetransmitted != nil {
		f.sent = int64(*i.BytesSent - *i.BytesRetransmitted) //nolint:gosec // no connection carries 2^63 bytes
		if i.BytesAcked != nil && i.Unacked != nil && *i.Unacked == 0 {
			f.surplus, f.surplusKnown = int64(*i.BytesAcked)-f.sent, true //nolint:gosec // as above
		}
	}
	if i.DataSegmentsIn != nil && i.DataSegmentsOut != nil {
		f.exchanges = int64(min(*i.DataSegmentsIn, *i.DataSegmentsOut))
	}
	f.established = i.RTTMicroseconds != nil && *i.RTTMicroseconds > 0 || i.BytesAcked != nil && *i.BytesAcked > 0
	f.retrying = i.Retransmits != nil && *i.Retransmits > 0 || i.Probes != nil && *i.Probes > 0
	if i.TotalRetrans != nil {
		f.retransmitted = int64(*i.TotalRetrans)
	}
	if i.Unacked != nil {
		f.inFlight = *i.Unacked > 0
		f.held = f.inFlight && heldByNagle(i)
	}
	return f
}

// heldByNagle: less than a segment waits, although the peer's window and the congestion window have room for it.
func heldByNagle(i *tcpinfo.Info) bool {
	if i.NotSentBytes == nil || i.SendMSS == nil || i.CongestionWindow == nil {
		return false
	}
	roomAtPeer := i.SendWindow == nil || *i.SendWindow >= *i.SendMSS
	return 0 < *i.NotSentBytes && *i.NotSentBytes < *i.SendMSS && *i.CongestionWindow > *i.Unacked && roomAtPeer
}

// idle is how long no data went or came.
func (f facts) idle() time.Duration { return min(f.sinceSent, f.sinceReceived) }

func since(milliseconds *uint32) time.Duration {
	if milliseconds == nil {
		return unknown
	}
	return time.Duration(*milliseconds) * time.Millisecond
}

// side tells who opened a connection.
type side uint8

const (
	sideUnknown side = iota
	sideHere
	sidePeer
)

// sideWhileOpen tells it by the surplus of a connection that has sent no FIN: its own SYN was acknowledged, or there was none.
func (f facts) sideWhileOpen() side {
	switch {
	case f.surplusKnown && f.surplus == 1:
		return sideHere
	case f.surplusKnown && f.surplus == 0:
		return sidePeer
	default:
		return sideUnknown
	}
}

// sideAtEnd tells it by the surplus of one that has ended. One is either a SYN, and the connection was reset, or a FIN.
func (f facts) sideAtEnd() side {
	switch {
	case f.surplusKnown && f.surplus == 2:
		return sideHere
	case f.surplusKnown && f.surplus == 0:
		return sidePeer
	default:
		return sideUnknown
	}
}
