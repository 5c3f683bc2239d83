package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
)

// Settings that are turned against TIME_WAIT, rightly or not (Documentation/networking/ip-sysctl.rst).
const (
	sysctlReuse      = "net.ipv4.tcp_tw_reuse"
	sysctlTimestamps = "net.ipv4.tcp_timestamps"
	sysctlFinTimeout = "net.ipv4.tcp_fin_timeout"
	sysctlBuckets    = "net.ipv4.tcp_max_tw_buckets"
)

func uselessReuse() Rule {
	return Rule{
		ID: "CP409", Title: "Settings against TIME_WAIT that cannot help, or do harm",
		Category: CategoryPorts, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`.",
		Why: "tcp_tw_reuse lets connect() take a port from TIME_WAIT a second after its last packet. It needs TCP timestamps at both ends, and does nothing for connections that others opened or closed first. " +
			"Without timestamps the kernel also loses the protection against old segments (PAWS) and measures round trips less well.",
		Cures: []string{
			"Turn TCP timestamps on again (net.ipv4.tcp_timestamps = 1, the default).",
			"Take net.ipv4.tcp_tw_reuse back to the default (2: loopback only). If ports are short, reuse connections or widen the range (CP401); TIME_WAIT at the server holds no port.",
		},
		Source: "Documentation/networking/ip-sysctl.rst, tcp_tw_reuse and tcp_timestamps; net/ipv4/tcp_ipv4.c, tcp_twsk_unique; RFC 7323 section 5 (PAWS)",
		judge:  judgeUselessReuse,
	}
}

func judgeUselessReuse(in Input) judgement {
	return perPod(in, func(o PodObservation) judgement {
		timestamps, known := setting(o, sysctlTimestamps)
		if !known {
			return notRead(o, sysctlTimestamps)
		}
		reuse, known := setting(o, sysctlReuse)
		if !known {
			return notRead(o, sysctlReuse)
		}
		evidence := map[string]string{"pod": o.Pod, "tcpTwReuse": strconv.Itoa(reuse), "tcpTimestamps": strconv.Itoa(timestamps)}
		inForce := fmt.Sprintf("Pod %s has tcp_tw_reuse = %d and tcp_timestamps = %d", o.Pod, reuse, timestamps)
		switch {
		case timestamps == 0 && reuse == 1:
			return fail(Warning, inForce+": without timestamps no port is taken back from TIME_WAIT, so that the first setting does nothing.", evidence, 0)
		case timestamps == 0:
			return fail(Warning, inForce+": old segments of an earlier connection are no longer told from new ones by their time.", evidence, 0)
		case reuse != 1:
			return pass(inForce+": nothing is turned against TIME_WAIT.", evidence)
		case o.Observation.Destinations == nil:
			return unknown(inForce + "; its sockets could not be listed.")
		}
		if opened := openedInTimeWait(o); opened > 0 {
			return pass(fmt.Sprintf("%s, and %s of its outgoing connections are in TIME_WAIT, whose ports it can take back.", inForce, figure.Count(opened)), evidence)
		}
		if o.Observation.UptimeSeconds < timeWaitSeconds {
			return unknown(fmt.Sprintf("%s. The observer has looked for %.0f seconds only, and TIME_WAIT comes and goes in a minute.", inForce, o.Observation.UptimeSeconds))
		}
		return fail(Info, inForce+", but none of its outgoing connections is in TIME_WAIT: the other end closes them, or nobody does, so that there is nothing to take back.", evidence, 1)
	})
}

// openedInTimeWait counts the connections that a pod opened, to anywhere, and that are in TIME_WAIT.
func openedInTimeWait(o PodObservation) int {
	sum := 0
	for _, d := range o.Observation.Destinations {
		sum += d.TimeWait
	}
	if o.Observation.OtherDestinations != nil {
		sum += o.Observation.OtherDestinations.TimeWait
	}
	return sum
}

// finTimeoutSeconds is the kernel's default of tcp_fin_timeout.
const finTimeoutSeconds = 60

func loweredFinTimeout() Rule {
	return Rule{
		ID: "CP410", Title: "tcp_fin_timeout is lowered, which does not shorten TIME_WAIT",
		Category: CategoryPorts, Severity: Info, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and pods with the default or a longer time.",
		Why: "tcp_fin_timeout bounds how long a connection that this end closed waits for the other end to close too (FIN_WAIT_2). TIME_WAIT, which comes after, lasts a fixed 60 seconds on Linux whatever it says. " +
			"Lowered far, it cuts off peers that are slow to answer the end of a connection.",
		Cures: []string{
			"Take net.ipv4.tcp_fin_timeout out of the pod's securityContext.sysctls (default: 60). Against too many sockets in TIME_WAIT: nothing, while ports are left; else reuse connections or widen the range (CP401).",
		},
		Source: "include/net/tcp.h, TCP_TIMEWAIT_LEN; Documentation/networking/ip-sysctl.rst, tcp_fin_timeout; measured on Linux 6.18",
		judge:  judgeFinTimeout,
	}
}

func judgeFinTimeout(in Input) judgement {
	return perPod(in, func(o PodObservation) judgement {
		seconds, known := setting(o, sysctlFinTimeout)
		switch {
		case !known:
			return notRead(o, sysctlFinTimeout)
		case seconds >= finTimeoutSeconds:
			return notApplicable(fmt.Sprintf("tcp_fin_timeout is %d seconds, not lowered.", seconds))
		case o.Observation.Destinations == nil:
			return unknown(fmt.Sprintf("tcp_fin_timeout of pod %s is %d seconds; its sockets could not be listed.", o.Pod, seconds))
		}
		timeWait, closing := 0, 0
		for _, d := range o.Observation.Destinations {
			if d.Connections == nil {
				return unknown(fmt.Sprintf("tcp_fin_timeout of pod %s is %d seconds; its observer does not tell connections in FIN_WAIT_2 from others.", o.Pod, seconds))
			}
			timeWait += d.TimeWait
			closing += max(d.PortsInUse-d.TimeWait-d.Connections.Open, 0)
		}
		// With the default each would stay for longer, so that there were more of them (Little's law).
		byDefault := closing * finTimeoutSeconds / max(seconds, 1)
		evidence := map[string]string{"pod": o.Pod, "tcpFinTimeoutSeconds": strconv.Itoa(seconds), "timeWait": strconv.Itoa(timeWait),
			"finWait2AtMost": strconv.Itoa(closing), "finWait2AtMostByDefault": strconv.Itoa(byDefault)}
		if byDefault > timeWait {
			return pass(fmt.Sprintf("tcp_fin_timeout of pod %s is %d seconds, and up to %s of its connections are in FIN_WAIT_2, more than the %s in TIME_WAIT: there it does help.",
				o.Pod, seconds, figure.Count(closing), figure.Count(timeWait)), evidence)
		}
		return fail(Info, fmt.Sprintf("tcp_fin_timeout of pod %s is %d seconds. It holds %s in TIME_WAIT, which stay for 60 seconds all the same, and at most %s in FIN_WAIT_2, the only ones that it shortens.",
			o.Pod, seconds, figure.Count(timeWait), figure.Count(closing)), evidence, 0)
	})
}

func skippedTimeWait() Rule {
	return Rule{
		ID: "CP411", Title: "TIME_WAIT is skipped",
		Category: CategoryPorts, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`.",
		Why: "When tcp_max_tw_buckets sockets are in TIME_WAIT the kernel drops further ones at once. " +
			"A late segment of such a connection can then end up in a new one between the same ports, and the peer's last FIN is answered by a reset.",
		Cures: []string{
			"Take net.ipv4.tcp_max_tw_buckets back to the kernel's own value (it is sized by memory; the kernel's documentation says never to lower it). If that is the value in force, close fewer connections from this side: reuse them (CP204).",
		},
		Source: "Documentation/networking/ip-sysctl.rst, tcp_max_tw_buckets; net/ipv4/tcp_minisocks.c, tcp_time_wait; RFC 9293 section 3.6.1",
		judge:  judgeSkippedTimeWait,
	}
}

func judgeSkippedTimeWait(in Input) judgement {
	const overflow = "TcpExt.TCPTimeWaitOverflow"
	return perPod(in, func(o PodObservation) judgement {
		skipped, known := counter(o, overflow)
		if !known {
			return noCounter(o, overflow)
		}
		evidence := map[string]string{"pod": o.Pod, "skipped": strconv.FormatInt(skipped.value, 10)}
		bound := ""
		if buckets, known := setting(o, sysctlBuckets); known {
			evidence["tcpMaxTwBuckets"] = strconv.Itoa(buckets)
			bound = fmt.Sprintf(" (tcp_max_tw_buckets is %s)", figure.Count(buckets))
		}
		if skipped.value == 0 {
			return pass(fmt.Sprintf("No connection of pod %s skipped TIME_WAIT %s%s.", o.Pod, skipped.since, bound), evidence)
		}
		return fail(Warning, fmt.Sprintf("%s of pod %s skipped TIME_WAIT %s, for it was full%s.",
			plural(skipped.value, "connection"), o.Pod, skipped.since, bound), evidence, 0)
	})
}
