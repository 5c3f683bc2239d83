package idle_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/target"
)

// measure looks at idle connections for so many seconds.
func measure(t *testing.T, pair *nstest.Pair, url string, seconds int) result.Result {
	t.Helper()
	parsed, err := target.Parse(url, "")
	if err != nil {
		t.Fatal(err)
	}
	var r result.Result
	pair.InClient(t, func() {
		r, err = runner.Run(t.Context(), runner.Config{
			Target: parsed, Family: target.AnyFamily, Measure: []string{"idle"},
			Limits:    budget.Limits{Connections: 60, RequestsPerSecond: 100, Seconds: 1, IdleSeconds: seconds},
			UserAgent: "connpolicy-probe/test", Proc: procnet.New("/proc"), Log: t.Logf,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if i := r.Measurements.Idle; i.Outcome == result.Measured {
		t.Logf("%s after %s to %s s, survived %s s, keepalive helps: %s", i.How, show(i.AfterSecondsAtLeast), show(i.AfterSecondsAtMost),
			show(i.SurvivedSeconds), show(i.KeepaliveHelps))
	}
	return r
}

func show[T any](p *T) string {
	if p == nil {
		return "unknown"
	}
	return fmt.Sprint(*p)
}

// listen starts an HTTP server that ends idle connections.
func listen(t *testing.T, pair *nstest.Pair, idleTimeout time.Duration, counted *atomic.Int64) string {
	t.Helper()
	listener := pair.Listen(t)
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       idleTimeout,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			counted.Add(1)
			_, _ = w.Write([]byte("ok\n"))
		}),
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

// checkBracket asks for a cut-off between two bounds that hold the truth, and are not far from it.
func checkBracket(t *testing.T, i *result.Idle, how result.IdleCut, truth, off float64) {
	t.Helper()
	if i.Outcome != result.Measured || i.Cut == nil || !*i.Cut || i.How != how {
		t.Fatalf("%s: %q, cut %s, how %q, want %q", i.Outcome, i.Cause, show(i.Cut), i.How, how)
	}
	if i.AfterSecondsAtLeast == nil || *i.AfterSecondsAtLeast > truth+0.05 || *i.AfterSecondsAtLeast < truth-off {
		t.Errorf("cut after %s s at least, it is %g", show(i.AfterSecondsAtLeast), truth)
	}
	if i.AfterSecondsAtMost == nil || *i.AfterSecondsAtMost < truth-0.05 || *i.AfterSecondsAtMost > truth+off {
		t.Errorf("cut after %s s at most, it is %g", show(i.AfterSecondsAtMost), truth)
	}
}

// A server that closes is seen at the moment that it does, and its requests are counted.
func TestServerCloses(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	var requests atomic.Int64
	r := measure(t, pair, listen(t, pair, 2*time.Second, &requests), 6)
	i := r.Measurements.Idle
	checkBracket(t, i, result.CutFIN, 2, 0.5)
	if i.KeepaliveHelps == nil || *i.KeepaliveHelps {
		t.Errorf("keepalive helps against a timer of HTTP: %s", show(i.KeepaliveHelps))
	}
	if got := requests.Load(); got != int64(r.Spent.Requests) {
		t.Errorf("%d requests, the probe says %d", got, r.Spent.Requests)
	}
}

func TestServerResets(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	listener := pair.Listen(t)
	nstest.Serve(t, listener, func(connection net.Conn) {
		timer := time.NewTimer(1500 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	})
	i := measure(t, pair, "tcp://"+listener.Addr().String(), 4).Measurements.Idle
	checkBracket(t, i, result.CutRST, 1.5, 0.4)
	if i.RequestLadder != nil {
		t.Error("requests were sent over TCP")
	}
}

func TestNothingIsCut(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	var requests atomic.Int64
	i := measure(t, pair, listen(t, pair, time.Minute, &requests), 4).Measurements.Idle
	if i.Outcome != result.Measured || i.Cut == nil || *i.Cut || i.How != "" || i.AfterSecondsAtMost != nil || i.KeepaliveHelps != nil {
		t.Errorf("%s: %q: %+v", i.Outcome, i.Cause, i)
	}
	if i.SurvivedSeconds == nil || *i.SurvivedSeconds < 2 || i.SurvivedOf == nil || i.SurvivedOf.Got != i.SurvivedOf.Of || i.SurvivedOf.Got < 2 {
		t.Errorf("survived %s s, %+v", show(i.SurvivedSeconds), i.SurvivedOf)
	}
}

// What is on the path forgets a connection, in all the ways that there are.
func TestForgetfulMiddlebox(t *testing.T) {
	for name, c := range map[string]struct {
		box   nstest.Middlebox
		how   result.IdleCut
		helps bool
	}{
		"drops silently":             {nstest.Middlebox{IdleTimeout: 2 * time.Second, Forgets: nstest.DropSilently}, result.CutBlackHole, true},
		"resets what comes later":    {nstest.Middlebox{IdleTimeout: 2 * time.Second, Forgets: nstest.ResetLater}, result.CutRST, true},
		"resets at once":             {nstest.Middlebox{IdleTimeout: 2 * time.Second, Forgets: nstest.ResetAtOnce}, result.CutRST, true},
		"closes at once, by payload": {nstest.Middlebox{IdleTimeout: 2 * time.Second, Forgets: nstest.CloseAtOnce, PayloadOnly: true}, result.CutFIN, false},
		"drops silently, by payload": {nstest.Middlebox{IdleTimeout: 2 * time.Second, Forgets: nstest.DropSilently, PayloadOnly: true}, result.CutBlackHole, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := nstest.NewLink(t, nstest.LinkOptions{Delay: time.Millisecond, Middlebox: c.box})
			var requests atomic.Int64
			i := measure(t, link.Pair, listen(t, link.Pair, time.Minute, &requests), 16).Measurements.Idle
			checkBracket(t, i, c.how, 2, 0.7)
			if i.KeepaliveHelps == nil || *i.KeepaliveHelps != c.helps {
				t.Errorf("keepalive helps: %s, want %v", show(i.KeepaliveHelps), c.helps)
			}
		})
	}
}

// A database would take a byte that it does not expect for an error. Nothing is sent, and the black hole is found all the
// same, as is what lives.
func TestLifeIsToldWithoutAByte(t *testing.T) {
	for name, box := range map[string]nstest.Middlebox{
		"cut":   {IdleTimeout: 2 * time.Second, Forgets: nstest.DropSilently},
		"lives": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := nstest.NewLink(t, nstest.LinkOptions{Delay: time.Millisecond, Middlebox: box})
			listener := link.Listen(t)
			var received atomic.Int64
			nstest.Serve(t, listener, func(connection net.Conn) {
				n, _ := io.Copy(io.Discard, connection)
				received.Add(n)
			})
			r := measure(t, link.Pair, "tcp://"+listener.Addr().String(), 8)
			i := r.Measurements.Idle
			if name == "cut" {
				checkBracket(t, i, result.CutBlackHole, 2, 0.7)
			} else if i.Cut == nil || *i.Cut || i.SurvivedOf == nil || i.SurvivedOf.Got != i.SurvivedOf.Of {
				t.Errorf("%s: %q, cut %s, %+v survived", i.Outcome, i.Cause, show(i.Cut), i.SurvivedOf)
			}
			if received.Load() != 0 || r.Spent.BytesSent != 0 || r.Spent.Requests != 0 {
				t.Errorf("the server received %d bytes, the probe says %+v", received.Load(), r.Spent)
			}
		})
	}
}

// Where the next packet opens the flow anew and one of two servers knows nothing of it, a part survives. One connection
// would tell either.
func TestSomeSurvive(t *testing.T) {
	t.Parallel()
	link := nstest.NewLink(t, nstest.LinkOptions{Middlebox: nstest.Middlebox{
		IdleTimeout: 2 * time.Second, Forgets: nstest.Loose, Endpoints: 2,
	}, Seed: 7})
	var requests atomic.Int64
	i := measure(t, link.Pair, listen(t, link.Pair, time.Minute, &requests), 10).Measurements.Idle
	if i.Outcome != result.Measured || i.Cut == nil || !*i.Cut || i.How != result.CutRST {
		t.Fatalf("%s: %q, cut %s, how %s", i.Outcome, i.Cause, show(i.Cut), i.How)
	}
	if i.SurvivedSeconds == nil || *i.SurvivedSeconds <= *i.AfterSecondsAtMost {
		t.Errorf("none survived longer than the first cut after %s s: %s", show(i.AfterSecondsAtMost), show(i.SurvivedSeconds))
	}
}

func TestServerKeepsNothing(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	listener := pair.Listen(t)
	nstest.Answer(t, listener, func(connection net.Conn, _ int) bool {
		_, _ = connection.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		return false
	})
	i := measure(t, pair, "http://"+listener.Addr().String(), 3).Measurements.Idle
	if i.Outcome != result.Unsupported || i.Cause == "" || i.Cut != nil {
		t.Errorf("%s: %q", i.Outcome, i.Cause)
	}
}
