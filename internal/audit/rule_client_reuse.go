package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// shortLivedSeconds is the mean lifetime of connections below which they are taken for unshared ones.
	shortLivedSeconds = 1
	// majority is the share of connections above which what happens to them is the rule rather than the exception.
	majority = 0.5
	// timeWaitSeconds is how long TIME_WAIT lasts (include/net/tcp.h, TCP_TIMEWAIT_LEN).
	timeWaitSeconds = 60
	// serverAnswers is the evidence that says how many requests the server answers on a connection.
	serverAnswers = "serverAnswers"
)

// Cures of a client that does not reuse connections, by the end that closes them.
const (
	cureClientCloses = iota
	cureClientAsksToClose
)

func clientDoesNotReuse() Rule {
	return Rule{
		ID: "CP204", Title: "The client throws away connections that the server would keep",
		Category: CategoryReuse, Severity: Warning, Needs: []string{needReuse, needObserver},
		AppliesNot: "Links that are not HTTP/1, policies without `from` or that do not ask for the measurement reuse, and servers that keep no connection (see CP201 and CP203).",
		Why: "The workload opens connections all the time and uses each for one request or for less than a second, although the server would take further requests on them. " +
			"Each costs a handshake, and the end that closes first holds a local port for a minute of TIME_WAIT.",
		Cures: []string{
			"Let the client share one HTTP client with a pool of idle connections instead of making one a request, read responses to their end, and send no `Connection: close`. Mind the pool's size: Go keeps 2 idle connections a host unless MaxIdleConnsPerHost says more.",
			"Stop the client from asking for the close: no `Connection: close`, no HTTP/1.0 (nginx before 1.29.7 towards its upstreams: proxy_http_version 1.1, an empty Connection header, keepalive in the upstream block; Node.js before 19: an http.Agent with keepAlive: true; PHP's curl: one handle for all requests; ab: -k).",
		},
		Source: "RFC 9293 section 3.6.1 (the end that closes first waits); RFC 9112 section 9.3 (persistence)",
		judge:  judgeClientDoesNotReuse,
	}
}

func judgeClientDoesNotReuse(in Input) judgement {
	if j, none := notObserved(in); none {
		return j
	}
	kept := perFigures(in, reuseSource(), func(_ ProbeResult, r *result.Reuse) judgement {
		switch {
		case r.Kept == nil:
			return unknown("Whether the server keeps a connection was not found out.")
		case !*r.Kept:
			return notApplicable("The server keeps no connection that the client could reuse; CP201 or CP203 says why.")
		}
		return pass("The server keeps connections.", map[string]string{serverAnswers: requests(r)})
	})
	if kept.result != Pass {
		return kept
	}
	answers := kept.evidence[serverAnswers]
	return perPod(in, func(o PodObservation) judgement { return judgeSharing(in, o, answers) })
}

// judgeSharing judges whether one pod uses a connection for more than one request, to a server that answers so many on one:
// by how many its connections carried, where that can be told, else by how long they lived.
func judgeSharing(in Input, o PodObservation, answers string) judgement {
	// A TLS handshake looks like a request and its answer.
	e, known := endedOf(o, in.Addresses)
	if known && in.Protocol == protocolHTTP {
		if j, told := judgeRequestsCarried(o, e, poolOverflows(o, in.Addresses), answers); told {
			return j
		}
	}
	j := judgeLifetime(o, in.Addresses, answers)
	if known && j.result == Unknown && e.openedPerSecond >= rarelyPerSecond && provenAbove(e.closed-e.closedHere, e.closed, majority) && shortLived(o, in.Addresses) {
		return fail(Warning, fmt.Sprintf("Pod %s opened %s connections a second %s, and half of those that ended had lived for %d seconds at the most, although the server answers %s on one connection. The server closed %s of %s first, as it does where the client asks for it.",
			o.Pod, figure.Rate(e.openedPerSecond), period(o), shortLivedSeconds+lookSeconds, answers, figure.Count(int(e.closed-e.closedHere)), figure.Count(int(e.closed))),
			map[string]string{"pod": o.Pod, "connectionsPerSecond": figure.Rate(e.openedPerSecond), "closed": strconv.FormatInt(e.closed, 10), "closedHere": strconv.FormatInt(e.closedHere, 10)}, cureClientAsksToClose)
	}
	return j
}

// shortLived says that half of a pod's connections to each address of the link lived for less than a second, by looks that are a
// second apart.
func shortLived(o PodObservation, addresses []string) bool {
	known := false
	for _, d := range o.Observation.Destinations {
		if !ofLink(d, addresses) || d.Connections == nil || d.Connections.Closed == 0 {
			continue
		}
		if l := d.Connections.LifetimeSecondsAtMost; l == nil || l.P50 >= shortLivedSeconds+lookSeconds {
			return false
		}
		known = true
	}
	return known
}

// ended are the connections of a pod to a link that ended in the time that was counted.
type ended struct {
	opened, closed, closedHere int64
	// single carried one request at most.
	single int64
	// exchanges is the lowest median of how many requests they can have carried, 0 if none ended.
	exchanges float64
	// openedPerSecond is over the whole time that was counted.
	openedPerSecond float64
}

// endedOf sums them up over the addresses of the link. It is not known where an observer cannot tell how many requests they
// carried.
func endedOf(o PodObservation, addresses []string) (e ended, known bool) {
	for _, d := range o.Observation.Destinations {
		c := d.Connections
		if !ofLink(d, addresses) {
			continue
		}
		if c == nil || c.Closed > 0 && c.SingleExchange == nil {
			return ended{}, false
		}
		known = true
		e.opened, e.closed, e.closedHere = e.opened+c.Opened, e.closed+c.Closed, e.closedHere+c.ClosedHere
		if c.SingleExchange != nil {
			e.single += *c.SingleExchange
		}
		if q := c.ExchangesAtMost; q != nil && (e.exchanges == 0 || q.P50 < e.exchanges) {
			e.exchanges = q.P50
		}
	}
	counted := countedSeconds(o)
	if counted > 0 {
		e.openedPerSecond = float64(e.opened) / counted
	}
	return e, known && counted > 0
}

// unshared says that most connections carried one request at most.
func (e ended) unshared() bool { return provenAbove(e.single, e.closed, majority) }

// sharedExchanges is how many exchanges at the most mean more than one request: a request and its answer of 14 kB each look
// like ten.
const sharedExchanges = 10

// judgeRequestsCarried judges one pod by how many requests its connections carried, if that tells. A pool that overflows
// throws away most of them too, and others not.
func judgeRequestsCarried(o PodObservation, e ended, overflow bool, answers string) (j judgement, told bool) {
	evidence := map[string]string{
		"pod": o.Pod, "connectionsPerSecond": figure.Rate(e.openedPerSecond), "closed": strconv.FormatInt(e.closed, 10),
		"closedHere": strconv.FormatInt(e.closedHere, 10), "singleExchange": strconv.FormatInt(e.single, 10),
	}
	seen := fmt.Sprintf("Pod %s opened %s connections a second %s", o.Pod, figure.Rate(e.openedPerSecond), period(o))
	carried := fmt.Sprintf("%s of the %s that ended carried one request at most", figure.Count(int(e.single)), figure.Count(int(e.closed)))
	switch {
	case o.Observation.UptimeSeconds < timeWaitSeconds:
		return unknown(fmt.Sprintf("The observer in pod %s has looked for %.0f seconds only.", o.Pod, o.Observation.UptimeSeconds)), true
	case e.openedPerSecond < rarelyPerSecond:
		return pass(seen+".", evidence), true
	case e.unshared() && overflow:
		return pass(fmt.Sprintf("%s, and only %s: the client has a pool, which keeps fewer than it needs. CP209 says more.", seen, carried), evidence), true
	case e.unshared() && provenAbove(e.closedHere, e.closed, majority):
		return fail(Warning, fmt.Sprintf("%s, and %s. The client closed %s itself, although the server answers %s on one connection.",
			seen, carried, figure.Count(int(e.closedHere)), answers), evidence, cureClientCloses), true
	case e.unshared():
		return fail(Warning, fmt.Sprintf("%s, and %s, although the server answers %s on one connection. Where the server closes first, the client has asked for it.",
			seen, carried, answers), evidence, cureClientAsksToClose), true
	case e.exchanges >= sharedExchanges:
		return pass(fmt.Sprintf("%s, but only %s.", seen, carried), evidence), true
	}
	return judgement{}, false
}

// judgeLifetime judges one pod by how long its connections live. In a steady state that is the number of open ones
// divided by the rate at which they are opened (Little's law).
func judgeLifetime(o PodObservation, addresses []string, answers string) judgement {
	opens, held := opensTo(o, addresses), linkSockets(o, addresses)
	switch {
	case opens == nil:
		return unknown(fmt.Sprintf("The observer in pod %s has not looked long enough to tell how many connections are opened.", o.Pod))
	case opens.atMost < rarelyPerSecond && o.Observation.UptimeSeconds < timeWaitSeconds:
		return unknown(fmt.Sprintf("The observer in pod %s has looked for %.0f seconds only.", o.Pod, o.Observation.UptimeSeconds))
	case opens.atMost < rarelyPerSecond:
		return pass(fmt.Sprintf("Pod %s opens at most %s connections a second.", o.Pod, figure.Rate(opens.atMost)),
			map[string]string{"pod": o.Pod, "connectionsPerSecondAtMost": figure.Rate(opens.atMost)})
	case opens.perSecond < rarelyPerSecond:
		return unknown(fmt.Sprintf("Pod %s opens %s connections a second that leave no TIME_WAIT behind, so it cannot be told whether they go to this link, nor which end closes them.",
			o.Pod, figure.Rate(opens.atMost)))
	}
	lifetimeSeconds := float64(held.open()) / opens.perSecond
	evidence := map[string]string{
		"pod": o.Pod, "connectionsPerSecond": figure.Rate(opens.perSecond),
		"open": strconv.Itoa(held.open()), "timeWait": strconv.Itoa(held.timeWait),
	}
	lifetime := "none of which was open when the observer looked"
	if held.open() > 0 {
		lifetime = "which live for " + figure.Microseconds(lifetimeSeconds*1e6) + " on average"
		evidence["meanLifetimeSeconds"] = fmt.Sprintf("%.3f", lifetimeSeconds)
	}
	seen := fmt.Sprintf("Pod %s opens %s connections a second, %s", o.Pod, figure.Rate(opens.perSecond), lifetime)
	switch {
	case lifetimeSeconds >= shortLivedSeconds:
		return pass(seen+".", evidence)
	case float64(held.timeWait) < majority*opens.perSecond*timeWaitSeconds:
		return unknown(seen + ". Few of them end in its own TIME_WAIT, so it cannot be told which end closes them.")
	}
	return fail(Warning, fmt.Sprintf("%s, and closes them itself (%s in TIME_WAIT), although the server answers %s on one connection.",
		seen, figure.Count(held.timeWait), answers), evidence, 0)
}
