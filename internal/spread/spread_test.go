package spread

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/connpolicy/connpolicy/probes/result"
)

func distribution(low, p50, high float64) *result.Distribution {
	return &result.Distribution{Min: low / 2, P50: p50, P90: high * 2, P99: high * 3, Max: high * 4, P50Low: &low, P50High: &high}
}

func place(node string, change func(*result.Result)) Place {
	done := result.Meta{Outcome: result.Measured}
	r := result.Result{Measurements: result.Measurements{
		Handshake:   &result.Handshake{Meta: done, ConnectMicroseconds: distribution(90, 100, 110), SetupSharePercent: new(20.0)},
		Reuse:       &result.Reuse{Meta: done, RequestsAtLeast: new(300), NewMicroseconds: distribution(190, 200, 210), ReusedMicroseconds: distribution(90, 100, 110)},
		Idle:        &result.Idle{Meta: done, AfterSecondsAtLeast: new(300.0), AfterSecondsAtMost: new(350.0)},
		TimeWait:    &result.TimeWait{Meta: done, Holder: result.SideServer},
		SlowStart:   &result.SlowStart{Meta: done, InitialWindowSegments: new(10.0)},
		SmallWrites: &result.SmallWrites{Meta: done, StallMicroseconds: new(0.0)},
	}}
	change(&r)
	return Place{Node: node, Result: r}
}

func same(*result.Result) {}

func TestWhichPlaceDiffers(t *testing.T) {
	for _, test := range []struct {
		name   string
		figure string
		second func(*result.Result)
		want   string
	}{
		{"nothing", "handshakeP50Microseconds", same, ""},
		{"a median within its uncertainty", "handshakeP50Microseconds", func(r *result.Result) { r.Measurements.Handshake.ConnectMicroseconds = distribution(105, 120, 140) }, ""},
		{"a median beyond it", "handshakeP50Microseconds", func(r *result.Result) { r.Measurements.Handshake.ConnectMicroseconds = distribution(111, 120, 140) }, "n2"},
		{"a better one: the other is named", "handshakeP50Microseconds", func(r *result.Result) { r.Measurements.Handshake.ConnectMicroseconds = distribution(10, 20, 30) }, "n1"},
		{"a median of too few samples", "handshakeP50Microseconds", func(r *result.Result) {
			r.Measurements.Handshake.ConnectMicroseconds = &result.Distribution{P50: 5000}
		}, ""},
		{"a 99th percentile, of which nobody knows how sure it is", "handshakeP99Microseconds", func(r *result.Result) { r.Measurements.Handshake.ConnectMicroseconds.P99 = 90000 }, ""},
		{"more requests, neither ended by the server", "requestsPerConnection", func(r *result.Result) { r.Measurements.Reuse.RequestsAtLeast = new(900) }, ""},
		{"fewer requests, ended by the server", "requestsPerConnection", func(r *result.Result) {
			r.Measurements.Reuse.RequestsAtLeast, r.Measurements.Reuse.RequestsPerConnection = new(100), new(100)
		}, "n2"},
		{"a cut-off between the same rungs", "idleCutSeconds", func(r *result.Result) { r.Measurements.Idle.AfterSecondsAtLeast = new(340.0) }, ""},
		{"an earlier cut-off", "idleCutSeconds", func(r *result.Result) {
			r.Measurements.Idle.AfterSecondsAtLeast, r.Measurements.Idle.AfterSecondsAtMost = new(55.0), new(60.0)
		}, "n2"},
		{"another holder", "timeWaitHolder", func(r *result.Result) { r.Measurements.TimeWait.Holder = result.SideClient }, "n2"},
		{"a smaller window", "initialWindowSegments", func(r *result.Result) { r.Measurements.SlowStart.InitialWindowSegments = new(4.0) }, "n2"},
		{"the same window, nearly", "initialWindowSegments", func(r *result.Result) { r.Measurements.SlowStart.InitialWindowSegments = new(9.7) }, ""},
		{"a stall", "stallMicroseconds", func(r *result.Result) { r.Measurements.SmallWrites.StallMicroseconds = new(41000.0) }, "n2"},
		{"one place alone knows it", "stallMicroseconds", func(r *result.Result) { r.Measurements.SmallWrites.Outcome = result.Failed }, ""},
	} {
		merged := Of([]Place{place("n1", same), place("n2", test.second)})
		i := slices.IndexFunc(merged, func(f Figure) bool { return f.Name == test.figure })
		if i < 0 || merged[i].Differs != test.want {
			t.Errorf("%s: of %+v %q differs", test.name, merged, test.want)
		}
	}
}

// Two stalls are the same mechanism, whatever the timer that ends them.
func TestTwoStallsDoNotDiffer(t *testing.T) {
	stalls := func(microseconds float64) func(*result.Result) {
		return func(r *result.Result) { r.Measurements.SmallWrites.StallMicroseconds = &microseconds }
	}
	for _, f := range Of([]Place{place("n1", stalls(41000)), place("n2", stalls(200000))}) {
		if f.Name == "stallMicroseconds" && (f.Differs != "" || f.Least().Number != 41000 || f.Most().Node != "n2") {
			t.Errorf("%+v", f)
		}
	}
}

func TestUnknownFiguresAreLeftOut(t *testing.T) {
	empty := place("n1", func(r *result.Result) {
		r.Measurements = result.Measurements{
			Handshake: &result.Handshake{Meta: result.Meta{Outcome: result.Failed}, SetupSharePercent: new(20.0)},
			// Measured, and no figure could be had.
			Reuse: &result.Reuse{Meta: result.Meta{Outcome: result.Measured}}, DNS: &result.DNS{Meta: result.Meta{Outcome: result.Measured}},
			HTTP2: &result.HTTP2{Meta: result.Meta{Outcome: result.Measured}}, WebSocket: &result.WebSocket{Meta: result.Meta{Outcome: result.Measured}},
			TimeWait: &result.TimeWait{Meta: result.Meta{Outcome: result.Measured}}, SlowStart: &result.SlowStart{Meta: result.Meta{Outcome: result.Measured}},
			SmallWrites: &result.SmallWrites{Meta: result.Meta{Outcome: result.Measured}},
			Idle:        &result.Idle{Meta: result.Meta{Outcome: result.Measured}, SurvivedSeconds: new(1000.0)},
		}
	})
	if merged := Of([]Place{empty}); len(merged) != 0 {
		t.Errorf("%+v", merged)
	}
	if merged := Of(nil); len(merged) != 0 {
		t.Errorf("%+v", merged)
	}
}

func TestPathOf(t *testing.T) {
	at := func(node, kernel, address string, sysctls map[string]string) Place {
		return Place{Node: node, Result: result.Result{Host: result.Host{Kernel: kernel, Sysctls: sysctls}, Target: result.Target{Address: address}}}
	}
	got := PathOf([]Place{
		at("n1", "6.18", "198.18.0.1:80", map[string]string{"a": "1", "range": "32768\t60999", "only-here": "1"}),
		at("n2", "6.12", "198.18.0.1:80", map[string]string{"a": "0", "range": "32768 60999"}),
		at("n3", "6.18", "", map[string]string{"a": "1"}),
		at("n4", "", "", nil),
	})
	want := "[6.12 6.18] [198.18.0.1:80] map[a:0 on n2, 1 on n1 and n3]"
	if text := fmt.Sprint(got.Kernels, got.Addresses, got.Differing); text != want {
		t.Errorf("%s, want %s", text, want)
	}
	if same := Differing([]Namespace{{"n1", map[string]string{"a": "1"}}, {"n2", map[string]string{"a": "1"}}}); same != nil {
		t.Errorf("%v", slices.Sorted(maps.Keys(same)))
	}
}
