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
	// closesFirstShare is the share of a pod's connections that must end in its own TIME_WAIT for it to count as the end
	// that closes.
	closesFirstShare = 0.5
	// timeWaitSeconds is how long TIME_WAIT lasts (include/net/tcp.h, TCP_TIMEWAIT_LEN).
	timeWaitSeconds = 60
	// serverAnswers is the evidence that says how many requests the server answers on a connection.
	serverAnswers = "serverAnswers"
)

func clientDoesNotReuse() Rule {
	return Rule{
		ID: "CP204", Title: "The client throws away connections that the server would keep",
		Category: CategoryReuse, Severity: Warning, Needs: []string{needReuse, needObserver},
		AppliesNot: "Links that are not HTTP/1, policies without `from` or that do not ask for the measurement reuse, and servers that keep no connection (see CP201 and CP203).",
		Why: "The workload opens connections all the time and closes them itself within a second, although the server would take further requests on them. " +
			"Each costs a handshake, and a local port for a minute of TIME_WAIT.",
		Cures: []string{
			"Let the client share one HTTP client with a pool of idle connections instead of making one a request, read responses to their end, and send no `Connection: close`. Mind the pool's size: Go keeps 2 idle connections a host unless MaxIdleConnsPerHost says more.",
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
	judgements := make([]judgement, 0, len(in.Observations))
	for _, o := range in.Observations {
		judgements = append(judgements, judgeLifetime(o, in.Addresses, kept.evidence[serverAnswers]))
	}
	return gravest(judgements)
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
	case float64(held.timeWait) < closesFirstShare*opens.perSecond*timeWaitSeconds:
		return unknown(seen + ". Few of them end in its own TIME_WAIT, so it cannot be told which end closes them.")
	}
	return fail(Warning, fmt.Sprintf("%s, and closes them itself (%s in TIME_WAIT), although the server answers %s on one connection.",
		seen, figure.Count(held.timeWait), answers), evidence, 0)
}
