package audit

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func timeWaitHolder() Rule {
	return Rule{
		ID: "CP404", Title: "The client takes TIME_WAIT from a server that would hold it",
		Category: CategoryPorts, Severity: Info, Needs: []string{needReuse, needObserver},
		Helps:      []string{needIdentity},
		AppliesNot: "Links that are not HTTP/1, policies without `from` or that do not ask for the measurement reuse, targets on loopback, and links on which no connection ended.",
		Why: "The end that closes first holds TIME_WAIT for a minute. At a client each one holds a local port towards the destination, at a server none. " +
			"Where the server ends every connection anyway, a client that closes before it pays for that with its ports and gains nothing.",
		Cures: []string{
			"Let the server keep connections, so that there is less to close (CP201 and CP203 say why it does not). Until then, let the client read each response to the end of the connection instead of closing at the end of the body, so that the server closes first.",
		},
		Source: "RFC 9293 section 3.6.1 (the end that closes first waits); RFC 9112 section 9.6 (tear-down)",
		judge:  judgeTimeWaitHolder,
	}
}

func judgeTimeWaitHolder(in Input) judgement {
	if j, none := notObserved(in); none {
		return j
	}
	if len(in.Addresses) > 0 && !slices.ContainsFunc(in.Addresses, func(a string) bool { return !onLoopback(a) }) {
		return notApplicable("On loopback the kernel takes ports back from TIME_WAIT after a second or two.")
	}
	serverCloses := false
	server := perFigures(in, reuseSource(), func(_ ProbeResult, r *result.Reuse) judgement {
		if r.Kept == nil {
			return unknown("Whether the server keeps a connection was not found out.")
		}
		serverCloses = serverCloses || !*r.Kept
		return pass("", nil)
	})
	if server.result != Pass {
		return server
	}
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		if c.Closed == 0 {
			return notApplicable(fmt.Sprintf("No connection of an observed pod to this link ended %s, so there is no TIME_WAIT to hold.", period(o)))
		}
		evidence := map[string]string{"pod": o.Pod, "address": d.Address, "closed": strconv.FormatInt(c.Closed, 10),
			"closedHere": strconv.FormatInt(c.ClosedHere, 10), "timeWait": strconv.Itoa(d.TimeWait)}
		seen := fmt.Sprintf("Pod %s was the first to close %s of %s to %s %s", o.Pod, figure.Count(int(c.ClosedHere)), plural(c.Closed, "connection"), d.Address, period(o))
		switch {
		case d.TimeWait == 0:
			return pass(seen+", and holds none in TIME_WAIT.", evidence)
		case 2*c.ClosedHere <= c.Closed:
			return pass(seen+"; for the others the server holds TIME_WAIT, or nobody does.", evidence)
		case !serverCloses:
			return pass(fmt.Sprintf("%s, as the end does that has no more use for one. So it holds TIME_WAIT, %s at the moment; CP401 says whether ports are short, and as long as they are not it does no harm.",
				seen, figure.Count(d.TimeWait)), evidence)
		}
		if translated := isTranslated(in); translated != nil && *translated {
			return pass(fmt.Sprintf("%s, which leaves it %s in TIME_WAIT. The source address is translated on the path, where that is better: a port that another connection is given too early would meet TIME_WAIT at the server (CP102).",
				seen, figure.Count(d.TimeWait)), evidence)
		}
		return fail(Info, fmt.Sprintf("%s, which leaves it %s in TIME_WAIT, each with a local port. The server ends every connection after its response anyway and would hold them.",
			seen, figure.Count(d.TimeWait)), evidence, 0)
	})
}
