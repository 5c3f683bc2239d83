// Package sockdiag lists the TCP sockets of the caller's network namespace, as the kernel's socket monitoring interface
// tells them (NETLINK_SOCK_DIAG, include/uapi/linux/inet_diag.h). It needs no privilege.
//
// The namespace is the one of the calling thread. A dump that the kernel interrupted or that could not be read to its end
// is an error, never a short list.
package sockdiag

import (
	"net/netip"
	"time"

	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

// State is the state of a TCP connection (include/net/tcp_states.h).
type State uint8

// The states that exist in a dump. FinWait2 without a process behind it is told by the timer: it is kept, like TimeWait,
// as a small remainder of the socket.
const (
	Established State = iota + 1
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Close
	CloseWait
	LastAck
	Listen
	Closing
	NewSynReceived
)

// States is a set of states, for a Query.
type States uint32

// StateSet returns the set of the given states.
func StateSet(states ...State) States {
	var set States
	for _, state := range states {
		set |= 1 << state
	}
	return set
}

// AllStates are the states of every socket that listens or is of a connection. One that is bound and does neither holds a
// port too, but is not listed (since Linux 6.8 the kernel lists them under a state of their own, TCP_BOUND_INACTIVE).
const AllStates States = 1<<(NewSynReceived+1) - 2

// Timer is what a socket's running timer is for (idiag_timer).
type Timer uint8

// The kinds of timers. A socket has room for one: TimerRetransmit and TimerProbe0 hide whether keepalive is armed.
const (
	TimerNone Timer = iota
	TimerRetransmit
	TimerKeepalive
	TimerTimeWait
	TimerProbe0
)

// Socket is one TCP socket of the namespace.
type Socket struct {
	// Cookie names a full socket for its whole life, as no port can. The remainder of one (TimeWait) has another.
	Cookie uint64
	State  State
	// Local and Remote are this end and the other. IPv4 addresses of sockets of family IPv6 come as IPv4.
	Local, Remote netip.AddrPort
	Timer         Timer
	// Expires is how long the timer still runs. In state TimeWait it is what is left of the 60 seconds.
	Expires time.Duration
	// ReceiveQueue and SendQueue count bytes; of a listener they are the length of the accept queue and its limit.
	ReceiveQueue, SendQueue uint32
	// UserID is the owner; Inode is 0 for remainders such as TimeWait.
	UserID, Inode uint32
	// Info is nil unless the query asked for it and the socket is a full one.
	Info *tcpinfo.Info
}

// Query says which sockets to list.
type Query struct {
	// States to list.
	States States
	// WithInfo asks for tcp_info too, which makes a dump of many sockets several times as large.
	WithInfo bool
}
