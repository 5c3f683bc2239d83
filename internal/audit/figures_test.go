package audit

import (
	"math"
	"reflect"
	"testing"

	"github.com/connpolicy/connpolicy/probes/result"
)

func TestFiguresAreOfTheWorstVantageAndTheFullestPod(t *testing.T) {
	worse := handshakeOf(62.4, 0)
	worse.ConnectMicroseconds = distribution(130, 812.6, 900)
	in := http(probe(handshakeOf(30, 0), reuseOf(60)), probe(worse, reuseOf(12)))
	in.Observations = seen(pod("a", 100, 90, 2), pod("b", 28231, 28000, 468.4))
	want := KeyFigures{
		HandshakeP99Microseconds: new(int64(813)), SetupSharePercent: new(62), RequestsAtLeast: new(12),
		ConnectionsPerSecond: new(468), PortUtilizationPercent: new(99),
	}
	if got := Figures(in); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestFiguresAreUnknownWhereNothingWasMeasured(t *testing.T) {
	failed := result.Handshake{Meta: result.Meta{Outcome: result.Failed}, ConnectMicroseconds: distribution(1, 2, 3), SetupSharePercent: new(1.0)}
	in := http(probe(failed, result.Reuse{Meta: result.Meta{Outcome: result.Lost}, RequestsAtLeast: new(1)}))
	in.Observations = seen(unread(pod("a", 100, 90, 2)))
	if got := Figures(in); !reflect.DeepEqual(got, KeyFigures{}) {
		t.Errorf("%+v", got)
	}
}

// Of silence the shortest that cut and the longest that was survived, of plain connections and of WebSocket; of the
// responses the longest stall and the smallest first flight.
func TestFiguresOfSilenceAndFlights(t *testing.T) {
	done := result.Meta{Outcome: result.Measured}
	vantage := func(cut *float64, survived, stall, window float64) ProbeResult {
		p := probe(handshakeOf(30, 0), reuseOf(60))
		p.Result.Measurements.Idle = &result.Idle{Meta: done, AfterSecondsAtMost: cut, SurvivedSeconds: &survived}
		p.Result.Measurements.SmallWrites = &result.SmallWrites{Meta: done, StallMicroseconds: &stall}
		p.Result.Measurements.SlowStart = &result.SlowStart{Meta: done, InitialWindowSegments: &window}
		return p
	}
	survivor, cut := vantage(nil, 1000, 0, 10.2), vantage(new(350.4), 300, 41_000.6, 3.9)
	webSocket := vantage(nil, 20, 0, 10)
	webSocket.Result.Measurements.WebSocket = &result.WebSocket{Meta: done, Idle: &result.Idle{Meta: done, AfterSecondsAtMost: new(60.0)}}
	failed := vantage(new(1.0), 2000, 9e6, 1)
	failed.Result.Measurements.Idle.Outcome, failed.Result.Measurements.SmallWrites.Outcome = result.Failed, result.Failed
	failed.Result.Measurements.SlowStart.Outcome = result.Unsupported
	for name, c := range map[string]struct {
		probes                []ProbeResult
		cut, survived, window *int
		stall                 *int64
	}{
		"nothing is cut":           {[]ProbeResult{survivor}, nil, new(1000), new(10), new(int64(0))},
		"one of two is cut":        {[]ProbeResult{survivor, cut}, new(350), new(1000), new(4), new(int64(41_001))},
		"WebSocket is cut earlier": {[]ProbeResult{cut, webSocket}, new(60), new(300), new(4), new(int64(41_001))},
		"what failed":              {[]ProbeResult{failed}, nil, nil, nil, nil},
	} {
		got := Figures(http(c.probes...))
		if !reflect.DeepEqual([]*int{got.IdleCutSeconds, got.IdleSurvivedSeconds, got.InitialWindowSegments}, []*int{c.cut, c.survived, c.window}) ||
			!reflect.DeepEqual(got.StallMicroseconds, c.stall) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestPortUses(t *testing.T) {
	o := pod("a", 100, 90, 2)
	o.Observation.Destinations = append(o.Observation.Destinations,
		result.Destination{Address: "198.18.96.9:80", PortsInUse: 90, PortsInUsePeak: 300, TimeWait: 80, OpensPerSecond: new(3.0)},
		result.Destination{Address: "198.18.96.10:80", PortsInUse: 9000, PortsInUsePeak: 9000, TimeWait: 80, OpensPerSecond: new(150.0)})
	o.Observation.OpensPerSecond = new(155.0)
	in := Input{Addresses: []string{virtualAddress, "198.18.96.9:80"}, Observations: seen(o, unread(pod("b", 1, 1, 1)))}
	want := []PortUse{{Pod: "a", Address: "198.18.96.9:80", InUse: 90, InUsePeak: 300, TimeWait: 80, Available: 28232, OpensPerSecond: new(5.0)}}
	if got := PortUses(in); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestPortUsesDoNotCallARateKnownThatLeavesNoTrace(t *testing.T) {
	in := Input{Addresses: []string{virtualAddress}, Observations: seen(leavingNothing(pod("a", 4, 0, 470)))}
	if got := PortUses(in)[0].OpensPerSecond; got != nil {
		t.Errorf("%v connections a second", *got)
	}
}

func TestPortUsesComparesAddressesNotTexts(t *testing.T) {
	o := pod("a", 100, 90, 2)
	o.Observation.Destinations[0].Address = "[fd00::7]:80"
	in := Input{Addresses: []string{"[fd00:0:0:0::7]:80"}, Observations: seen(o)}
	if got := PortUses(in); len(got) != 1 || got[0].InUse != 100 {
		t.Errorf("%+v", got)
	}
}

func TestExceedingBoundsTheSamplesAboveALimit(t *testing.T) {
	d := &result.Distribution{Min: 10, P50: 20, P90: 30, P99: 40, Max: 50}
	for limit, want := range map[float64]exceedance{
		5:  {samples: 200, atLeast: 200, atMost: 200},
		10: {samples: 200, atLeast: 101, atMost: 199},
		25: {samples: 200, atLeast: 21, atMost: 100},
		30: {samples: 200, atLeast: 3, atMost: 20},
		45: {samples: 200, atLeast: 1, atMost: 2},
		50: {samples: 200, atLeast: 0, atMost: 0},
	} {
		if got := bounded(d, 200, limit); got != want {
			t.Errorf("limit %v: %+v, want %+v", limit, got, want)
		}
	}
}

func TestSamplesThatProveANinetyNinthPercentile(t *testing.T) {
	for above, want := range map[int]int{0: 299, 1: 473, 2: 628} {
		if got := samplesToMeet(above); got != want {
			t.Errorf("with %d above: %d, want %d", above, got, want)
		}
	}
}

func TestAtMostIsTheBinomialDistribution(t *testing.T) {
	for _, c := range []struct {
		k, n int
		p    float64
		want float64
	}{{0, 1, 0.5, 0.5}, {1, 2, 0.5, 0.75}, {2, 2, 0.5, 1}, {0, 299, 0.01, 0.04954}, {3, 10, 0.2, 0.8791}} {
		if got := atMost(c.k, c.n, c.p); math.Abs(got-c.want) > 5e-5 {
			t.Errorf("atMost(%d, %d, %v) = %v, want %v", c.k, c.n, c.p, got, c.want)
		}
	}
}
