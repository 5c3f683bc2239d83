package vantage

import (
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

func cutAfter(seconds float64) *result.Idle {
	return &result.Idle{Meta: result.Meta{Outcome: result.Measured}, AfterSecondsAtMost: &seconds}
}

// On a WebSocket link the pod that looks at silence speaks WebSocket, and its result stands where that of the others stood,
// which had less time; on other links it stands as idle.
func TestWhereSilenceStands(t *testing.T) {
	done := result.Meta{Outcome: result.Measured}
	plain := result.Measurements{Handshake: &result.Handshake{Meta: done}}
	webSocket := result.Measurements{Handshake: &result.Handshake{Meta: done}, WebSocket: &result.WebSocket{Meta: done, Idle: cutAfter(8)}}
	refused := result.Measurements{WebSocket: &result.WebSocket{Meta: result.Meta{Outcome: result.Failed, Cause: "status 403"}}}
	for _, test := range []struct {
		name            string
		measured        result.Measurements
		found           result.Measurements
		idle, webSocket float64 // seconds; 0: nothing is said
	}{
		{"idle", plain, result.Measurements{Idle: cutAfter(350)}, 350, 0},
		{"idle, beside WebSocket", webSocket, result.Measurements{Idle: cutAfter(350)}, 350, 8},
		{"WebSocket", webSocket, result.Measurements{WebSocket: &result.WebSocket{Meta: done, Idle: cutAfter(60)}}, 0, 60},
		{"WebSocket, of which nothing else was asked", plain, result.Measurements{WebSocket: &result.WebSocket{Meta: done, Idle: cutAfter(60)}}, 60, 0},
		{"WebSocket refused", webSocket, refused, 0, 8},
	} {
		v, err := Of("n1", "a", result.Result{Version: result.Version, Measurements: test.measured}, seen)
		if err != nil {
			t.Fatal(err)
		}
		silence := SilenceOf("n2", "b", result.Result{Measurements: test.found}, seen)
		if err := silence.Put(&v); err != nil {
			t.Fatal(err)
		}
		if idle, webSocket := cuts(t, v); idle != test.idle || webSocket != test.webSocket {
			t.Errorf("%s: idle says %v, WebSocket %v, want %v and %v", test.name, idle, webSocket, test.idle, test.webSocket)
		}
		kept := SilenceIn(v)
		if kept == nil || kept.From.Node != "n2" || kept.From.Pod != "b" {
			t.Fatalf("%s: kept is %+v", test.name, kept)
		}
		// As the next run's vantage takes it over.
		next, err := Of("n1", "c", result.Result{Version: result.Version, Measurements: test.measured}, seen)
		if err != nil || kept.Put(&next) != nil {
			t.Fatal(err)
		}
		if idle, webSocket := cuts(t, next); idle != test.idle || webSocket != test.webSocket {
			t.Errorf("%s: taken over, idle says %v, WebSocket %v", test.name, idle, webSocket)
		}
		if err := ForgetSilence(&next); err != nil || SilenceIn(next) != nil {
			t.Errorf("%s: not forgotten: %v", test.name, err)
		}
	}
}

func cuts(t *testing.T, v v1alpha1.Vantage) (idle, webSocket float64) {
	t.Helper()
	found, err := Result(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	if i := found.Measurements.Idle; i != nil {
		idle = *i.AfterSecondsAtMost
	}
	if w := found.Measurements.WebSocket; w != nil && w.Idle != nil {
		webSocket = *w.Idle.AfterSecondsAtMost
	}
	return idle, webSocket
}
