package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func responseDestroyed() Rule {
	return Rule{
		ID: "CP206", Title: "The end of a connection destroys responses",
		Category: CategoryReuse, Severity: Error, Needs: []string{needClosing},
		AppliesNot: "Links that are not HTTP/1, and policies that do not name the measurement closing.",
		Why: "A server that closes a connection with unread data in it makes its kernel send a reset, and a reset throws away the response that is still on its way. " +
			"The client sees a reset instead of an answer, most often when the server refuses an upload or ends a connection with requests under way.",
		Cures: []string{
			"Let the server close in stages: close its sending side, read until the client closes or for some seconds, then close (nginx: lingering_close always; its default, on, does so for uploads alone; in own code: shutdown(SHUT_WR), read, close). A proxy before the server that does so cures it too.",
			"Find what cuts the response off: a worker that is killed, a timeout of a proxy, or a Content-Length that does not fit the body.",
		},
		Source: "RFC 9112 section 9.6 (tear-down); RFC 1122 section 4.2.2.13 (reset if data is lost)",
		judge:  judgeResponseDestroyed,
	}
}

func judgeResponseDestroyed(in Input) judgement {
	return perFigures(in, closingSource(), func(_ ProbeResult, c *result.Closing) judgement {
		evidence := map[string]string{}
		for name, value := range map[string]*bool{"unreadDataLost": c.UnreadDataLost, "truncated": c.Truncated, "halfCloseAnswered": c.HalfClose} {
			if value != nil {
				evidence[name] = strconv.FormatBool(*value)
			}
		}
		lingers := ""
		if c.LingerSeconds != nil && *c.LingerSeconds > 0 {
			evidence["lingerSeconds"] = fmt.Sprintf("%.1f", *c.LingerSeconds)
			lingers = fmt.Sprintf(" It goes on reading for %s after it has closed its side.", figure.Microseconds(*c.LingerSeconds*1e6))
		}
		switch {
		case c.Truncated != nil && *c.Truncated:
			return fail(Error, "A response ended before the length that it had announced.", evidence, 1)
		case c.UnreadDataLost != nil && *c.UnreadDataLost:
			// A client that keeps to RFC 9112 section 9.6 sends nothing behind a request that asks for the close, so that this
			// shows what would happen to one that pipelines, or whose upload is refused.
			return fail(Info, "A request was sent behind one that asked for the close; the server closed without reading it, and the reset destroyed the response. Clients that pipeline meet that."+lingers, evidence, 0)
		case c.UnreadDataLost == nil:
			return unknown("What becomes of a response when the server closes with unread data was not found out.")
		}
		return pass("The server's response arrives even if it closes with unread data."+lingers, evidence)
	})
}

func pipeliningUnsafe() Rule {
	return Rule{
		ID: "CP207", Title: "Pipelined requests are not answered as they should be",
		Category: CategoryReuse, Severity: Error, Needs: []string{needPipelining},
		AppliesNot: "Links that are not HTTP/1, and policies that do not name the measurement pipelining.",
		Why: "Responses have no name: they belong to requests by their order alone, so a server or proxy that answers out of order hands one user's response to another. " +
			"One that closes or refuses is safe, but a client that pipelines has to send the rest again.",
		Cures: []string{
			"Take the proxy or server that mixes up responses out of use until it is mended: those of connections that it shares among clients are at risk too. Look for a proxy of its own making, or an old HTTP library, and see which proxies name themselves in the report's identity.",
			"Let no client pipeline (most do not); for many requests at once use several connections or HTTP/2.",
		},
		Source: "RFC 9112 section 9.3.2 (pipelining)",
		judge:  judgePipelining,
	}
}

func judgePipelining(in Input) judgement {
	return perFigures(in, pipeliningSource(), func(_ ProbeResult, m *result.Pipelining) judgement {
		evidence := map[string]string{"verdict": string(m.Verdict)}
		answered := ""
		if m.Answered != nil {
			evidence["answered"], evidence["sentAtOnce"] = strconv.Itoa(m.Answered.Got), strconv.Itoa(m.Answered.Of)
			answered = fmt.Sprintf(" after %d of %d requests that were sent at once", m.Answered.Got, m.Answered.Of)
		}
		switch m.Verdict {
		case result.PipeliningOutOfOrder:
			return fail(Error, fmt.Sprintf("A response was not the one that was due%s: responses are mixed up.", answered), evidence, 0)
		case result.PipeliningClosed:
			return fail(Info, fmt.Sprintf("The connection was closed%s.", answered), evidence, 1)
		case result.PipeliningRefused:
			return fail(Info, fmt.Sprintf("No proper answer came%s.", answered), evidence, 1)
		case result.PipeliningInOrder, result.PipeliningSerial:
			return pass("Requests that are sent at once are answered in order.", evidence)
		}
		return unknown("What becomes of requests that are sent at once was not found out.")
	})
}

func hopByHop() Rule {
	return Rule{
		ID: "CP208", Title: "A proxy passes hop-by-hop headers through",
		Category: CategoryReuse, Severity: Info, Needs: []string{needReuse, needIdle, needIdentity},
		AppliesNot: "Links that are not HTTP/1, policies that do not ask for the measurements reuse, idle and identity, and responses without a Keep-Alive header.",
		Why: "Connection and Keep-Alive speak of one connection, and a proxy has to take them off before it passes a message on. " +
			"A client that believes the promise of a server behind the proxy drops connections too early, or keeps them when the proxy has closed them.",
		Cures: []string{
			"Let the proxy take off Connection, Keep-Alive and what Connection names (nginx and Envoy do so; HAProxy: http-response del-header Keep-Alive).",
		},
		Source: "RFC 9110 section 7.6.1 (Connection)",
		judge:  judgeHopByHop,
	}
}

func judgeHopByHop(in Input) judgement {
	return perFigures(in, reuseSource(), func(p ProbeResult, r *result.Reuse) judgement {
		idle, missing := figuresOf(in, p, idleSource())
		if missing != nil {
			return *missing
		}
		identity, missing := figuresOf(in, p, identitySource())
		switch {
		case missing != nil:
			return *missing
		case r.KeepAliveHeader == nil || r.KeepAliveHeader.TimeoutSeconds == nil:
			return notApplicable("Responses have no Keep-Alive header with a timeout that could be another hop's.")
		case proxyNamed(identity.Via) == "":
			return notApplicable("No proxy names itself in the responses.")
		}
		evidence := idleEvidence(idle)
		evidence["keepAliveTimeoutSeconds"], evidence["via"] = strconv.Itoa(*r.KeepAliveHeader.TimeoutSeconds), proxyNamed(identity.Via)
		if passed, ok := passedOn(in, p, idle); ok {
			return fail(Info, fmt.Sprintf("A Keep-Alive header promises %d s, but connections survive %s of silence: it is of a server behind the proxy that names itself (%s).",
				passed.promisedSeconds, figure.Microseconds(survivedSeconds(idle)*1e6), passed.proxy), evidence, 0)
		}
		if idle.Cut == nil || !*idle.Cut {
			return unknown("The probe did not look for longer than the Keep-Alive header promises.")
		}
		return pass(fmt.Sprintf("The Keep-Alive header promises %d s, and connections are cut after %s.", *r.KeepAliveHeader.TimeoutSeconds, cutInWords(idle)), evidence)
	})
}
