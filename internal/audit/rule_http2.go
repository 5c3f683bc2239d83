package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// unbalancedSeconds is how long an observer must have counted before connections of which none ended count as ageless.
// Servers that end them by age do so after minutes to an hour (gRPC's MaxConnectionAge is commonly set to some minutes
// or half an hour).
const unbalancedSeconds = 3600

func agelessConnections() Rule {
	return Rule{
		ID: "CP509", Title: "Connections never age, so new endpoints get no load",
		Category: CategoryLongLived, Severity: Warning, Needs: []string{needHTTP2, needObserver},
		AppliesNot: "Links that are not HTTP/2 or gRPC, policies without `from` or that do not ask for the measurement http2, and targets that are not behind a Service's virtual address or have a single endpoint, and pods with a sidecar that chooses an endpoint for each request.",
		Why: "A Service chooses an endpoint when a connection is opened, and HTTP/2 sends all requests of a client over one connection. " +
			"If that never ends, all load stays on the endpoint chosen first, and endpoints that are added later get nothing.",
		Cures: []string{
			"Let the server end connections in order now and then: gRPC: MaxConnectionAge of some minutes, with MaxConnectionAgeGrace (it adds 10 % of jitter itself); Envoy: max_connection_duration; nginx: keepalive_time.",
			"Or let the client choose an endpoint for each request: a headless Service with round_robin (gRPC: dns:/// and loadBalancingConfig), or a mesh or proxy that balances requests.",
		},
		Source: "grpc.io, keepalive and gRFC A9 (server-side connection management); kubernetes.io, Virtual IPs and Service Proxies; RFC 9113 section 6.8 (GOAWAY)",
		judge:  judgeAgeless,
	}
}

func judgeAgeless(in Input) judgement {
	switch {
	case !speaksHTTP2(in.Protocol):
		return notApplicable("Requests share a connection as streams over HTTP/2 and gRPC only.")
	case in.ServerOnly:
		j, _ := notObserved(in)
		return j
	case !in.Virtual:
		return notApplicable("Sockets to this link do not name a Service's virtual address.")
	case in.ReadyEndpoints == nil:
		return unknown("How many endpoints stand behind the virtual address is not known.")
	case *in.ReadyEndpoints < 2:
		return notApplicable("Behind the virtual address stands one endpoint, so nothing can be out of balance.")
	}
	aged := ""
	server := perFigures(in, http2Source(), func(_ ProbeResult, h *result.HTTP2) judgement {
		if h.GoAwayAfterRequests != nil || h.GoAwayAfterSeconds != nil {
			aged = "The server ends connections with GOAWAY " + goAwayAfter(h) + "."
		}
		return pass("", nil)
	})
	switch {
	case server.result != Pass:
		return server
	case aged != "":
		return pass(aged, nil)
	}
	return perUse(in, func(o PodObservation, _ result.Destination, c *result.Connections) judgement {
		endpoints, counted := *in.ReadyEndpoints, countedSeconds(o)
		evidence := map[string]string{"pod": o.Pod, "open": strconv.Itoa(c.Open), "closed": strconv.FormatInt(c.Closed, 10),
			"readyEndpoints": strconv.Itoa(endpoints), "countedSeconds": fmt.Sprintf("%.0f", counted)}
		// Where none ended there never were more than there are.
		switch ages := c.LifetimeSecondsAtMost; {
		case sidecarOf(o) != "":
			return notApplicable(fmt.Sprintf("A sidecar (%s) takes the connections of an observed pod and chooses an endpoint for each request.", sidecarOf(o)))
		case c.Closed > 0:
			return pass(fmt.Sprintf("%s of pod %s ended %s, so that others are chosen.", plural(c.Closed, "connection"), o.Pod, period(o)), evidence)
		case c.Open >= endpoints:
			return pass(fmt.Sprintf("Pod %s holds %s, enough for each of %d endpoints.", o.Pod, plural(int64(c.Open), "connection"), endpoints), evidence)
		case c.Open == 0:
			return notApplicable("No observed pod holds a connection to this link.")
		case counted < unbalancedSeconds:
			return unknown(fmt.Sprintf("The observer in pod %s has looked for %s only.", o.Pod, figure.Lasting(counted)))
		case ages != nil && ages.P50 >= counted:
			evidence["lifetimeP50Seconds"] = fmt.Sprintf("%.0f", ages.P50)
			return pass(fmt.Sprintf("No connection of pod %s ended %s, but half of those that did before had lived for up to %s: they do age.",
				o.Pod, period(o), figure.Lasting(ages.P50)), evidence)
		}
		return fail(Warning, fmt.Sprintf("Pod %s sends all its requests over %s to %d endpoints, and none ended %s. The server sent no GOAWAY, so an endpoint that is added gets none of them.",
			o.Pod, plural(int64(c.Open), "connection"), endpoints, period(o)), evidence, 0)
	})
}

// goAwayAfter says after what a server ended a connection.
func goAwayAfter(h *result.HTTP2) string {
	switch {
	case h.GoAwayAfterRequests != nil && h.GoAwayAfterSeconds != nil:
		return fmt.Sprintf("after %s, %s old", plural(int64(*h.GoAwayAfterRequests), "request"), figure.Lasting(*h.GoAwayAfterSeconds))
	case h.GoAwayAfterRequests != nil:
		return "after " + plural(int64(*h.GoAwayAfterRequests), "request")
	case h.GoAwayAfterSeconds != nil:
		return "when they are " + figure.Lasting(*h.GoAwayAfterSeconds) + " old"
	}
	return "at times"
}

func hastyGoAway() Rule {
	return Rule{
		ID: "CP510", Title: "HTTP/2 connections are ended too soon, or as a punishment",
		Category: CategoryLongLived, Severity: Warning, Needs: []string{needHTTP2}, Helps: []string{needHandshake},
		AppliesNot: "Links that are not HTTP/2 or gRPC, and policies that do not ask for the measurement http2.",
		Why: "Every GOAWAY costs a new connection with its TLS handshake; after few requests that is a noticeable share of their time. " +
			"A GOAWAY with an error code says that the server takes the client's manners for an error: ENHANCE_YOUR_CALM is its answer to too many pings.",
		Cures: []string{
			"Raise the number of requests that the server allows on a connection (nginx: keepalive_requests; Envoy: max_requests_per_connection; Istio: http.maxRequestsPerConnection 0), or let it end them by age (gRPC: MaxConnectionAge).",
			"Look up the code. ENHANCE_YOUR_CALM (too_many_pings): ping no more often than the server allows, by default every 5 minutes in gRPC and never without a stream (client: keepalive_time; server: PermitWithoutStream, MinTime).",
		},
		Source: "RFC 9113 sections 6.8 (GOAWAY) and 7 (error codes); gRFC A8 and A9 (keepalive)",
		judge:  judgeHastyGoAway,
	}
}

func judgeHastyGoAway(in Input) judgement {
	return perFigures(in, http2Source(), func(p ProbeResult, h *result.HTTP2) judgement {
		evidence := map[string]string{}
		if h.GoAwayCode != "" {
			evidence["goAwayCode"] = h.GoAwayCode
		}
		if h.RequestsAtLeast != nil {
			evidence["requestsAtLeast"] = strconv.Itoa(*h.RequestsAtLeast)
		}
		switch {
		case h.Supported == nil || h.RequestsAtLeast == nil:
			return unknown("How the server ends HTTP/2 connections was not found out.")
		case !*h.Supported:
			return notApplicable("The target does not speak HTTP/2.")
		case h.GoAwayCode != "" && h.GoAwayCode != noError:
			return fail(Warning, fmt.Sprintf("The server ended a connection with GOAWAY %s %s.", h.GoAwayCode, goAwayAfter(h)), evidence, 1)
		case h.GoAwayAfterRequests == nil:
			return pass(fmt.Sprintf("A connection carried at least %s.", plural(int64(*h.RequestsAtLeast), "request")), evidence)
		}
		setup := setupMicroseconds(in, p)
		if setup == nil || h.RequestMicroseconds == nil || *h.GoAwayAfterRequests < 1 {
			return unknown(fmt.Sprintf("The server ends connections %s; what a new one costs is not known (measurement handshake).", goAwayAfter(h)))
		}
		share := 100 * *setup / (*setup + float64(*h.GoAwayAfterRequests)*h.RequestMicroseconds.P50)
		evidence["amortisedSetupPercent"] = fmt.Sprintf("%.2f", share)
		seen := fmt.Sprintf("The server ends connections %s, so that set-ups cost %s of the time", goAwayAfter(h), figure.Percent(share))
		if share > amortisedPercent {
			return fail(Warning, seen+".", evidence, 0)
		}
		return pass(seen+".", evidence)
	})
}

func unansweredPing() Rule {
	return Rule{
		ID: "CP511", Title: "HTTP/2 pings are not answered",
		Category: CategoryLongLived, Severity: Warning, Needs: []string{needHTTP2}, Helps: []string{needIdentity},
		AppliesNot: "Links that are not HTTP/2 or gRPC, and policies that do not ask for the measurement http2.",
		Why: "A client that keeps connections alive by PING takes one that does not answer for dead and ends it, with all requests on it; gRPC does after 20 seconds. " +
			"A hop that answers pings itself, or drops them, also hides whether the server behind it lives.",
		Cures: []string{
			"Do not rely on PING on this path: turn the client's off (gRPC: keepalive_time to its maximum, Envoy: no connection_keepalive), use TCP_USER_TIMEOUT and deadlines of requests instead, or take out the hop that drops them (an AWS ALB passes no PING on, and its idle timeout goes on all the same).",
		},
		Source: "RFC 9113 section 6.7 (PING must be answered); gRFC A8 (client-side keepalive)",
		judge:  judgeUnansweredPing,
	}
}

func judgeUnansweredPing(in Input) judgement {
	return perFigures(in, http2Source(), func(p ProbeResult, h *result.HTTP2) judgement {
		switch {
		case h.Supported != nil && !*h.Supported:
			return notApplicable("The target does not speak HTTP/2.")
		case h.PingAnswered == nil:
			return unknown("Whether pings are answered was not found out.")
		case *h.PingAnswered:
			return pass("Pings are answered.", map[string]string{"pingAnswered": "true"})
		}
		return fail(Warning, "A PING was not answered."+viaInWords(in, p), map[string]string{"pingAnswered": "false"}, 0)
	})
}

// noError is the code of a GOAWAY in good order (RFC 9113 section 7).
const noError = "NO_ERROR"

// setupMicroseconds is the median time of setting a connection up, with the full TLS handshake if there is one. Nil: not
// known.
func setupMicroseconds(in Input, p ProbeResult) *float64 {
	h := beside(in, p, handshakeSource())
	if h == nil || h.ConnectMicroseconds == nil {
		return nil
	}
	setup := h.ConnectMicroseconds.P50
	if h.TLS != nil {
		if h.TLS.FullMicroseconds == nil {
			return nil
		}
		setup += h.TLS.FullMicroseconds.P50
	}
	return &setup
}
