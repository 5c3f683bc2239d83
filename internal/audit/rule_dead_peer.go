package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func silentPeer() Rule {
	return Rule{
		ID: "CP503", Title: "Nobody would notice that a silent peer is dead",
		Category: CategoryLongLived, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and workloads without a connection to the link.",
		Why: "A connection on which this side only waits stays established for ever when its peer is gone without a FIN: a node that died, a path that forgot it. " +
			"Only keepalive asks, by default after two hours of silence and for eleven minutes more; without it a subscriber waits for messages that never come.",
		Cures: []string{
			"Arm keepalive in the client: SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT (Go: net.Dialer.KeepAliveConfig; libpq: keepalives=1; MySQL Connector/J: tcpKeepAlive; Envoy, Istio: tcpKeepalive), or pings of the application's own (gRPC keepalive_time, WebSocket ping, AMQP heartbeat).",
		},
		Source: "RFC 1122 section 4.2.3.6; RFC 9293 section 3.8.4; Documentation/networking/ip-sysctl.rst, tcp_keepalive_time, _intvl and _probes",
		judge:  judgeSilentPeer,
	}
}

func judgeSilentPeer(in Input) judgement {
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		time, knowsTime := setting(o, sysctlKeepaliveTime)
		evidence := map[string]string{"pod": o.Pod, "address": d.Address, "armed": strconv.Itoa(c.Keepalive.Armed), "notArmed": strconv.Itoa(c.Keepalive.NotArmed)}
		switch {
		case c.Open == 0:
			return notApplicable("No observed pod holds a connection to this link open.")
		case c.Keepalive.NotArmed == 0 && c.Keepalive.Armed == 0:
			return unknown(fmt.Sprintf("Whether keepalive is armed on the connections of pod %s to %s could not be seen.", o.Pod, d.Address))
		case c.Keepalive.NotArmed == 0:
			return pass(fmt.Sprintf("Keepalive is armed on all of pod %s's open connections to %s%s.", o.Pod, d.Address, noticedAfter(o)), evidence)
		case !knowsTime:
			return notRead(o, sysctlKeepaliveTime)
		case c.IdleSeconds == nil:
			return unknown(fmt.Sprintf("For how long the connections of pod %s to %s were silent is not known.", o.Pod, d.Address))
		}
		evidence["silentSecondsP99"], evidence["keepaliveTimeSeconds"] = fmt.Sprintf("%.0f", c.IdleSeconds.P99), strconv.Itoa(time)
		seen := fmt.Sprintf("%s of pod %s to %s have no keepalive", plural(int64(c.Keepalive.NotArmed), "open connection"), o.Pod, d.Address)
		// Where the kernel would have asked by now, had it been told to, the setting itself says that it has been too long.
		if c.IdleSeconds.P99 < float64(time) {
			return pass(fmt.Sprintf("%s, and none has been silent for longer than %s; keepalive would ask after %s only.", seen, figure.Lasting(c.IdleSeconds.P99), figure.Lasting(float64(time))), evidence)
		}
		return fail(Warning, fmt.Sprintf("%s, and some have been silent for %s. Whether their peer still lives, nobody asked; keepalive would have after %s.",
			seen, figure.Lasting(c.IdleSeconds.P99), figure.Lasting(float64(time))), evidence, 0)
	})
}

// noticedAfter says when keepalive gives a dead peer up by the kernel's settings; empty where they are not known.
func noticedAfter(o PodObservation) string {
	time, knowsTime := setting(o, sysctlKeepaliveTime)
	interval, knowsInterval := setting(o, sysctlKeepaliveInterval)
	probes, knowsProbes := setting(o, sysctlKeepaliveProbes)
	if !knowsTime || !knowsInterval || !knowsProbes {
		return ""
	}
	return fmt.Sprintf("; a dead peer is noticed %s after its last word at the latest, or as the client's own options say", figure.Lasting(float64(time+interval*probes)))
}

const sysctlRetries2 = "net.ipv4.tcp_retries2"

func deadInFlight() Rule {
	return Rule{
		ID: "CP504", Title: "Requests wait for peers that are gone until the kernel gives up",
		Category: CategoryLongLived, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`.",
		Why: "While data is unacknowledged, keepalive is silent and the kernel sends again for as long as tcp_retries2 says, 924 seconds or more by default. " +
			"A request that has no timeout of its own hangs for that long when its peer or the path is gone.",
		Cures: []string{
			"Give every request a timeout. For connections that carry many: TCP_USER_TIMEOUT of some ten seconds (gRPC sets it from keepalive_timeout; libpq: tcp_user_timeout; Go: syscall.RawConn with unix.TCP_USER_TIMEOUT; Redis Lettuce: tcpUserTimeout; HAProxy: tcp-ut). Lower net.ipv4.tcp_retries2 only as the last resort, and not below 8 (RFC 1122).",
		},
		Source: "RFC 1122 section 4.2.3.5; RFC 5482 (user timeout); Documentation/networking/ip-sysctl.rst, tcp_retries2; net/ipv4/tcp_timer.c, tcp_model_timeout",
		judge:  judgeDeadInFlight,
	}
}

func judgeDeadInFlight(in Input) judgement {
	const abort = "TcpExt.TCPAbortOnTimeout"
	return perPod(in, func(o PodObservation) judgement {
		aborted, known := counter(o, abort)
		if !known {
			return noCounter(o, abort)
		}
		all, known := allConnections(o)
		evidence := map[string]string{"pod": o.Pod, "abandoned": strconv.FormatInt(aborted.value, 10)}
		wait := "15 minutes or more by default"
		if retries, known := setting(o, sysctlRetries2); known {
			evidence["tcpRetries2"] = strconv.Itoa(retries)
			wait = fmt.Sprintf("%s or more with tcp_retries2 = %d", figure.Lasting(givenUpAfter(retries)), retries)
		}
		if aborted.value == 0 {
			return pass(fmt.Sprintf("Pod %s gave up no connection for want of an answer %s.", o.Pod, aborted.since), evidence)
		}
		if !known {
			return unknown(fmt.Sprintf("Pod %s gave up %s for want of an answer, of how many is not known.", o.Pod, plural(aborted.value, "connection")))
		}
		evidence["connections"] = strconv.FormatInt(all, 10)
		seen := fmt.Sprintf("Pod %s gave up %s of %s %s, to and from anywhere, because the peer did not answer", o.Pod,
			figure.Count(int(aborted.value)), plural(all, "connection"), aborted.since)
		switch rarityOf(aborted.value, all) {
		case common:
			if forgotten := gravest([]judgement{judgeIdleCut(in), judgeUselessKeepalive(in)}); forgotten.severity == Error { // one alarm for one cause
				return fail(Info, seen+". So end connections that the path forgot; CP501 or CP502 says after how much silence it does.", evidence, 0)
			}
			return fail(Warning, fmt.Sprintf("%s. One with a request under way waits %s before, unless the application gives up sooner; one that was silent, as keepalive says.", seen, wait), evidence, 0)
		case tooFewTrials:
			return fail(Info, fmt.Sprintf("%s. One with a request under way waits %s before, unless the application gives up sooner; one that was silent, as keepalive says.", seen, wait), evidence, 0)
		}
		return pass(seen+".", evidence)
	})
}

// givenUpAfter is how long the kernel sends again at the least before it gives up: the wait begins at 0.2 s and
// doubles up to 120 s (net/ipv4/tcp_timer.c, tcp_model_timeout).
func givenUpAfter(retries int) float64 {
	const first, longest = 0.2, 120
	sum, wait := 0.0, first
	for range min(max(retries, 0), 255) + 1 {
		sum += wait
		wait = min(2*wait, longest)
	}
	return sum
}
