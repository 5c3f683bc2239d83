package servers_test

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

// noticing is how much later than its timer a server on a busy machine may act, or the probe notice that a response has come
// or a connection has ended, in seconds. Apache is a tenth of a second early (server/mpm/event, TIMEOUT_FUDGE_FACTOR).
const noticing = 0.4

func TestIdle(t *testing.T) {
	for name, c := range map[string]struct {
		start  start
		scheme string
		truth  float64 // seconds; 0: what the server itself says
	}{
		"nginx, keepalive_timeout 3s":           {nginx("keepalive_timeout 3s 60s;"), "http", 3},
		"Apache, KeepAliveTimeout 2":            {apache("KeepAliveTimeout 2"), "http", 2},
		"HAProxy, timeout http-keep-alive 2s":   {haproxy("", "timeout http-keep-alive 2s"), "http", 2},
		"HAProxy, timeout client 3s":            {haproxy("", "timeout client 3s"), "http", 3},
		"Go, IdleTimeout 2s":                    {golang(func(s *http.Server) { s.IdleTimeout = 2 * time.Second }, ok), "http", 2},
		"Node.js, keepAliveTimeout 2000":        {node(nodeThatTellsOfSilence), "http", 0},
		"nginx, client_header_timeout 2s, TCP":  {nginx("client_header_timeout 2s;"), "tcp", 2},
		"HAProxy, timeout http-request 2s, TCP": {haproxy("", "timeout http-request 2s"), "tcp", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			output := c.start(t, pair)
			path := pathOf(name)
			if c.scheme == "tcp" {
				path = ""
			}
			limits := budget.Limits{Connections: 30, RequestsPerSecond: 200, Seconds: 1, IdleSeconds: 12}
			i := probe(t, pair, asked{url: url(c.scheme, path), limits: limits, measure: []string{"idle"}}).Measurements.Idle
			if i.Outcome != result.Measured || i.Cut == nil || !*i.Cut || i.How != result.CutFIN {
				t.Fatalf("%s: %q, cut %v, how %q", i.Outcome, i.Cause, show(i.Cut), i.How)
			}
			if c.truth == 0 {
				c.truth = toldSilence(t, output)
			}
			atLeast, atMost := i.AfterSecondsAtLeast, i.AfterSecondsAtMost
			if atLeast == nil || atMost == nil || *atLeast > c.truth || *atLeast < c.truth-noticing || *atMost < c.truth-noticing || *atMost > c.truth+noticing {
				t.Errorf("cut after %v to %v s of silence, it is %g", show(atLeast), show(atMost), c.truth)
			}
			// Timers of HTTP do not hear of keepalive.
			if i.KeepaliveHelps == nil || *i.KeepaliveHelps {
				t.Errorf("keepalive helps: %v", show(i.KeepaliveHelps))
			}
		})
	}
}

// nodeThatTellsOfSilence writes after how many milliseconds of silence it has ended a connection. Some versions wait a
// second longer than they announce (keepAliveTimeoutBuffer).
const nodeThatTellsOfSilence = `
const http = require('http');
const server = http.createServer((request, response) => {
  const socket = request.socket;
  response.on('finish', () => { socket.last = process.hrtime.bigint(); });
  socket.once('timeout', () => console.log(Number(process.hrtime.bigint() - socket.last) / 1e6));
  response.end('ok\n');
});
server.keepAliveTimeout = 2000;
`

// toldSilence is the shortest silence in seconds that Node.js says to have ended a connection after.
func toldSilence(t *testing.T, output string) float64 {
	t.Helper()
	content, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	shortest := 0.0
	for line := range strings.Lines(string(content)) {
		if told, err := strconv.ParseFloat(strings.TrimSpace(line), 64); err == nil && (shortest == 0 || told/1e3 < shortest) {
			shortest = told / 1e3
		}
	}
	if shortest < 2 {
		t.Fatalf("Node.js says that it ended a connection after %g s of silence, with a limit of 2 s", shortest)
	}
	return shortest
}

// A server that waits longer than the probe looks cuts nothing, whatever it announces.
func TestIdleBeyondWhatIsLookedAt(t *testing.T) {
	pair := nstest.New(t)
	nginx("keepalive_timeout 60s 2s;")(t, pair)
	limits := budget.Limits{Connections: 30, RequestsPerSecond: 200, Seconds: 1, IdleSeconds: 6}
	i := probe(t, pair, asked{url: url("http", "/"), limits: limits, measure: []string{"idle"}}).Measurements.Idle
	if i.Outcome != result.Measured || i.Cut == nil || *i.Cut || i.AfterSecondsAtMost != nil || i.SurvivedSeconds == nil || *i.SurvivedSeconds < 2.5 {
		t.Errorf("%s: %q, cut %v, survived %v s", i.Outcome, i.Cause, show(i.Cut), show(i.SurvivedSeconds))
	}
}
