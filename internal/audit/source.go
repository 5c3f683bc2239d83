package audit

import (
	"fmt"
	"slices"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Protocols of a link.
const (
	protocolHTTP      = "HTTP"
	protocolHTTPS     = "HTTPS"
	protocolHTTP2     = "HTTP2"
	protocolGRPC      = "GRPC"
	protocolWebSocket = "WebSocket"
)

// speaksHTTP1 says whether the probe makes HTTP/1 requests over a protocol.
func speaksHTTP1(protocol string) bool { return protocol == protocolHTTP || protocol == protocolHTTPS }

// speaksHTTP2 says whether requests share a connection as streams over a protocol.
func speaksHTTP2(protocol string) bool { return protocol == protocolHTTP2 || protocol == protocolGRPC }

// Names of the measurements, as policies and results name them, and of what is not a probe's but an observer's.
const (
	needDNS         = "dns"
	needHandshake   = "handshake"
	needReuse       = "reuse"
	needTimeWait    = "timeWait"
	needIdle        = "idle"
	needSlowStart   = "slowStart"
	needSmallWrites = "smallWrites"
	needParallel    = "parallel"
	needPipelining  = "pipelining"
	needClosing     = "closing"
	needPathMTU     = "pathMTU"
	needHTTP2       = "http2"
	needIdentity    = "identity"
	needBacklog     = "backlog"
	needObserver    = "observer"
)

// source is where a rule gets a measurement of type T from.
type source[T any] struct {
	// name of the measurement, as in result.Fields.
	name string
	of   func(*result.Measurements) *T
	// suits says over which protocols of a link it can be made, unsuited what to say of the others. A nil suits means all.
	suits    func(protocol string) bool
	unsuited string
	// moot says, where the measurement is not supported, why there is nothing to judge on the link; empty if that is not
	// known. A nil moot never knows.
	moot func(Input, ProbeResult) string
}

// overHTTP1 is why a measurement that takes HTTP/1 requests has nothing to say about other links.
const overHTTP1 = "It takes HTTP/1 requests to tell, and this link's protocol is another."

func dnsSource() source[result.DNS] {
	return source[result.DNS]{name: needDNS, of: func(m *result.Measurements) *result.DNS { return m.DNS }, moot: nobodyAsked}
}

func handshakeSource() source[result.Handshake] {
	return source[result.Handshake]{name: needHandshake, of: func(m *result.Measurements) *result.Handshake { return m.Handshake }}
}

func reuseSource() source[result.Reuse] {
	return source[result.Reuse]{name: needReuse, of: func(m *result.Measurements) *result.Reuse { return m.Reuse }, suits: speaksHTTP1, unsuited: overHTTP1}
}

func timeWaitSource() source[result.TimeWait] {
	return source[result.TimeWait]{name: needTimeWait, of: func(m *result.Measurements) *result.TimeWait { return m.TimeWait }}
}

func idleSource() source[result.Idle] {
	return source[result.Idle]{name: needIdle, of: func(m *result.Measurements) *result.Idle { return m.Idle }, moot: keepsNone}
}

func slowStartSource() source[result.SlowStart] {
	return source[result.SlowStart]{name: needSlowStart, of: func(m *result.Measurements) *result.SlowStart { return m.SlowStart }, suits: speaksHTTP1, unsuited: overHTTP1, moot: windowMoot}
}

func smallWritesSource() source[result.SmallWrites] {
	return source[result.SmallWrites]{name: needSmallWrites, of: func(m *result.Measurements) *result.SmallWrites { return m.SmallWrites }, suits: speaksHTTP1, unsuited: overHTTP1, moot: keepsNone}
}

func parallelSource() source[result.Parallel] {
	return source[result.Parallel]{name: needParallel, of: func(m *result.Measurements) *result.Parallel { return m.Parallel }, suits: speaksHTTP1, unsuited: overHTTP1}
}

func pipeliningSource() source[result.Pipelining] {
	return source[result.Pipelining]{name: needPipelining, of: func(m *result.Measurements) *result.Pipelining { return m.Pipelining }, suits: speaksHTTP1, unsuited: overHTTP1, moot: keepsNone}
}

func closingSource() source[result.Closing] {
	return source[result.Closing]{name: needClosing, of: func(m *result.Measurements) *result.Closing { return m.Closing }, suits: speaksHTTP1, unsuited: overHTTP1}
}

func pathMTUSource() source[result.PathMTU] {
	return source[result.PathMTU]{name: needPathMTU, of: func(m *result.Measurements) *result.PathMTU { return m.PathMTU }, suits: speaksHTTP1, unsuited: overHTTP1, moot: allShort}
}

func http2Source() source[result.HTTP2] {
	return source[result.HTTP2]{name: needHTTP2, of: func(m *result.Measurements) *result.HTTP2 { return m.HTTP2 },
		suits: speaksHTTP2, unsuited: "Requests share a connection as streams over HTTP/2 and gRPC only."}
}

func identitySource() source[result.Identity] {
	return source[result.Identity]{name: needIdentity, of: func(m *result.Measurements) *result.Identity { return m.Identity }}
}

func backlogSource() source[result.Backlog] {
	return source[result.Backlog]{name: needBacklog, of: func(m *result.Measurements) *result.Backlog { return m.Backlog }}
}

// figuresOf returns a measurement with its figures, or how to judge that there are none: not applicable if the link's
// protocol does not suit it, it was not asked for, or there is nothing to judge, unknown with the cause otherwise.
func figuresOf[T any](in Input, p ProbeResult, s source[T]) (*T, *judgement) {
	if s.suits != nil && !s.suits(in.Protocol) {
		return nil, new(notApplicable(s.unsuited))
	}
	switch meta := metaOf(p, s.name); {
	case meta != nil && meta.Outcome == result.Measured:
		return s.of(&p.Result.Measurements), nil
	case meta != nil && meta.Outcome == result.Unsupported && s.moot != nil && s.moot(in, p) != "":
		return nil, new(notApplicable(s.moot(in, p)))
	case meta != nil:
		return nil, new(unknown(fmt.Sprintf("The measurement %s %s: %s.", s.name, outcomeInWords(meta.Outcome), meta.Cause)))
	case slices.Contains(p.Result.Dropped, s.name):
		return nil, new(unknown(fmt.Sprintf("The measurement %s was made, but did not fit into the probe's message.", s.name)))
	}
	return nil, new(notApplicable(fmt.Sprintf("The policy does not ask for the measurement %s.", s.name)))
}

// beside returns a measurement that tells more about what another found, nil if it has no figures.
func beside[T any](in Input, p ProbeResult, s source[T]) *T {
	figures, _ := figuresOf(in, p, s)
	return figures
}

// perFigures judges one measurement of each probe's result and returns the gravest judgement.
func perFigures[T any](in Input, s source[T], judge func(ProbeResult, *T) judgement) judgement {
	if s.suits != nil && !s.suits(in.Protocol) {
		return notApplicable(s.unsuited)
	}
	return perVantage(in, func(p ProbeResult) judgement {
		figures, missing := figuresOf(in, p, s)
		if missing != nil {
			return *missing
		}
		return judge(p, figures)
	})
}

// nobodyAsked says that no query can be wasted or lost where none is sent.
func nobodyAsked(_ Input, p ProbeResult) string {
	return fmt.Sprintf("No name server is asked: %s.", p.Result.Measurements.DNS.Cause)
}

// keepsNone says that nothing can be judged of kept connections where the server keeps none.
func keepsNone(in Input, p ProbeResult) string {
	if r := beside(in, p, reuseSource()); r != nil && r.Kept != nil && !*r.Kept {
		return "The server keeps no connection; CP201 or CP203 says why."
	}
	return ""
}

// allShort says that a response which no full segment carries tells nothing of large packets.
func allShort(_ Input, p ProbeResult) string {
	return fmt.Sprintf("No large packet was asked for: %s.", p.Result.Measurements.PathMTU.Cause)
}

// windowMoot says that a window does not matter where a round trip costs nothing, or a response needs hardly more than one.
func windowMoot(_ Input, p ProbeResult) string {
	s := p.Result.Measurements.SlowStart
	switch {
	case s.RoundTripMicroseconds != nil && *s.RoundTripMicroseconds > 0 && *s.RoundTripMicroseconds < shortRoundTripMicroseconds:
		return fmt.Sprintf("The round trip takes %s: waiting for a window to open costs hardly anything.", figure.Microseconds(*s.RoundTripMicroseconds))
	case s.Bytes != nil && s.SegmentBytes != nil && *s.SegmentBytes > 0 && float64(*s.Bytes) < shortResponseSegments*float64(*s.SegmentBytes):
		return fmt.Sprintf("The response has %s: it needs hardly more than the window that a connection begins with.", bytesInWords(s.Bytes))
	}
	return ""
}

const (
	// shortRoundTripMicroseconds is the round trip below which the probe cannot tell flights apart. The seven that slow start
	// may cost come to 14 ms at the most there.
	shortRoundTripMicroseconds = 2000
	// shortResponseSegments are three initial windows (RFC 6928), which two round trips bring.
	shortResponseSegments = 30
)

// metaOf is what a measurement says about itself, nil if the result has none of that name.
func metaOf(p ProbeResult, name string) *result.Meta {
	for _, f := range result.Fields() {
		if f.Name == name {
			return f.Meta(&p.Result.Measurements)
		}
	}
	return nil
}

func outcomeInWords(o result.Outcome) string {
	switch o {
	case result.Unsupported:
		return "is not supported here"
	case result.Skipped:
		return "was skipped"
	case result.Lost:
		return "was lost"
	}
	return "failed"
}
