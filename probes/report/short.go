package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/connpolicy/connpolicy/probes/result"
)

// inShort says in a sentence each what of a result somebody should act on, with the part of the report that tells more.
func inShort(r result.Result) []string {
	m := r.Measurements
	sentences := slices.Concat(
		shortOfOutcomes(r), shortOfName(m.DNS), shortOfHandshake(m.Handshake, m.Reuse), shortOfReuse(m.Reuse), shortOfIdle(m.Idle),
		shortOfWebSocket(m.WebSocket), shortOfPush(m.Push), shortOfTransfers(m.SlowStart, m.SmallWrites), shortOfParallel(m.Parallel),
		shortOfClosing(m.Pipelining, m.Closing), shortOfPathMTU(m.PathMTU), shortOfBacklog(m.Backlog))
	if len(sentences) == 0 {
		return []string{"Nothing stood out in what was measured."}
	}
	return sentences
}

// shortOfOutcomes tells of what was not measured, and of answers that are no successes.
func shortOfOutcomes(r result.Result) []string {
	var sentences []string
	outcomes := r.Measurements.Outcomes()
	causes := map[string][]string{}
	for _, f := range slices.Backward(result.Fields()) {
		if meta, asked := outcomes[f.Name]; asked && (meta.Outcome == result.Failed || meta.Outcome == result.Skipped) {
			causes[meta.Cause] = append(causes[meta.Cause], f.Name)
			if len(causes[meta.Cause]) == 1 {
				sentences = append(sentences, meta.Cause)
			}
		}
	}
	for i, cause := range sentences {
		sentences[i] = fmt.Sprintf("Not measured: %s, because %s.", strings.Join(causes[cause], ", "), cause)
	}
	for status := range r.Statuses {
		if status >= "400" {
			return append(sentences, fmt.Sprintf("Not every answer was a success: %s.", statuses(r.Statuses)))
		}
	}
	return sentences
}

func shortOfName(d *result.DNS) []string {
	if d == nil {
		return nil
	}
	var sentences []string
	if d.Lost != nil && *d.Lost > 0 && d.TimeoutSeconds != nil {
		sentences = append(sentences, fmt.Sprintf(
			"Name servers gave no answer to %d of %d queries, and each time a client waits %d s: see to that first (Name).", *d.Lost, *d.Queries, *d.TimeoutSeconds))
	}
	if costs := d.SearchListMicroseconds; costs != nil && *costs > 0 && d.FullName != "" {
		sentences = append(sentences, fmt.Sprintf(
			"Resolving the name takes %.0f µs longer than %s would, for the search list's sake: clients that resolve it often should use that (Name).", *costs, d.FullName))
	}
	return sentences
}

func shortOfParallel(p *result.Parallel) []string {
	switch {
	case p == nil:
	case p.Knee != nil:
		return []string{fmt.Sprintf("Beyond %s at once, of all clients together, nothing is gained (Parallel connections).", connections(*p.Knee))}
	case strings.HasPrefix(p.StoppedBy, "status ") && len(p.Levels) > 0:
		return []string{fmt.Sprintf("With %s at once the server had enough and said %s (Parallel connections).", connections(p.Levels[len(p.Levels)-1].Connections), p.StoppedBy)}
	}
	return nil
}

func shortOfHandshake(h *result.Handshake, reuse *result.Reuse) []string {
	if h == nil {
		return nil
	}
	var sentences []string
	if h.SynRetransmissions != nil && *h.SynRetransmissions > 0 {
		sentences = append(sentences, fmt.Sprintf(
			"The first packet of a connection was lost %d times, and each cost a second or more: on the path, or at a full listener (Handshake).", *h.SynRetransmissions))
	}
	kept := reuse != nil && reuse.Kept != nil && *reuse.Kept
	if share := h.SetupSharePercent; share != nil && *share > 50 && kept {
		sentences = append(sentences, fmt.Sprintf(
			"Opening a connection takes more time than a request on it (%.0f %% of both): let clients keep connections (Handshake).", *share))
	}
	if tls := h.TLS; tls != nil && tls.ResumptionOffered != nil && !*tls.ResumptionOffered {
		sentences = append(sentences, "The server offers no TLS resumption, so that each connection pays for a full handshake (Handshake).")
	}
	return sentences
}

func shortOfReuse(r *result.Reuse) []string {
	switch {
	case r == nil || r.Kept == nil:
		return nil
	case !*r.Kept:
		return []string{"The server takes one request a connection, so that each pays for opening one (Reuse)."}
	case r.RequestsPerConnection != nil && (r.CloseCause == result.CloseUnannounced || r.CloseCause == result.CloseReset):
		return []string{fmt.Sprintf("After %d requests the server ends a connection without saying so before: a request may run into it (Reuse).", *r.RequestsPerConnection)}
	}
	return nil
}

func shortOfIdle(i *result.Idle) []string {
	if i == nil || i.Cut == nil || !*i.Cut {
		return nil
	}
	cure := "let clients drop idle connections earlier"
	if i.KeepaliveHelps != nil && *i.KeepaliveHelps {
		cure = "TCP keepalive more often than that keeps them"
	}
	return []string{fmt.Sprintf("A connection that nobody uses is %s after %s: %s (Idle connections).",
		cutting(i.How), between(i.AfterSecondsAtLeast, i.AfterSecondsAtMost), cure)}
}

func shortOfWebSocket(w *result.WebSocket) []string {
	if w == nil || w.Upgraded == nil {
		return nil
	}
	if !*w.Upgraded {
		return []string{fmt.Sprintf("No WebSocket connection can be opened: %s (WebSocket).", w.Cause)}
	}
	var sentences []string
	if w.Pong != nil && !*w.Pong {
		sentences = append(sentences, "The server does not answer pings as it must, so that clients that ping give it up (WebSocket).")
	}
	if i := w.Idle; i != nil && i.Cut != nil && *i.Cut {
		sentences = append(sentences, fmt.Sprintf("A WebSocket connection on which nobody speaks is %s after %s: %s (WebSocket).",
			cutting(i.How), between(i.AfterSecondsAtLeast, i.AfterSecondsAtMost), webSocketCure(*i)))
	}
	return sentences
}

func shortOfPush(p *result.Push) []string {
	if p == nil {
		return nil
	}
	var sentences []string
	for _, way := range []*result.PushWay{p.Streaming, p.WebSocket} {
		if way == nil {
			continue
		}
		if way.Buffered != nil && *way.Buffered {
			sentences = append(sentences, fmt.Sprintf("Something on the path holds the messages of %s back and passes them on in goes (Ways to tell news).", way.Path))
		}
		if way.CutAfterSeconds != nil {
			sentences = append(sentences, fmt.Sprintf("The stream at %s is %s after %.1f s, so that clients must be ready to connect anew (Ways to tell news).",
				way.Path, cutting(way.CutBy), *way.CutAfterSeconds))
		}
	}
	return sentences
}

func shortOfTransfers(s *result.SlowStart, w *result.SmallWrites) []string {
	var sentences []string
	if w != nil && w.Side == result.SideServer && w.StallMicroseconds != nil {
		sentences = append(sentences, fmt.Sprintf(
			"Each request on a connection in use waits %.0f ms for nothing, since the server sends its response in pieces (Small writes).", *w.StallMicroseconds/1e3))
	}
	if s != nil && s.WindowLostAfterIdle != nil && *s.WindowLostAfterIdle {
		sentences = append(sentences, "After a pause a connection in use is as slow as a new one; the cure is at the server (Slow start).")
	}
	return sentences
}

func shortOfClosing(p *result.Pipelining, c *result.Closing) []string {
	var sentences []string
	if p != nil && p.Verdict == result.PipeliningOutOfOrder {
		sentences = append(sentences, "Requests sent at once get each other's answers: never do that here (Pipelining).")
	}
	if c != nil && c.UnreadDataLost != nil && *c.UnreadDataLost {
		sentences = append(sentences, "The server destroys responses under way when it closes a connection (Closing).")
	}
	if c != nil && c.Truncated != nil && *c.Truncated {
		sentences = append(sentences, "A response ended before the length that it had announced (Closing).")
	}
	return sentences
}

func shortOfPathMTU(p *result.PathMTU) []string {
	if p == nil || p.BlackHole == nil || !*p.BlackHole {
		return nil
	}
	return []string{"Large packets from the target vanish on the way; small ones arrive (Path MTU)."}
}

func shortOfBacklog(b *result.Backlog) []string {
	if b == nil || b.Overflows == nil || *b.Overflows == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d connections found the listener's queue full (Listen queue).", *b.Overflows)}
}
