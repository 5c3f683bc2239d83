package audit

import (
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/probes/result"
)

// towards changes the address that a pod's sockets name.
func towards(address string, o PodObservation) PodObservation {
	o.Observation.Destinations[0].Address = address
	return o
}

// waiting is a pod with so many connections in TIME_WAIT.
func waiting(timeWait int, o PodObservation) PodObservation {
	o.Observation.Destinations[0].TimeWait = timeWait
	o.Observation.Destinations[0].PortsInUse += timeWait
	return o
}

// masqueraded is a link whose target sees another source address than the pods have.
func masqueraded(yes *bool) Input {
	return link(func(m *result.Measurements) {
		m.Identity = &result.Identity{Meta: measured(), ClientLocal: "198.18.1.7:40312", ServerRemote: "198.18.0.2:1025", SourceTranslated: yes}
	})
}

// odd is a pod that holds so many ports towards the link with the parity that connect() takes last.
func odd(ports int, o PodObservation) PodObservation {
	o = using(o, asItIs)
	o.Observation.Destinations[0].PortsOfOtherParity = &ports
	return o
}

// passthrough is a pod that holds ports towards its own address.
func passthrough(o PodObservation, held, timeWait int) PodObservation {
	o.IPs = []string{"198.18.1.9"}
	o.Observation.Destinations = append(o.Observation.Destinations, result.Destination{Address: "198.18.1.9:9000", PortsInUse: held, PortsInUsePeak: held, TimeWait: timeWait})
	return o
}

// widened is a pod with the widest range of local ports.
func widened(reserved string, o PodObservation) PodObservation {
	o.Observation.Sysctls[sysctlPortRange], o.Observation.Sysctls[sysctlReservedPorts] = "1024\t65535", reserved
	return o
}

func portCases() []ruleCase {
	return []ruleCase{
		{rule: "CP401", name: "ports have run out", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 100, 0, 1), pod("b", 28100, 27900, 468)) }),
			want: Fail, severity: Error, message: "Pod b held 28,100 of 28,232 local ports (99 %) towards 198.18.96.7:80, 27,900 of them in TIME_WAIT, and opened 468 connections a second. New connections fail"},
		{rule: "CP401", name: "half is held", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 14116, 14000, 235)) }),
			want: Fail, severity: Warning, message: "connect() becomes slow"},
		{rule: "CP401", name: "an objective is another rule's", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 8000, 7900, 130)), new(25)
		}), want: Pass},
		{rule: "CP401", name: "an objective does not make connect() fast", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 16000, 7900, 130)), new(60)
		}), want: Fail, severity: Warning, message: "connect() becomes slow"},
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
		{rule: "CP401", name: "loopback, all open", in: with(http(), func(in *Input) {
			in.Observations, in.Addresses = seen(towards("127.0.0.1:15001", pod("a", 28232, 0, 10))), []string{"127.0.0.1:15001"}
		}), want: Fail, severity: Error, message: "28,232 of 28,232"},
		{rule: "CP401", name: "loopback, half in TIME_WAIT, as connect() leaves it", in: with(http(), func(in *Input) {
			in.Observations, in.Addresses = seen(towards("127.0.0.1:15001", pod("a", 14116, 14100, 2000))), []string{"127.0.0.1:15001"}
		}), want: NotApplicable},
		{rule: "CP401", name: "loopback, all in TIME_WAIT", in: with(http(), func(in *Input) {
			in.Observations, in.Addresses = seen(towards("127.0.0.6:8080", pod("a", 28232, 27950, 466))), []string{"127.0.0.6:8080"}
		}), want: Fail, severity: Error, message: "where connections are bound before they connect", cure: "Reuse connections"},
		// istio#44008: the sidecar binds to 127.0.0.6 and connects to its own pod's address: one tuple for all of its clients.
		{rule: "CP401", name: "a sidecar's passthrough", in: with(http(), func(in *Input) { in.Observations = seen(passthrough(pod("a", 12, 2, 0.13), 28232, 27950)) }),
			want: Fail, severity: Error, message: "Pod a held 28,232 of 28,232 local ports (100 %) towards 198.18.1.9:9000, 27,950 of them in TIME_WAIT", cure: "Let the clients keep their connections, since the sidecar opens one for each"},
		{rule: "CP401", name: "a sidecar's passthrough, as connect() leaves it", in: with(http(), func(in *Input) { in.Observations = seen(passthrough(pod("a", 12, 2, 0.13), 14116, 14000)) }), want: Pass},
		{rule: "CP401", name: "a sidecar's passthrough is the link", in: with(http(), func(in *Input) {
			in.Observations, in.Addresses = seen(towards("198.18.1.9:8080", pod("a", 28232, 27950, 466))), []string{"198.18.1.9:8080"}
		}), want: Fail, severity: Error, message: "Pod a held 28,232 of 28,232 local ports (100 %) towards 198.18.1.9:8080"},
		{rule: "CP401", name: "a destination of another link's", in: with(http(), func(in *Input) {
			in.Observations = seen(with(passthrough(pod("a", 12, 2, 0.13), 28232, 27950), func(o *PodObservation) { o.IPs = []string{"198.18.1.10"} }))
		}), want: Pass},
		{rule: "CP401", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP403", name: "a listener inside the range, and hardly a port is taken", in: with(http(), func(in *Input) { in.Observations = seen(listening(pod("a", 20, 2, 0.1), "", 8080, 50051)) }),
			want: Fail, severity: Info, message: "take a given one in 0.07 % of the cases"},
		{rule: "CP403", name: "a listener inside the range", in: with(http(), func(in *Input) { in.Observations = seen(listening(pod("a", 3000, 2900, 50), "", 8080, 50051)) }),
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

		{rule: "CP402", name: "grows for days", in: with(http(), func(in *Input) { in.History = growing(6*time.Hour, 8, 14, 19, 25, 32, 38) }),
			want: Fail, severity: Warning, message: "from 8 % to 38 % in 30 hours. If it goes on, 50 % are reached in 12 hours"},
		{rule: "CP402", name: "rises in a morning", in: with(http(), func(in *Input) { in.History = growing(time.Hour, 5, 14, 22, 31) }),
			want: Fail, severity: Info, message: "the time of the day"},
		{rule: "CP402", name: "towards the objective", in: with(http(), func(in *Input) {
			in.History, in.Objectives.PortUtilizationPercent = growing(12*time.Hour, 8, 11, 14, 17), new(20)
		}), want: Fail, severity: Warning, message: "20 % are reached"},
		{rule: "CP402", name: "an objective above half", in: with(http(), func(in *Input) {
			in.History, in.Objectives.PortUtilizationPercent = growing(6*time.Hour, 8, 14, 19, 25, 32, 38), new(80)
		}), want: Fail, severity: Warning, message: "50 % are reached"},
		{rule: "CP402", name: "up and down", in: with(http(), func(in *Input) { in.History = growing(time.Hour, 5, 30, 8, 33, 6, 28) }), want: Pass, message: "no steady growth"},
		{rule: "CP402", name: "grows slowly", in: with(http(), func(in *Input) { in.History = growing(24*time.Hour, 1, 2, 3, 4, 5) }), want: Pass, message: "farther away"},
		{rule: "CP402", name: "looks without the figure", in: with(http(), func(in *Input) { in.History = growing(time.Hour, 5, -1, 14, -1, 22) }), want: Unknown, message: "Only 3 of the 5"},
		{rule: "CP402", name: "short already", in: with(http(), func(in *Input) { in.History = growing(time.Hour, 20, 40, 60, 70) }), want: NotApplicable, message: "CP401"},
		{rule: "CP402", name: "no history yet", in: http(), want: NotApplicable, message: "4 looks"},
		{rule: "CP402", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP404", name: "the server would close", in: observing(http(probe(closed(result.CloseAnnounced))), waiting(580, keeping(func(c *result.Connections) { c.Closed, c.ClosedHere = 900, 870 }))),
			want: Fail, severity: Info, message: "Pod a was the first to close 870 of 900 connections to 198.18.96.7:80 since the observer began to look 5 minutes ago"},
		{rule: "CP404", name: "the server would close, behind address translation", in: observing(http(probe(closed(result.CloseAnnounced), translated())), waiting(580, keeping(func(c *result.Connections) { c.Closed, c.ClosedHere = 900, 870 }))),
			want: Pass, message: "translated on the path, where that is better"},
		{rule: "CP404", name: "the server closes", in: observing(http(probe(closed(result.CloseAnnounced))), waiting(4, keeping(asItIs))), want: Pass, message: "the server holds TIME_WAIT"},
		{rule: "CP404", name: "long ago", in: observing(http(probe(closed(result.CloseAnnounced))), keeping(func(c *result.Connections) { c.Closed, c.ClosedHere = 900, 870 })), want: Pass, message: "none in TIME_WAIT"},
		{rule: "CP404", name: "the client ends what the server keeps", in: observing(http(probe(reuseOf(60))), waiting(580, keeping(func(c *result.Connections) { c.Closed, c.ClosedHere = 900, 870 }))),
			want: Pass, message: "it does no harm"},
		{rule: "CP404", name: "none ended", in: observing(http(probe(reuseOf(60))), keeping(func(c *result.Connections) { c.Closed, c.ClosedHere = 0, 0 })), want: NotApplicable},
		{rule: "CP404", name: "an old observer", in: observing(http(probe(reuseOf(60))), pod("a", 20, 0, 1)), want: Unknown, message: "of a version"},
		{rule: "CP404", name: "among too many addresses", in: observing(http(probe(reuseOf(60))), with(elsewhere(keeping(asItIs)), func(o *PodObservation) {
			o.Observation.OtherDestinations = &result.Destination{Address: result.OtherDestinations}
		})), want: Unknown, message: "so many addresses"},
		{rule: "CP404", name: "no connection to the link", in: observing(http(probe(reuseOf(60))), elsewhere(keeping(asItIs))), want: NotApplicable},
		{rule: "CP404", name: "reuse was not asked for", in: observing(http(probe()), keeping(asItIs)), want: NotApplicable},
		{rule: "CP404", name: "kept is not known", in: observing(http(probe(result.Reuse{Meta: measured()})), keeping(asItIs)), want: Unknown},
		{rule: "CP404", name: "loopback", in: with(observing(http(probe(reuseOf(60))), keeping(asItIs)), func(in *Input) { in.Addresses = []string{"127.0.0.1:80"} }), want: NotApplicable},

		{rule: "CP405", name: "three endpoints, one tuple", in: with(observing(http(), pod("a", 18000, 17900, 299)), func(in *Input) { in.Virtual, in.ReadyEndpoints = true, new(3) }),
			want: Fail, severity: Info, message: "(63 %) towards the one virtual address 198.18.96.7:80 of 3 endpoints. Addressed each by its own address, they would take 21.3 %"},
		{rule: "CP405", name: "ports are left", in: with(observing(http(), pod("a", 1200, 1190, 20)), func(in *Input) { in.Virtual, in.ReadyEndpoints = true, new(3) }), want: Pass},
		{rule: "CP405", name: "endpoints are not known", in: with(observing(http(), pod("a", 18000, 17900, 299)), func(in *Input) { in.Virtual = true }), want: Unknown},
		{rule: "CP405", name: "the range was not read", in: with(observing(http(), unread(pod("a", 0, 0, 0))), func(in *Input) { in.Virtual, in.ReadyEndpoints = true, new(3) }), want: Unknown},
		{rule: "CP405", name: "one endpoint", in: with(observing(http(), pod("a", 18000, 17900, 299)), func(in *Input) { in.Virtual, in.ReadyEndpoints = true, new(1) }), want: NotApplicable},
		{rule: "CP405", name: "headless", in: observing(http(), pod("a", 18000, 17900, 299)), want: NotApplicable},

		{rule: "CP406", name: "ten pods behind one address", in: with(observing(masqueraded(new(true)), pod("a", 6000, 5900, 99)), func(in *Input) { in.PodsPerNode = new(10) }),
			want: Fail, severity: Warning, message: "The target sees 198.18.0.2:1025 instead of the pod's address. The fullest pod held 6,000 ports, and 10 pods share a node: up to 60,000 of at most 64,512 (93 %)"},
		{rule: "CP406", name: "few ports", in: with(observing(masqueraded(new(true)), pod("a", 60, 50, 1)), func(in *Input) { in.PodsPerNode = new(10) }), want: Pass},
		{rule: "CP406", name: "not translated", in: observing(masqueraded(new(false)), pod("a", 6000, 5900, 99)), want: Pass, message: "own address"},
		{rule: "CP406", name: "the target does not tell", in: observing(masqueraded(nil), pod("a", 6000, 5900, 99)), want: NotApplicable},
		{rule: "CP406", name: "nobody counts ports", in: with(masqueraded(new(true)), func(in *Input) { in.PodsPerNode = new(10) }), want: Unknown},
		{rule: "CP406", name: "not asked for", in: observing(http(probe()), pod("a", 6000, 5900, 99)), want: NotApplicable},

		{rule: "CP407", name: "a fifth of the load fills it", in: with(observing(http(), set(pod("a", 28100, 28000, 468), sysctlConntrackMax, "131072")), func(in *Input) { in.PodsPerNode = new(4) }),
			want: Fail, severity: Warning, message: "with 4 such pods on a node that is up to 113,328 of the 131,072 entries of its table (86.5 %)"},
		{rule: "CP407", name: "room", in: with(observing(http(), set(pod("a", 1200, 1190, 20), sysctlConntrackMax, "262144")), func(in *Input) { in.PodsPerNode = new(2) }), want: Pass},
		{rule: "CP407", name: "the table's size was not read", in: with(observing(http(), pod("a", 1200, 1190, 20)), func(in *Input) { in.PodsPerNode = new(2) }), want: Unknown, message: sysctlConntrackMax},
		{rule: "CP407", name: "the kernel tracks nothing", in: with(observing(http(), set(pod("a", 1200, 1190, 20), sysctlTimestamps, "1")), func(in *Input) { in.PodsPerNode = new(2) }), want: NotApplicable},
		{rule: "CP407", name: "the rate is not known", in: with(observing(http(), set(with(pod("a", 1200, 1190, 20), func(o *PodObservation) { o.Observation.OpensPerSecond = nil }), sysctlConntrackMax, "262144")), func(in *Input) { in.PodsPerNode = new(2) }), want: Unknown},
		{rule: "CP407", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP408", name: "wide range, masqueraded", in: with(observing(masqueraded(new(true)), widened("", pod("a", 0, 0, 0))), func(in *Input) { in.NodePorts = nodePorts() }),
			want: Fail, severity: Info, message: "2,768 of the NodePorts 30000-32767"},
		{rule: "CP408", name: "wide range, own address", in: with(observing(masqueraded(new(false)), widened("", pod("a", 0, 0, 0))), func(in *Input) { in.NodePorts = nodePorts() }), want: Pass},
		{rule: "CP408", name: "reserved", in: with(observing(masqueraded(new(true)), widened("9964,30000-32767", pod("a", 0, 0, 0))), func(in *Input) { in.NodePorts = nodePorts() }), want: Pass},
		{rule: "CP408", name: "the kernel's range", in: with(observing(http(), pod("a", 0, 0, 0)), func(in *Input) { in.NodePorts = nodePorts() }), want: Pass},
		{rule: "CP408", name: "a NodePort range inside the kernel's", in: with(observing(masqueraded(new(true)), pod("a", 0, 0, 0)), func(in *Input) { in.NodePorts = &ports.Range{First: 40000, Last: 40099} }),
			want: Fail, severity: Info, message: "100 of the NodePorts"},
		{rule: "CP408", name: "whether masqueraded is not known", in: with(observing(http(probe()), widened("", pod("a", 0, 0, 0))), func(in *Input) { in.NodePorts = nodePorts() }), want: Unknown},
		{rule: "CP408", name: "the range of NodePorts is not known", in: observing(http(), pod("a", 0, 0, 0)), want: Unknown},
		{rule: "CP408", name: "the range was not read", in: with(observing(http(), unread(pod("a", 0, 0, 0))), func(in *Input) { in.NodePorts = nodePorts() }), want: Unknown},
		{rule: "CP408", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP409", name: "reuse without timestamps", in: observing(http(), set(pod("a", 1200, 1190, 20), sysctlReuse, "1", sysctlTimestamps, "0")),
			want: Fail, severity: Warning, message: "the first setting does nothing"},
		{rule: "CP409", name: "no timestamps", in: observing(http(), set(pod("a", 1200, 1190, 20), sysctlReuse, "2", sysctlTimestamps, "0")), want: Fail, severity: Warning, message: "old segments"},
		{rule: "CP409", name: "reuse at a server", in: observing(http(), set(pod("a", 20, 0, 1), sysctlReuse, "1", sysctlTimestamps, "1")), want: Fail, severity: Info, message: "nothing to take back"},
		{rule: "CP409", name: "reuse that can help", in: observing(http(), set(pod("a", 1200, 1190, 20), sysctlReuse, "1", sysctlTimestamps, "1")), want: Pass, message: "1,190"},
		{rule: "CP409", name: "defaults", in: observing(http(), set(pod("a", 1200, 1190, 20), sysctlReuse, "2", sysctlTimestamps, "1")), want: Pass},
		{rule: "CP409", name: "reuse was not read", in: observing(http(), set(pod("a", 1200, 1190, 20), sysctlTimestamps, "1")), want: Unknown, message: sysctlReuse},
		{rule: "CP409", name: "timestamps were not read", in: observing(http(), set(pod("a", 1200, 1190, 20), sysctlReuse, "1")), want: Unknown, message: sysctlTimestamps},
		{rule: "CP409", name: "sockets were not listed", in: observing(http(), unlisted(set(pod("a", 1200, 1190, 20), sysctlReuse, "1", sysctlTimestamps, "1"))), want: Unknown},
		{rule: "CP409", name: "looked for seconds only", in: observing(http(), young(set(pod("a", 20, 0, 1), sysctlReuse, "1", sysctlTimestamps, "1"))), want: Unknown},
		{rule: "CP409", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP410", name: "lowered against TIME_WAIT", in: observing(http(), set(with(keeping(asItIs), func(o *PodObservation) {
			o.Observation.Destinations[0].PortsInUse, o.Observation.Destinations[0].TimeWait = 12030, 12000
		}), sysctlFinTimeout, "15")), want: Fail, severity: Info, message: "It holds 12,000 in TIME_WAIT, which stay for 60 seconds all the same, and at most 10 in FIN_WAIT_2"},
		{rule: "CP410", name: "FIN_WAIT_2 holds the ports", in: observing(http(), set(with(keeping(asItIs), func(o *PodObservation) {
			o.Observation.Destinations[0].PortsInUse, o.Observation.Destinations[0].TimeWait = 9020, 40
		}), sysctlFinTimeout, "15")), want: Pass, message: "there it does help"},
		{rule: "CP410", name: "not read", in: observing(http(), keeping(asItIs)), want: Unknown, message: sysctlFinTimeout},
		{rule: "CP410", name: "an old observer", in: observing(http(), set(pod("a", 1200, 1190, 20), sysctlFinTimeout, "15")), want: Unknown},
		{rule: "CP410", name: "sockets were not listed", in: observing(http(), unlisted(set(keeping(asItIs), sysctlFinTimeout, "15"))), want: Unknown},
		{rule: "CP410", name: "the default", in: observing(http(), set(keeping(asItIs), sysctlFinTimeout, "60")), want: NotApplicable},

		{rule: "CP411", name: "lowered buckets overflow", in: observing(http(), set(counting(pod("a", 1200, 1190, 20), map[string]int64{"TcpExt.TCPTimeWaitOverflow": 4711}), sysctlBuckets, "1000")),
			want: Fail, severity: Warning, message: "4,711 connections of pod a skipped TIME_WAIT since the observer began to look 5 minutes ago, for it was full (tcp_max_tw_buckets is 1,000)"},
		{rule: "CP411", name: "none skipped", in: observing(http(), counting(pod("a", 1200, 1190, 20), map[string]int64{"TcpExt.TCPTimeWaitOverflow": 0})), want: Pass},
		{rule: "CP411", name: "totals alone", in: observing(http(), with(pod("a", 1200, 1190, 20), func(o *PodObservation) {
			o.Observation.Counters = map[string]int64{"TcpExt.TCPTimeWaitOverflow": 3}
		})), want: Fail, severity: Warning, message: "since the pod was made"},
		{rule: "CP411", name: "no counter", in: observing(http(), pod("a", 1200, 1190, 20)), want: Unknown},
		{rule: "CP411", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},

		{rule: "CP412", name: "exceeded", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 8000, 7900, 130)), new(25)
		}), want: Fail, severity: Warning, message: "(28 %) towards 198.18.96.7:80, 7,900 of them in TIME_WAIT, and opened 130 connections a second; the objective is 25 %"},
		{rule: "CP412", name: "met, although connect() is slow", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("a", 16000, 7900, 130)), new(60)
		}), want: Pass, message: "within the objective of 60 %"},
		{rule: "CP412", name: "exceeded within seconds", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(young(pod("a", 8000, 7900, 130))), new(25)
		}), want: Fail, severity: Warning},
		{rule: "CP412", name: "looked for seconds only", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(young(pod("a", 800, 790, 130))), new(25)
		}), want: Unknown, message: "12 seconds"},
		{rule: "CP412", name: "the range was not read", in: with(http(), func(in *Input) {
			in.Observations, in.Objectives.PortUtilizationPercent = seen(pod("b", 8, 8, 1), unread(pod("a", 0, 0, 0))), new(25)
		}), want: Unknown, message: "pod a"},
		{rule: "CP412", name: "no observer", in: with(http(), func(in *Input) { in.Objectives.PortUtilizationPercent = new(25) }), want: Unknown},
		{rule: "CP412", name: "loopback", in: with(http(), func(in *Input) {
			in.Observations, in.Addresses, in.Objectives.PortUtilizationPercent = seen(towards("127.0.0.1:15001", pod("a", 9000, 8900, 130))), []string{"127.0.0.1:15001"}, new(25)
		}), want: NotApplicable},
		{rule: "CP412", name: "no objective", in: with(http(), func(in *Input) { in.Observations = seen(pod("a", 8000, 7900, 130)) }), want: NotApplicable},
		{rule: "CP412", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly, in.Objectives.PortUtilizationPercent = true, new(25) }), want: NotApplicable},

		{rule: "CP413", name: "all are bound", in: observing(http(), odd(3000, pod("a", 3000, 2900, 50))),
			want: Fail, severity: Warning, message: "3,000 of them with the parity that connect() takes last: its connections are bound before they connect. Ports so taken are gone for all destinations together: 3,000 of 28,232 (10 %) at the moment"},
		{rule: "CP413", name: "bound to other destinations too", in: observing(http(), with(odd(200, pod("a", 200, 100, 3)), func(o *PodObservation) {
			o.Observation.OtherDestinations = &result.Destination{Address: result.OtherDestinations, PortsInUse: 9000, PortsOfOtherParity: new(9000)}
		})), want: Fail, severity: Warning, message: "9,200 of 28,232"},
		{rule: "CP413", name: "a small pool is bound", in: observing(http(), odd(12, pod("a", 12, 0, 0.1))), want: Fail, severity: Info, message: "12 of 28,232"},
		{rule: "CP413", name: "most are bound", in: observing(http(), odd(2000, pod("a", 3000, 2900, 50))), want: Fail, severity: Warning},
		{rule: "CP413", name: "none is bound", in: observing(http(), odd(0, pod("a", 14000, 13900, 233))), want: Pass, message: "0 of them"},
		{rule: "CP413", name: "a single one is", in: observing(http(), odd(1, pod("a", 100, 90, 2))), want: Pass},
		{rule: "CP413", name: "without regard to parity", in: observing(http(), odd(1510, pod("a", 3000, 2900, 50))), want: Unknown, message: "without regard to parity"},
		{rule: "CP413", name: "too few to tell", in: observing(http(), odd(3, pod("a", 3, 0, 0.1))), want: Unknown},
		{rule: "CP413", name: "enough for one pod and not for twenty", in: observing(http(), slices.Repeat(seen(odd(6, pod("a", 6, 0, 0.1))), 20)...), want: Unknown},
		{rule: "CP413", name: "an old observer", in: observing(http(), using(pod("a", 20, 0, 1), asItIs)), want: Unknown, message: "older version"},
		{rule: "CP413", name: "the range was not read", in: observing(http(), odd(20, unread(pod("a", 20, 0, 0)))), want: Unknown, message: "could not be read"},
		{rule: "CP413", name: "more than half are held", in: observing(http(), odd(900, pod("a", 15000, 14900, 250))), want: NotApplicable, message: "both parities"},
		{rule: "CP413", name: "no port is held", in: observing(http(), odd(0, pod("a", 0, 0, 0))), want: NotApplicable},
		{rule: "CP413", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},
	}
}
