package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// viaInWords lists what proxies and the server said of themselves in headers, as words to add to a message. Empty: nothing.
func viaInWords(in Input, p ProbeResult) string {
	identity := beside(in, p, identitySource())
	if identity == nil || len(identity.Via) == 0 {
		return ""
	}
	return " Headers name " + strings.Join(identity.Via, ", ") + "."
}

func websocketBlocked() Rule {
	return Rule{
		ID: "CP505", Title: "WebSocket does not get through, or is not spoken as it should be",
		Category: CategoryLongLived, Severity: Error, Needs: []string{needWebSocket}, Helps: []string{needIdentity},
		AppliesNot: "Links and policies without the measurement websocket.",
		Why: "Upgrade and Connection are headers of one hop: a proxy that does not know WebSocket leaves them out, and the server answers an ordinary request. " +
			"A peer that does not answer pings looks dead to whoever sends them, and one that ends without a close frame leaves it open whether the last message arrived.",
		Cures: []string{
			"Let each proxy pass the upgrade on: nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and Connection \"upgrade\"; Apache: mod_proxy_wstunnel; Envoy: upgrade_configs websocket; HAProxy and ingress-nginx do by default. Then look at the server's allowed origins and path.",
			"Answer each ping by a pong with the same data, at once; libraries do that while the application reads.",
			"Answer a close frame by a close frame and only then close TCP, so that the other end knows that nothing was lost.",
		},
		Source: "RFC 6455 sections 4.2.2 (opening handshake), 5.5.2 (ping) and 7.1.2 (close); RFC 9110 section 7.8 (Upgrade)",
		judge:  judgeWebSocketBlocked,
	}
}

func judgeWebSocketBlocked(in Input) judgement {
	return perVantage(in, func(p ProbeResult) judgement {
		w, missing := figuresOf(in, p, websocketSource())
		if refused := p.Result.Measurements.WebSocket; upgradeRefused(refused) {
			w, missing = refused, nil // whatever the outcome is called, the answer was seen
		}
		if missing != nil {
			return *missing
		}
		evidence := map[string]string{}
		if w.Status != nil {
			evidence["status"] = strconv.Itoa(*w.Status)
		}
		if w.CloseStatus != nil {
			evidence["closeStatus"] = strconv.Itoa(*w.CloseStatus)
		}
		switch {
		case w.Upgraded == nil:
			return unknown("Whether the upgrade passes was not found out.")
		case !*w.Upgraded && w.Status != nil && (*w.Status == 401 || *w.Status == 403):
			return unknown(fmt.Sprintf("The upgrade was answered with status %d: the probe lacks credentials (http.headersSecret).", *w.Status))
		case !*w.Upgraded:
			status := "no status"
			if w.Status != nil {
				status = fmt.Sprintf("status %d instead of 101", *w.Status)
			}
			return fail(Error, fmt.Sprintf("The upgrade to WebSocket was refused: it was answered with %s.%s", status, viaInWords(in, p)), evidence, 0)
		case w.Pong != nil && !*w.Pong:
			evidence["pong"] = "false"
			return fail(Warning, "The upgrade passes, but a ping was not answered."+viaInWords(in, p), evidence, 1)
		case w.CloseHandshake != nil && !*w.CloseHandshake:
			evidence["closeHandshake"] = "false"
			return fail(Info, "The upgrade passes, but a close frame was not answered by one.", evidence, 2)
		case w.Pong == nil || w.CloseHandshake == nil:
			return unknown("The upgrade passes; whether pings and the close frame are answered was not found out.")
		}
		return pass("The upgrade passes every hop, pings are answered, and the connection ends as it should.", evidence)
	})
}

func websocketCut() Rule {
	return Rule{
		ID: "CP506", Title: "Silent WebSocket connections are cut",
		Category: CategoryLongLived, Severity: Warning, Needs: []string{needWebSocket}, Helps: []string{needIdle, needIdentity, needObserver},
		AppliesNot: "Links and policies without the measurement websocket, and links on which the upgrade is refused (see CP505).",
		Why: "A WebSocket is silent whenever there is no news, and proxies apply the timeout that they have for slow responses: 60 seconds is common. " +
			"A cut costs each client a new connection, often all of them at the same time, and what was sent meanwhile.",
		Cures: []string{
			"Send pings, from the server or the client, at half of the cut-off or sooner; TCP keepalive does not help at a proxy. Then raise the hop's time: nginx and ingress-nginx: proxy_read_timeout and proxy_send_timeout; HAProxy: timeout tunnel; Envoy: the route's idle_timeout (stream_idle_timeout 5 min); ALB: idle_timeout.timeout_seconds.",
		},
		Source: "RFC 6455 section 5.5.2; nginx.org, WebSocket proxying; ingress-nginx#5167; envoy#20062",
		judge:  judgeWebSocketCut,
	}
}

// upgradeRefused says whether the opening handshake was answered by something else than an upgrade.
func upgradeRefused(w *result.WebSocket) bool { return w != nil && w.Upgraded != nil && !*w.Upgraded }

func judgeWebSocketCut(in Input) judgement {
	return perVantage(in, func(p ProbeResult) judgement {
		if upgradeRefused(p.Result.Measurements.WebSocket) {
			return notApplicable("The upgrade is refused; CP505 says more.")
		}
		w, missing := figuresOf(in, p, websocketSource())
		if missing != nil {
			return *missing
		}
		switch i := w.Idle; {
		case i == nil:
			return unknown("How long a silent WebSocket connection lives was not looked at.")
		case i.Outcome != result.Measured:
			return unknown(fmt.Sprintf("How long a silent WebSocket connection lives was not found out: %s.", i.Cause))
		case i.Cut == nil:
			return unknown("No WebSocket connection could be watched through a silence.")
		case !*i.Cut:
			return judgeSurvived(in, i)
		}
		atLeast, atMost, known := cutBounds(w.Idle)
		if !known {
			return unknown("Silent WebSocket connections are cut, but after how long was not found out.")
		}
		evidence := cutEvidence(w.Idle)
		seen := fmt.Sprintf("WebSocket connections silent for %s are %s.", between(atLeast, atMost), howCut(w.Idle.How))
		if silent := longestSilence(in); silent != nil && atLeast != nil && *silent < *atLeast {
			evidence["silentSecondsP99"] = fmt.Sprintf("%.0f", *silent)
			return pass(fmt.Sprintf("%s The workload's own are silent for %s at the most, so they live on.", seen, figure.Lasting(*silent)), evidence)
		}
		return fail(Warning, seen+likeHop(atLeast, atMost)+whichLayer(in, p, atMost)+viaInWords(in, p), evidence, 0)
	})
}

// whichLayer says whether the timer that cuts after so many seconds counts packets or messages, if the idle measurement
// tells; empty if not.
func whichLayer(in Input, p ProbeResult, cutSeconds float64) string {
	tcp := beside(in, p, idleSource())
	if tcp == nil || tcp.SurvivedSeconds == nil || *tcp.SurvivedSeconds <= cutSeconds {
		return ""
	}
	return " Plain connections on the path survive longer, so it is a timer of a proxy or of the server."
}

func pushCut() Rule {
	return Rule{
		ID: "CP507", Title: "A stream or long poll is held back or cut on its way",
		Category: CategoryLongLived, Severity: Warning, Needs: []string{needPush}, Helps: []string{needIdentity},
		AppliesNot: "Policies that do not ask for the measurement push, and targets that offer neither a stream nor long polling.",
		Why: "A proxy that collects a response before it passes it on turns a stream into silence and then a flood, and one that bounds how long a response may take cuts it. " +
			"Either way messages come late or not at all, while the server believes that they are sent.",
		Cures: []string{
			"Let the hop pass on what it gets: nginx and ingress-nginx: proxy_buffering off, or the response header X-Accel-Buffering: no; Apache: flushpackets=on; no compression of text/event-stream at the proxy; Envoy: no buffer filter.",
			"Send a comment line or an empty message more often than the cut, let the client begin again where it stopped (Last-Event-ID), and raise the hop's time: nginx proxy_read_timeout, HAProxy timeout server, Envoy route timeout: 0s, ALB idle timeout.",
		},
		Source: "WHATWG HTML, server-sent events; nginx.org, proxy_buffering; RFC 6202 (long polling and streaming)",
		judge:  judgePushCut,
	}
}

// pushWays are the ways to be told of news that hold a response or a connection open, by name.
func pushWays(push *result.Push) []struct {
	name string
	way  *result.PushWay
} {
	return []struct {
		name string
		way  *result.PushWay
	}{{"The stream", push.Streaming}, {"The long poll", push.LongPolling}, {"The WebSocket", push.WebSocket}}
}

func judgePushCut(in Input) judgement {
	return perFigures(in, pushSource(), func(p ProbeResult, push *result.Push) judgement {
		var judgements []judgement
		for _, w := range pushWays(push) {
			if w.way == nil || w.way.Outcome == result.Unsupported {
				continue
			}
			judgements = append(judgements, judgePushWay(w.name, w.way, viaInWords(in, p)))
		}
		if len(judgements) == 0 {
			return notApplicable("The target offers no stream, long poll or WebSocket.")
		}
		return gravest(judgements)
	})
}

func judgePushWay(name string, way *result.PushWay, via string) judgement {
	evidence := map[string]string{"messages": strconv.Itoa(way.Messages), "connections": strconv.Itoa(way.Connections)}
	switch {
	case way.Outcome != result.Measured:
		return unknown(fmt.Sprintf("%s %s: %s.", name, outcomeInWords(way.Outcome), way.Cause))
	case way.Buffered != nil && *way.Buffered:
		late := ""
		if way.DelayMicroseconds != nil {
			late = fmt.Sprintf(", %s old (median)", figure.Microseconds(way.DelayMicroseconds.P50))
			evidence["delayP50Microseconds"] = fmt.Sprintf("%.0f", way.DelayMicroseconds.P50)
		}
		return fail(Warning, fmt.Sprintf("%s is held back: messages came in one go%s. A hop collects them.%s", name, late, via), evidence, 0)
	case way.CutAfterSeconds != nil:
		evidence["cutAfterSeconds"] = fmt.Sprintf("%.1f", *way.CutAfterSeconds)
		evidence["cutBy"] = string(way.CutBy)
		about := *way.CutAfterSeconds * cutPrecision
		return fail(Warning, fmt.Sprintf("%s was cut after %s: %s.%s%s", name, seconds(*way.CutAfterSeconds), howCut(way.CutBy),
			likeHop(new(*way.CutAfterSeconds-about), *way.CutAfterSeconds+about), via), evidence, 1)
	case way.Buffered == nil:
		return unknown(fmt.Sprintf("%s brought too few messages to tell whether they are held back.", name))
	}
	return pass(fmt.Sprintf("%s brought %s as they were made.", name, plural(int64(way.Messages), "message")), evidence)
}

// cutPrecision is how far, as a share of it, the time of a cut that was seen once may lie from the timer behind it: timers
// begin with the last message, not with the stream.
const cutPrecision = 0.05

func costlyPolling() Rule {
	return Rule{
		ID: "CP508", Title: "Polling costs more than a push would",
		Category: CategoryLongLived, Severity: Info, Needs: []string{needPush},
		AppliesNot: "Policies that do not ask for the measurement push, and targets that offer polling alone, or no polling.",
		Why: "A client that polls gets a message half an interval late on average and pays for the headers of every question, also of those that are answered with nothing. " +
			"Where the server offers a push, messages come when they are made and cost little more than themselves.",
		Cures: []string{
			"Use the push that the target offers, the stream (server-sent events) before WebSocket where messages go one way only. If it must be polling: with If-None-Match on a connection that is kept, or as a long poll.",
		},
		Source: "RFC 6202 section 2 (long polling and streaming); RFC 6455 section 1.1",
		judge:  judgePolling,
	}
}

func judgePolling(in Input) judgement {
	return perFigures(in, pushSource(), func(_ ProbeResult, push *result.Push) judgement {
		polling := push.Polling
		switch {
		case polling == nil || polling.Outcome == result.Unsupported:
			return notApplicable("The target offers no polling.")
		case polling.Outcome != result.Measured:
			return unknown(fmt.Sprintf("Polling %s: %s.", outcomeInWords(polling.Outcome), polling.Cause))
		}
		var judgements []judgement
		for _, w := range pushWays(push) {
			if w.way != nil && w.way.Outcome == result.Measured {
				judgements = append(judgements, comparePush(polling, w.name, w.way))
			}
		}
		if len(judgements) == 0 {
			return notApplicable("No push was measured that polling could be compared with.")
		}
		return gravest(judgements)
	})
}

// comparePush says that polling costs more if a push is faster beyond the intervals of the medians, and costs fewer bytes.
func comparePush(polling *result.PushWay, name string, push *result.PushWay) judgement {
	slow, fast := polling.DelayMicroseconds, push.DelayMicroseconds
	if slow == nil || fast == nil || slow.P50Low == nil || fast.P50High == nil || polling.BytesPerMessage == nil || push.BytesPerMessage == nil {
		return unknown(fmt.Sprintf("%s and polling brought too few messages to compare them.", name))
	}
	evidence := map[string]string{
		"pollingDelayP50Microseconds": fmt.Sprintf("%.0f", slow.P50), "pushDelayP50Microseconds": fmt.Sprintf("%.0f", fast.P50),
		"pollingBytesPerMessage": fmt.Sprintf("%.0f", *polling.BytesPerMessage), "pushBytesPerMessage": fmt.Sprintf("%.0f", *push.BytesPerMessage),
		"pollingRequests": strconv.Itoa(polling.Requests), "pollingMessages": strconv.Itoa(polling.Messages),
	}
	seen := fmt.Sprintf("By polling a message is %s old (median) and costs %.0f bytes; %s brings it after %s for %.0f bytes",
		figure.Microseconds(slow.P50), *polling.BytesPerMessage, strings.ToLower(name[:1])+name[1:], figure.Microseconds(fast.P50), *push.BytesPerMessage)
	if *fast.P50High < *slow.P50Low && *push.BytesPerMessage < *polling.BytesPerMessage {
		return fail(Info, seen+".", evidence, 0)
	}
	return pass(seen+", so polling does not cost more in both.", evidence)
}
