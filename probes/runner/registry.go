package runner

import (
	"cmp"
	"context"
	"time"

	"github.com/connpolicy/connpolicy/probes/backlog"
	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/closing"
	"github.com/connpolicy/connpolicy/probes/dns"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/handshake"
	"github.com/connpolicy/connpolicy/probes/http2"
	"github.com/connpolicy/connpolicy/probes/identity"
	"github.com/connpolicy/connpolicy/probes/idle"
	"github.com/connpolicy/connpolicy/probes/parallel"
	"github.com/connpolicy/connpolicy/probes/pathmtu"
	"github.com/connpolicy/connpolicy/probes/pipelining"
	"github.com/connpolicy/connpolicy/probes/push"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/reuse"
	"github.com/connpolicy/connpolicy/probes/slowstart"
	"github.com/connpolicy/connpolicy/probes/smallwrites"
	"github.com/connpolicy/connpolicy/probes/target"
	"github.com/connpolicy/connpolicy/probes/timewait"
	"github.com/connpolicy/connpolicy/probes/websocket"
)

// Measurement is one kind of measurement that a run can make.
type Measurement struct {
	// Name in results and on the command line; Does and Costs tell people what it finds out and what it does to the target.
	Name, Does, Costs string

	// protocols that it can be made with.
	protocols []target.Protocol
	// weight is its part of the budget, relative to that of the others.
	weight int
	// OnlyNamed: it may disturb the target or its neighbours, looks elsewhere, or takes a path that answers in a way of its
	// own, and so is made only when it is asked for by name.
	OnlyNamed bool
	// partOf names, by protocol, another measurement that includes this one, which then is made by itself only when it is
	// asked for by name.
	partOf map[target.Protocol]string
	// ofName: it asks for the target's name alone, and so is made where that has no address too.
	ofName bool
	// allowance gives it its part of the budget. Nil: its share of what the run has left.
	allowance func(*budget.Budget, budget.Limits, float64)
	// run makes the measurement and stores it.
	run func(context.Context, *exchange.Peer, Config, *result.Measurements)
}

// allow gives the measurement its part of the budget.
func (m Measurement) allow(b *budget.Budget, limits budget.Limits, share float64) {
	b.Pace(limits.RequestsPerSecond)
	if m.allowance != nil {
		m.allowance(b, limits, share)
		return
	}
	b.Allow(share)
}

// Measurements returns all measurements in the order in which they are made. What one leaves of its part, those after it may use.
func Measurements() []Measurement {
	return []Measurement{
		{
			Name:      "dns",
			Does:      "time to resolve the name, queries that the search list sends for it, answers that are lost",
			Costs:     "10 to 20 resolutions of the name and of its full name by the name servers, nothing of the target",
			protocols: target.Protocols(),
			weight:    dnsWeight,
			ofName:    true,
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				m.DNS = new(dns.Measure(ctx, peer.Budget, config.Place, config.Target.Host, config.Family))
			},
		},
		{
			// Before all that would give the target up after a few responses that stall.
			Name:      "pathMTU",
			Does:      "whether packets of full size arrive, or vanish on the way while small ones pass; responses of some kilobytes are what it is for",
			Costs:     "3 connections with a request each; 3 more, and 12 seconds of waiting, if full-size packets vanish",
			protocols: []target.Protocol{target.HTTP, target.HTTPS},
			weight:    pathMTUWeight,
			OnlyNamed: true,
			run: func(ctx context.Context, peer *exchange.Peer, _ Config, m *result.Measurements) {
				m.PathMTU = new(pathmtu.Measure(ctx, peer))
			},
		},
		{
			Name:      "handshake",
			Does:      "time of connect and the kernel's round trip, SYNs sent again, share of a small transaction that is set-up",
			Costs:     "a connection a sample, each with one request over HTTP",
			protocols: target.Protocols(),
			weight:    result.HandshakeWeight,
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				m.Handshake = new(handshake.Measure(ctx, peer, config.Handshake))
			},
		},
		{
			Name:      "identity",
			Does:      "the addresses of a connection as each end sees them, proxies that name themselves",
			Costs:     "one connection, with one request over HTTP",
			protocols: target.Protocols(),
			weight:    1,
			run: func(ctx context.Context, peer *exchange.Peer, _ Config, m *result.Measurements) {
				m.Identity = new(identity.Measure(ctx, peer))
			},
		},
		{
			Name:      "timeWait",
			Does:      "who holds TIME_WAIT after a close, for how long, and the rate of new connections that the ports allow",
			Costs:     "up to 7 connections and requests, 2 seconds of waiting",
			protocols: target.Protocols(),
			weight:    result.TimeWaitWeight,
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				m.TimeWait = new(timewait.Measure(ctx, peer, config.Proc.AvailablePorts))
			},
		},
		{
			Name:      "backlog",
			Does:      "how full the listener's queue is, its limit and what sets it, connections that found no room; beside the server only",
			Costs:     "nothing is sent; 3 seconds of watching",
			protocols: target.Protocols(),
			weight:    1,
			OnlyNamed: true,
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				m.Backlog = new(backlog.Measure(ctx, peer, config.Proc))
			},
		},
		{
			Name:      "slowStart",
			Does:      "what the server sends before it waits for an answer; a response on a new connection and on one in use, and after a pause",
			Costs:     "5 to 20 connections with 3 requests each, 3 of them with one more after a pause of a second; long responses are what it is for",
			protocols: []target.Protocol{target.HTTP, target.HTTPS},
			weight:    slowStartWeight,
			run: func(ctx context.Context, peer *exchange.Peer, _ Config, m *result.Measurements) {
				m.SlowStart = new(slowstart.Measure(ctx, peer))
			},
		},
		{
			Name:      "smallWrites",
			Does:      "the stall of a server that sends a response in pieces with Nagle's algorithm on, until this end acknowledges",
			Costs:     "40 to 96 requests on one connection, or on several if the server closes it",
			protocols: []target.Protocol{target.HTTP, target.HTTPS},
			weight:    smallWritesWeight,
			run: func(ctx context.Context, peer *exchange.Peer, _ Config, m *result.Measurements) {
				m.SmallWrites = new(smallwrites.Measure(ctx, peer))
			},
		},
		{
			Name:      "http2",
			Does:      "settings, time of a request, streams at once against connections, pings, how the server ends a connection",
			Costs:     "up to 10 connections, requests on one until the server ends it or its part of the budget ends",
			protocols: []target.Protocol{target.HTTP2, target.GRPC},
			weight:    result.ReuseWeight,
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				m.HTTP2 = new(http2.Measure(ctx, peer, config.Target, config.UserAgent))
			},
		},
		{
			Name:      "pipelining",
			Does:      "what becomes of several requests sent at once on one connection, and whether that is faster",
			Costs:     "20 connections with 4 requests each; a proxy that cannot do it may mix up the responses of others",
			protocols: []target.Protocol{target.HTTP, target.HTTPS},
			weight:    1,
			OnlyNamed: true,
			run: func(ctx context.Context, peer *exchange.Peer, _ Config, m *result.Measurements) {
				m.Pipelining = new(pipelining.Measure(ctx, peer))
			},
		},
		{
			Name:      "parallel",
			Does:      "what 1, 2, 4, 8… connections at once gain, and from where on more gain nothing",
			Costs:     "up to 64 connections, and requests at nine tenths of its own limit (--limit-parallel-rps) until the target is full",
			protocols: []target.Protocol{target.HTTP, target.HTTPS},
			weight:    parallelWeight,
			OnlyNamed: true,
			allowance: func(b *budget.Budget, limits budget.Limits, share float64) {
				b.Pace(parallelPerSecond(limits))
				b.Allow(share)
			},
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				m.Parallel = new(parallel.Measure(ctx, peer, parallelPerSecond(config.Limits), config.Proc.RunDelay))
			},
		},
		{
			Name:      "closing",
			Does:      "whether a half-closed connection is answered, and whether the server's close destroys responses under way",
			Costs:     "7 connections with up to 2 requests each; servers log some of them as aborted by the client",
			protocols: []target.Protocol{target.HTTP, target.HTTPS},
			weight:    1,
			OnlyNamed: true,
			run: func(ctx context.Context, peer *exchange.Peer, _ Config, m *result.Measurements) {
				m.Closing = new(closing.Measure(ctx, peer))
			},
		},
		{
			Name:      "reuse",
			Does:      "whether the server keeps a connection, for how many requests, how it ends one; new against reused",
			Costs:     "a connection a sample, then requests on one connection until the server closes it or the budget ends",
			protocols: []target.Protocol{target.HTTP, target.HTTPS},
			weight:    result.ReuseWeight,
			run: func(ctx context.Context, peer *exchange.Peer, _ Config, m *result.Measurements) {
				m.Reuse = new(reuse.Measure(ctx, peer))
			},
		},
		{
			Name: "push",
			Does: "how a target tells news, by polling, long polling, a stream or WebSocket: age and cost of a message, held back by a hop, cut",
			Costs: "a connection held open a way, up to 3 if it is cut; a request a second or for each message; one request asks for WebSocket, " +
				"which servers that do not offer it may log as an error",
			protocols: []target.Protocol{target.HTTP, target.HTTPS, target.WebSocket},
			weight:    pushWeight,
			OnlyNamed: true,
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				m.Push = new(push.Measure(ctx, peer, asked(config), config.Target.Protocol == target.WebSocket, config.PushPaths))
			},
		},
		{
			Name:      "idle",
			Does:      "after how much silence a connection is cut, how, for how many of how many, and whether keepalive helps",
			Costs:     "up to 36 connections at once, each with up to 2 requests, and time: a silence of a minute takes a minute to see",
			protocols: target.Protocols(),
			partOf:    map[target.Protocol]string{target.WebSocket: "websocket"},
			weight:    idleWeight,
			allowance: func(b *budget.Budget, limits budget.Limits, share float64) {
				if limits.IdleSeconds == 0 {
					b.Allow(share)
					return
				}
				b.AllowBeyond(time.Duration(limits.IdleSeconds)*time.Second, share)
			},
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				if config.Target.Protocol == target.WebSocket {
					m.Idle = new(idle.MeasureWith(ctx, peer, websocket.Silent(asked(config))))
					return
				}
				m.Idle = new(idle.Measure(ctx, peer))
			},
		},
		{
			Name: "websocket",
			Does: "whether WebSocket passes every hop: opening and close handshake, pings, messages; and, as idle does, how long silence survives",
			Costs: "12 connections, 24 pings and one text message on one of them, 25 if they come back; then up to 39 connections at once, " +
				"each with up to 4 pings, and time",
			protocols: []target.Protocol{target.WebSocket},
			weight:    webSocketWeight,
			run: func(ctx context.Context, peer *exchange.Peer, config Config, m *result.Measurements) {
				m.WebSocket = new(websocket.Measure(ctx, peer, asked(config), time.Duration(config.Limits.IdleSeconds)*time.Second))
			},
		},
	}
}

// dnsWeight gives it, of thirty seconds, the five or so after which a resolver gives an answer up. It needs them only if
// one is lost.
const dnsWeight = 4

// slowStartWeight gives it, of thirty seconds, the five that its pauses take, and smallWritesWeight the four of half a
// hundred requests that wait for acknowledgments.
const (
	slowStartWeight   = 2
	smallWritesWeight = 2
)

// idleWeight lets it see, of thirty seconds, the five after which some servers close, and webSocketWeight as much beside the
// waits for what a server may not answer.
const (
	idleWeight      = 3
	webSocketWeight = 5
)

// pathMTUWeight gives it, of thirty seconds and beside the measurements that are made by default, the twelve of three
// responses that stall. It needs them only where they do.
const pathMTUWeight = 8

// pushWeight lets messages come, one a second in many a service, by each of the ways.
const pushWeight = 5

// parallelWeight lets it see, of twenty seconds, four levels.
const parallelWeight = 6

// parallelPerSecond is the limit of requests per second of that measurement.
func parallelPerSecond(limits budget.Limits) int {
	return cmp.Or(limits.ParallelRequestsPerSecond, limits.RequestsPerSecond)
}
