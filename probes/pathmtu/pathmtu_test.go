package pathmtu_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/pathmtu"
	"github.com/connpolicy/connpolicy/probes/result"
)

// passing is the largest packet that passes the black holes of these tests: more than a clamped segment with its headers,
// less than a full one.
const passing = 1000

// Each segment has an option of 12 bytes, the timestamps, and in a packet of Ethernet's 1500 bytes 20 of IPv4's header and 20
// of TCP's.
const (
	timestamps = 12
	ethernet   = 1500 - 20 - 20 - timestamps
)

// larger drops the packets of a direction that are larger.
func larger(direction nstest.Direction) func(nstest.Packet) bool {
	return func(p nstest.Packet) bool { return p.Direction == direction && len(p.Data) > passing }
}

// answering serves a body of so many bytes, each after wait, which is told the number of the request.
func answering(t *testing.T, listener net.Listener, bodyBytes int, wait func(number int64)) {
	var requests atomic.Int64
	nstest.Serve(t, listener, func(connection net.Conn) {
		reader := bufio.NewReader(connection)
		for {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			wait(requests.Add(1))
			text := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(bodyBytes) + "\r\n\r\n" + strings.Repeat("x", bodyBytes)
			if _, err := connection.Write([]byte(text)); err != nil {
				return
			}
		}
	})
}

func atOnce(int64) {}

func measure(t *testing.T, link *nstest.Link, listener net.Listener, secure *tls.Config, seconds int) (result.PathMTU, result.Spent) {
	t.Helper()
	b := budget.New(budget.Limits{Connections: 20, RequestsPerSecond: 100, Seconds: seconds})
	peer := exchange.NewPeer(exchange.Options{
		Remote:  nstest.AddressOf(t, listener),
		Request: &http1.Request{Method: http.MethodGet, Host: "server", Target: "/", UserAgent: "connpolicy-probe/test"},
		TLS:     secure,
		Budget:  b,
	})
	var r result.PathMTU
	link.InClient(t, func() { r = pathmtu.Measure(t.Context(), peer) })
	return r, b.Spent()
}

func bytes(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

func count(c *result.Count) result.Count {
	if c == nil {
		return result.Count{Of: -1, Got: -1}
	}
	return *c
}

func TestABlackHoleIsFound(t *testing.T) {
	t.Parallel()
	link := nstest.NewLink(t, nstest.LinkOptions{Drop: larger(nstest.ToClient)})
	listener := link.Listen(t)
	answering(t, listener, 20_000, atOnce)
	r, spent := measure(t, link, listener, nil, 60)
	if r.Outcome != result.Measured || r.BlackHole == nil || !*r.BlackHole {
		t.Errorf("%s %q: black hole %v", r.Outcome, r.Cause, r.BlackHole)
	}
	if count(r.Whole) != (result.Count{Of: 3}) || count(r.ClampedWhole) != (result.Count{Of: 3, Got: 3}) || r.InTLSHandshake != nil {
		t.Errorf("%+v of the connections as they are, %+v of those with short segments, in the handshake: %v", r.Whole, r.ClampedWhole, r.InTLSHandshake)
	}
	if bytes(r.ClampedSegmentBytes) != 536-timestamps || spent.Connections != result.PathMTUConnections {
		t.Errorf("segments of %d bytes, %d connections", bytes(r.ClampedSegmentBytes), spent.Connections)
	}
	if link.Counts(nstest.ToClient).Dropped == 0 {
		t.Error("nothing was dropped")
	}
}

// What passes costs three requests, over paths on which the target has to send less than a full segment as well.
func TestAHealthyPathPasses(t *testing.T) {
	for name, c := range map[string]struct {
		options nstest.LinkOptions
		full    int
	}{
		"Ethernet":               {nstest.LinkOptions{}, ethernet},
		"a tunnel":               {nstest.LinkOptions{MTUBytes: 1280}, ethernet - 220},
		"requests must be small": {nstest.LinkOptions{Drop: larger(nstest.ToServer)}, ethernet},
		"some packets are lost":  {nstest.LinkOptions{LossProbability: 0.05, Seed: 7}, ethernet},
		"a round trip of 200 ms": {nstest.LinkOptions{Delay: 100 * time.Millisecond}, ethernet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := nstest.NewLink(t, c.options)
			listener := link.Listen(t)
			answering(t, listener, 20_000, atOnce)
			r, spent := measure(t, link, listener, nil, 60)
			if r.Outcome != result.Measured || r.BlackHole == nil || *r.BlackHole || count(r.Whole) != (result.Count{Of: 3, Got: 3}) || r.ClampedWhole != nil {
				t.Errorf("%s %q: black hole %v, %+v, %+v", r.Outcome, r.Cause, r.BlackHole, r.Whole, r.ClampedWhole)
			}
			if bytes(r.SegmentBytes) != c.full || bytes(r.ReceivedSegmentBytes) != c.full {
				t.Errorf("segments of up to %d bytes, %d arrived, want %d", bytes(r.SegmentBytes), bytes(r.ReceivedSegmentBytes), c.full)
			}
			if spent.Connections != 3 || spent.Requests != 3 {
				t.Errorf("spent %+v", spent)
			}
		})
	}
}

// None of these is a black hole: whether a server is slow has nothing to do with the length of its segments.
func TestASlowServerIsNoBlackHole(t *testing.T) {
	for name, c := range map[string]struct {
		wait           func(number int64)
		outcome        result.Outcome
		cause          string
		whole, clamped *result.Count
		blackHole      *bool
	}{
		"slow": {
			func(int64) { time.Sleep(1500 * time.Millisecond) }, result.Measured, "", &result.Count{Of: 3, Got: 3}, nil, new(false),
		},
		"never answers": {
			func(int64) { time.Sleep(8 * time.Second) }, result.Failed, "their length is not what it waits for",
			&result.Count{Of: 1}, &result.Count{Of: 1}, nil,
		},
		"never answers the first": {
			func(number int64) {
				if number == 1 {
					time.Sleep(8 * time.Second)
				}
			}, result.Measured, "", &result.Count{Of: 3, Got: 2}, &result.Count{Of: 1, Got: 1}, nil,
		},
		"too slow to tell": {
			func(number int64) {
				time.Sleep(2500 * time.Millisecond)
				if number%2 == 1 {
					time.Sleep(8 * time.Second)
				}
			}, result.Failed, "too long to tell", &result.Count{Of: 1}, &result.Count{Of: 1, Got: 1}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := nstest.NewLink(t, nstest.LinkOptions{})
			listener := link.Listen(t)
			answering(t, listener, 20_000, c.wait)
			r, _ := measure(t, link, listener, nil, 60)
			if r.Outcome != c.outcome || !strings.Contains(r.Cause, c.cause) || (c.cause == "") != (r.Cause == "") {
				t.Errorf("%s %q", r.Outcome, r.Cause)
			}
			if count(r.Whole) != count(c.whole) || count(r.ClampedWhole) != count(c.clamped) {
				t.Errorf("%+v of the connections as they are, %+v of those with short segments", r.Whole, r.ClampedWhole)
			}
			if (r.BlackHole == nil) != (c.blackHole == nil) || r.BlackHole != nil && *r.BlackHole {
				t.Errorf("black hole: %v", r.BlackHole)
			}
		})
	}
}

// secureAnswer serves a long answer over TLS, and returns what to trust.
func secureAnswer(t *testing.T, listener net.Listener) *tls.Config {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 20_000)) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	_ = server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS13}
}

// Certificates are the first large packets of a connection with TLS, so that its handshake stalls.
func TestTLS(t *testing.T) {
	for name, c := range map[string]struct {
		options        nstest.LinkOptions
		outcome        result.Outcome
		cause          string
		blackHole      *bool
		whole, clamped *result.Count
		inHandshake    bool
	}{
		"healthy": {
			nstest.LinkOptions{}, result.Measured, "", new(false), &result.Count{Of: 3, Got: 3}, nil, false,
		},
		"black hole": {
			nstest.LinkOptions{Drop: larger(nstest.ToClient)}, result.Measured, "", new(true), &result.Count{Of: 3}, &result.Count{Of: 3, Got: 3}, true,
		},
		// The first message of this end, with a key that a quantum computer cannot break, is large as well.
		"black hole the other way": {
			nstest.LinkOptions{Drop: larger(nstest.ToServer)}, result.Failed, "was not acknowledged", nil, nil, nil, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := nstest.NewLink(t, c.options)
			listener := link.Listen(t)
			r, _ := measure(t, link, listener, secureAnswer(t, listener), 60)
			if r.Outcome != c.outcome || !strings.Contains(r.Cause, c.cause) || (c.cause == "") != (r.Cause == "") {
				t.Errorf("%s %q", r.Outcome, r.Cause)
			}
			if (r.BlackHole == nil) != (c.blackHole == nil) || r.BlackHole != nil && *r.BlackHole != *c.blackHole {
				t.Errorf("black hole: %v", r.BlackHole)
			}
			if count(r.Whole) != count(c.whole) || count(r.ClampedWhole) != count(c.clamped) || (r.InTLSHandshake != nil) != c.inHandshake {
				t.Errorf("%+v of the connections as they are, %+v of those with short segments, in the handshake: %v", r.Whole, r.ClampedWhole, r.InTLSHandshake)
			}
		})
	}
}

func TestAShortAnswerShowsNothing(t *testing.T) {
	t.Parallel()
	link := nstest.NewLink(t, nstest.LinkOptions{Drop: larger(nstest.ToClient)})
	listener := link.Listen(t)
	answering(t, listener, 700, atOnce)
	r, spent := measure(t, link, listener, nil, 60)
	if r.Outcome != result.Unsupported || !strings.Contains(r.Cause, "give a path with an answer of 2896 bytes or more") || r.BlackHole != nil || spent.Requests != 1 {
		t.Errorf("%s %q: black hole %v, spent %+v", r.Outcome, r.Cause, r.BlackHole, spent)
	}
}

// Time that ends in the middle of a wait is no stall.
func TestTheTimeIsOver(t *testing.T) {
	t.Parallel()
	link := nstest.NewLink(t, nstest.LinkOptions{Drop: larger(nstest.ToClient)})
	listener := link.Listen(t)
	answering(t, listener, 20_000, atOnce)
	r, _ := measure(t, link, listener, nil, 1)
	if r.Outcome != result.Failed || r.Whole != nil || r.BlackHole != nil {
		t.Errorf("%s %q: black hole %v, %+v", r.Outcome, r.Cause, r.BlackHole, r.Whole)
	}
}

// A sender that finds the black hole out for itself does so anew after seconds on every connection.
func TestASenderThatProbesHidesNoBlackHole(t *testing.T) {
	t.Parallel()
	link := nstest.NewLink(t, nstest.LinkOptions{Drop: larger(nstest.ToClient)})
	link.SysctlServer(t, "net.ipv4.tcp_mtu_probing", "1")
	listener := link.Listen(t)
	answering(t, listener, 20_000, atOnce)
	r, _ := measure(t, link, listener, nil, 60)
	if r.Outcome != result.Measured || r.BlackHole == nil || !*r.BlackHole {
		t.Errorf("%s %q: black hole %v, %+v, %+v", r.Outcome, r.Cause, r.BlackHole, r.Whole, r.ClampedWhole)
	}
}
