package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
)

const (
	// shortLivedSeconds is the mean lifetime of connections below which they are taken for unshared ones.
	shortLivedSeconds = 1
	// closesFirstShare is the share of a pod's connections that must end in its own TIME_WAIT for it to count as the end
	// that closes.
	closesFirstShare = 0.5
	// timeWaitSeconds is how long TIME_WAIT lasts (include/net/tcp.h, TCP_TIMEWAIT_LEN).
	timeWaitSeconds = 60
)

func clientDoesNotReuse() Rule {
	return Rule{
		ID: "CP204", Title: "The client throws away connections that the server would keep",
		Category: CategoryReuse, Severity: Warning, Needs: []string{needReuse, needObserver},
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
	kept := perVantage(in, func(p ProbeResult) judgement {
		r, missing := reuse(in, p)
		switch {
		case missing != nil:
			return *missing
		case r.Kept == nil:
			return unknown(fmt.Sprintf("Whether the server keeps a connection%s was not found out.", from(p)))
		case !*r.Kept:
			return notApplicable("The server keeps no connection that the client could reuse; CP201 or CP203 says why.")
		}
		return pass(requests(r), nil)
	})
	if kept.result != Pass {
		return kept
	}
	judgements := make([]judgement, 0, len(in.Observations))
	for _, o := range in.Observations {
		judgements = append(judgements, judgeLifetime(o.Pod, linkSockets(o, in.Addresses), o.Observation.UptimeSeconds, kept.message))
	}
	return gravest(judgements)
}

// judgeLifetime judges one pod by how long its connections live. In a steady state that is the number of open ones
// divided by the rate at which they are opened (Little's law).
func judgeLifetime(pod string, sockets sockets, lookedSeconds float64, serverKeeps string) judgement {
	if sockets.opensPerSecond == nil {
		return unknown(fmt.Sprintf("The observer in pod %s has not looked long enough to tell how many connections are opened.", pod))
	}
	rate := *sockets.opensPerSecond
	evidence := map[string]string{
		"pod": pod, "connectionsPerSecond": figure.Rate(rate),
		"open": strconv.Itoa(sockets.open()), "timeWait": strconv.Itoa(sockets.timeWait),
	}
	if rate < rarelyPerSecond {
		if lookedSeconds < timeWaitSeconds {
			return unknown(fmt.Sprintf("The observer in pod %s has looked for %.0f seconds only.", pod, lookedSeconds))
		}
		return pass(fmt.Sprintf("Pod %s opens only %s connections a second.", pod, figure.Rate(rate)), evidence)
	}
	lifetimeSeconds := float64(sockets.open()) / rate
	evidence["meanLifetimeSeconds"] = fmt.Sprintf("%.3f", lifetimeSeconds)
	seen := fmt.Sprintf("Pod %s opens %s connections a second, which live for %s on average",
		pod, figure.Rate(rate), figure.Microseconds(lifetimeSeconds*1e6))
	switch {
	case lifetimeSeconds >= shortLivedSeconds:
		return pass(seen+".", evidence)
	case float64(sockets.timeWait) < closesFirstShare*rate*timeWaitSeconds:
		return unknown(seen + ". Few of them end in its own TIME_WAIT, so it cannot be told which end closes them.")
	}
	return fail(Warning, fmt.Sprintf("%s, and closes them itself (%s in TIME_WAIT), although the server answers %s on one connection.",
		seen, figure.Count(sockets.timeWait), serverKeeps), evidence, 0)
}
