package http2_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
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

func measure(t *testing.T, listener net.Listener, seconds int) result.Result {
	t.Helper()
	parsed, err := target.Parse("http://"+listener.Addr().String()+"/", target.HTTP2)
	if err != nil {
		t.Fatal(err)
	}
	r, err := runner.Run(t.Context(), runner.Config{
		Target: parsed, Family: target.AnyFamily, Measure: []string{"http2"},
		Limits:    budget.Limits{Connections: 20, RequestsPerSecond: 400, Seconds: seconds},
		UserAgent: "connpolicy-probe/test", Proc: procnet.New("/proc"), Log: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// serve speaks HTTP/2 by prior knowledge.
func serve(t *testing.T, config *http.HTTP2Config, handle http.HandlerFunc) net.Listener {
	t.Helper()
	listener := listen(t)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: handle, HTTP2: config, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener
}

func TestServerThatSpeaksHTTP2(t *testing.T) {
	var requests atomic.Int64
	listener := serve(t, &http.HTTP2Config{MaxConcurrentStreams: 5, MaxReadFrameSize: 1 << 20}, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write([]byte(strings.Repeat("x", 20000)))
	})
	r := measure(t, listener, 2)
	h := r.Measurements.HTTP2
	if h.Outcome != result.Measured || h.Supported == nil || !*h.Supported || *h.MaxConcurrentStreams != 5 || *h.MaxFrameBytes != 1<<20 {
		t.Fatalf("%s: %q: %+v", h.Outcome, h.Cause, h)
	}
	if h.Streams == nil || *h.Streams != 5 || h.ConcurrentMicroseconds == nil || h.ParallelMicroseconds == nil || h.RequestMicroseconds == nil {
		t.Errorf("%+v", h)
	}
	if h.PingAnswered == nil || !*h.PingAnswered || h.PingMicroseconds == nil || h.GoAwayCode != "" || h.RequestsAtLeast == nil {
		t.Errorf("ping %v, GOAWAY %q", h.PingAnswered, h.GoAwayCode)
	}
	// The end of the time may cut off the last exchange, before the server has read the request or this end the response.
	// All others are answered, and nothing is answered or read that was not counted.
	handled, answered, counted := int(requests.Load()), r.Statuses["200"], r.Spent.Requests
	if answered > handled || handled > counted || counted > answered+1 || r.Spent.Connections != 6 {
		t.Errorf("%d requests, the probe says %d of which 200: %d, on %d connections", handled, counted, answered, r.Spent.Connections)
	}
}

// A server that ends its connections says so, after how many requests and why.
func TestServerThatSendsGoAway(t *testing.T) {
	var lock sync.Mutex
	requests := map[string]int{}
	listener := serve(t, nil, func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		if requests[r.RemoteAddr]++; requests[r.RemoteAddr] == 150 {
			// What makes Go's server send GOAWAY.
			w.Header().Set("Connection", "close")
		}
	})
	h := measure(t, listener, 3).Measurements.HTTP2
	if h.Outcome != result.Measured || h.GoAwayCode != "NO_ERROR" || h.GoAwayAfterRequests == nil || *h.GoAwayAfterRequests != 150 || h.GoAwayAfterSeconds == nil {
		t.Errorf("%s: %q: GOAWAY %q after %v requests", h.Outcome, h.Cause, h.GoAwayCode, h.GoAwayAfterRequests)
	}
}

func TestServerThatSpeaksHTTP1Only(t *testing.T) {
	listener := listen(t)
	nstest.Answer(t, listener, func(connection net.Conn, _ int) bool {
		_, _ = connection.Write([]byte("HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n"))
		return false
	})
	h := measure(t, listener, 2).Measurements.HTTP2
	if h.Outcome != result.Unsupported || h.Supported == nil || *h.Supported || h.Cause == "" {
		t.Errorf("%s: %q: supported %v", h.Outcome, h.Cause, h.Supported)
	}
}

func TestServerThatIsSilent(t *testing.T) {
	listener := listen(t)
	nstest.Hold(t, listener)
	begin := time.Now()
	h := measure(t, listener, 2).Measurements.HTTP2
	if h.Outcome != result.Failed || h.Supported != nil || h.Cause == "" || time.Since(begin) > 4*time.Second {
		t.Errorf("after %v: %s: %q", time.Since(begin), h.Outcome, h.Cause)
	}
}
