package slowstart_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/slowstart"
)

// segmentBytes is the data of a segment over Ethernet with timestamps, and responseSegments the length of the response that
// METHODS names: flights of 10, 20, 40 and 34 on a cold connection.
const (
	segmentBytes     = 1448
	responseSegments = 104
)

// fill returns a response of so many full segments.
func fill(segments int) []byte {
	head := func(body int) string { return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", body) }
	body := segments*segmentBytes - len(head(segments*segmentBytes))
	text := head(body) + strings.Repeat("x", body)
	return []byte(text)
}

// always answers with the same response.
func always(response []byte) func(net.Conn, int) bool {
	return func(connection net.Conn, _ int) bool {
		_, err := connection.Write(response)
		return err == nil
	}
}

// farServer is a pair 20 ms of round trip apart, with a server that loses its window as RFC 5681 has it. Under BBR, the
// default of some machines, no window is lost; CUBIC is not to be had in a namespace.
func farServer(t *testing.T) *nstest.Link {
	t.Helper()
	link := nstest.NewLink(t, nstest.LinkOptions{Delay: 10 * time.Millisecond})
	link.SysctlServer(t, "net.ipv4.tcp_congestion_control", "reno")
	return link
}

func generous() budget.Limits {
	return budget.Limits{Connections: 60, RequestsPerSecond: 200, Seconds: 20}
}

func measure(t *testing.T, pair *nstest.Pair, server netip.AddrPort, limits budget.Limits) (result.SlowStart, result.Spent) {
	t.Helper()
	return measureOver(t, pair, server, limits, nil)
}

// measureOver is measure over TLS; nil is without.
func measureOver(
	t *testing.T, pair *nstest.Pair, server netip.AddrPort, limits budget.Limits, trust *tls.Config,
) (result.SlowStart, result.Spent) {
	t.Helper()
	b := budget.New(limits)
	peer := exchange.NewPeer(exchange.Options{
		Remote:  server,
		Request: &http1.Request{Method: "GET", Host: "server", Target: "/", UserAgent: "connpolicy-probe/test"},
		TLS:     trust,
		Budget:  b,
	})
	var r result.SlowStart
	pair.InClient(t, func() { r = slowstart.Measure(t.Context(), peer) })
	t.Log(describe(r), fmt.Sprintf("spent %+v", b.Spent()))
	return r, b.Spent()
}

// describe shows what pointers point to.
func describe(r result.SlowStart) string {
	return fmt.Sprintf("%s %q missing %q: initial %v, rtt %v µs, mss %v, rounds %v/%v, warm %v, idle %v after %v s, lost %v; cold %v, warm %v",
		r.Outcome, r.Cause, r.Missing, show(r.InitialWindowSegments), show(r.RoundTripMicroseconds), show(r.SegmentBytes),
		show(r.ColdRounds), show(r.WarmRounds), show(r.WarmSegments), show(r.AfterIdleSegments), show(r.IdleSeconds),
		show(r.WindowLostAfterIdle), show(r.ColdMicroseconds), show(r.WarmMicroseconds))
}

func show[T any](p *T) any {
	if p == nil {
		return "?"
	}
	return *p
}

func TestTheWindowOfTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		server, client string // tcp_slow_start_after_idle
		lost           bool
	}{
		"lost by default":               {"1", "1", true},
		"kept by a server that is told": {"0", "1", false},
		"not the receiver's to be kept": {"1", "0", true},
		"not the receiver's to be lost": {"0", "0", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := farServer(t)
			link.SysctlServer(t, "net.ipv4.tcp_slow_start_after_idle", c.server)
			link.Sysctl(t, "net.ipv4.tcp_slow_start_after_idle", c.client)
			listener := link.Listen(t)
			nstest.Answer(t, listener, always(fill(responseSegments)))
			r, _ := measure(t, link.Pair, nstest.AddressOf(t, listener), generous())
			if r.Outcome != result.Measured || r.Missing != "" || r.Sender != result.SideServer {
				t.Fatalf("%s %q, missing %q, sender %q", r.Outcome, r.Cause, r.Missing, r.Sender)
			}
			if *r.InitialWindowSegments != 10 || *r.SegmentBytes != segmentBytes {
				t.Errorf("initial window of %v segments of %v bytes", *r.InitialWindowSegments, *r.SegmentBytes)
			}
			if *r.ColdRounds != 4 {
				t.Errorf("%d rounds, want 4", *r.ColdRounds)
			}
			if *r.WindowLostAfterIdle != c.lost {
				t.Errorf("lost after idling: %v, want %v", *r.WindowLostAfterIdle, c.lost)
			}
		})
	}
}

// The window is told by flights, so that work that the server has after a pause is not taken for it.
func TestAServerThatIsSlowAfterAPauseHasNotLostItsWindow(t *testing.T) {
	link := farServer(t)
	link.SysctlServer(t, "net.ipv4.tcp_slow_start_after_idle", "0")
	listener := link.Listen(t)
	response := fill(responseSegments)
	var last atomic.Int64
	nstest.Answer(t, listener, func(connection net.Conn, _ int) bool {
		if now := time.Now().UnixNano(); now-last.Swap(now) > int64(500*time.Millisecond) {
			time.Sleep(60 * time.Millisecond)
		}
		_, err := connection.Write(response)
		return err == nil
	})
	r, _ := measure(t, link.Pair, nstest.AddressOf(t, listener), generous())
	if r.WindowLostAfterIdle == nil || *r.WindowLostAfterIdle {
		t.Errorf("lost after idling: %s", show(r.WindowLostAfterIdle))
	}
}

// initialWindowOf changes the route of the server to its client.
func initialWindowOf(t *testing.T, link *nstest.Link, segments string) {
	t.Helper()
	var failure string
	link.InServer(t, func() {
		for _, arguments := range [][]string{
			{"-4", "route", "change", "198.18.99.0/24", "proto", "kernel", "scope", "link", "src", nstest.ServerAddress},
			{"-6", "route", "change", "2001:db8:99::/64", "proto", "kernel", "metric", "256"},
		} {
			device := deviceOf(nstest.ServerAddress)
			command := exec.CommandContext(t.Context(), "ip", append(arguments, "dev", device, "initcwnd", segments)...)
			if output, err := command.CombinedOutput(); err != nil {
				failure += fmt.Sprintf("%v: %v: %s\n", arguments, err, output)
			}
		}
	})
	if failure != "" {
		t.Fatal(failure)
	}
}

// deviceOf names the interface that has an address.
func deviceOf(address string) string {
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if strings.HasPrefix(a.String(), address+"/") {
				return i.Name
			}
		}
	}
	return ""
}

func TestTheInitialWindowOfTheRouteIsFound(t *testing.T) {
	for segments, want := range map[string]float64{"4": 4, "20": 20, "30": 30} {
		for _, address := range []string{nstest.ServerAddress, nstest.ServerAddressIPv6} {
			t.Run(segments+" "+address, func(t *testing.T) {
				t.Parallel()
				link := farServer(t)
				initialWindowOf(t, link, segments)
				listener := link.ListenWith(t, nstest.ListenOptions{Address: address})
				nstest.Answer(t, listener, always(fill(responseSegments)))
				r, _ := measure(t, link.Pair, nstest.AddressOf(t, listener), budget.Limits{Connections: 5, RequestsPerSecond: 200, Seconds: 4})
				if r.InitialWindowSegments == nil || *r.InitialWindowSegments != want {
					t.Errorf("%s %q: initial window %s, want %v", r.Outcome, r.Cause, show(r.InitialWindowSegments), want)
				}
			})
		}
	}
}

// The window counts segments. Bytes alone would say 9.0 of a server that sends the head in a segment of its own.
func TestAShortSegmentCounts(t *testing.T) {
	link := farServer(t)
	listener := link.Listen(t)
	response := fill(responseSegments)
	head := strings.Index(string(response), "\r\n\r\n") + 4
	nstest.Answer(t, listener, func(connection net.Conn, _ int) bool {
		_, headErr := connection.Write(response[:head])
		_, bodyErr := connection.Write(response[head:])
		return headErr == nil && bodyErr == nil
	})
	r, _ := measure(t, link.Pair, nstest.AddressOf(t, listener), generous())
	if r.InitialWindowSegments == nil || *r.InitialWindowSegments != 10 {
		t.Errorf("initial window %s", show(r.InitialWindowSegments))
	}
}

// Go's own server, as it comes.
func TestResponsesOverTLS(t *testing.T) {
	link := farServer(t)
	content := strings.Repeat("x", 200_000)
	server := &httptest.Server{
		Listener: link.Listen(t),
		Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, content)
		})},
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	r, _ := measureOver(t, link.Pair, nstest.AddressOf(t, server.Listener), generous(), trust)
	if r.Outcome != result.Measured || r.Missing != "" {
		t.Fatalf("%s %q, missing %q", r.Outcome, r.Cause, r.Missing)
	}
	if window := *r.InitialWindowSegments; window < 10 || window > 14 {
		t.Errorf("initial window %v", window)
	}
	if !*r.WindowLostAfterIdle || *r.Bytes != int64(len(content)) {
		t.Errorf("lost after idling: %v; %d bytes", *r.WindowLostAfterIdle, *r.Bytes)
	}
}

func TestWhatCannotBeSeenIsNoFigure(t *testing.T) {
	long, response := generous(), fill(responseSegments)
	closing := []byte(strings.Replace(string(fill(responseSegments)), "\r\n", "\r\nConnection: close\r\n", 1))
	far := func(t *testing.T) *nstest.Pair { return farServer(t).Pair }
	wide := func(t *testing.T) *nstest.Pair {
		link := farServer(t)
		initialWindowOf(t, link, "20")
		return link.Pair
	}
	for name, c := range map[string]struct {
		between func(*testing.T) *nstest.Pair
		limits  budget.Limits
		respond func(net.Conn, int) bool
		outcome result.Outcome
		says    string // in the cause, or in what is missing
		warm    bool   // whether the warm time is known
	}{
		"a near server":      {between: nstest.New, limits: long, respond: always(response), outcome: result.Unsupported, says: "below 2 ms", warm: true},
		"a short response":   {between: far, limits: long, respond: always(fill(25)), outcome: result.Unsupported, says: "fills 25 segments"},
		"an empty response":  {between: far, limits: long, respond: always([]byte("HTTP/1.1 204 No Content\r\n\r\n")), outcome: result.Unsupported, says: "fills 0 segments"},
		"a window too large": {between: wide, limits: long, respond: always(fill(50)), outcome: result.Unsupported, says: "shorter than 3", warm: true},
		"closes after each": {between: far, limits: long, outcome: result.Measured, says: "ends a connection", respond: func(connection net.Conn, _ int) bool {
			// The client closes too once it has the response.
			_, _ = connection.Write(closing)
			return false
		}},
		"closes without a word": {between: far, limits: long, outcome: result.Measured, says: "ends a connection", respond: func(connection net.Conn, number int) bool {
			_, err := connection.Write(response)
			return err == nil && number < 2
		}},
		"little time": {
			between: far, limits: budget.Limits{Connections: 60, RequestsPerSecond: 100, Seconds: 1}, respond: always(response),
			outcome: result.Measured, says: "after idling: the pause would take longer", warm: true,
		},
		"few connections": {
			between: far, limits: budget.Limits{Connections: 2, RequestsPerSecond: 100, Seconds: 8}, respond: always(response),
			outcome: result.Failed, says: "connections is reached", warm: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := c.between(t)
			listener := pair.Listen(t)
			nstest.Answer(t, listener, c.respond)
			r, _ := measure(t, pair, nstest.AddressOf(t, listener), c.limits)
			if r.Outcome != c.outcome || !strings.Contains(r.Cause+r.Missing, c.says) {
				t.Errorf("%s %q, missing %q", r.Outcome, r.Cause, r.Missing)
			}
			if r.WindowLostAfterIdle != nil || (r.InitialWindowSegments != nil) != (c.outcome == result.Measured) {
				t.Errorf("initial window %s, lost after idling %s", show(r.InitialWindowSegments), show(r.WindowLostAfterIdle))
			}
			if r.ColdMicroseconds == nil || (r.WarmMicroseconds != nil) != c.warm {
				t.Errorf("times: cold %v, warm %v", r.ColdMicroseconds, r.WarmMicroseconds)
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
			if r.Outcome != result.Failed || r.Cause == "" || r.InitialWindowSegments != nil || r.ColdMicroseconds != nil {
				t.Errorf("%s %q, with figures", r.Outcome, r.Cause)
			}
			connections, requests := reached.Connections.Load(), reached.Requests.Load()
			if spent.Connections > limits.Connections || int64(spent.Connections) != connections || int64(spent.Requests) != requests {
				t.Errorf("spent %+v, the server saw %d connections and %d requests", spent, connections, requests)
			}
		})
	}
}
