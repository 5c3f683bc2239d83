package result

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

func TestMessagesKeepFourDigits(t *testing.T) {
	for in, want := range map[float64]float64{
		0: 0, 1: 1, 123456789: 123456789, 1234.5678: 1235, 0.00012345678: 0.0001235, -61.54321: -61.54, 99999.9: 100000,
		29.98: 29.98, 1e21: 1e21,
	} {
		r := full()
		r.ElapsedSeconds = in
		text, err := compact(r)
		if err != nil {
			t.Fatal(err)
		}
		var got Result
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.ElapsedSeconds != want {
			t.Errorf("%v is kept as %v, want %v", in, got.ElapsedSeconds, want)
		}
		if got.Measurements.TimeWait.Ports == nil || *got.Measurements.TimeWait.Ports != 28232 || got.Spent != r.Spent {
			t.Errorf("whole numbers changed: %s", text)
		}
	}
}

func TestMessagesKeepTheRungsBesideTheCut(t *testing.T) {
	alive := func(seconds float64) Rung { return Rung{Seconds: seconds, Alive: 1} }
	for name, c := range map[string]struct{ rungs, want []Rung }{
		"none":        {nil, nil},
		"nothing cut": {[]Rung{alive(1), alive(2), alive(3)}, []Rung{alive(2), alive(3)}},
		"cut": {
			[]Rung{alive(1), alive(2), alive(3), {Seconds: 4, FIN: 2}, {Seconds: 5, Alive: 1, FIN: 1}},
			[]Rung{alive(2), alive(3), {Seconds: 4, FIN: 2}, {Seconds: 5, Alive: 1, FIN: 1}},
		},
		"unknown": {[]Rung{alive(1), {Seconds: 2, Unknown: 1}}, []Rung{alive(1), {Seconds: 2, Unknown: 1}}},
	} {
		r := full()
		r.Measurements.Idle = &Idle{KeepaliveLadder: &Ladder{Rungs: c.rungs}}
		r.Measurements.WebSocket = &WebSocket{Idle: r.Measurements.Idle}
		text, err := compact(r)
		if err != nil {
			t.Fatal(err)
		}
		var got Result
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if rungs := got.Measurements.Idle.KeepaliveLadder.Rungs; !slices.Equal(rungs, c.want) {
			t.Errorf("%s: %v, want %v", name, rungs, c.want)
		}
		if rungs := got.Measurements.WebSocket.Idle.KeepaliveLadder.Rungs; !slices.Equal(rungs, c.want) {
			t.Errorf("%s, WebSocket: %v, want %v", name, rungs, c.want)
		}
		if len(r.Measurements.Idle.KeepaliveLadder.Rungs) != len(c.rungs) {
			t.Errorf("%s: the caller's rungs changed", name)
		}
	}
}

func TestMessagesHoldNoHistograms(t *testing.T) {
	r := full()
	r.Measurements.Handshake.ConnectMicroseconds.Histogram = []int{1, 2, 3}
	text, err := compact(r)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("histogram")) || len(r.Measurements.Handshake.ConnectMicroseconds.Histogram) != 3 {
		t.Errorf("%s; the caller's histogram has %d classes", text, len(r.Measurements.Handshake.ConnectMicroseconds.Histogram))
	}
}
