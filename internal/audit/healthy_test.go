package audit

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// healthy is a link of which everything was measured and everything is good: a pool of a few connections that live for a
// minute, to a server behind a name that keeps connections for longer than the client does.
func healthy(protocol string) Input {
	in := over(protocol, with(http(), func(in *Input) {
		in.Now = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
		in.Objectives = Objectives{HandshakeP99Microseconds: new(int64(5000)), SetupSharePercent: new(60), PortUtilizationPercent: new(45)}
	}))
	for _, node := range []string{"n1", "n2"} {
		h := with(connects(400, 900), func(h *result.Handshake) {
			h.KernelRTTMicroseconds, h.SynRetransmissions, h.SetupSharePercent = distribution(100, 300, 800), new(0), new(40.0)
			if protocol != protocolHTTP && protocol != "TCP" {
				h.TLS = tls13()
			}
		})
		p := probe(h, names(2, 0), uncut(90), backlogOf(0, 4096, 4096),
			result.TimeWait{Meta: measured(), Holder: result.SideClient, Seconds: new(60.0), Ports: new(28232)},
			result.Identity{Meta: measured(), SourceTranslated: new(false), DestinationTranslated: new(true), Via: []string{"server: nginx"}})
		if speaksHTTP1(protocol) {
			m := &p.Result.Measurements
			m.Reuse = new(closedAfter(1000, result.CloseAnnounced))
			m.Reuse.NewMicroseconds = distribution(h.ConnectMicroseconds.P50+85, 500, 1000)
			if h.TLS != nil {
				m.Reuse.NewMicroseconds = distribution(h.ConnectMicroseconds.P50+h.TLS.FullMicroseconds.P50+85, 3500, 5000)
			}
			m.SlowStart = new(with(farServer(), func(s *result.SlowStart) {
				s.WindowLostAfterIdle, s.ColdRounds, s.ColdMicroseconds = new(false), new(2), distribution(42e3, 43e3, 44e3)
			}))
			m.SmallWrites, m.Parallel = new(stalling(0)), new(kneeAt(16))
			m.Pipelining = new(pipelined(result.PipeliningInOrder, 4))
			m.PathMTU = &result.PathMTU{Meta: measured(), BlackHole: new(false), Whole: &result.Count{Of: 3, Got: 3}, SegmentBytes: new(1398), ReceivedSegmentBytes: new(1398)}
			m.Closing = &result.Closing{Meta: measured(), UnreadDataLost: new(false), Truncated: new(false), HalfClose: new(true), LingerSeconds: new(2.9)}
		}
		if speaksHTTP2(protocol) {
			p.Result.Measurements.HTTP2 = new(streams(1100, 1050))
		}
		p.Node = node
		p.Result.Target.URL = "https://payments.shop.svc.cluster.local./healthz"
		p.Result.Host.Sysctls = map[string]string{sysctlReceiveBuffer: "4096 131072 6291456"}
		p.Result.Statuses = map[string]int{"200": 1400}
		in.Probes = append(in.Probes, p)
	}
	for _, name := range []string{"a", "b"} {
		o := serving(using(pod(name, 12, 2, 0.13), func(*result.Connections) {}), "0.0.0.0:8080", 0, 4096)
		o.Observation.Destinations[0].PortsOfOtherParity = new(0)
		o.Observation.Sysctls[sysctlReceiveBuffer] = "4096\t131072\t6291456"
		in.Observations = append(in.Observations, o)
	}
	return wellKept(in)
}

func protocols() []string {
	return []string{"TCP", protocolHTTP, protocolHTTPS, protocolHTTP2, protocolGRPC, protocolWebSocket}
}

func TestAHealthyLinkIsLeftInPeace(t *testing.T) {
	for _, protocol := range protocols() {
		judged := 0
		for _, v := range Judge(healthy(protocol)) {
			switch v.Result {
			case Fail:
				t.Errorf("%s: %s %s: %s", protocol, v.Rule, v.Severity, v.Message)
			case Unknown:
				t.Errorf("%s: %s is not known although all was measured: %s", protocol, v.Rule, v.Message)
			case Pass:
				judged++
			}
		}
		if judged == 0 {
			t.Errorf("%s: no rule had anything to judge", protocol)
		}
	}
}

// kinds are healthy links of other kinds: nothing of them is a finding that matters, and nothing that could be one stays
// unknown, or a policy with them would never be compliant.
func kinds() map[string]Input {
	everyPod := func(in Input, change func(*PodObservation)) Input {
		for i := range in.Observations {
			change(&in.Observations[i])
		}
		return in
	}
	of := func(protocol string, change func(*result.Connections)) Input {
		return everyPod(healthy(protocol), func(o *PodObservation) { change(o.Observation.Destinations[0].Connections) })
	}
	patient := func(in Input) Input {
		return everyPod(in, func(o *PodObservation) { o.Observation.UptimeSeconds = 7200 })
	}
	silently := func(in Input, idle *result.Idle) Input {
		for i := range in.Probes {
			m := &in.Probes[i].Result.Measurements
			m.Idle, m.WebSocket = idle, nil
		}
		return in
	}
	unasked := healthy(protocolHTTP)
	unasked.Observations, unasked.Unobserved, unasked.History = nil, true, growing(time.Hour, -1, -1, -1, -1)
	for i := range unasked.Probes {
		unasked.Probes[i].Result.Measurements.Identity = new(translated())
	}
	server := healthy(protocolHTTPS)
	server.Observations, server.ServerOnly, server.History = nil, true, nil
	return map[string]Input{
		"PostgreSQL with a pool that is idle for minutes": silently(patient(of("TCP", func(c *result.Connections) {
			c.IdleSeconds, c.LifetimeSecondsAtMost = &result.Quantiles{P50: 200, P99: 590}, &result.Quantiles{P50: 1750, P99: 1800}
		})), cutting(result.CutFIN, 57, 60, new(false))),
		"a job that connects once in a while": of(protocolHTTP, func(c *result.Connections) {
			*c = result.Connections{Opened: 4, Closed: 4, ClosedHere: 4, SingleExchange: new(int64(4)), BusyPeak: new(0),
				LifetimeSecondsAtMost: &result.Quantiles{P50: 0.2, P99: 0.4}, BytesSent: &result.Quantiles{P50: 300, P99: 400},
				BytesReceived: &result.Quantiles{P50: 900, P99: 1200}, ExchangesAtMost: &result.Quantiles{P50: 1, P99: 1}}
		}),
		"gRPC whose server ends connections every half hour": patient(of(protocolGRPC, func(c *result.Connections) {
			*c = result.Connections{Open: 1, OpenPeak: 2, BusyPeak: new(1), Opened: 4, Closed: 3, LifetimeSecondsAtMost: &result.Quantiles{P50: 1790, P99: 1980},
				BytesSent: &result.Quantiles{P50: 9e6, P99: 1e7}, BytesReceived: &result.Quantiles{P50: 9e6, P99: 1e7}, ExchangesAtMost: &result.Quantiles{P50: 40e3, P99: 50e3},
				IdleSeconds: &result.Quantiles{P50: 0.1, P99: 0.1}, Keepalive: result.Keepalive{Armed: 1}, Samples: 7000, InFlightSamples: 900}
		})),
		"HTTPS to an API that is seldom asked": patient(of(protocolHTTPS, func(c *result.Connections) {
			c.Open, c.OpenPeak, c.BusyPeak, c.Opened, c.Closed, c.ClosedHere, c.SingleExchange = 2, 2, new(1), 80, 78, 78, new(int64(0))
		})),
		"a pool of 90 seconds behind an NLB with TLS": silently(of(protocolHTTPS, func(c *result.Connections) {
			c.IdleSeconds = &result.Quantiles{P50: 8, P99: 88}
		}), cutting(result.CutRST, 349.9, 350, new(false))),
		"Go's keepalive behind IPVS, which no probe had the time to try": silently(of("TCP", func(c *result.Connections) {
			c.IdleSeconds = &result.Quantiles{P50: 8, P99: 280}
		}), cutting(result.CutRST, 855, 945, nil)),
		"a client's own keepalive behind IPVS": silently(everyPod(of("TCP", func(c *result.Connections) {
			c.IdleSeconds = &result.Quantiles{P50: 300, P99: 2400}
		}), func(o *PodObservation) { o.Observation.UptimeSeconds = 90_000 }), cutting(result.CutRST, 855, 945, nil)),
		"nginx, which ends connections with their 1,000th request": silently(everyPod(of(protocolHTTP, func(c *result.Connections) {
			c.Open, c.OpenPeak, c.BusyPeak, c.Opened, c.Closed, c.ClosedHere = 10, 10, new(10), 400, 390, 5
			c.LifetimeSecondsAtMost, c.ExchangesAtMost = &result.Quantiles{P50: 101, P99: 120}, &result.Quantiles{P50: 1001, P99: 1010}
			c.IdleSeconds = &result.Quantiles{P50: 0.05, P99: 0.4}
		}), func(o *PodObservation) { o.Observation.UptimeSeconds = 4000 }), new(cutAfter(74.9, 75, result.CutFIN))),
		"nobody is to look":           silently(unasked, survived(1000)),
		"the server's side alone":     silently(server, survived(1000)),
		"a pool of nginx's upstreams": silently(healthy(protocolHTTP), new(cutAfter(74.9, 75, result.CutFIN))),
	}
}

func TestHealthyLinksOfOtherKindsCanBeCompliant(t *testing.T) {
	mayBreach := map[string]bool{}
	for _, r := range Rules() {
		mayBreach[r.ID] = r.Severity != Info
	}
	for name, in := range kinds() {
		for _, v := range Judge(in) {
			if v.Result == Fail && v.Severity != Info || v.Result == Unknown && mayBreach[v.Rule] {
				t.Errorf("%s: %s is %s %s: %s", name, v.Rule, v.Result, v.Severity, v.Message)
			}
		}
	}
}

// What was not measured never passes, whatever the reason.
func TestWhatIsNotMeasuredIsNoPass(t *testing.T) {
	conclude := func(outcome result.Outcome) func(*ProbeResult) {
		return func(p *ProbeResult) {
			for _, f := range result.Fields() {
				if f.Meta(&p.Result.Measurements) != nil {
					f.Conclude(&p.Result.Measurements, result.Meta{Outcome: outcome, Cause: "the cause"})
				}
			}
		}
	}
	reasons := map[string]func(*ProbeResult){
		"dropped": func(p *ProbeResult) {
			for _, f := range result.Fields() {
				if f.Drop(&p.Result.Measurements) {
					p.Result.Dropped = append(p.Result.Dropped, f.Name)
				}
			}
		},
		"without figures": conclude(result.Measured),
	}
	for _, outcome := range []result.Outcome{result.Unsupported, result.Skipped, result.Failed, result.Lost} {
		reasons[string(outcome)] = conclude(outcome)
	}
	observers := map[string]func(*Input){
		"none":   func(in *Input) { in.Observations = nil },
		"failed": func(in *Input) { in.Observations, in.ObserverTroubles = nil, []string{"refused"} },
		"blind": func(in *Input) {
			for i := range in.Observations {
				in.Observations[i].Observation = result.Observation{Version: result.Version, UptimeSeconds: 300}
			}
		},
	}
	for _, protocol := range protocols() {
		for reason, change := range reasons {
			for observer, blind := range observers {
				in := healthy(protocol)
				for i := range in.Probes {
					change(&in.Probes[i])
					in.Probes[i].Result.Host.Sysctls = nil
				}
				blind(&in)
				in.History = nil
				what := fmt.Sprintf("%s, probes %s, observers %s", protocol, reason, observer)
				for _, v := range Judge(in) {
					if v.Result == Pass || v.Result == Fail {
						t.Errorf("%s: %s: %s: %s", what, v.Rule, v.Result, v.Message)
					}
				}
			}
		}
	}
}

// Every figure may be unknown: none of them is taken for granted, and that one is missing is never a finding.
func TestAMissingFigureIsNoFinding(t *testing.T) {
	for _, protocol := range protocols() {
		in := healthy(protocol)
		for i := range in.Probes {
			withoutEach(reflect.ValueOf(&in.Probes[i].Result).Elem(), "probe", func(what string) { leftInPeace(t, in, what) })
		}
		for i := range in.Observations {
			withoutEach(reflect.ValueOf(&in.Observations[i].Observation).Elem(), "observer", func(what string) { leftInPeace(t, in, what) })
		}
	}
}

func leftInPeace(t *testing.T, in Input, without string) {
	t.Helper()
	for _, v := range Judge(in) {
		if v.Result == Fail {
			t.Errorf("%s without %s: %s: %s", in.Protocol, without, v.Rule, v.Message)
		}
	}
}

// withoutEach calls judge with each pointer, list and map within value missing in turn, and puts it back.
func withoutEach(value reflect.Value, name string, judge func(string)) {
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				withoutEach(value.Field(i), name+"."+value.Type().Field(i).Name, judge)
			}
		}
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if value.IsNil() {
			return
		}
		kept := reflect.New(value.Type()).Elem()
		kept.Set(value)
		value.SetZero()
		judge(name)
		value.Set(kept)
		if value.Kind() == reflect.Pointer {
			withoutEach(value.Elem(), name, judge)
		}
		for i := 0; value.Kind() == reflect.Slice && i < value.Len(); i++ {
			withoutEach(value.Index(i), fmt.Sprintf("%s[%d]", name, i), judge)
		}
	}
}
