package slowstart_test

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
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

func measure(t *testing.T, pair *nstest.Pair, server netip.AddrPort, limits budget.Limits) (result.SlowStart, *budget.Budget) {
	t.Helper()
	b := budget.New(limits)
	peer := exchange.NewPeer(exchange.Options{
		Remote:  server,
		Request: &http1.Request{Method: "GET", Host: "server", Target: "/", UserAgent: "connpolicy-probe/test"},
		Budget:  b,
	})
	var r result.SlowStart
	pair.InClient(t, func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		r = slowstart.Measure(t.Context(), peer)
	})
	t.Logf("%+v", describe(r))
	return r, b
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
