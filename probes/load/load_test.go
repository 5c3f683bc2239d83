package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/target"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

func newLoad(t *testing.T, url string, rate float64, threads int) *Load {
	t.Helper()
	parsed, err := target.Parse(url, "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{Target: parsed, RequestsPerSecond: rate, Threads: threads, Timeout: DefaultTimeout, UserAgent: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The server keeps connections, so that each must be closed by the client.
func TestEveryRequestHasAConnectionThatTheClientClosesFirst(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	var connections, requests, clientFirst atomic.Int64
	nstest.Serve(t, listener, func(connection net.Conn) {
		connections.Add(1)
		buffer := make([]byte, 1000)
		for {
			if _, err := connection.Read(buffer); err != nil {
				clientFirst.Add(1)
				return
			}
			requests.Add(1)
			if _, err := connection.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")); err != nil {
				return
			}
		}
	})
	l := newLoad(t, "http://"+listener.Addr().String(), 200, 1)
	runFor(t, pair, l, nstest.AddressOf(t, listener), 5*time.Millisecond, 2*time.Second)
	s := l.count.snapshot(time.Now())
	// On a busy machine a thread is late, but by no more than a second, and nothing older is left out of the counts.
	if due := s.requests + s.allErrors() + s.notSent; due < 180 || due > 401 || s.requests < 100 {
		t.Errorf("%d requests in two seconds at 200/s, %d not sent, errors %v", s.requests, s.notSent, s.errors)
	}
	// The server may take the last connection when the client has closed it already.
	seen := func() bool {
		return int(connections.Load()) >= s.connections && clientFirst.Load() == connections.Load()
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && !seen(); {
		time.Sleep(time.Millisecond)
	}
	// The stop or a timeout may have cut one off that the server saw.
	if cutOff := int(connections.Load()) - s.connections; cutOff < 0 || cutOff > 1+s.allErrors() || int(requests.Load()) < s.requests || clientFirst.Load() != connections.Load() {
		t.Errorf("the server saw %d connections, %d requests, %d closed by the client; the load says %d connections, %d requests",
			connections.Load(), requests.Load(), clientFirst.Load(), s.connections, s.requests)
	}
	if s.portsInUse != s.connections {
		t.Errorf("%d ports in use after %d connections", s.portsInUse, s.connections)
	}
}

// runFor runs one thread of the load in the client's namespace. Run would start threads outside of it.
func runFor(t *testing.T, pair *nstest.Pair, l *Load, remote netip.AddrPort, period, duration time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stop := time.AfterFunc(duration, cancel)
	defer stop.Stop()
	pair.InClient(t, func() { l.thread(ctx, remote, time.Now(), period) })
}

func TestPortsRunOutAndTheErrorIsCounted(t *testing.T) {
	pair := nstest.New(t)
	pair.Sysctl(t, "net.ipv4.ip_local_port_range", "40000 40049")
	listener := pair.Listen(t)
	nstest.Answer(t, listener, func(connection net.Conn, _ int) bool {
		_, err := connection.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
		return err == nil
	})
	l := newLoad(t, "http://"+listener.Addr().String(), 100, 1)
	runFor(t, pair, l, nstest.AddressOf(t, listener), 10*time.Millisecond, 1500*time.Millisecond)
	s := l.count.snapshot(time.Now())
	// A connect that a busy machine let time out takes a port too.
	timedOut := s.errors["timed out"]
	if s.connections+timedOut < 50 || s.connections > 50 || s.portsInUse != s.connections || s.errors["cannot assign requested address"] == 0 {
		t.Errorf("%d connections on 50 ports, %d in use, errors %v", s.connections, s.portsInUse, s.errors)
	}
	if timedOut == 0 && s.lastError != "connect: cannot assign requested address" {
		t.Errorf("last error %q", s.lastError)
	}
	recorder := httptest.NewRecorder()
	l.Metrics().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		fmt.Sprintf("connpolicy_load_connections_total %d\n", s.connections),
		fmt.Sprintf("connpolicy_load_requests_total %d\n", s.requests),
		fmt.Sprintf("connpolicy_load_ports_in_use %d\n", s.connections),
		`connpolicy_load_errors_total{cause="cannot assign requested address"} `,
		fmt.Sprintf("connpolicy_load_connect_seconds_bucket{le=\"+Inf\"} %d\n", s.connections),
		fmt.Sprintf("connpolicy_load_connect_seconds_count %d\n", s.connections),
		"# TYPE connpolicy_load_connect_seconds histogram\n",
		"connpolicy_load_started_seconds 1",
	} {
		if !strings.Contains(recorder.Body.String(), want) {
			t.Errorf("the metrics lack %q:\n%s", want, recorder.Body)
		}
	}
}

func TestStopIsQuickAlthoughTheServerIsSilent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l := newLoad(t, "http://"+listener.Addr().String(), 50, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var stopped time.Time
	time.AfterFunc(300*time.Millisecond, func() {
		stopped = time.Now()
		cancel()
	})
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(stopped); took > 4*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if s := l.count.snapshot(time.Now()); s.allErrors() != 0 {
		t.Errorf("our own stop was counted as an error: %v", s.errors)
	}
}

func TestPortsAreHeldForAMinuteAfterTheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCount(time.Now())
		for range 3 {
			c.connected(time.Millisecond)
		}
		c.closed(time.Now())
		time.Sleep(30 * time.Second)
		c.closed(time.Now())
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{0, 3}, {29 * time.Second, 3}, {time.Second, 2}, {30 * time.Second, 1}, {time.Hour, 1}} {
			time.Sleep(step.wait)
			if got := c.snapshot(time.Now()).portsInUse; got != step.want {
				t.Errorf("%d ports in use, want %d", got, step.want)
			}
		}
	})
}

func TestConnectBuckets(t *testing.T) {
	c := newCount(time.Now())
	for _, took := range []time.Duration{time.Microsecond, 10 * time.Microsecond, 11 * time.Microsecond, time.Second, 2 * time.Second} {
		c.connected(took)
	}
	buckets := c.snapshot(time.Now()).connectBuckets
	last := len(buckets) - 1
	if buckets[0] != 2 || buckets[1] != 1 || buckets[last-1] != 1 || buckets[last] != 1 {
		t.Errorf("buckets %v", buckets)
	}
}

func TestCausesAreBounded(t *testing.T) {
	c := newCount(time.Now())
	for i := range 1000 {
		c.failed(strings.Repeat("x", i), errors.New("broken"))
	}
	s := c.snapshot(time.Now())
	if len(s.errors) > maximumCauses+1 || s.allErrors() != 1000 {
		t.Errorf("%d causes, %d errors", len(s.errors), s.allErrors())
	}
}

func TestCause(t *testing.T) {
	for want, err := range map[string]error{
		"connection refused": &tcpconn.Error{Op: "connect", Err: unix.ECONNREFUSED},
		"timed out":          &tcpconn.Error{Op: "read", Err: tcpconn.ErrTimeout},
		"broken":             errors.New("broken"),
	} {
		if got := cause(err); got != want {
			t.Errorf("cause(%v) = %q, want %q", err, got, want)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	allowed := Config{Target: target.Target{Protocol: target.HTTP}, RequestsPerSecond: 1, Threads: 1, Timeout: DefaultTimeout}
	if _, err := New(allowed); err != nil {
		t.Errorf("%+v is not allowed: %v", allowed, err)
	}
	tcp, noRate, noThreads, noNumber, noPeriod, noTimeout := allowed, allowed, allowed, allowed, allowed, allowed
	tcp.Target.Protocol = target.TCP
	noRate.RequestsPerSecond = 0
	noThreads.Threads = 0
	noNumber.RequestsPerSecond = math.NaN()
	noPeriod.RequestsPerSecond = 1e10
	noTimeout.Timeout = 0
	for _, config := range []Config{tcp, noRate, noThreads, noNumber, noPeriod, noTimeout} {
		if _, err := New(config); err == nil {
			t.Errorf("%+v is allowed", config)
		}
	}
}
