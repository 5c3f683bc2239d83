package audit

import (
	"github.com/connpolicy/connpolicy/probes/result"
)

const virtualAddress = "198.18.96.7:80"

// ruleCase is a link, and what one rule must say about it.
type ruleCase struct {
	rule string
	name string
	in   Input
	want Result
	// severity and cure of a finding; message is a part of the message.
	severity Severity
	message  string
}

func ruleCases() []ruleCase {
	return []ruleCase{
		{rule: "CP101", name: "new connections are measurably slower", in: http(probe(handshakeOf(62, 0), reuseOf(60))),
			want: Fail, severity: Warning, message: "From node n1: Set-up is 62 % of a small transaction on a new connection: it takes 210 µs, and 80 µs"},
		{rule: "CP101", name: "server keeps nothing", in: http(probe(handshakeOf(62, 0), closed(result.CloseAnnounced))),
			want: Fail, severity: Warning, message: "keeps no connection that could be reused"},
		{rule: "CP101", name: "objective exceeded", in: with(http(probe(handshakeOf(30, 0), reuseOf(60))), func(in *Input) { in.Objectives.SetupSharePercent = new(25) }),
			want: Fail, severity: Warning, message: "the objective is 25 %"},
		{rule: "CP101", name: "objective met", in: with(http(probe(handshakeOf(62, 0))), func(in *Input) { in.Objectives.SetupSharePercent = new(70) }),
			want: Pass, message: "within the objective of 70 %"},
		{rule: "CP101", name: "half is not more than half", in: http(probe(handshakeOf(50, 0))), want: Pass},
		{rule: "CP101", name: "connections are rarely opened", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 30, 30, 0.5)) }),
			want: Pass, message: "open at most 0.5 a second each"},
		{rule: "CP101", name: "connections that the server closes count", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) {
			in.Observations = seen(leavingNothing(pod("a", 4, 0, 470)))
		}), want: Fail, severity: Warning},
		{rule: "CP101", name: "one pod opens rarely, of the other it is not known", in: with(http(probe(handshakeOf(62, 0), reuseOf(60))), func(in *Input) {
			in.Observations = seen(pod("a", 30, 30, 0.5), unread(pod("b", 30, 30, 0)))
		}), want: Fail, severity: Warning},
		{rule: "CP101", name: "medians cannot be told apart", in: http(probe(handshakeOf(62, 0), with(reuseOf(60), func(r *result.Reuse) { r.ReusedMicroseconds = r.NewMicroseconds }))),
			want: Unknown, message: "could not be told apart"},
		{rule: "CP101", name: "no intervals", in: http(probe(handshakeOf(62, 0), with(reuseOf(60), func(r *result.Reuse) { r.NewMicroseconds.P50Low = nil }))),
			want: Unknown, message: "Too few requests"},
		{rule: "CP101", name: "reuse failed", in: http(probe(handshakeOf(62, 0), result.Reuse{Meta: result.Meta{Outcome: result.Failed, Cause: "reset by peer"}})),
			want: Unknown, message: "reset by peer"},
		{rule: "CP101", name: "no request was answered", in: http(probe(with(handshakeOf(0, 0), func(h *result.Handshake) { h.SetupSharePercent = nil }))),
			want: Unknown, message: "No request"},
		{rule: "CP101", name: "no probe yet", in: http(), want: Unknown, message: "No probe"},
		{rule: "CP101", name: "plain TCP", in: Input{Protocol: "TCP", Probes: http(probe(handshakeOf(62, 0))).Probes}, want: NotApplicable},

		{rule: "CP102", name: "SYNs were sent again", in: http(probe(handshakeOf(10, 3))), want: Fail, severity: Warning,
			message: "From node n1: 3 SYNs had to be sent again in 100 handshakes:"},
		{rule: "CP102", name: "one vantage of two", in: http(probe(handshakeOf(10, 0)), probe(handshakeOf(10, 1))), want: Fail, severity: Warning, message: "1 SYN "},
		{rule: "CP102", name: "none was", in: http(probe(handshakeOf(10, 0))), want: Pass, message: "fewer than 2.95 % are dropped"},
		{rule: "CP102", name: "too few", in: http(probe(with(handshakeOf(10, 0), func(h *result.Handshake) { h.Samples = 9 }))), want: Unknown},
		{rule: "CP102", name: "the kernel does not tell", in: http(probe(with(handshakeOf(10, 0), func(h *result.Handshake) { h.SynRetransmissions = nil }))), want: Unknown},
		{rule: "CP102", name: "dropped from the message", in: with(http(probe()), func(in *Input) { in.Probes[0].Result.Dropped = []string{"handshake"} }),
			want: Unknown, message: "did not fit"},
		{rule: "CP102", name: "one vantage failed", in: http(probe(handshakeOf(10, 0)), probe(result.Handshake{Meta: result.Meta{Outcome: result.Failed, Cause: "timed out"}})),
			want: Unknown, message: "timed out"},
		{rule: "CP102", name: "not asked for", in: http(probe(reuseOf(60))), want: NotApplicable, message: "does not ask"},

		{rule: "CP103", name: "299 connects and none above", in: objective(1000, connects(299, 900)), want: Pass, message: "At most 0 of 299"},
		{rule: "CP103", name: "two vantages together", in: objective(1000, connects(150, 900), connects(149, 900)), want: Pass},
		{rule: "CP103", name: "298 connects and none above", in: objective(1000, connects(298, 900)), want: Unknown, message: "298 connects are too few to prove the objective of 1 ms: with none above it, 299 are needed. For that, probe.limits.connections has to be 299 or more, and so has requestsPerSecond × seconds."},
		{rule: "CP103", name: "limits that suit all measurements", in: with(objective(1000, connects(67, 900)), func(in *Input) {
			in.Probes[0].Result.Measurements.Reuse, in.Probes[0].Result.Measurements.TimeWait = &result.Reuse{}, &result.TimeWait{}
		}), want: Unknown, message: "For that, probe.limits.connections has to be 895 or more"},
		{rule: "CP103", name: "limits for each of two vantages", in: with(objective(1000, connects(67, 900), connects(67, 900)), func(in *Input) {
			for i := range in.Probes {
				in.Probes[i].Result.Measurements.Reuse, in.Probes[i].Result.Measurements.TimeWait = &result.Reuse{}, &result.TimeWait{}
			}
		}), want: Unknown, message: "134 connects are too few to prove the objective of 1 ms: with none above it, 299 are needed. For that, 150 from each of 2 nodes, probe.limits.connections has to be 448 or more"},
		{rule: "CP103", name: "one above", in: objective(1000, connects(299, 1500)), want: Unknown, message: "473 are needed"},
		{rule: "CP103", name: "one in ten above", in: objective(250, connects(100, 900)), want: Fail, severity: Warning, message: "at least 11 of 100"},
		{rule: "CP103", name: "one vantage misses it", in: objective(250, connects(100, 240), connects(100, 900)), want: Fail, severity: Warning},
		{rule: "CP103", name: "every vantage misses a little", in: objective(250, few(40), few(40), few(40), few(40), few(40), few(40)), want: Fail, severity: Warning, message: "over all vantages"},
		{rule: "CP103", name: "no connection was made", in: objective(1000, result.Handshake{Meta: result.Meta{Outcome: result.Measured}}), want: Unknown},
		{rule: "CP103", name: "no objective", in: http(probe(handshakeOf(10, 0))), want: NotApplicable},

		{rule: "CP201", name: "announced", in: http(probe(closed(result.CloseAnnounced))), want: Fail, severity: Warning, message: "after its first response, as it had announced"},
		{rule: "CP201", name: "unannounced", in: http(probe(closed(result.CloseUnannounced))), want: Fail, severity: Warning, message: "without announcing it"},
		{rule: "CP201", name: "kept", in: http(probe(reuseOf(60))), want: Pass, message: "at least 60 requests"},
		{rule: "CP201", name: "HTTP/1.0", in: http(probe(closed(result.CloseHTTP10))), want: NotApplicable, message: "CP203"},
		{rule: "CP201", name: "not found out", in: http(probe(result.Reuse{Meta: measured()})), want: Unknown},

		{rule: "CP202", name: "after four requests", in: http(probe(closedAfter(4, result.CloseAnnounced))), want: Fail, severity: Warning,
			message: "A connection carried 4 requests, so that set-ups cost 28.9 % of the time"},
		{rule: "CP202", name: "unannounced after many", in: http(probe(closedAfter(1000, result.CloseUnannounced))), want: Fail, severity: Warning,
			message: "After 1,000 requests on one connection the server ended it without announcing it"},
		{rule: "CP202", name: "reset after many", in: http(probe(closedAfter(1000, result.CloseReset))), want: Fail, severity: Warning, message: "with a reset"},
		{rule: "CP202", name: "announced after many", in: http(probe(closedAfter(1000, result.CloseAnnounced))), want: Pass},
		{rule: "CP202", name: "kept for as long as the probe looked", in: http(probe(reuseOf(60))), want: Pass, message: "at least 60 requests"},
		{rule: "CP202", name: "the probe's limits ended it early", in: http(probe(reuseOf(4))), want: Unknown, message: "not the server"},
		{rule: "CP202", name: "what a new connection costs is not known", in: http(probe(with(reuseOf(60), func(r *result.Reuse) { r.NewMicroseconds = nil }))), want: Unknown},
		{rule: "CP202", name: "the number is not known", in: http(probe(with(reuseOf(60), func(r *result.Reuse) { r.RequestsAtLeast = nil }))), want: Unknown},
		{rule: "CP202", name: "kept is not known", in: http(probe(result.Reuse{Meta: measured()})), want: Unknown},
		{rule: "CP202", name: "nothing is kept", in: http(probe(closed(result.CloseAnnounced))), want: NotApplicable},

		{rule: "CP203", name: "HTTP/1.0", in: http(probe(closed(result.CloseHTTP10))), want: Fail, severity: Warning, message: "HTTP/1.0"},
		{rule: "CP203", name: "ends with the connection", in: http(probe(closed(result.CloseDelimited))), want: Fail, severity: Warning, message: "neither a length nor chunks"},
		{rule: "CP203", name: "the server's own decision", in: http(probe(closed(result.CloseAnnounced))), want: Pass},
		{rule: "CP203", name: "kept", in: http(probe(reuseOf(60))), want: Pass},
		{rule: "CP203", name: "not found out", in: http(probe(result.Reuse{Meta: measured()})), want: Unknown},
		{rule: "CP203", name: "plain TCP", in: Input{Protocol: "TCP", Probes: http(probe(reuseOf(60))).Probes}, want: NotApplicable},

		{rule: "CP204", name: "500 a second, closed by the client", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 28100, 28096, 470)) }),
			want: Fail, severity: Warning, message: "Pod a opens 470 connections a second, which live for 8.51 ms on average, and closes them itself (28,096 in TIME_WAIT), although the server answers at least 60 requests"},
		{rule: "CP204", name: "too short for one to be seen open", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 28096, 28096, 470)) }),
			want: Fail, severity: Warning, message: "Pod a opens 470 connections a second, none of which was open when the observer looked, and closes them itself"},
		{rule: "CP204", name: "connections live for a minute", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 600, 300, 5)) }),
			want: Pass, message: "live for 60 s"},
		{rule: "CP204", name: "rarely opened", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 10, 10, 0.2)) }), want: Pass},
		{rule: "CP204", name: "rarely opened so far", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(young(pod("a", 0, 0, 0))) }), want: Unknown},
		{rule: "CP204", name: "the server closes", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(pod("a", 4, 0, 470)) }),
			want: Unknown, message: "cannot be told which end"},
		{rule: "CP204", name: "the server closes and nothing is left", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(leavingNothing(pod("a", 4, 0, 470)))
		}), want: Unknown, message: "470 connections a second that leave no TIME_WAIT"},
		{rule: "CP204", name: "other destinations are busy", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(elsewhere(pod("a", 28100, 28096, 470)))
		}), want: Pass, message: "at most 0 connections"},
		{rule: "CP204", name: "estimates of other moments do not add up", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.Observations = seen(elsewhere(pod("a", 28100, 28096, 470)))
			in.Observations[0].Observation.OpensPerSecond = new(490.0)
		}), want: Pass, message: "at most 0 connections"},
		{rule: "CP204", name: "the rate is not known", in: with(http(probe(reuseOf(60))), func(in *Input) { in.Observations = seen(unread(pod("a", 28100, 28096, 470))) }), want: Unknown},
		{rule: "CP204", name: "what the server would do is not known", in: with(http(probe(result.Reuse{Meta: measured()})), func(in *Input) { in.Observations = seen(pod("a", 28100, 28096, 470)) }), want: Unknown},
		{rule: "CP204", name: "no observer", in: http(probe(reuseOf(60))), want: Unknown, message: "observe.pods"},
		{rule: "CP204", name: "observers failed", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.ObserverTroubles = []string{"the kubelet of node n1 is slow", "refused"}
		}), want: Unknown, message: "No observer could look: the kubelet of node n1 is slow."},
		{rule: "CP204", name: "an observer failed, in a sentence", in: with(http(probe(reuseOf(60))), func(in *Input) {
			in.ObserverTroubles = []string{"the observer does not start: CreateContainerError "}
		}), want: Unknown, message: "No observer could look: the observer does not start: CreateContainerError."},
		{rule: "CP204", name: "the server keeps nothing", in: with(http(probe(closed(result.CloseAnnounced))), func(in *Input) { in.Observations = seen(pod("a", 28100, 28096, 470)) }), want: NotApplicable},
		{rule: "CP204", name: "no workload", in: with(http(probe(reuseOf(60))), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP401", name: "ports have run out", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 100, 0, 1), pod("b", 28100, 27900, 468)) }),
			want: Fail, severity: Error, message: "Pod b held 28,100 of 28,232 local ports (99 %) towards 198.18.96.7:80, 27,900 of them in TIME_WAIT, and opened 468 connections a second. New connections fail"},
		{rule: "CP401", name: "half is held", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 14116, 14000, 235)) }),
			want: Fail, severity: Warning, message: "connect() becomes slow"},
		{rule: "CP401", name: "over the objective", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 8000, 7900, 130)), new(25)
		}), want: Fail, severity: Warning, message: "(28 %) towards 198.18.96.7:80, 7,900 of them in TIME_WAIT, and opened 130 connections a second; the objective is 25 %"},
		{rule: "CP401", name: "an objective does not hide that ports run out", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 26000, 7900, 130)), new(95)
		}), want: Fail, severity: Error},
		{rule: "CP401", name: "within a wide objective", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 16000, 7900, 130)), new(60)
		}), want: Pass},
		{rule: "CP401", name: "TIME_WAIT is harmless", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 1200, 1190, 20)) }),
			want: Pass, message: "TIME_WAIT does no harm"},
		{rule: "CP401", name: "no socket to the link", in: with(http(), func(in *Input) { in.Observations = seen(elsewhere(pod("a", 28100, 28000, 468))) }),
			want: Pass, message: "Pod a held 0 of 28,232"},
		{rule: "CP401", name: "looked for seconds only", in: with(http(), func(in *Input) { in.Observations = seen(young(pod("a", 1200, 1190, 20))) }), want: Unknown, message: "12 seconds"},
		{rule: "CP401", name: "one pod could not be read", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 1200, 1190, 20), unread(pod("b", 0, 0, 0))) }), want: Unknown, message: "pod b"},
		{rule: "CP401", name: "addresses are not known", in: with(http(), func(in *Input) { in.Observations, in.Addresses = seen(pod("a", 1200, 1190, 20)), nil }), want: Unknown},
		{rule: "CP401", name: "no observer", in: http(), want: Unknown},
		{rule: "CP401", name: "observers failed", in: with(http(), func(in *Input) {
			in.ObserverTroubles = []string{"the kubelet of node n1 is slow", "refused"}
		}), want: Unknown, message: "No observer could look: the kubelet of node n1 is slow."},
		{rule: "CP401", name: "one observer of two failed", in: with(http(), func(in *Input) {
			in.Observations, in.ObserverTroubles = seen(pod("a", 1200, 1190, 20)), []string{"refused"}
		}), want: Pass},
		{rule: "CP401", name: "loopback", in: with(http(), func(in *Input) {
			in.Observations, in.Addresses = seen(pod("a", 1200, 1190, 20)), []string{"127.0.0.6:15001", "[::1]:80"}
		}), want: NotApplicable},
		{rule: "CP401", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP403", name: "a listener inside the range", in: with(http(), func(in *Input) { in.Observations = seen(listening(pod("a", 0, 0, 0), "", 8080, 50051)) }),
			want: Fail, severity: Warning, message: "Pod a listens on 50051, which connect() may choose for an outgoing connection (32768-60999)"},
		{rule: "CP403", name: "reserved", in: with(http(), func(in *Input) {
			in.Observations = seen(listening(pod("a", 0, 0, 0), "50000-50100", 8080, 50051))
		}), want: Pass},
		{rule: "CP403", name: "below the range", in: with(http(), func(in *Input) { in.Observations = seen(listening(pod("a", 0, 0, 0), "", 8080, 9964)) }), want: Pass},
		{rule: "CP403", name: "range not read", in: with(http(), func(in *Input) { in.Observations = seen(unread(pod("a", 0, 0, 0))) }), want: Unknown},
		{rule: "CP403", name: "reserved ports not read", in: with(http(), func(in *Input) {
			in.Observations = seen(pod("a", 0, 0, 0))
			delete(in.Observations[0].Observation.Sysctls, sysctlReservedPorts)
		}), want: Unknown, message: sysctlReservedPorts},
		{rule: "CP403", name: "not even the observer's own listener", in: with(http(), func(in *Input) { in.Observations = seen(listening(pod("a", 0, 0, 0), "")) }), want: Unknown},
		{rule: "CP403", name: "observers failed", in: with(http(), func(in *Input) {
			in.ObserverTroubles = []string{"the kubelet of node n1 is slow", "refused"}
		}), want: Unknown, message: "No observer could look: the kubelet of node n1 is slow."},
		{rule: "CP403", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},
	}
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
	p := ProbeResult{Node: "n1", Result: result.Result{Version: result.Version}}
	for _, m := range measurements {
		switch m := m.(type) {
		case result.Handshake:
			p.Result.Measurements.Handshake = &m
		case result.Reuse:
			p.Result.Measurements.Reuse = &m
		}
	}
	return p
}

// distribution has an interval of ±5 around its median.
func distribution(p50, p99, most float64) *result.Distribution {
	return &result.Distribution{Min: p50 / 2, P50: p50, P90: p50 * 1.5, P99: p99, Max: most, P50Low: new(p50 - 5), P50High: new(p50 + 5)}
}

func handshakeOf(sharePercent float64, retransmissions int) result.Handshake {
	return result.Handshake{
		Meta: measured(), ConnectMicroseconds: distribution(130, 400, 900),
		SynRetransmissions: &retransmissions, SetupSharePercent: &sharePercent,
	}
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

// few are samples of which only the slowest exceeds 250.
func few(samples int) result.Handshake {
	return result.Handshake{
		Meta:                result.Meta{Outcome: result.Measured, Samples: samples},
		ConnectMicroseconds: &result.Distribution{Min: 50, P50: 100, P90: 200, P99: 400, Max: 400},
	}
}

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
