package parallel_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/parallel"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"

// service is the time that the servers take for a request.
const service = 20 * time.Millisecond

// TestMain lets the servers and the probe go before whatever else the machine does: a server that waits for a processor does
// not have the capacity that the tests know it to have. Threads are scheduled as those that begin them.
func TestMain(m *testing.M) {
	if err := goFirst(); err != nil && os.Geteuid() == 0 {
		fmt.Fprintln(os.Stderr, "the tests are scheduled as everything else:", err)
	}
	os.Exit(m.Run())
}

func goFirst() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	attributes := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetAttr(id, &attributes, 0); err != nil {
			return err
		}
	}
	return nil
}

// server is one of known capacity, which counts what reaches it.
type server struct {
	// workers is how many requests it works on at once; nil: all that come.
	workers chan struct{}
	// answer, unless nil, answers the n-th request of all, and says whether the connection goes on.
	answer func(connection net.Conn, number int) bool

	connections, requests atomic.Int64
	address               netip.AddrPort
}

func serve(t *testing.T, pair *nstest.Pair, workers int, answer func(net.Conn, int) bool) *server {
	t.Helper()
	s := &server{answer: answer}
	if workers > 0 {
		s.workers = make(chan struct{}, workers)
	}
	listener := pair.Listen(t)
	s.address = nstest.AddressOf(t, listener)
	nstest.Answer(t, listener, func(connection net.Conn, number int) bool {
		if number == 1 {
			s.connections.Add(1)
		}
		n := int(s.requests.Add(1))
		if s.answer != nil {
			return s.answer(connection, n)
		}
		s.work()
		_, err := connection.Write([]byte(ok))
		return err == nil
	})
	return s
}

// work takes the time of a request, once a worker is free.
func (s *server) work() {
	if s.workers != nil {
		s.workers <- struct{}{}
		defer func() { <-s.workers }()
	}
	time.Sleep(service)
}

func generous() budget.Limits {
	return budget.Limits{Connections: 200, RequestsPerSecond: 2000, Seconds: 60}
}

// measure makes the measurement in the client's namespace.
func measure(ctx context.Context, t *testing.T, pair *nstest.Pair, address netip.AddrPort, limits budget.Limits, security *tls.Config) (result.Parallel, result.Spent) {
	t.Helper()
	var r result.Parallel
	b := budget.New(limits)
	pair.InClient(t, func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		peer := exchange.NewPeer(exchange.Options{
			Remote: address, Budget: b, TLS: security,
			Request: &http1.Request{Method: "GET", Host: "example.com", Target: "/", UserAgent: "connpolicy-probe/test"},
		})
		r = parallel.Measure(ctx, peer, limits.RequestsPerSecond, procnet.New("/proc").RunDelay)
	})
	return r, b.Spent()
}

// check compares what was spent with what the server saw, and both with the limits.
func (s *server) check(t *testing.T, spent result.Spent, limits budget.Limits, elapsed float64) {
	t.Helper()
	if int64(spent.Connections) != s.connections.Load() || int64(spent.Requests) != s.requests.Load() {
		t.Errorf("the server saw %d connections and %d requests, the probe says %+v", s.connections.Load(), s.requests.Load(), spent)
	}
	if spent.Connections > limits.Connections {
		t.Errorf("%d connections, the limit is %d", spent.Connections, limits.Connections)
	}
	if most := float64(limits.RequestsPerSecond)*elapsed + 1; float64(spent.Requests) > most {
		t.Errorf("%d requests in %.1f s, the limit allows %.0f", spent.Requests, elapsed, most)
	}
}

func TestTheKneeIsTheNumberOfWorkers(t *testing.T) {
	for name, c := range map[string]struct{ workers, knee, levels int }{
		"one": {1, 1, 2}, "two": {2, 2, 3}, "four": {4, 4, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			s := serve(t, pair, c.workers, nil)
			limits := generous()
			r, spent := measure(t.Context(), t, pair, s.address, limits, nil)
			if r.Outcome != result.Measured || r.Knee == nil || *r.Knee != c.knee || len(r.Levels) != c.levels {
				t.Fatalf("%+v, want a knee at %d", r, c.knee)
			}
			if r.StoppedBy != "latency" && r.StoppedBy != "knee" {
				t.Errorf("stopped by %q", r.StoppedBy)
			}
			// Whatever is offered, the server never does more than its workers can.
			capacity := float64(c.workers) / service.Seconds()
			for i, level := range r.Levels {
				full := i == c.levels-1
				if level.RequestsPerSecond > 1.05*capacity {
					t.Errorf("%+v: more than the %.0f/s that the workers can do", level, capacity)
				}
				if keepsUp := level.RequestsPerSecond > 0.9*level.OfferedPerSecond; keepsUp == full {
					t.Errorf("%+v keeps up: %v", level, keepsUp)
				}
			}
			s.check(t, spent, limits, r.ElapsedSeconds)
		})
	}
}

// A server that answers each request for itself is never full. Its responses come in pieces, so that a client that waits
// for the rest of one would be late for the others.
func TestNoKneeWithinTheLimits(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	s := serve(t, pair, 0, func(connection net.Conn, _ int) bool {
		if _, err := connection.Write([]byte(ok[:len(ok)-3])); err != nil {
			return false
		}
		time.Sleep(service)
		_, err := connection.Write([]byte(ok[len(ok)-3:]))
		return err == nil
	})
	limits := generous()
	limits.RequestsPerSecond = 400
	r, spent := measure(t.Context(), t, pair, s.address, limits, nil)
	if r.Outcome != result.Measured || r.Knee != nil || r.StoppedBy != "limit" || len(r.Levels) < 4 {
		t.Fatalf("%+v", r)
	}
	for _, level := range r.Levels {
		if level.RequestsPerSecond < 0.9*level.OfferedPerSecond || level.P50Microseconds > 2*r.Levels[0].P50Microseconds {
			t.Errorf("%+v, alone %+v", level, r.Levels[0])
		}
	}
	s.check(t, spent, limits, r.ElapsedSeconds)
}

// A server that has enough says so by a status, and is left alone at once.
func TestARefusalEndsIt(t *testing.T) {
	for status, text := range map[string]string{"status 429": "429 Too Many Requests", "status 503": "503 Service Unavailable"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			var lock sync.Mutex
			var recent []time.Time
			refusedAt := 0
			s := serve(t, pair, 0, func(connection net.Conn, number int) bool {
				lock.Lock()
				now := time.Now()
				recent = append(recent, now)
				for now.Sub(recent[0]) > time.Second {
					recent = recent[1:]
				}
				// Between the 60 of two connections and the 120 of four.
				refuse := len(recent) > 85
				if refuse && refusedAt == 0 {
					refusedAt = number
				}
				lock.Unlock()
				if refuse {
					_, _ = connection.Write([]byte("HTTP/1.1 " + text + "\r\nContent-Length: 0\r\n\r\n"))
					return true
				}
				time.Sleep(service)
				_, err := connection.Write([]byte(ok))
				return err == nil
			})
			limits := generous()
			r, spent := measure(t.Context(), t, pair, s.address, limits, nil)
			if r.Outcome != result.Measured || r.StoppedBy != status || r.Knee != nil || len(r.Levels) < 2 {
				t.Fatalf("%+v", r)
			}
			// Its rates are those of the time until then.
			if last := r.Levels[len(r.Levels)-1]; last.Connections > 8 || last.Errors == 0 || last.OfferedPerSecond < r.Levels[len(r.Levels)-2].OfferedPerSecond {
				t.Errorf("%+v", r.Levels)
			}
			// Nothing is sent after the refusal but what was on its way.
			if further := int(s.requests.Load()) - refusedAt; further > 8 {
				t.Errorf("%d further requests after the first refusal", further)
			}
			s.check(t, spent, limits, r.ElapsedSeconds)
		})
	}
}

func TestErrorsEndIt(t *testing.T) {
	for name, c := range map[string]struct {
		// broken is what happens to the 100th request and those after it.
		broken func(net.Conn)
		levels int
	}{
		"closed in the middle": {func(connection net.Conn) { _, _ = connection.Write([]byte(ok[:len(ok)-2])) }, 1},
		"garbage":              {func(connection net.Conn) { _, _ = connection.Write([]byte("SSH-2.0-OpenSSH_9.6\r\n\r\n")) }, 1},
		"more than was asked":  {func(connection net.Conn) { _, _ = connection.Write([]byte(ok + ok)) }, 1},
		"mute":                 {func(net.Conn) { time.Sleep(7 * time.Second) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			var atFailure atomic.Int64
			s := serve(t, pair, 0, func(connection net.Conn, number int) bool {
				if number >= 150 {
					atFailure.CompareAndSwap(0, int64(number))
					c.broken(connection)
					return false
				}
				time.Sleep(service)
				_, err := connection.Write([]byte(ok))
				return err == nil
			})
			limits := generous()
			r, spent := measure(t.Context(), t, pair, s.address, limits, nil)
			if r.Outcome != result.Measured || r.StoppedBy != "errors" || r.Errors != 1 || len(r.Levels) < c.levels || r.Knee != nil {
				t.Fatalf("%+v", r)
			}
			// Both connections may have been on their way.
			if further := s.requests.Load() - atFailure.Load(); further > 2 {
				t.Errorf("%d further requests after the first error", further)
			}
			s.check(t, spent, limits, r.ElapsedSeconds)
		})
	}
}

// Servers that end their connections after so many requests are measured all the same; one that ends each is not.
func TestServersThatEndConnections(t *testing.T) {
	after := func(requests int, last string) func(net.Conn, int) bool {
		var lock sync.Mutex
		carried := map[net.Conn]int{}
		return func(connection net.Conn, _ int) bool {
			lock.Lock()
			carried[connection]++
			end := carried[connection] == requests
			lock.Unlock()
			time.Sleep(service)
			text := ok
			if end {
				text = last
			}
			_, err := connection.Write([]byte(text))
			return err == nil && !end
		}
	}
	const announced = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n"
	for name, c := range map[string]struct {
		answer  func(net.Conn, int) bool
		outcome result.Outcome
	}{
		"after 25, announced":   {after(25, announced), result.Measured},
		"after 25, unannounced": {after(25, ok), result.Measured},
		"after one":             {after(1, announced), result.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			s := serve(t, pair, 0, c.answer)
			limits := generous()
			limits.RequestsPerSecond = 120
			r, spent := measure(t.Context(), t, pair, s.address, limits, nil)
			if r.Outcome != c.outcome || r.Knee != nil || r.Errors > 0 && c.outcome == result.Measured {
				t.Fatalf("%+v", r)
			}
			if c.outcome == result.Unsupported {
				if len(r.Levels) > 0 || spent.Requests != 1 || r.StoppedBy != "" || !strings.Contains(r.Cause, "after one request") {
					t.Errorf("%+v, spent %+v", r, spent)
				}
				return
			}
			for _, level := range r.Levels {
				if level.RequestsPerSecond < 0.9*level.OfferedPerSecond {
					t.Errorf("%+v", level)
				}
			}
			// A request that meets the end of its connection is sent again, and the server sees it once.
			seen := s.requests.Load()
			if twice := int64(spent.Requests) - seen; twice < 0 || twice > s.connections.Load() {
				t.Errorf("the server saw %d requests, the probe says %d", seen, spent.Requests)
			}
			if int64(spent.Connections) != s.connections.Load() {
				t.Errorf("the server saw %d connections, the probe says %d", s.connections.Load(), spent.Connections)
			}
		})
	}
}

func TestTheLimitsHold(t *testing.T) {
	for name, c := range map[string]struct {
		limits budget.Limits
		levels int
	}{
		"requests":    {budget.Limits{Connections: 50, RequestsPerSecond: 20, Seconds: 20}, 1},
		"connections": {budget.Limits{Connections: 4, RequestsPerSecond: 1000, Seconds: 20}, 2},
		"seconds":     {budget.Limits{Connections: 50, RequestsPerSecond: 1000, Seconds: 4}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			s := serve(t, pair, 0, nil)
			r, spent := measure(t.Context(), t, pair, s.address, c.limits, nil)
			if r.Outcome != result.Measured || r.StoppedBy != "limit" || len(r.Levels) != c.levels || r.Knee != nil {
				t.Errorf("%+v", r)
			}
			if r.ElapsedSeconds > float64(c.limits.Seconds)+1 {
				t.Errorf("took %.1f s", r.ElapsedSeconds)
			}
			s.check(t, spent, c.limits, r.ElapsedSeconds)
		})
	}
}

func TestNothingToMeasure(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	refusing := serve(t, pair, 0, func(connection net.Conn, _ int) bool {
		_, err := connection.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"))
		return err == nil
	})
	r, spent := measure(t.Context(), t, pair, refusing.address, generous(), nil)
	if r.Outcome != result.Failed || r.StoppedBy != "status 503" || !strings.Contains(r.Cause, "status 503") || spent.Requests != 1 {
		t.Errorf("%+v, spent %+v", r, spent)
	}
	nobody := netip.AddrPortFrom(netip.MustParseAddr(nstest.ServerAddress), 9)
	r, spent = measure(t.Context(), t, pair, nobody, generous(), nil)
	if r.Outcome != result.Failed || r.StoppedBy != "errors" || !strings.Contains(r.Cause, "refused") || spent.Requests != 0 {
		t.Errorf("%+v, spent %+v", r, spent)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	s := serve(t, pair, 0, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(1500*time.Millisecond, func() { cancel(errors.New("stopped by SIGTERM")) })
	defer timer.Stop()
	r, spent := measure(ctx, t, pair, s.address, generous(), nil)
	if r.Outcome != result.Failed || !strings.Contains(r.Cause, "SIGTERM") || r.ElapsedSeconds > 5 {
		t.Errorf("%+v", r.Meta)
	}
	s.check(t, spent, generous(), r.ElapsedSeconds)
}

func TestOverTLS(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	workers := make(chan struct{}, 2)
	served := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		workers <- struct{}{}
		defer func() { <-workers }()
		time.Sleep(service)
		_, _ = w.Write([]byte("ok\n"))
	}))
	_ = served.Listener.Close()
	served.Listener = pair.Listen(t)
	served.StartTLS()
	defer served.Close()
	authorities := x509.NewCertPool()
	authorities.AddCert(served.Certificate())
	address := netip.MustParseAddrPort(served.Listener.Addr().String())
	r, _ := measure(t.Context(), t, pair, address, generous(), &tls.Config{RootCAs: authorities, ServerName: "example.com", MinVersion: tls.VersionTLS12})
	if r.Outcome != result.Measured || r.Knee == nil || *r.Knee != 2 {
		t.Errorf("%+v", r)
	}
}
