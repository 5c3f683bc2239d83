package smallwrites_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/smallwrites"
)

const (
	head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
	body = "ok\n"
)

// inPieces answers with one write a piece.
func inPieces(pieces ...string) func(net.Conn, int) bool {
	return func(connection net.Conn, _ int) bool {
		for _, piece := range pieces {
			if _, err := io.WriteString(connection, piece); err != nil {
				return false
			}
		}
		return true
	}
}

// sleeping answers with one write a piece, and sleeps before each of them but the first.
func sleeping(length time.Duration, pieces ...string) func(net.Conn, int) bool {
	return func(connection net.Conn, _ int) bool {
		for i, piece := range pieces {
			if i > 0 {
				time.Sleep(length)
			}
			if _, err := io.WriteString(connection, piece); err != nil {
				return false
			}
		}
		return true
	}
}

// nagle switches the algorithm on, which Go switches off, for every connection of a listener.
type nagle struct{ net.Listener }

func (n nagle) Accept() (net.Conn, error) {
	connection, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		err = tcp.SetNoDelay(false)
	}
	return connection, err
}

func limits() budget.Limits {
	return budget.Limits{Connections: 20, RequestsPerSecond: 400, Seconds: 20}
}

func measure(t *testing.T, pair *nstest.Pair, server netip.AddrPort, limits budget.Limits) (result.SmallWrites, result.Spent) {
	t.Helper()
	return measureOver(t, pair, server, limits, nil)
}

// measureOver is measure over TLS; nil is without.
func measureOver(
	t *testing.T, pair *nstest.Pair, server netip.AddrPort, limits budget.Limits, trust *tls.Config,
) (result.SmallWrites, result.Spent) {
	t.Helper()
	b := budget.New(limits)
	peer := exchange.NewPeer(exchange.Options{
		Remote:  server,
		Request: &http1.Request{Method: "GET", Host: "server", Target: "/", UserAgent: "connpolicy-probe/test"},
		TLS:     trust,
		Budget:  b,
	})
	var r result.SmallWrites
	pair.InClient(t, func() { r = smallwrites.Measure(t.Context(), peer) })
	t.Logf("%s %q: stall %s, side %q, segments %s; late %s, at once %s; spent %+v", r.Outcome, r.Cause, show(r.StallMicroseconds), r.Side,
		show(r.Segments), show(r.DelayedMicroseconds), show(r.QuickMicroseconds), b.Spent())
	return r, b.Spent()
}

func show[T any](p *T) string {
	if p == nil {
		return "?"
	}
	return fmt.Sprintf("%v", *p)
}

func TestStallsOfServersOfKnownBehaviour(t *testing.T) {
	const nap = 40 * time.Millisecond
	large := strings.Repeat("x", 40_000)
	sized := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(large))
	chunked := []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nok\n\r\n", "0\r\n\r\n"}
	for name, c := range map[string]struct {
		nagle   bool
		respond func(net.Conn, int) bool
		stalls  bool
	}{
		"two writes":                         {true, inPieces(head, body), true},
		"two writes, NODELAY":                {false, inPieces(head, body), false},
		"one write":                          {true, inPieces(head + body), false},
		"one write, asleep before it":        {true, sleeping(nap, "", head+body), false},
		"asleep between two writes":          {true, sleeping(nap, head, body), false},
		"asleep between two writes, NODELAY": {false, sleeping(nap, head, body), false},
		"chunks":                             {true, inPieces(chunked...), true},
		"chunks, NODELAY":                    {false, inPieces(chunked...), false},
		"chunks in one write":                {true, inPieces(strings.Join(chunked, "")), false},
		"a large body after its head":        {true, inPieces(sized, large), false},
		"a large body with its head":         {true, inPieces(sized + large), false},
	} {
		for _, address := range []string{nstest.ServerAddress, nstest.ServerAddressIPv6} {
			t.Run(name+" "+address, func(t *testing.T) {
				t.Parallel()
				pair := nstest.New(t)
				listener := pair.ListenWith(t, nstest.ListenOptions{Address: address})
				remote := nstest.AddressOf(t, listener)
				if c.nagle {
					listener = nagle{listener}
				}
				nstest.Answer(t, listener, c.respond)
				r, _ := measure(t, pair, remote, limits())
				if r.Outcome != result.Measured || r.StallMicroseconds == nil {
					t.Fatalf("%s %q", r.Outcome, r.Cause)
				}
				if stalls := *r.StallMicroseconds > 0; stalls != c.stalls || stalls != (r.Side == result.SideServer) {
					t.Errorf("a stall of %v µs, side %q", *r.StallMicroseconds, r.Side)
				}
			})
		}
	}
}

// Over TLS too it is the segments below that are held back. The farther the server, the longer a request; the stall is not
// longer for it.
func TestAStallOverTLSAndADistance(t *testing.T) {
	link := nstest.NewLink(t, nstest.LinkOptions{Delay: 5 * time.Millisecond})
	listener := link.Listen(t)
	remote := nstest.AddressOf(t, listener)
	server := &httptest.Server{
		Listener: nagle{listener},
		Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "first")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "second")
		})},
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	r, _ := measureOver(t, link.Pair, remote, limits(), trust)
	if r.StallMicroseconds == nil || *r.StallMicroseconds < 30_000 || *r.StallMicroseconds > 80_000 || r.Side != result.SideServer {
		t.Errorf("%s %q: a stall of %s µs", r.Outcome, r.Cause, show(r.StallMicroseconds))
	}
	if r.QuickMicroseconds == nil || r.QuickMicroseconds.P50 < 20_000 {
		t.Errorf("at once: %s; the second write waits for a round trip even so", show(r.QuickMicroseconds))
	}
}

func TestServersThatEndConnections(t *testing.T) {
	for name, c := range map[string]struct {
		after   int
		outcome result.Outcome
		says    string
	}{
		"after each response":          {1, result.Unsupported, "after 1 responses"},
		"after ten":                    {10, result.Unsupported, "after 10 responses"},
		"late enough to see it":        {30, result.Measured, ""},
		"late, within few connections": {18, result.Failed, "connections is reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			listener := pair.Listen(t)
			pieces := inPieces(head, body)
			nstest.Answer(t, nagle{listener}, func(connection net.Conn, number int) bool {
				return pieces(connection, number) && number < c.after
			})
			r, _ := measure(t, pair, nstest.AddressOf(t, listener), budget.Limits{Connections: 5, RequestsPerSecond: 400, Seconds: 10})
			if r.Outcome != c.outcome || !strings.Contains(r.Cause, c.says) || (r.StallMicroseconds != nil) != (c.outcome == result.Measured) {
				t.Errorf("%s %q: a stall of %s", r.Outcome, r.Cause, show(r.StallMicroseconds))
			}
		})
	}
}

func TestServersThatFail(t *testing.T) {
	for name, respond := range nstest.Failing() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			listener := pair.Listen(t)
			reached := nstest.AnswerCounted(t, listener, respond)
			limits := budget.Limits{Connections: 4, RequestsPerSecond: 100, Seconds: 2}
			begin := time.Now()
			r, spent := measure(t, pair, nstest.AddressOf(t, listener), limits)
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if r.Outcome != result.Failed || r.Cause == "" || r.StallMicroseconds != nil || r.Side != "" {
				t.Errorf("%s %q, with figures", r.Outcome, r.Cause)
			}
			connections, requests := reached.Connections.Load(), reached.Requests.Load()
			if spent.Connections > limits.Connections || int64(spent.Connections) != connections || int64(spent.Requests) != requests {
				t.Errorf("spent %+v, the server saw %d connections and %d requests", spent, connections, requests)
			}
		})
	}
}
