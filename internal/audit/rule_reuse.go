package audit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// amortisedPercent is the share of all time that set-ups may still cost when each is spread over the requests of its
// connection.
const amortisedPercent = 5

// fewRequests is the lowest number of requests after which servers in wide use close a connection unless they are told
// otherwise: Apache's MaxKeepAliveRequests and Tomcat's maxKeepAliveRequests (nginx: 1,000, Node.js and Go: no limit).
const fewRequests = 100

// lessIfRare is the severity of a finding on connections that cannot be used again: a warning, unless the workload is known
// to open so few that it does not feel it.
func lessIfRare(in Input) Severity {
	if rate, known := busiest(in); known && rate < rarelyPerSecond {
		return Info
	}
	return Warning
}

func serverClosesEachTime() Rule {
	return Rule{
		ID: "CP201", Title: "The server closes the connection after every response",
		Category: CategoryReuse, Severity: Warning, Needs: []string{needReuse},
		AppliesNot: "Links that are not HTTP/1, policies that do not ask for the measurement reuse, and responses that end with their connection (see CP203).",
		Why: "Every request has to set up a connection of its own, whatever the client does. " +
			"The end that closes first is left with TIME_WAIT for a minute.",
		Cures: []string{
			"Turn keep-alive on in the server, or in the proxy before it (nginx: keepalive_timeout above 0; Apache: KeepAlive On; gunicorn: a worker class other than sync, which keeps none), and stop it from sending `Connection: close`.",
			"Name a path that is answered with success (http.path), and measure again: servers close after some errors whatever their settings say (nginx after 400, 500 and 501; Tomcat after 400, 500 and 503).",
		},
		Source: "RFC 9112 section 9.3 (persistence) and 9.6 (tear-down)",
		judge:  judgeServerClosesEachTime,
	}
}

func judgeServerClosesEachTime(in Input) judgement {
	return perFigures(in, reuseSource(), func(p ProbeResult, r *result.Reuse) judgement {
		refused, always := onlyErrors(p.Result.Statuses)
		switch {
		case r.Kept == nil:
			return unknown("Whether the server keeps a connection was not found out.")
		case *r.Kept:
			return pass(fmt.Sprintf("The server answered %s on one connection.", requests(r)), reuseEvidence(r))
		case notReusable(r.CloseCause):
			return notApplicable("The response itself cannot be followed by another; CP203 says why.")
		case always:
			return fail(Info, fmt.Sprintf("The server closed the connection after its first response, %s, and answered every request of the probe with an error (%s).",
				closing(r.CloseCause), refused), reuseEvidence(r), 1)
		}
		return fail(lessIfRare(in), fmt.Sprintf("The server closed the connection after its first response, %s.", closing(r.CloseCause)), reuseEvidence(r), 0)
	})
}

// onlyErrors lists the statuses of a probe's answers, and says whether all of them are errors.
func onlyErrors(statuses map[string]int) (list string, always bool) {
	codes := slices.Sorted(maps.Keys(statuses))
	for _, code := range codes {
		if code < "400" {
			return "", false
		}
	}
	return strings.Join(codes, ", "), len(codes) > 0
}

func serverClosesEarly() Rule {
	return Rule{
		ID: "CP202", Title: "The server closes connections after few requests, or without saying so",
		Category: CategoryReuse, Severity: Warning, Needs: []string{needReuse},
		AppliesNot: "Links that are not HTTP/1, policies that do not ask for the measurement reuse, and servers that keep no connection (see CP201 and CP203).",
		Why: "After few requests the set-up is still a noticeable share of the time of each. " +
			"A close that the response before did not announce races with the client's next request, which is then lost; only an idempotent one may be repeated automatically.",
		Cures: []string{
			"Let the server announce the end with `Connection: close` in the last response, as RFC 9112 asks, or not close at all between requests; let the client repeat idempotent requests.",
			"Raise the number of requests that the server allows on a connection (nginx: keepalive_requests; Apache: MaxKeepAliveRequests; Tomcat and Spring Boot: maxKeepAliveRequests, 100 by default).",
		},
		Source: "RFC 9112 sections 9.3.1 (retrying requests) and 9.6 (tear-down)",
		judge:  judgeServerClosesEarly,
	}
}

func judgeServerClosesEarly(in Input) judgement {
	return perFigures(in, reuseSource(), func(_ ProbeResult, r *result.Reuse) judgement {
		switch {
		case r.Kept == nil:
			return unknown("Whether the server keeps a connection was not found out.")
		case !*r.Kept:
			return notApplicable("The server keeps no connection for a second request; CP201 or CP203 says why.")
		case r.CloseCause == result.CloseUnannounced || r.CloseCause == result.CloseReset:
			return fail(Warning, fmt.Sprintf("After %s on one connection the server ended it %s.", requests(r), closing(r.CloseCause)), reuseEvidence(r), 0)
		case r.RequestsAtLeast == nil:
			return unknown("How many requests a connection carries was not found out.")
		}
		share, known := amortisedShare(r)
		if !known {
			return unknown("Too few requests were made to tell what a new connection costs.")
		}
		evidence := reuseEvidence(r)
		evidence["amortisedSetupPercent"] = fmt.Sprintf("%.2f", share)
		seen := fmt.Sprintf("A connection carried %s, so that set-ups cost %s of the time", requests(r), figure.Percent(share))
		switch {
		case share > amortisedPercent && r.RequestsPerConnection == nil && *r.RequestsAtLeast < fewRequests:
			return unknown(seen + " at the most. The probe's limits ended it, not the server, so it may be less. Raise probe.limits.")
		case share > amortisedPercent && r.RequestsPerConnection == nil:
			return pass(seen+" at the most. The probe's limits ended it, not the server.", evidence)
		case share > amortisedPercent:
			return fail(lessIfRare(in), seen+". Then the server closed it.", evidence, 1)
		case r.RequestsPerConnection == nil:
			seen += " at the most"
		}
		return pass(seen+".", evidence)
	})
}

// amortisedShare returns the share, in per cent, of all time that set-ups cost when each connection carries as many
// requests as one was seen to carry. It is not known where there are too few samples for an interval.
func amortisedShare(r *result.Reuse) (percent float64, known bool) {
	if _, known := savesAtLeast(r.NewMicroseconds, r.ReusedMicroseconds); !known || *r.RequestsAtLeast < 1 {
		return 0, false
	}
	setup := math.Max(r.NewMicroseconds.P50-r.ReusedMicroseconds.P50, 0)
	all := setup + float64(*r.RequestsAtLeast)*r.ReusedMicroseconds.P50
	if all <= 0 {
		return 0, false
	}
	return 100 * setup / all, true
}

func responseNotReusable() Rule {
	return Rule{
		ID: "CP203", Title: "Responses end with their connection",
		Category: CategoryReuse, Severity: Warning, Needs: []string{needReuse},
		AppliesNot: "Links that are not HTTP/1, and policies that do not ask for the measurement reuse.",
		Why: "A response without a length and without chunks ends where the connection ends, and HTTP/1.0 without keep-alive closes after each response, so no second request can follow. " +
			"A client also cannot tell such a response from one that was cut off.",
		Cures: []string{
			"Let the server send Content-Length or `Transfer-Encoding: chunked`.",
			"Let the server, or the proxy before it, speak HTTP/1.1 (nginx before 1.29.7 towards its upstreams: proxy_http_version 1.1 and an empty Connection header; Python's http.server: protocol_version = \"HTTP/1.1\").",
		},
		Source: "RFC 9112 sections 6.3 (message body length) and 9.3 (persistence)",
		judge:  judgeResponseNotReusable,
	}
}

func judgeResponseNotReusable(in Input) judgement {
	return perFigures(in, reuseSource(), func(_ ProbeResult, r *result.Reuse) judgement {
		switch {
		case r.CloseCause == result.CloseDelimited:
			return fail(lessIfRare(in), "The response had neither a length nor chunks: it ended with the connection.", reuseEvidence(r), 0)
		case r.CloseCause == result.CloseHTTP10:
			return fail(lessIfRare(in), "The server answered with HTTP/1.0 and did not offer to keep the connection.", reuseEvidence(r), 1)
		case r.Kept == nil:
			return unknown("Whether responses can be followed by others was not found out.")
		}
		return pass("Responses have an end of their own.", reuseEvidence(r))
	})
}

// notReusable says that the response, not a decision of the server, ended the connection.
func notReusable(cause result.CloseCause) bool {
	return cause == result.CloseDelimited || cause == result.CloseHTTP10
}

// closing says in words how the server ended a connection.
func closing(cause result.CloseCause) string {
	switch cause {
	case result.CloseAnnounced:
		return "as it had announced by `Connection: close`"
	case result.CloseUnannounced:
		return "without announcing it"
	case result.CloseReset:
		return "with a reset"
	}
	return "in a way that was not found out"
}

// requests says how many requests a connection carried.
func requests(r *result.Reuse) string {
	switch {
	case r.RequestsPerConnection != nil && *r.RequestsPerConnection == 1:
		return "1 request"
	case r.RequestsPerConnection != nil:
		return figure.Count(*r.RequestsPerConnection) + " requests"
	case r.RequestsAtLeast != nil:
		return "at least " + figure.Count(*r.RequestsAtLeast) + " requests"
	}
	return "more than one request"
}

func reuseEvidence(r *result.Reuse) map[string]string {
	evidence := map[string]string{"closeCause": string(r.CloseCause)}
	if r.RequestsPerConnection != nil {
		evidence["requestsPerConnection"] = strconv.Itoa(*r.RequestsPerConnection)
	} else if r.RequestsAtLeast != nil {
		evidence["requestsAtLeast"] = strconv.Itoa(*r.RequestsAtLeast)
	}
	return evidence
}
