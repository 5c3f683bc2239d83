package audit

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Cures of connections that only the peer has closed.
const (
	cureLeak = iota
	cureStalePool
)

func closeWait() Rule {
	return Rule{
		ID: "CP801", Title: "Connections that the peer has closed are not closed here",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and workloads without a connection to the link.",
		Why: "CLOSE_WAIT ends when the application closes, and never by itself. After a minute the peer's kernel has forgotten the connection, so what the application still keeps is dead: " +
			"a leak that ends when file descriptors run out, or a pool that will hand it out to the next request.",
		Cures: []string{
			"Close what is read to its end: responses in every branch, errors included (Go: defer resp.Body.Close(); Java: try-with-resources; Python: with). If they belong to a pool, let it test connections before it hands them out or evict idle ones sooner than the server closes them (Apache HttpClient: setValidateAfterInactivity, evictIdleConnections; HikariCP: maxLifetime).",
			"Let the pool evict idle connections sooner than the server closes them, or test them before it hands them out (Apache HttpClient: evictIdleConnections, setValidateAfterInactivity; HikariCP: maxLifetime; SQLAlchemy: pool_pre_ping; Python's aiohttp: keepalive_timeout). If their number grows for as long as the pod runs, it is a leak: close responses in every branch, errors included.",
		},
		Source: "RFC 9293 section 3.6 (closing); Documentation/networking/ip-sysctl.rst, tcp_fin_timeout (the peer's minute)",
		judge:  judgeCloseWait,
	}
}

func judgeCloseWait(in Input) judgement {
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		evidence := map[string]string{"pod": o.Pod, "address": d.Address, "closeWait": strconv.Itoa(c.CloseWait), "open": strconv.Itoa(c.Open)}
		if c.CloseWait == 0 {
			return pass(fmt.Sprintf("Pod %s has closed every connection to %s that the peer closed.", o.Pod, d.Address), evidence)
		}
		if c.CloseWaitOldestSeconds == nil {
			return unknown(fmt.Sprintf("%s of pod %s to %s wait to be closed, for how long is not known.", plural(int64(c.CloseWait), "connection"), o.Pod, d.Address))
		}
		oldest := *c.CloseWaitOldestSeconds
		evidence["oldestSeconds"] = fmt.Sprintf("%.0f", oldest)
		seen := fmt.Sprintf("The peer at %s has closed %s that pod %s still keeps, the oldest for %s, of %s open",
			d.Address, plural(int64(c.CloseWait), "connection"), o.Pod, figure.Lasting(oldest), figure.Count(c.Open))
		order := judgeIdleOrder(in)
		switch {
		// By then the peer's kernel has given the connection up (its tcp_fin_timeout), so that no use of it can succeed.
		case oldest < finTimeoutSeconds:
			return pass(seen+", which is not long.", evidence)
		case c.BusyPeak == nil || float64(c.CloseWait) > poolLimit(*c.BusyPeak):
			return fail(Warning, seen+".", evidence, cureLeak)
		case order.result == Fail && order.severity == Warning: // one warning for one cause
			return fail(Info, seen+", no more than a pool may keep idle. CP205 says after how much silence the peer closes.", evidence, cureStalePool)
		}
		return fail(Warning, seen+", no more than a pool may keep idle.", evidence, cureStalePool)
	})
}

func failedConnects() Rule {
	return Rule{
		ID: "CP802", Title: "Connects to the target fail",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and workloads without a connection to the link.",
		Why: "A connection that was begun and never established was refused, timed out, or went to an endpoint that is gone. " +
			"More than one in a hundred is felt in the 99th percentile of all that opens a connection, however fast the others are.",
		Cures: []string{
			"Find out whether they are refused at once (nothing listens: endpoints that are not ready yet or are going; add a readiness probe, and a preStop sleep of some seconds: see CP813) or time out (NetworkPolicy, firewall, a full accept queue: see CP102). Let the client resolve the name again after a failure (Java: networkaddress.cache.ttl).",
		},
		Source: "RFC 9293 section 3.10.7.3; kubernetes.io, Pod Lifecycle (termination of pods)",
		judge:  judgeFailedConnects,
	}
}

func judgeFailedConnects(in Input) judgement {
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		if c.Opened == 0 {
			return notApplicable(fmt.Sprintf("No observed pod opened a connection to this link %s.", period(o)))
		}
		evidence := map[string]string{"pod": o.Pod, "address": d.Address, "failed": strconv.FormatInt(c.Failed, 10), "opened": strconv.FormatInt(c.Opened, 10)}
		seen := fmt.Sprintf("%s of %s that pod %s began to %s %s were never established", figure.Count(int(c.Failed)), plural(c.Opened, "connection"), o.Pod, d.Address, period(o))
		switch rarityOf(c.Failed, c.Opened) {
		case common:
			if syn := judgeDroppedSYN(in); syn.result == Fail && syn.severity == Warning { // one warning for one cause
				return fail(Info, seen+". CP102 says where SYNs to this link are dropped.", evidence, 0)
			}
			return fail(Warning, seen+".", evidence, 0)
		case tooFewTrials:
			return fail(Info, seen+", too few to tell whether more than one in a hundred fail.", evidence, 0)
		}
		return pass(seen+".", evidence)
	})
}

// Cures of CP803, by their place.
const (
	cureResetByPeer = iota
	cureResetHere
	cureSilence
)

func resets() Rule {
	return Rule{
		ID: "CP803", Title: "Established connections end in resets",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and links to which no connection ended in the time that was counted.",
		Why: "A reset, or a peer that falls silent, throws away what was under way in both directions, and the request on it fails or is repeated. " +
			"It comes from a peer that died or restarted, from a hop that forgot the connection, or from an application that closes with data unread.",
		Cures: []string{
			"Find out which end resets: TCPAbortOnClose and TCPAbortOnData (nstat -az) count what the pod itself reset. If it is the peers: look for restarts without draining (CP813; preStop, terminationGracePeriodSeconds), idle times along the chain that are in the wrong order (502s), and hops that forget connections (CP501).",
			"The pod itself resets: its applications close with data unread, or with SO_LINGER 0. Read responses to their end before closing, and do not set SO_LINGER to be rid of TIME_WAIT.",
			"Look for peers that go without a word: nodes that fail, pods that are killed or lose their address before their connections are closed, hops and NetworkPolicies that drop what they have forgotten (CP501). Until then CP503 and CP504 say how soon the pod notices.",
		},
		Source: "RFC 9293 section 3.5.2 (reset); RFC 1122 section 4.2.2.13 (closing with unread data); Documentation/networking/snmp_counter.rst, TcpExtTCPAbortOnClose and TcpExtTCPAbortOnData",
		judge:  judgeResets,
	}
}

// judgeResets judges the connections to the link by how they ended, where observers tell it of most. Elsewhere it takes the
// kernel's counters, which know of no destinations.
func judgeResets(in Input) judgement {
	return perPod(in, func(o PodObservation) judgement {
		ends, closed, to := endsOfLink(o, in.Addresses)
		switch {
		case ends.Told() > 0 && 2*ends.Told() >= closed:
			return judgeEnds(o, ends, to)
		case closed == 0 && tellsEnds(o):
			return notApplicable(fmt.Sprintf("No connection of an observed pod to this link ended %s.", period(o)))
		}
		return judgeResetCounter(o)
	})
}

// endsOfLink sums how the connections of a pod to the link ended, and says how many did and where to.
func endsOfLink(o PodObservation, addresses []string) (ends result.Ends, closed int64, to string) {
	for _, d := range o.Observation.Destinations {
		if d.Connections == nil || !ofLink(d, addresses) {
			continue
		}
		closed += d.Connections.Closed
		if d.Connections.Ends == nil {
			continue
		}
		ends.Add(*d.Connections.Ends)
		if to == "" {
			to = d.Address
		} else {
			to = "this link"
		}
	}
	return ends, closed, to
}

// tellsEnds says whether the observer tells of some connections how they ended, and tells those to each address apart.
func tellsEnds(o PodObservation) bool {
	return o.Observation.OtherDestinations == nil && slices.ContainsFunc(o.Observation.Destinations, func(d result.Destination) bool {
		return d.Connections != nil && d.Connections.Ends != nil
	})
}

func judgeEnds(o PodObservation, ends result.Ends, to string) judgement {
	told := ends.Told()
	evidence := map[string]string{"pod": o.Pod, "ended": strconv.FormatInt(told, 10), "reset": strconv.FormatInt(ends.Reset, 10),
		"resetHere": strconv.FormatInt(ends.ResetHere, 10), "silent": strconv.FormatInt(ends.Silent, 10)}
	seen := fmt.Sprintf("Of the %s of pod %s to %s whose end the kernel told %s, %s ended in a reset by the peer or a hop, %s because the peer answered no more, and %s in a reset by the pod itself",
		plural(told, "connection"), o.Pod, to, period(o), figure.Count(int(ends.Reset)), figure.Count(int(ends.Silent)), figure.Count(int(ends.ResetHere)))
	const tooFew = ", too few to tell whether more than one in a hundred do."
	cure := cureResetByPeer
	if ends.Silent > ends.Reset {
		cure = cureSilence
	}
	lost, own := rarityOf(ends.Reset+ends.Silent, told), rarityOf(ends.ResetHere, told)
	switch {
	case lost == common:
		return fail(Warning, seen+".", evidence, cure)
	case lost == tooFewTrials:
		return fail(Info, seen+tooFew, evidence, cure)
	// What the pod throws away it may have no use for, as of a request that it has cancelled.
	case own == common:
		return fail(Info, seen+": it closed with data unread, or with SO_LINGER 0.", evidence, cureResetHere)
	case own == tooFewTrials:
		return fail(Info, seen+tooFew, evidence, cureResetHere)
	}
	return pass(seen+".", evidence)
}

// judgeResetCounter judges all connections of a pod, to and from anywhere.
func judgeResetCounter(o PodObservation) judgement {
	const reset, accept, onClose, onData = "Tcp.EstabResets", "Tcp.PassiveOpens", "TcpExt.TCPAbortOnClose", "TcpExt.TCPAbortOnData"
	count, known := counter(o, reset)
	if !known {
		return noCounter(o, reset)
	}
	all, known := allConnections(o)
	accepted, knowsAccepted := counter(o, accept)
	if !known || !knowsAccepted {
		return noCounter(o, accept)
	}
	if count.value == 0 && all == 0 {
		return notApplicable(fmt.Sprintf("Pod %s opened and accepted no connection %s.", o.Pod, count.since))
	}
	evidence := map[string]string{"pod": o.Pod, "resets": strconv.FormatInt(count.value, 10), "connections": strconv.FormatInt(all, 10)}
	seen := fmt.Sprintf("%s of the %s of pod %s, to and from anywhere, ended in a reset %s", figure.Count(int(count.value)), plural(all, "connection"), o.Pod, count.since)
	cure, byWhom := cureResetByPeer, ""
	unreadData, knowsUnread := counter(o, onClose)
	lingering, knowsLinger := counter(o, onData)
	if own := unreadData.value + lingering.value; knowsUnread && knowsLinger {
		evidence["ownResets"] = strconv.FormatInt(own, 10)
		byWhom = fmt.Sprintf("; %s of them by the pod itself, which closed with data unread or with SO_LINGER 0", figure.Count(int(own)))
		if 2*own > count.value {
			cure = cureResetHere
		}
	}
	switch rarityOf(count.value, all) {
	case tooFewTrials:
		return fail(Info, seen+byWhom+", too few to tell whether more than one in a hundred do.", evidence, cure)
	case rare:
		return pass(seen+".", evidence)
	}
	// Health checks of load balancers reset what they opened, so that only what the accepted ones cannot account for is
	// known to be of the connections that the workload opened.
	if rarityOf(max(count.value-accepted.value, 0), all-accepted.value) == common {
		return fail(Warning, seen+byWhom+".", evidence, cure)
	}
	evidence["accepted"] = strconv.FormatInt(accepted.value, 10)
	return fail(Info, fmt.Sprintf("%s%s. They may all be among the %s that it accepted, as health checks of load balancers end.",
		seen, byWhom, figure.Count(int(accepted.value))), evidence, cure)
}

func retransmissions() Rule {
	return Rule{
		ID: "CP804", Title: "Segments have to be sent again",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`.",
		Why: "A segment that is lost, or whose acknowledgement is, is sent again after a fifth of a second at the earliest where nothing follows it. " +
			"If more than one in a hundred is, the 99th percentile of even the smallest request shows it.",
		Cures: []string{
			"Look for what drops packets on the way: full queues of the pod's or node's interface (ip -s link, tc -s qdisc: dropped), CPU limits that throttle a proxy, rate limits of the cloud's instance type, packets larger than the path takes (tracepath). Compare nodes: if one stands out, drain it.",
		},
		Source: "RFC 6298 (retransmission timer); Documentation/networking/snmp_counter.rst, TcpRetransSegs and TcpOutSegs",
		judge:  judgeRetransmissions,
	}
}

func judgeRetransmissions(in Input) judgement {
	const again, sent = "Tcp.RetransSegs", "Tcp.OutSegs"
	return perPod(in, func(o PodObservation) judgement {
		repeated, known := counter(o, again)
		if !known {
			return noCounter(o, again)
		}
		all, known := counter(o, sent)
		if !known {
			return noCounter(o, sent)
		}
		// OutSegs does not count what is sent again (RFC 4022, tcpOutSegs).
		segments := all.value + repeated.value
		evidence := map[string]string{"pod": o.Pod, "segmentsSentAgain": strconv.FormatInt(repeated.value, 10), "segments": strconv.FormatInt(segments, 10)}
		if segments == 0 {
			return unknown(fmt.Sprintf("Pod %s sent nothing %s.", o.Pod, all.since))
		}
		seen := fmt.Sprintf("Pod %s sent %s of %s again %s (%s), to anywhere", o.Pod, figure.Count(int(repeated.value)), plural(segments, "segment"),
			all.since, figure.Percent(100*float64(repeated.value)/float64(segments)))
		switch rarityOf(repeated.value, segments) {
		case common:
			return fail(Warning, seen+".", evidence, 0)
		case tooFewTrials:
			return unknown(seen + ", too few to tell whether more than one in a hundred are.")
		}
		return pass(seen+".", evidence)
	})
}

func repeatedSYNs() Rule {
	return Rule{
		ID: "CP811", Title: "The workload's own connects have to knock twice",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and pods that opened no connection in the time that was counted.",
		Why: "A SYN that gets no answer is sent again after a second, so that what opens a connection takes a second longer. " +
			"The probe makes some dozen connects in a run; the workload's own, to anywhere, show what happens once in a hundred.",
		Cures: []string{
			"Find out where to: CP102 says whether it is this link, and CP802 which destinations fail altogether. Look at the listeners' queues there (nstat -az TcpExtListenOverflows), at conntrack -S on the nodes (insert_failed, drop), and at DNS names whose addresses are gone. Reuse connections, so that fewer have to knock.",
		},
		Source: "RFC 6298 section 2 (a second); Documentation/networking/snmp_counter.rst, TcpExtTCPSynRetrans",
		judge:  judgeRepeatedSYNs,
	}
}

func judgeRepeatedSYNs(in Input) judgement {
	const again, opens = "TcpExt.TCPSynRetrans", "Tcp.ActiveOpens"
	return perPod(in, func(o PodObservation) judgement {
		repeated, known := counter(o, again)
		if !known {
			return noCounter(o, again)
		}
		all, known := counter(o, opens)
		switch {
		case !known:
			return noCounter(o, opens)
		case all.value == 0:
			return notApplicable(fmt.Sprintf("No observed pod opened a connection %s.", all.since))
		}
		evidence := map[string]string{"pod": o.Pod, "synsSentAgain": strconv.FormatInt(repeated.value, 10), "opened": strconv.FormatInt(all.value, 10)}
		seen := fmt.Sprintf("Pod %s sent %s again for %s that it began, to anywhere, %s", o.Pod, plural(repeated.value, "SYN"), plural(all.value, "connection"), all.since)
		// One connection may repeat its SYN several times.
		switch rarityOf(min(repeated.value, all.value), all.value) {
		case common:
			if judgeDroppedSYN(in).result == Fail { // one warning for one cause
				return fail(Info, seen+". CP102 says more of those to this link.", evidence, 0)
			}
			return fail(Warning, seen+".", evidence, 0)
		case tooFewTrials:
			return fail(Info, seen+", too few to tell whether more than one in a hundred have to.", evidence, 0)
		}
		return pass(seen+".", evidence)
	})
}

const (
	// closedWindowPercent is the share of the looks from which on a closed window is no chance: where it is met once in a
	// hundred, a 99th percentile meets it.
	closedWindowPercent = 1
	// fewestSamples are needed to see one in a hundred at all.
	fewestSamples = 100
)

func zeroWindow() Rule {
	return Rule{
		ID: "CP805", Title: "The peer does not take data, for its application does not read",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and workloads without a connection to the link.",
		Why: "A receiver whose buffer is full closes its window, and the sender waits, whatever the path could carry. " +
			"The network is not to blame then: the peer's application is slow, blocked, or short of processor time.",
		Cures: []string{
			"Look at the peer: CPU throttling (container_cpu_cfs_throttled_seconds_total), garbage collection, a lock, or one thread that serves many connections. Give it more processor time or replicas; a larger receive buffer (tcp_rmem) only delays the stall.",
		},
		Source: "RFC 9293 section 3.8.6 (managing the window) and 3.8.6.1 (zero-window probing)",
		judge:  judgeZeroWindow,
	}
}

func judgeZeroWindow(in Input) judgement {
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		evidence := map[string]string{"pod": o.Pod, "address": d.Address, "zeroWindowSamples": strconv.FormatInt(c.ZeroWindowSamples, 10), "samples": strconv.FormatInt(c.Samples, 10)}
		if seldomOpen(o, c) {
			return notApplicable(neverOpen)
		}
		if c.Samples == 0 || c.ZeroWindowSamples > 0 && c.Samples < fewestSamples {
			return unknown(fmt.Sprintf("The connections of pod %s to %s were seen %d times only %s, which does not show what happens once in a hundred.", o.Pod, d.Address, c.Samples, period(o)))
		}
		seen := fmt.Sprintf("%s had closed its window on data that pod %s wanted to send at %s of %s looks at a connection %s (%s)", d.Address, o.Pod,
			figure.Count(int(c.ZeroWindowSamples)), figure.Count(int(c.Samples)), period(o), figure.Percent(100*float64(c.ZeroWindowSamples)/float64(c.Samples)))
		if 100*c.ZeroWindowSamples < closedWindowPercent*c.Samples {
			return pass(seen+".", evidence)
		}
		return fail(Warning, seen+".", evidence, 0)
	})
}

func synCookies() Rule {
	return Rule{
		ID: "CP806", Title: "The workload's own listeners answer with SYN cookies",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`.",
		Why: "When more connections are half open than a listener has room for, the kernel answers with cookies and keeps nothing. " +
			"Connections still come about, but without the peer's options where it sends no timestamps, and it is a sign of a flood or of an application that accepts too slowly.",
		Cures: []string{
			"See whether ListenOverflows grows too: then the application accepts too slowly, and a longer backlog in listen() (nginx: listen … backlog=; Java: acceptCount; Node.js: server.listen backlog) with net.core.somaxconn helps bursts. If not, look for a flood: many SYNs that are never completed.",
		},
		Source: "RFC 4987 section 3.6 (SYN cookies); Documentation/networking/ip-sysctl.rst, tcp_syncookies; Documentation/networking/snmp_counter.rst, SyncookiesSent",
		judge:  judgeSynCookies,
	}
}

func judgeSynCookies(in Input) judgement {
	const sent = "TcpExt.SyncookiesSent"
	return perPod(in, func(o PodObservation) judgement {
		cookies, known := counter(o, sent)
		if !known {
			return noCounter(o, sent)
		}
		evidence := map[string]string{"pod": o.Pod, "synCookies": strconv.FormatInt(cookies.value, 10)}
		if cookies.value == 0 {
			return pass(fmt.Sprintf("No listener of pod %s sent a SYN cookie %s.", o.Pod, cookies.since), evidence)
		}
		if overflows, known := counter(o, counterListenOverflows); known {
			evidence["listenOverflows"] = strconv.FormatInt(overflows.value, 10)
		}
		severity, share := Warning, ""
		if accepted, known := counter(o, "Tcp.PassiveOpens"); known {
			evidence["accepted"] = strconv.FormatInt(accepted.value, 10)
			share = fmt.Sprintf(" and accepted %s", plural(accepted.value, "connection"))
			if rarityOf(cookies.value, cookies.value+accepted.value) != common {
				severity = Info
			}
		}
		return fail(severity, fmt.Sprintf("Listeners of pod %s sent %s%s %s: more connections were half open than they have room for.",
			o.Pod, plural(cookies.value, "SYN cookie"), share, cookies.since), evidence, 0)
	})
}

func abortedForMemory() Rule {
	return Rule{
		ID: "CP807", Title: "The kernel ends connections for want of memory",
		Category: CategoryHealth, Severity: Error, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`.",
		Why: "When TCP's memory on the node is used up, or too many closed connections still have data to send, the kernel resets connections that it should have finished. " +
			"The limits are the node's, so other pods are hit as well.",
		Cures: []string{
			"Look at the node's /proc/net/sockstat (mem against net.ipv4.tcp_mem, orphan against tcp_max_orphans). Find the pods with many connections or much unread data (CP801, CP805), bound their pools and buffers, and spread them over nodes.",
		},
		Source: "Documentation/networking/snmp_counter.rst, TcpExtTCPAbortOnMemory; Documentation/networking/ip-sysctl.rst, tcp_mem and tcp_max_orphans",
		judge:  judgeAbortedForMemory,
	}
}

func judgeAbortedForMemory(in Input) judgement {
	const aborted = "TcpExt.TCPAbortOnMemory"
	return perPod(in, func(o PodObservation) judgement {
		count, known := counter(o, aborted)
		if !known {
			return noCounter(o, aborted)
		}
		evidence := map[string]string{"pod": o.Pod, "aborted": strconv.FormatInt(count.value, 10)}
		if count.value == 0 {
			return pass(fmt.Sprintf("No connection of pod %s was ended for want of memory %s.", o.Pod, count.since), evidence)
		}
		return fail(Error, fmt.Sprintf("The kernel ended %s of pod %s for want of memory %s.", plural(count.value, "connection"), o.Pod, count.since), evidence, 0)
	})
}
