package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// counterListenOverflows counts, over a whole network namespace, how often a SYN or the end of a handshake found an accept
	// queue full (Documentation/networking/snmp_counter.rst). One connection that knocks again counts again.
	counterListenOverflows = "TcpExt.ListenOverflows"
	// counterPassiveOpens counts the connections that were accepted in it.
	counterPassiveOpens = "Tcp.PassiveOpens" //nolint:gosec // no credential
	// sysctlSomaxconn caps what an application asks listen() for (listen(2)).
	sysctlSomaxconn = "net.core.somaxconn"
)

// Cures of a full listen queue, by the cap that binds.
const (
	cureAcceptFaster = iota
	cureApplicationBacklog
	cureSomaxconn
)

func listenQueue() Rule {
	return Rule{
		ID: "CP104", Title: "A listen queue overflows",
		Category: CategorySetup, Severity: Error, Needs: []string{needBacklog, needObserver},
		AppliesNot: "Policies without `from` that do not ask for the measurement backlog: only inside a listener's network namespace does the kernel tell of its queue.",
		Why: "A connection that is set up waits in the listener's queue until the application accepts it; once the queue is full the kernel drops what knocks, and the client tries again after a second or more. " +
			"The queue is as long as the application asked listen() for, but never longer than net.core.somaxconn.",
		Cures: []string{
			"Let the application accept faster: more workers or threads, no work in the accepting thread, processor time that is not throttled (see the container's CPU limit).",
			"Raise the application's own backlog, which is the cap here (nginx: listen … backlog=; Node.js: server.listen with backlog; Tomcat: acceptCount; gunicorn: backlog; Java: ServerSocket's backlog, 50 by default), and let it accept faster.",
			"Raise net.core.somaxconn, which is the cap here, in the pod's securityContext.sysctls (it is outside Kubernetes' safe set, so the kubelet has to allow it), restart the server, since listen() takes the value, and let it accept faster.",
		},
		Source: "listen(2); Documentation/networking/snmp_counter.rst, TcpExtListenOverflows; net/ipv4/tcp_ipv4.c, tcp_v4_syn_recv_sock",
		judge:  judgeListenQueue,
	}
}

func judgeListenQueue(in Input) judgement {
	server := notApplicable("The policy does not ask for the measurement backlog.")
	if len(in.Probes) > 0 {
		server = perFigures(in, backlogSource(), func(_ ProbeResult, b *result.Backlog) judgement { return judgeBacklog(b) })
	}
	if in.ServerOnly {
		return server
	}
	own := perPod(in, judgeListenersOf)
	if own.result == Unknown && server.result == Pass {
		return server // The server's own queue is what the link is about.
	}
	return gravest([]judgement{own, server})
}

// judgeBacklog judges the queue that the probe saw beside the server.
func judgeBacklog(b *result.Backlog) judgement {
	if b.Overflows == nil || b.Cap == nil {
		return unknown("The kernel did not tell how often the listener's queue overflowed.")
	}
	evidence := map[string]string{"overflows": strconv.FormatInt(*b.Overflows, 10), "queueLimit": strconv.Itoa(*b.Cap)}
	seen := fmt.Sprintf("The server's listen queue holds %s", figure.Count(*b.Cap))
	if b.InUsePeak != nil {
		evidence["queuePeak"] = strconv.Itoa(*b.InUsePeak)
		seen += fmt.Sprintf(", of which %s were in use at the most", figure.Count(*b.InUsePeak))
	}
	if *b.Overflows == 0 {
		return pass(fmt.Sprintf("%s, and no connection found it full in %.0f seconds.", seen, b.ElapsedSeconds), evidence)
	}
	binds, cure := binding(*b.Cap, b.Somaxconn)
	return fail(Error, fmt.Sprintf("%s. %s in %.0f seconds. %s", seen, foundFull(*b.Overflows, "a queue"), b.ElapsedSeconds, binds), evidence, cure)
}

// judgeListenersOf judges the queues of an observed pod. What more than one connection in a hundred meets is an error, a
// 99th percentile of a second or more; what no more than one in a hundred met, a short burst perhaps, is worth knowing.
func judgeListenersOf(o PodObservation) judgement {
	full, told := counter(o, counterListenOverflows)
	if !told {
		return noCounter(o, counterListenOverflows)
	}
	evidence := map[string]string{"pod": o.Pod, "overflows": strconv.FormatInt(full.value, 10)}
	seen := fmt.Sprintf("%s %s.", foundFull(full.value, "a listen queue of pod "+o.Pod), full.since)
	fullest, ok := fullestListener(o.Observation.Listeners)
	severity := Warning
	if accepted, known := counter(o, counterPassiveOpens); known {
		evidence["accepted"] = strconv.FormatInt(accepted.value, 10)
		seen += fmt.Sprintf(" It accepted %s.", figure.Count(int(accepted.value)))
		switch rarityOf(full.value, full.value+accepted.value) {
		case common:
			severity = Error
		case rare:
			severity = Info
		}
	}
	switch {
	case full.value == 0:
		return pass(seen, evidence)
	case !ok:
		return fail(severity, seen, evidence, cureAcceptFaster)
	}
	evidence["address"], evidence["queueLimit"], evidence["queuePeak"] = fullest.Address, strconv.Itoa(fullest.QueueLimit), strconv.Itoa(fullest.QueuePeak)
	var somaxconn *int
	if value, known := setting(o, sysctlSomaxconn); known {
		somaxconn = &value
	}
	binds, cure := binding(fullest.QueueLimit, somaxconn)
	return fail(severity, fmt.Sprintf("%s The fullest is %s, which holds %s and had %s waiting at a look. %s",
		seen, fullest.Address, figure.Count(fullest.QueueLimit), figure.Count(fullest.QueuePeak), binds), evidence, cure)
}

// foundFull writes how often a connection found a queue full.
func foundFull(count int64, queue string) string {
	switch count {
	case 0:
		return fmt.Sprintf("No connection found %s full", queue)
	case 1:
		return fmt.Sprintf("Once a connection found %s full", queue)
	}
	return fmt.Sprintf("%s times a connection found %s full", figure.Count(int(count)), queue)
}

// fullestListener is the one whose queue was filled most, as a share of what it holds.
func fullestListener(listeners []result.Listener) (fullest result.Listener, ok bool) {
	for _, l := range listeners {
		if l.QueueLimit > 0 && (!ok || l.QueuePeak*fullest.QueueLimit > fullest.QueuePeak*l.QueueLimit) {
			fullest, ok = l, true
		}
	}
	return fullest, ok
}

// binding says which of the two caps of a queue holds it so short, and the cure that fits.
func binding(limit int, somaxconn *int) (inWords string, cure int) {
	switch {
	case somaxconn == nil:
		return "Which cap binds, the application's backlog or net.core.somaxconn, could not be read.", cureAcceptFaster
	case limit < *somaxconn:
		return fmt.Sprintf("The application asked listen() for no more; net.core.somaxconn would allow %s.", figure.Count(*somaxconn)), cureApplicationBacklog
	}
	return fmt.Sprintf("net.core.somaxconn (%s) is the cap.", figure.Count(*somaxconn)), cureSomaxconn
}
