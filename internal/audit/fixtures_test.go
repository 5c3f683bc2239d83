package audit

import (
	"maps"
	"time"

	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/probes/result"
)

// link is an HTTP link that a probe on node n1 measured.
func link(change func(*result.Measurements)) Input {
	p := ProbeResult{Node: "n1", Result: result.Result{Version: result.Version,
		Host: result.Host{Sysctls: map[string]string{sysctlKeepaliveTime: "7200"}}}}
	change(&p.Result.Measurements)
	return http(p)
}

// observing adds pods to a link.
func observing(in Input, pods ...PodObservation) Input {
	in.Observations = pods
	return in
}

// keeping is pod a with connections to the link.
func keeping(change func(*result.Connections)) PodObservation {
	o := pod("a", 20, 0, 0.1)
	c := &result.Connections{
		Open: 20, OpenPeak: 22, BusyPeak: new(8), Opened: 400, Closed: 380, ClosedHere: 10,
		IdleSeconds: &result.Quantiles{P50: 0.2, P99: 12}, LifetimeSecondsAtMost: &result.Quantiles{P50: 40, P99: 310},
		Keepalive: result.Keepalive{Armed: 20}, Samples: 12000, InFlightSamples: 900,
	}
	change(c)
	o.Observation.Destinations[0].Connections = c
	o.Observation.Sysctls[sysctlKeepaliveTime] = "7200"
	o.Observation.Sysctls[sysctlKeepaliveInterval] = "75"
	o.Observation.Sysctls[sysctlKeepaliveProbes] = "9"
	return o
}

func asItIs(*result.Connections) {}

// set changes sysctls of a pod. An empty value takes it out.
func set(o PodObservation, namesAndValues ...string) PodObservation {
	for i := 0; i < len(namesAndValues); i += 2 {
		o.Observation.Sysctls[namesAndValues[i]] = namesAndValues[i+1]
		if namesAndValues[i+1] == "" {
			delete(o.Observation.Sysctls, namesAndValues[i])
		}
	}
	return o
}

// counting gives a pod counters of the kernel, as they changed since its observer began.
func counting(o PodObservation, changes map[string]int64) PodObservation {
	counters := maps.Clone(o.Observation.CounterChanges)
	if counters == nil {
		counters = map[string]int64{}
	}
	maps.Copy(counters, changes)
	o.Observation.CounterChanges = counters
	return o
}

// unlisted is a pod whose sockets could not be listed.
func unlisted(o PodObservation) PodObservation {
	o.Observation.Destinations = nil
	return o
}

// cutting is a path that cuts idle connections.
func cutting(how result.IdleCut, atLeast, atMost float64, keepaliveHelps *bool) *result.Idle {
	return &result.Idle{Meta: measured(), Cut: new(true), How: how, AfterSecondsAtLeast: &atLeast, AfterSecondsAtMost: &atMost,
		SurvivedSeconds: &atLeast, SurvivedOf: &result.Count{Of: 4, Got: 4}, KeepaliveHelps: keepaliveHelps, LookedSeconds: 1000}
}

// survived is a path that cut nothing for as long as was looked.
func survived(lookedSeconds float64) *result.Idle {
	return &result.Idle{Meta: measured(), Cut: new(false), SurvivedSeconds: &lookedSeconds,
		SurvivedOf: &result.Count{Of: 4, Got: 4}, LookedSeconds: lookedSeconds}
}

// growing is a history of so many looks with so many minutes between them.
func growing(apart time.Duration, percents ...int) []PastFigures {
	var history []PastFigures
	for i, percent := range percents {
		past := PastFigures{At: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * apart)}
		if percent >= 0 {
			past.PortUtilizationPercent = &percent
		}
		history = append([]PastFigures{past}, history...)
	}
	return history
}

func nodePorts() *ports.Range { return &ports.Range{First: 30000, Last: 32767} }

// wellKept adds to a healthy link what the rules on ports, long-lived connections and health of connections stand on.
func wellKept(in Input) Input {
	in.Virtual, in.ReadyEndpoints, in.PodsPerNode, in.NodePorts = true, new(3), new(2), nodePorts()
	in.History = growing(time.Hour, 1, 2, 1, 1, 2, 1)
	for i := range in.Probes {
		m := &in.Probes[i].Result.Measurements
		m.WebSocket = &result.WebSocket{Meta: measured(), Upgraded: new(true), Status: new(101), Echo: new(true), Pong: new(true),
			CloseHandshake: new(true), CloseStatus: new(1000), Idle: survived(90)}
		m.Push = &result.Push{Meta: measured(), Streaming: way(900, 120, plainly)}
		if m.HTTP2 != nil {
			m.HTTP2.Supported, m.HTTP2.RequestsAtLeast, m.HTTP2.PingAnswered = new(true), new(400), new(true)
		}
	}
	for i, o := range in.Observations {
		in.Observations[i] = set(counting(o, map[string]int64{
			"Tcp.ActiveOpens": 400, "Tcp.PassiveOpens": 100, "Tcp.EstabResets": 0, "Tcp.OutSegs": 90000, "Tcp.RetransSegs": 12,
			"TcpExt.TCPAbortOnTimeout": 0, "TcpExt.TCPAbortOnMemory": 0, "TcpExt.TCPTimeWaitOverflow": 0, "TcpExt.SyncookiesSent": 0,
			"TcpExt.ListenOverflows": 0, "TcpExt.TCPKeepAlive": 120, "TcpExt.TCPAbortOnData": 0, "TcpExt.TCPAbortOnClose": 0, "TcpExt.TCPSynRetrans": 1,
		}), sysctlReuse, "2", sysctlTimestamps, "1", sysctlFinTimeout, "60", sysctlBuckets, "16384", sysctlRetries2, "15",
			sysctlKeepaliveTime, "7200", sysctlKeepaliveInterval, "75", sysctlKeepaliveProbes, "9", sysctlConntrackMax, "262144")
	}
	return in
}
