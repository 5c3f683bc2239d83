package audit

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Cures of a dropped SYN, by what is known of the place.
const (
	cureFindPlace = iota
	cureListener
	curePath
	cureTranslation
)

func droppedSYN() Rule {
	return Rule{
		ID: "CP102", Title: "SYNs are dropped",
		Category: CategorySetup, Severity: Warning, Needs: []string{needHandshake},
		Helps:      []string{needBacklog, needIdentity, needTimeWait, needObserver},
		AppliesNot: "Policies that do not ask for the measurement handshake.",
		Why: "A SYN that gets no answer is sent again after one second at the earliest, so that a connect of microseconds takes seconds. " +
			"It was lost on the path, or the listener's accept queue was full and the kernel dropped it, or address translation gave the connection a port that the server still holds in TIME_WAIT.",
		Cures: []string{
			"Look at ListenOverflows in the server's pod (nstat -az TcpExtListenOverflows). If it grows, let the server accept faster and listen with a longer backlog; if not, look for loss on the path.",
			"Let the server accept faster (more workers, no work in the accepting thread), and listen with a longer backlog; CP104 says which cap binds.",
			"The listener dropped nothing, so look at the path: drops at interfaces (ip -s link), a full conntrack table (conntrack -S, insert_failed and drop), a NetworkPolicy or firewall with a rate limit, endpoints that are gone.",
			"Keep connections open, so that fewer ports are used, and let the client close first, so that the server holds no TIME_WAIT. Where conntrack -S shows insert_failed, let masquerading choose ports at random (iptables --random-fully). Without the translation (a routed pod network, externalTrafficPolicy: Local), or with more addresses, ports do not collide.",
		},
		Source: "RFC 6298 section 2 (initial retransmission timeout of one second); net/ipv4/tcp_input.c, tcp_conn_request; net/ipv4/tcp_minisocks.c, tcp_timewait_state_process",
		judge:  judgeDroppedSYN,
	}
}

func judgeDroppedSYN(in Input) judgement {
	return perFigures(in, handshakeSource(), func(p ProbeResult, h *result.Handshake) judgement {
		if h.SynRetransmissions == nil || h.Samples == 0 {
			return unknown("The kernel did not tell how often SYNs were sent again.")
		}
		again := *h.SynRetransmissions
		evidence := map[string]string{"handshakes": strconv.Itoa(h.Samples), "synRetransmissions": strconv.Itoa(again)}
		if again == 0 && h.Samples < enoughToSeeNone {
			return unknown(fmt.Sprintf("%d handshakes are too few to tell.", h.Samples))
		}
		if again == 0 {
			return pass(fmt.Sprintf("No SYN was sent again in %s handshakes, so fewer than %s are dropped, with 95 %% confidence.",
				figure.Count(h.Samples), figure.Percent(noneOf(h.Samples))), evidence)
		}
		slowest := ""
		if h.ConnectMicroseconds != nil {
			slowest = fmt.Sprintf(" The slowest connect took %s.", figure.Microseconds(h.ConnectMicroseconds.Max))
			evidence["slowestConnectMicroseconds"] = fmt.Sprintf("%.0f", h.ConnectMicroseconds.Max)
		}
		place, cure := droppedWhere(in, p)
		// Of 50 handshakes on a path that loses one packet in a thousand, one SYN is lost in every twentieth run, two in one of 800.
		severity := Warning
		if again == 1 {
			severity = Info
		}
		return fail(severity, fmt.Sprintf("%s in %s handshakes: %s.%s", synsSentAgain(again), figure.Count(h.Samples), place, slowest), evidence, cure)
	})
}

// droppedWhere says where a SYN was dropped, as far as the listener's own counters decide it.
func droppedWhere(in Input, p ProbeResult) (place string, cure int) {
	overflowed, known := listenerOverflowed(in, p)
	identity, timeWait := beside(in, p, identitySource()), beside(in, p, timeWaitSource())
	translated := identity != nil && identity.SourceTranslated != nil && *identity.SourceTranslated
	serverWaits := timeWait != nil && timeWait.Holder == result.SideServer
	switch {
	case known && overflowed:
		return "dropped by the listener, whose counters say that its queue was full", cureListener
	case translated && serverWaits:
		return "address translation is on the path and the server holds TIME_WAIT, so a port may have come back too early; else they were dropped on the path or by the listener", cureTranslation
	case known:
		return "dropped on the path, since no queue of a listener was full", curePath
	case translated:
		return "dropped on the path or by the listener, or a translated port met TIME_WAIT at the server", cureFindPlace
	}
	return "dropped on the path or by the listener", cureFindPlace
}

// listenerOverflowed says whether the target's listener was seen to drop connections: by the probe beside the server, or
// by an observer whose pod listens on an address of the link. A queue that never overflowed since the namespace exists is
// not to blame.
func listenerOverflowed(in Input, p ProbeResult) (overflowed, known bool) {
	if b := beside(in, p, backlogSource()); b != nil && b.Overflows != nil && *b.Overflows > 0 {
		return true, true
	} else if b != nil && b.OverflowsTotal != nil && *b.OverflowsTotal == 0 {
		known = true
	}
	for _, o := range in.Observations {
		if !listensOn(o, in.Addresses) {
			continue
		}
		full, told := counter(o, counterListenOverflows)
		if told && full.value > 0 {
			return true, true
		}
		// The probe may have looked before the time that was counted.
		ever, told := counter(sinceItBegan(o), counterListenOverflows)
		known = known || told && ever.value == 0
	}
	return false, known
}

// listensOn says whether something in the pod listens on one of the addresses.
func listensOn(o PodObservation, addresses []string) bool {
	return slices.ContainsFunc(o.Observation.Listeners, func(l result.Listener) bool {
		return slices.ContainsFunc(addresses, func(a string) bool { return sameAddress(a, l.Address) })
	})
}

func synsSentAgain(count int) string {
	if count == 1 {
		return "1 SYN had to be sent again"
	}
	return figure.Count(count) + " SYNs had to be sent again"
}
