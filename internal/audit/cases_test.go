package audit

import (
	"slices"

	"github.com/connpolicy/connpolicy/probes/result"
)

const virtualAddress = "198.18.96.7:80"

// ruleCase is a link, and what one rule must say about it.
type ruleCase struct {
	rule string
	name string
	in   Input
	want Result
	// severity of a finding; message is a part of the message, cure the begin of the cure.
	severity Severity
	message  string
	cure     string
}

// ruleCases are the cases of all rules.
func ruleCases() []ruleCase {
	return slices.Concat(setupCases(), reuseCases(), smallPacketCases(), portCases(), longLivedCases(), throughputCases(), settingCases(), healthCases(), recentCases(), drainCases())
}

// with returns value after change.
func with[T any](value T, change func(*T)) T {
	change(&value)
	return value
}

func measured() result.Meta { return result.Meta{Outcome: result.Measured, Samples: 100} }

func http(probes ...ProbeResult) Input {
	return Input{Protocol: "HTTP", Addresses: []string{virtualAddress}, Probes: probes}
}

func probe(measurements ...any) ProbeResult {
	p := ProbeResult{Node: "n1", Result: result.Result{Version: result.Version, Target: result.Target{URL: "http://198.18.96.7/healthz"}}}
	into := &p.Result.Measurements
	for _, m := range measurements {
		switch m := m.(type) {
		case result.DNS:
			into.DNS = &m
		case result.Handshake:
			into.Handshake = &m
		case result.Reuse:
			into.Reuse = &m
		case result.Idle:
			into.Idle = &m
		case result.TimeWait:
			into.TimeWait = &m
		case result.SlowStart:
			into.SlowStart = &m
		case result.SmallWrites:
			into.SmallWrites = &m
		case result.Parallel:
			into.Parallel = &m
		case result.Pipelining:
			into.Pipelining = &m
		case result.Closing:
			into.Closing = &m
		case result.PathMTU:
			into.PathMTU = &m
		case result.WebSocket:
			into.WebSocket = &m
		case result.Push:
			into.Push = &m
		case result.HTTP2:
			into.HTTP2 = &m
		case result.Identity:
			into.Identity = &m
		case result.Backlog:
			into.Backlog = &m
		}
	}
	return p
}

// distribution has an interval of ±5 around its median.
func distribution(p50, p99, most float64) *result.Distribution {
	return &result.Distribution{Min: p50 / 2, P50: p50, P90: p50 * 1.5, P99: p99, Max: most, P50Low: new(p50 - 5), P50High: new(p50 + 5)}
}

func handshakeOf(sharePercent float64, retransmissions int) result.Handshake {
	h := result.Handshake{
		Meta: measured(), ConnectMicroseconds: distribution(130, 400, 900), KernelRTTMicroseconds: distribution(100, 300, 800),
		SynRetransmissions: &retransmissions, SetupSharePercent: &sharePercent,
	}
	if retransmissions > 0 {
		h.ConnectMicroseconds.Max = 1.03e6
	}
	return h
}

// reuseOf is a server that kept the connection for all requests that the probe made.
func reuseOf(requests int) result.Reuse {
	return result.Reuse{
		Meta: measured(), Kept: new(true), RequestsAtLeast: &requests, CloseCause: result.CloseNone,
		NewMicroseconds: distribution(210, 500, 1000), ReusedMicroseconds: distribution(80, 200, 300),
	}
}

func closedAfter(requests int, cause result.CloseCause) result.Reuse {
	r := reuseOf(requests)
	r.RequestsPerConnection, r.CloseCause = &requests, cause
	return r
}

func closed(cause result.CloseCause) result.Reuse {
	r := closedAfter(1, cause)
	r.Kept, r.ReusedMicroseconds = new(false), nil
	return r
}

func objective(microseconds int64, handshakes ...result.Handshake) Input {
	in := http()
	for _, h := range handshakes {
		in.Probes = append(in.Probes, probe(h))
	}
	in.Objectives.HandshakeP99Microseconds = &microseconds
	return in
}

// connects are samples with a median of 200, P90 of 300 and the given maximum.
func connects(samples int, most float64) result.Handshake {
	return result.Handshake{
		Meta:                result.Meta{Outcome: result.Measured, Samples: samples},
		ConnectMicroseconds: distribution(200, min(most, 900), most),
	}
}

// counted is a handshake of which the probe counted the connects above a limit.
func counted(h result.Handshake, limit float64, above int) result.Handshake {
	h.ConnectAbove = &result.Above{Microseconds: limit, Count: result.Count{Got: above, Of: h.Samples}}
	return h
}

// few are samples of which only the slowest exceeds 250.
func few(samples int) result.Handshake {
	return result.Handshake{
		Meta:                result.Meta{Outcome: result.Measured, Samples: samples},
		ConnectMicroseconds: &result.Distribution{Min: 50, P50: 100, P90: 200, P99: 400, Max: 400},
	}
}

// over is a link of another protocol.
func over(protocol string, in Input) Input { in.Protocol = protocol; return in }

// unsupported is a measurement that the target does not allow.
func unsupported() result.Meta {
	return result.Meta{Outcome: result.Unsupported, Cause: "it cannot be seen"}
}

// failed is a measurement that was begun and could not be finished.
func failed() result.Meta { return result.Meta{Outcome: result.Failed, Cause: "reset by peer"} }

func seen(pods ...PodObservation) []PodObservation { return pods }

// pod holds ports towards the link, in the kernel's default range, and has been looked at for five minutes.
func pod(name string, held, timeWait int, opensPerSecond float64) PodObservation {
	return PodObservation{Pod: name, Node: "n1", Observation: result.Observation{
		Version: result.Version, UptimeSeconds: 300, OpensPerSecond: &opensPerSecond, PortsAvailable: new(28232),
		Destinations: []result.Destination{{
			Address: virtualAddress, PortsInUse: held, PortsInUsePeak: held, TimeWait: timeWait, OpensPerSecond: &opensPerSecond,
		}},
		ListeningPorts: []int{8080, result.DefaultObserverPort},
		Sysctls:        map[string]string{sysctlPortRange: "32768\t60999", sysctlReservedPorts: ""},
	}}
}

// young is a pod whose observer has just begun.
func young(o PodObservation) PodObservation { o.Observation.UptimeSeconds = 12; return o }

// unread is a pod of which nothing but sockets could be read.
func unread(o PodObservation) PodObservation {
	o.Observation.OpensPerSecond, o.Observation.PortsAvailable, o.Observation.Sysctls = nil, nil, nil
	o.Observation.Destinations[0].OpensPerSecond = nil
	return o
}

// leavingNothing is a pod whose connections the server closes, so that the estimates of its destinations miss them.
func leavingNothing(o PodObservation) PodObservation {
	o.Observation.Destinations[0].OpensPerSecond = new(0.0)
	return o
}

// elsewhere is a pod whose sockets go to another address.
func elsewhere(o PodObservation) PodObservation {
	o.Observation.Destinations[0].Address = "198.18.96.8:80"
	return o
}

func listening(o PodObservation, reserved string, listeners ...int) PodObservation {
	o.Observation.Sysctls[sysctlReservedPorts], o.Observation.ListeningPorts = reserved, listeners
	return o
}

// using is a pod that uses its connections to the link in some way.
func using(o PodObservation, change func(*result.Connections)) PodObservation {
	o.Observation.Destinations[0].Connections = new(with(connections(), change))
	return o
}

// connections are those of a pool that serves its load well, looked at for five minutes.
func connections() result.Connections {
	return result.Connections{
		Open: 10, OpenPeak: 12, BusyPeak: new(6), Opened: 40, Closed: 30, ClosedHere: 28,
		LifetimeSecondsAtMost: &result.Quantiles{P50: 61, P99: 90}, SingleExchange: new(int64(1)),
		BytesSent: &result.Quantiles{P50: 90_000, P99: 200_000}, BytesReceived: &result.Quantiles{P50: 400_000, P99: 900_000},
		ExchangesAtMost: &result.Quantiles{P50: 200, P99: 400}, IdleSeconds: &result.Quantiles{P50: 0.5, P99: 12},
		Keepalive: result.Keepalive{Armed: 10}, Samples: 3000, InFlightSamples: 400, NagleSamples: 0,
	}
}
