package audit

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// incident is what was published of a link that suffered, and which rules have to name it. On all other counts the link
// is healthy.
type incident struct {
	name     string
	protocol string
	change   func(*Input)
	want     []string
	// cure is the begin of what the first of them says to do first.
	cure string
}

// everyProbe changes what each probe measured, everyPool how each pod uses its connections.
func everyProbe(in *Input, change func(*result.Measurements)) {
	for i := range in.Probes {
		change(&in.Probes[i].Result.Measurements)
	}
}

func everyPool(in *Input, opensPerSecond float64, change func(*result.Connections)) {
	for i, o := range in.Observations {
		busy := pod(o.Pod, int(10+60*opensPerSecond), int(60*opensPerSecond), opensPerSecond)
		busy.Observation.CounterChanges, busy.Observation.Listeners = o.Observation.CounterChanges, o.Observation.Listeners
		busy.Observation.Sysctls = o.Observation.Sysctls
		in.Observations[i] = using(busy, change)
	}
}

func incidents() []incident {
	return []incident{
		{name: "nodejs/node#27363: 502 behind a load balancer that keeps connections for longer than 5 s", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) {
				m.Idle = new(cutAfter(4.9, 5, result.CutFIN))
				m.Reuse.KeepAliveHeader = &result.KeepAliveHeader{TimeoutSeconds: new(5)}
			})
			everyPool(in, 0.5, func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 1.2, P99: 4.9} })
		}, want: []string{"CP205"}, cure: "Raise the server's idle time above the client's (Node.js: server.keepAliveTimeout"},
		{name: "istio/istio#51210: 466 connections a second, one request each", change: func(in *Input) {
			everyPool(in, 466, func(c *result.Connections) {
				c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 139_800, 139_790, 139_790, new(int64(139_700))
				c.LifetimeSecondsAtMost, c.ExchangesAtMost = &result.Quantiles{P50: 0.01, P99: 0.2}, &result.Quantiles{P50: 1, P99: 2}
			})
		}, want: []string{"CP204", "CP401", "CP405", "CP412"}, cure: "Let the client share one HTTP client"},
		{name: "nginx towards an upstream without keepalive", change: func(in *Input) {
			everyPool(in, 50, func(c *result.Connections) {
				c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 15_000, 15_000, 0, new(int64(15_000))
				c.LifetimeSecondsAtMost, c.ExchangesAtMost = &result.Quantiles{P50: 0.01, P99: 0.2}, &result.Quantiles{P50: 1, P99: 1}
			})
		}, want: []string{"CP204"}, cure: "Stop the client from asking for the close: no `Connection: close`, no HTTP/1.0 (nginx"},
		// Both as an observer saw them on Linux 6.18, scaled to five minutes.
		{name: "Go's two idle connections a host for four at once", change: func(in *Input) {
			everyPool(in, 4.82, func(c *result.Connections) {
				c.Open, c.OpenPeak, c.BusyPeak, c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 1, 4, new(4), 1448, 1449, 1446, new(int64(1034))
				c.LifetimeSecondsAtMost, c.ExchangesAtMost = &result.Quantiles{P50: 1.002, P99: 8.01}, &result.Quantiles{P50: 1, P99: 59}
			})
		}, want: []string{"CP209"}, cure: "Let the pool keep as many idle connections as are busy at once (Go: MaxIdleConnsPerHost"},
		{name: "Go's two idle connections a host for twenty at once", change: func(in *Input) {
			everyPool(in, 114, func(c *result.Connections) {
				c.Open, c.OpenPeak, c.BusyPeak, c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 0, 20, new(20), 34_217, 34_227, 34_188, new(int64(27_554))
				c.LifetimeSecondsAtMost, c.ExchangesAtMost = &result.Quantiles{P50: 0.76, P99: 1.4}, &result.Quantiles{P50: 1, P99: 9}
			})
			everyProbe(in, func(m *result.Measurements) { m.Parallel = new(kneeAt(32)) })
		}, want: []string{"CP209"}, cure: "Let the pool keep as many idle connections as are busy at once (Go: MaxIdleConnsPerHost"},
		{name: "OpenShell#2219: 40 ms in every response", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.SmallWrites = new(stalling(40_300)) })
		}, want: []string{"CP301"}, cure: "Set TCP_NODELAY in the server"},
		{name: "a client that writes header and body apart, with Nagle's algorithm on", change: func(in *Input) {
			everyPool(in, 0.5, func(c *result.Connections) { c.InFlightSamples, c.NagleSamples = 200, 198 })
		}, want: []string{"CP302"}, cure: "Set TCP_NODELAY in the client"},
		{name: "kubernetes/kubernetes#56903: DNS takes 5 s", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.DNS = new(names(2, 3)) })
		}, want: []string{"CP107"}, cure: "Run NodeLocal DNSCache"},
		{name: "kubernetes/kubernetes#76699: a second or three for some connects, through translated addresses", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) {
				m.Handshake.SynRetransmissions, m.Handshake.ConnectMicroseconds.Max = new(3), 3.05e6
				m.Identity, m.Backlog = new(translated()), nil
				m.TimeWait.Holder = result.SideServer
			})
		}, want: []string{"CP102"}, cure: "Keep connections open, so that fewer ports are used"},
		{name: "linkerd/linkerd2#14801: an accept queue of 128", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) {
				m.Handshake.SynRetransmissions, m.Handshake.ConnectMicroseconds.Max = new(9), 2.03e6
				m.Backlog = new(backlogOf(412, 128, 4096))
			})
		}, want: []string{"CP102", "CP104"}, cure: "Let the server accept faster"},
		{name: "replicas that do not share the key of their tickets", protocol: protocolHTTPS, change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.Handshake.TLS.Resumed = new(9) })
			everyPool(in, 5, func(*result.Connections) {})
		}, want: []string{"CP108"}, cure: "Give all replicas the same ticket keys"},
		{name: "long answers from 20 ms away, some every minute", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.SlowStart = new(farServer()) })
		}, want: []string{"CP601"}, cure: "Advice to the server's owner: set net.ipv4.tcp_slow_start_after_idle to 0"},
		{name: "istio/istio#44008: 28,232 ports of 127.0.0.6, most of them in TIME_WAIT", change: func(in *Input) {
			for i, o := range in.Observations {
				in.Observations[i] = passthrough(o, 28_232, 27_950)
			}
		}, want: []string{"CP401"}, cure: "Let the clients keep their connections, since the sidecar opens one for each of theirs"},
		{name: "a pool without a bound: 28,232 ports to one address", change: func(in *Input) {
			everyPool(in, 3, func(c *result.Connections) { c.Open, c.OpenPeak = 28_050, 28_052 })
			for i := range in.Observations {
				d := &in.Observations[i].Observation.Destinations[0]
				d.PortsInUse, d.PortsInUsePeak, d.TimeWait = 28_232, 28_232, 180
			}
		}, want: []string{"CP401", "CP405", "CP412"}, cure: "Hold fewer connections open"},
		{name: "istio/istio#24387, #25106, #43233: a sidecar ends a database's connections after an hour", protocol: "TCP", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.Idle = cutting(result.CutFIN, 3599.9, 3600, new(false)) })
			everyPool(in, 0.01, func(c *result.Connections) {
				c.Open, c.OpenPeak, c.BusyPeak, c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 8, 8, new(1), 30, 28, 0, new(int64(0))
				c.LifetimeSecondsAtMost, c.IdleSeconds = &result.Quantiles{P50: 3605, P99: 9000}, &result.Quantiles{P50: 900, P99: 3400}
			})
			for i := range in.Observations {
				in.Observations[i].Observation.UptimeSeconds = 40_000
			}
		}, want: []string{"CP205", "CP502"}, cure: "Let the pool end or use idle connections sooner"},
		{name: "a pool that hands out what a server of 5 s has closed", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.Idle = new(cutAfter(4.9, 5, result.CutFIN)) })
			everyPool(in, 0.1, func(c *result.Connections) {
				c.Open, c.CloseWait, c.CloseWaitOldestSeconds, c.Opened, c.Closed, c.ClosedHere = 10, 9, new(340.0), 30, 28, 1
				c.LifetimeSecondsAtMost, c.IdleSeconds = &result.Quantiles{P50: 95, P99: 400}, &result.Quantiles{P50: 2, P99: 3}
			})
		}, want: []string{"CP205", "CP801"}, cure: "Raise the server's idle time above the client's"},
		{name: "a certificate that has expired", protocol: protocolHTTPS, change: func(in *Input) {
			for i := range in.Probes {
				for _, f := range result.Fields() {
					f.Conclude(&in.Probes[i].Result.Measurements, result.Meta{Outcome: result.Failed, Cause: "TLS handshake"})
				}
				in.Probes[i].Result.Measurements.Handshake.TLS = &result.TLS{CertificateBegins: "2026-08-01T00:00:00Z", CertificateExpires: "2026-10-30T00:00:00Z"}
			}
		}, want: []string{"CP110"}, cure: "Look at the renewal"},
		{name: "kubernetes/kubernetes#80298, #71358: IPVS forgets after 900 s", protocol: "TCP", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.Idle = cutting(result.CutRST, 855, 945, new(true)) })
			everyPool(in, 0.1, func(c *result.Connections) {
				c.Keepalive, c.IdleSeconds = result.Keepalive{NotArmed: 10}, &result.Quantiles{P50: 200, P99: 1100}
			})
		}, want: []string{"CP501"}, cure: "Arm TCP keepalive below the cut-off"},
		{name: "AKS#1052, airflow#10860: Azure drops after four minutes without a word", protocol: "TCP", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.Idle = cutting(result.CutBlackHole, 228, 252, new(true)) })
			everyPool(in, 0.1, func(c *result.Connections) {
				c.Keepalive, c.IdleSeconds = result.Keepalive{NotArmed: 10}, &result.Quantiles{P50: 20, P99: 600}
			})
			for i, o := range in.Observations {
				in.Observations[i] = counting(o, map[string]int64{"TcpExt.TCPAbortOnTimeout": 14})
			}
		}, want: []string{"CP501", "CP504"}, cure: "Arm TCP keepalive below the cut-off"},
		{name: "istio/istio#16572, Kong#9169: an NLB resets what was silent for 350 s", protocol: "TCP", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.Idle = cutting(result.CutRST, 333, 367, new(true)) })
			everyPool(in, 0.1, func(c *result.Connections) {
				c.Keepalive, c.IdleSeconds = result.Keepalive{NotArmed: 10}, &result.Quantiles{P50: 20, P99: 600}
			})
		}, want: []string{"CP501"}, cure: "Arm TCP keepalive below the cut-off"},
		{name: "istio/istio#41328: 503 from a sidecar that keeps connections for longer than Node.js", change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) {
				m.Idle, m.Identity.Via = survived(1000), []string{"server: istio-envoy"}
				m.Reuse.KeepAliveHeader = &result.KeepAliveHeader{TimeoutSeconds: new(5)}
			})
			for i := range in.Probes {
				in.Probes[i].Result.Statuses = map[string]int{"200": 1396, "503": 4}
			}
		}, want: []string{"CP205", "CP208"}, cure: "Raise the server's idle time above that of the proxy before it"},
		{name: "kubernetes/kubernetes#90854: some connects of the workload take a second", change: func(in *Input) {
			for i, o := range in.Observations {
				in.Observations[i] = counting(o, map[string]int64{"TcpExt.TCPSynRetrans": 31})
			}
		}, want: []string{"CP811"}, cure: "Find out where to"},
		{name: "an NLB with TLS cuts at 350 s whatever keepalive does", protocol: protocolHTTPS, change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.Idle = cutting(result.CutRST, 333, 367, new(false)) })
			everyPool(in, 0.1, func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 20, P99: 600} })
			for i, o := range in.Observations {
				in.Observations[i] = set(o, sysctlKeepaliveTime, "60")
			}
		}, want: []string{"CP502"}, cure: "Let the application speak sooner"},
		{name: "ingress-nginx#5167: WebSocket cut at 60 s", protocol: protocolWebSocket, change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) { m.WebSocket.Idle = cutting(result.CutFIN, 57, 63, nil) })
			everyPool(in, 0.1, func(c *result.Connections) { c.IdleSeconds = &result.Quantiles{P50: 20, P99: 58} })
		}, want: []string{"CP506"}, cure: "Send pings, from the server or the client, at half of the cut-off"},
		{name: "envoy#20062: the upgrade does not pass", protocol: protocolWebSocket, change: func(in *Input) {
			everyProbe(in, func(m *result.Measurements) {
				m.WebSocket = &result.WebSocket{Meta: measured(), Upgraded: new(false), Status: new(404)}
			})
		}, want: []string{"CP505"}, cure: "Let each proxy pass the upgrade on"},
		{name: "elixir-grpc#355: all requests on one endpoint", protocol: protocolGRPC, change: func(in *Input) {
			everyPool(in, 0, func(c *result.Connections) { c.Open, c.OpenPeak, c.Opened, c.Closed, c.ClosedHere = 1, 1, 0, 0, 0 })
			for i := range in.Observations {
				in.Observations[i].Observation.UptimeSeconds = 7200
			}
		}, want: []string{"CP509"}, cure: "Let the server end connections in order now and then"},
		{name: "kubernetes/kubernetes#71261: the node's connection table is full", change: func(in *Input) {
			in.PodsPerNode = new(20)
			everyPool(in, 120, func(c *result.Connections) {
				c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 36_000, 35_990, 0, new(int64(0))
				c.LifetimeSecondsAtMost = &result.Quantiles{P50: 2, P99: 9}
			})
		}, want: []string{"CP407"}, cure: "Reuse connections"},
		{name: "kubernetes/kubernetes#72593, #97541: SysctlForbidden", change: func(in *Input) {
			in.Tuning = &Tuning{WorkedOut: true, Tried: []Trial{{NodeKind: "v1.26.4 on 5.15", Outcome: result.Failed,
				Cause: "Pod was rejected: forbidden sysctl: \"net.ipv4.ip_local_reserved_ports\" not allowlisted"}}}
		}, want: []string{"CP702"}, cure: "Upgrade the nodes that refuse it"},
		{name: "kubernetes/kubernetes#86280: connection refused during a rolling upgrade", change: func(in *Input) {
			in.Drains = []Drain{{Began: in.Now.Add(-2 * time.Minute), Ended: in.Now, Endpoints: 4, Pods: 2,
				During: ConnectionCounts{Opened: 450, Failed: 9, Closed: 441, Open: 10, Ends: &result.Ends{Orderly: 441}},
				Before: &ConnectionCounts{Opened: 90_000, Closed: 89_990, Open: 10, Ends: &result.Ends{Orderly: 89_990}}}}
		}, want: []string{"CP813"}, cure: "Let the pod serve on until every node has learned that it leaves"},
		{name: "wso2/api-platform#2121: Envoy ends at once on SIGTERM and resets connections that are in use", change: func(in *Input) {
			in.Drains = []Drain{{Began: in.Now.Add(-2 * time.Minute), Ended: in.Now, Endpoints: 2, Pods: 2,
				During: ConnectionCounts{Opened: 220, Closed: 200, Open: 200, Ends: &result.Ends{Orderly: 95, Reset: 105}},
				Before: &ConnectionCounts{Opened: 400, Closed: 200, Open: 200, Ends: &result.Ends{Orderly: 200}}}}
		}, want: []string{"CP813"}, cure: "Let the server drain on SIGTERM"},
		{name: "a node that is lost with the endpoints of a headless Service", change: func(in *Input) {
			in.Drains = []Drain{{Began: in.Now.Add(-16 * time.Minute), Ended: in.Now, Endpoints: 1, StillListed: 1, Pods: 2,
				During: ConnectionCounts{Closed: 5, Open: 7, Ends: &result.Ends{Silent: 5}}}}
		}, want: []string{"CP813"}, cure: "Let the client notice a peer that is gone"},
		{name: "a client that leaks responses", change: func(in *Input) {
			everyPool(in, 0.1, func(c *result.Connections) {
				c.Open, c.OpenPeak, c.CloseWait, c.CloseWaitOldestSeconds = 412, 412, 400, new(7200.0)
			})
		}, want: []string{"CP801"}, cure: "Close what is read to its end"},
	}
}

func TestPublishedIncidentsAreNamedAndNothingElse(t *testing.T) {
	for _, c := range incidents() {
		t.Run(c.name, func(t *testing.T) {
			in := healthy(protocolHTTP)
			if c.protocol != "" {
				in = healthy(c.protocol)
			}
			c.change(&in)
			var found []string
			verdicts := Judge(in)
			for _, v := range verdicts {
				if v.Result == Fail {
					found = append(found, v.Rule)
					t.Logf("%s %s: %s", v.Rule, v.Severity, v.Message)
				}
			}
			if !slices.Equal(found, c.want) {
				t.Fatalf("found %v, want %v", found, c.want)
			}
			if v := verdictOf(t, c.want[0], verdicts); !strings.HasPrefix(v.Cure, c.cure) {
				t.Errorf("the cure is %q", v.Cure)
			}
		})
	}
}
