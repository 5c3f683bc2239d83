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
