package audit

import (
	"fmt"
	"math"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// nagleShare is the share of looks at data under way at which a small segment waits. On Linux 6.18 it was 99 % of a
	// client that writes twice with Nagle's algorithm on, and none with TCP_NODELAY; a tenth leaves room for the last segments
	// of long transfers.
	nagleShare = 0.1
	// waitingShare of the time of its connections a workload may wait without noticing. It tells of connections that are so
	// seldom used that hardly any look meets data under way.
	waitingShare = 0.01
	// delayedAckMicroseconds is the shortest time that Linux delays an acknowledgment by (include/net/tcp.h, TCP_DELACK_MIN).
	delayedAckMicroseconds = 40e3
	// headerBytes are sent with each segment: 20 of IPv4, 20 of TCP and 12 of its timestamps. IPv6 takes 20 more.
	headerBytes = 52
)

func nagleServer() Rule {
	return Rule{
		ID: "CP301", Title: "The server's small writes wait for delayed acknowledgments",
		Category: CategorySmallPackets, Severity: Warning, Needs: []string{needSmallWrites},
		AppliesNot: "Links that are not HTTP/1, and policies that do not ask for the measurement smallWrites.",
		Why: "With Nagle's algorithm on, a server that writes a response in pieces holds the second back until the first is acknowledged, and the client's kernel delays that acknowledgment for 40 ms or more, in the hope of data to send along. " +
			"Each of the two makes sense; together they stop nearly every response.",
		Cures: []string{
			"Set TCP_NODELAY in the server (nginx: tcp_nodelay on; Node.js: noDelay: true; Java: setTcpNoDelay(true); gunicorn and uvicorn set it; in C: setsockopt), and in proxies before it.",
			"Write each response at once: a buffered writer flushed at its end, writev, or TCP_CORK around the pieces.",
		},
		Source: "RFC 896; RFC 1122 sections 4.2.3.2 (delayed acknowledgments) and 4.2.3.4 (Nagle); measured on Linux 6.18",
		judge:  judgeNagleServer,
	}
}

func judgeNagleServer(in Input) judgement {
	return perFigures(in, smallWritesSource(), func(_ ProbeResult, s *result.SmallWrites) judgement {
		if s.StallMicroseconds == nil {
			return unknown("Whether small writes wait was not found out.")
		}
		stall := *s.StallMicroseconds
		evidence := map[string]string{"stallMicroseconds": fmt.Sprintf("%.0f", stall), "side": string(s.Side)}
		if s.Segments != nil {
			evidence["segments"] = strconv.Itoa(*s.Segments)
		}
		if stall <= 0 || s.Side != result.SideServer {
			return pass("Requests take no longer with delayed acknowledgments than with immediate ones.", evidence)
		}
		share := ""
		if s.DelayedMicroseconds != nil && s.QuickMicroseconds != nil {
			evidence["delayedP50Microseconds"] = fmt.Sprintf("%.0f", s.DelayedMicroseconds.P50)
			evidence["quickP50Microseconds"] = fmt.Sprintf("%.0f", s.QuickMicroseconds.P50)
			share = fmt.Sprintf(": %s with the usual delayed acknowledgments, %s with immediate ones", figure.Microseconds(s.DelayedMicroseconds.P50), figure.Microseconds(s.QuickMicroseconds.P50))
		}
		return fail(Warning, fmt.Sprintf("Each request on a kept connection loses %s%s. The server writes its response in pieces with Nagle's algorithm on.",
			figure.Microseconds(stall), share), evidence, 0)
	})
}

func nagleClient() Rule {
	return Rule{
		ID: "CP302", Title: "The client's small writes wait for acknowledgments",
		Category: CategorySmallPackets, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, pods that hold no connection to the link, and those that open fewer than one a second of which none is seen open.",
		Why: "A client that sends a request in pieces with Nagle's algorithm on holds the second back until the first is acknowledged, and the server delays that acknowledgment for 40 ms or more, since it waits for the rest of the request. " +
			"The server's own time looks fine; the client sees every request slow.",
		Cures: []string{
			"Set TCP_NODELAY in the client (Go, Node.js since 18 for HTTP, and most HTTP libraries do; Java: setTcpNoDelay(true); libcurl: CURLOPT_TCP_NODELAY; database drivers: tcpNoDelay).",
			"Send each request with one write: header and body together, a buffered writer flushed at its end, or writev.",
		},
		Source: "RFC 896; RFC 1122 section 4.2.3.4; measured on Linux 6.18 (198 of 200 samples with Nagle's algorithm on, none with TCP_NODELAY)",
		judge:  judgeNagleClient,
	}
}

func judgeNagleClient(in Input) judgement {
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		evidence := map[string]string{
			"pod": o.Pod, "address": d.Address, "nagleSamples": strconv.FormatInt(c.NagleSamples, 10), "inFlightSamples": strconv.FormatInt(c.InFlightSamples, 10),
		}
		seen := fmt.Sprintf("Of %s looks at connections of pod %s to %s with data under way %s, %s found a small segment that waited for an acknowledgment",
			figure.Count(int(c.InFlightSamples)), o.Pod, d.Address, period(o), figure.Count(int(c.NagleSamples)))
		switch {
		case seldomOpen(o, c):
			return notApplicable(neverOpen)
		case provenAbove(c.NagleSamples, c.InFlightSamples, nagleShare):
			return fail(Warning, fmt.Sprintf("%s, for %s or more where the server delays it.", seen, figure.Microseconds(delayedAckMicroseconds)), evidence, 0)
		case provenBelow(c.NagleSamples, c.InFlightSamples, nagleShare):
			return pass(seen+".", evidence)
		case c.NagleSamples == 0 && provenBelow(0, c.Samples, waitingShare):
			evidence["samples"] = strconv.FormatInt(c.Samples, 10)
			return pass(fmt.Sprintf("At none of %s looks at connections of pod %s to %s %s a small segment waited for an acknowledgment, so that they wait for less than %s of their time.",
				figure.Count(int(c.Samples)), o.Pod, d.Address, period(o), figure.Percent(100*waitingShare)), evidence)
		}
		return unknown(seen + ", which is too few to tell.")
	})
}

func tinygrams() Rule {
	return Rule{
		ID: "CP303", Title: "Many exchanges carry less than their headers weigh",
		Category: CategorySmallPackets, Severity: Info, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, pods that hold no connection to the link, and those of which none has ended lately.",
		Why: "Each segment brings 52 bytes of headers and has to be handled by every hop and by both kernels, whatever it carries. " +
			"A workload that exchanges a few bytes at a time spends more on headers than on data, and waits a round trip for each.",
		Cures: []string{
			"Ask for several things at once: pipelines and multi-key commands (Redis: MGET, pipelining), batch endpoints, prepared batches of a database driver.",
			"Buffer what is written: a writer flushed once a message instead of a write a field.",
		},
		Source: "RFC 896 (the small-packet problem); RFC 7323 section 3.2 (12 bytes of timestamps)",
		judge:  judgeTinygrams,
	}
}

func judgeTinygrams(in Input) judgement {
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		if c.Closed == 0 {
			return notApplicable(fmt.Sprintf("No connection of an observed pod to this link ended %s, so that there are no bytes of one to count.", period(o)))
		}
		if c.ExchangesAtMost == nil || c.BytesSent == nil || c.BytesReceived == nil {
			return unknown(fmt.Sprintf("No connection of pod %s to %s has ended whose bytes could be counted.", o.Pod, d.Address))
		}
		exchanges := max(c.ExchangesAtMost.P50, 1)
		// At least half of the connections had no fewer exchanges, and of them all but one in a hundred no more bytes, so that
		// these bounds hold for nearly half of the connections at least.
		sent, received := c.BytesSent.P99/exchanges, c.BytesReceived.P99/exchanges
		evidence := map[string]string{
			"pod": o.Pod, "address": d.Address, "exchangesP50AtMost": fmt.Sprintf("%.0f", exchanges),
			"bytesSentEachAtMost": fmt.Sprintf("%.0f", sent), "bytesReceivedEachAtMost": fmt.Sprintf("%.0f", received),
		}
		seen := fmt.Sprintf("Connections of pod %s to %s carry about %s exchanges each, of at most %s bytes out and %s bytes in",
			o.Pod, d.Address, figure.Count(int(exchanges)), figure.Count(int(math.Ceil(sent))), figure.Count(int(math.Ceil(received))))
		small := exchanges >= enoughToSeeNone && sent < headerBytes && received < headerBytes
		switch lifetime := c.LifetimeSecondsAtMost; {
		case small && lifetime == nil:
			return unknown(seen + ". How often is not known.")
		case small && exchanges < rarelyPerSecond*lifetime.P50:
			return pass(fmt.Sprintf("%s, but fewer than one a second.", seen), evidence)
		case small:
			return fail(Info, fmt.Sprintf("%s, less than the %d bytes of headers of each.", seen, headerBytes), evidence, 0)
		}
		return pass(seen+".", evidence)
	})
}
