package servers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

// far puts ten milliseconds, each way, between the probe and a server whose congestion control is Reno's.
func far(t *testing.T) *nstest.Link {
	t.Helper()
	link := nstest.NewLink(t, nstest.LinkOptions{Delay: 10 * time.Millisecond})
	link.SysctlServer(t, "net.ipv4.tcp_congestion_control", "reno")
	return link
}

// All these servers answer pipelined requests in order. Whether that is faster depends on whether they work on one
// while another waits.
func TestPipelining(t *testing.T) {
	for name, c := range map[string]struct {
		start   start
		verdict result.PipeliningVerdict
	}{
		"nginx":   {nginx(""), result.PipeliningInOrder},
		"Apache":  {apache(""), result.PipeliningInOrder},
		"HAProxy": {haproxy("", ""), result.PipeliningInOrder},
		"Node.js": {node(nodeServer("")), result.PipeliningInOrder},
		"Go":      {golang(nil, ok), result.PipeliningInOrder},
		// Node.js begins with the next request before it has answered the one before; Go and nginx do not.
		"Node.js, slow": {node(nodeSlow), result.PipeliningInOrder},
		"Go, slow":      {golang(nil, slow), result.PipeliningSerial},
		"nginx, slow":   {behind(nginx("location / { proxy_pass http://127.0.0.1:8081; }")), result.PipeliningSerial},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := far(t)
			c.start(t, link.Pair)
			r := probe(t, link.Pair, asked{url: url("http", pathOf(name)), limits: quick(20), measure: []string{"pipelining"}}).Measurements.Pipelining
			if r.Outcome != result.Measured || r.Verdict != c.verdict || r.Answered == nil || r.Answered.Got != r.Answered.Of {
				t.Errorf("%s: %q: %q, want %q; answered %+v", r.Outcome, r.Cause, r.Verdict, c.verdict, r.Answered)
			}
		})
	}
}

// A response longer than what may be sent before the first acknowledgment is still on its way when the server closes. What
// comes then destroys it, unless the server reads on.
func TestClosingWithUnreadData(t *testing.T) {
	for name, c := range map[string]struct {
		start start
		lost  bool
	}{
		"nginx, lingering_close off":    {nginx("lingering_close off; location / { root {folder}/www; }"), true},
		"nginx, lingering_close always": {nginx("lingering_close always; location / { root {folder}/www; }"), false},
		"Apache":                        {apache(""), false},
		"Go":                            {golang(nil, long), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := far(t)
			c.start(t, link.Pair)
			r := probe(t, link.Pair, asked{url: url("http", "/large"), limits: quick(20), measure: []string{"closing"}}).Measurements.Closing
			if r.UnreadDataLost == nil || *r.UnreadDataLost != c.lost {
				t.Errorf("%s: %q: response lost: %v, want %v", r.Outcome, r.Cause, show(r.UnreadDataLost), c.lost)
			}
		})
	}
}

func long(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, longBytes)) }

// The initial window is the kernel's, ten segments, whatever the server; and it is lost after idling by default.
func TestSlowStart(t *testing.T) {
	for name, c := range map[string]struct {
		start     start
		afterIdle string // net.ipv4.tcp_slow_start_after_idle of the server
	}{
		"nginx":               {nginx("sendfile on; tcp_nopush on; location / { root {folder}/www; }"), "1"},
		"nginx, window kept":  {nginx("location / { root {folder}/www; }"), "0"},
		"Apache":              {apache(""), "1"},
		"Apache, window kept": {apache(""), "0"},
		"Node.js": {node(`const body = Buffer.alloc(200000, 'x');
const server = require('http').createServer((request, response) => response.end(body));`), "1"},
		"Go": {golang(nil, long), "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := far(t)
			link.SysctlServer(t, "net.ipv4.tcp_slow_start_after_idle", c.afterIdle)
			c.start(t, link.Pair)
			r := probe(t, link.Pair, asked{url: url("http", "/large"), limits: quick(20), measure: []string{"slowStart"}}).Measurements.SlowStart
			if r.Outcome != result.Measured || r.Missing != "" || *r.Bytes != longBytes {
				t.Fatalf("%s: %q, missing %q, %v bytes", r.Outcome, r.Cause, r.Missing, show(r.Bytes))
			}
			if *r.InitialWindowSegments != 10 || *r.WindowLostAfterIdle != (c.afterIdle == "1") {
				t.Errorf("initial window of %v segments, lost after idling: %v", *r.InitialWindowSegments, *r.WindowLostAfterIdle)
			}
		})
	}
}

// Two small writes with Nagle's algorithm on wait for the client's delayed acknowledgment; with it off they do not.
func TestSmallWrites(t *testing.T) {
	const twoWrites = `
const server = require('http').createServer({noDelay: %NODELAY%}, (request, response) => {
  response.write('first ');
  setImmediate(() => response.end('and second\n'));
});
`
	for name, c := range map[string]struct {
		start start
		side  result.Side
	}{
		"Node.js, noDelay false": {node(strings.ReplaceAll(twoWrites, "%NODELAY%", "false")), result.SideServer},
		"Node.js, noDelay true":  {node(strings.ReplaceAll(twoWrites, "%NODELAY%", "true")), result.SideNone},
		"nginx":                  {nginx(""), result.SideNone},
		// One write, however Nagle's algorithm is set.
		"nginx, tcp_nodelay off": {nginx("tcp_nodelay off;"), result.SideNone},
		// Slow, but not because of acknowledgments.
		"Node.js, slow": {node(nodeSlow), result.SideNone},
		"Go":            {golang(nil, ok), result.SideNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			c.start(t, pair)
			r := probe(t, pair, asked{url: url("http", pathOf(name)), limits: quick(15), measure: []string{"smallWrites"}}).Measurements.SmallWrites
			if r.Outcome != result.Measured || r.Side != c.side || r.StallMicroseconds == nil || (*r.StallMicroseconds >= 30_000) != (c.side == result.SideServer) {
				t.Errorf("%s: %q: side %q, want %q; stall of %v µs", r.Outcome, r.Cause, r.Side, c.side, show(r.StallMicroseconds))
			}
		})
	}
}
