package servers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

func TestReuse(t *testing.T) {
	for name, c := range map[string]struct {
		start    start
		exactly  int // requests on a connection; 0: the server never closes
		cause    result.CloseCause
		seconds  int // of the header Keep-Alive; 0: none
		most     int // requests by the same header; 0: none
		counting bool
	}{
		"nginx":                       {start: nginx(""), cause: result.CloseNone, counting: true},
		"nginx, keepalive_requests 7": {start: nginx("keepalive_requests 7; keepalive_timeout 3s 9s;"), exactly: 7, cause: result.CloseAnnounced, seconds: 9, counting: true},
		"nginx, keepalive_timeout 0":  {start: nginx("keepalive_timeout 0;"), exactly: 1, cause: result.CloseAnnounced, counting: true},
		"nginx, chunked":              {start: nginx("sub_filter o p;"), cause: result.CloseNone, counting: true},
		// Without chunks only the end of the connection ends a body whose length is not known beforehand.
		"nginx, chunked_transfer_encoding off": {
			start: nginx("sub_filter o p; chunked_transfer_encoding off;"), exactly: 1, cause: result.CloseDelimited, counting: true,
		},
		// Apache counts the requests behind the first (server/protocol.c and modules/http/http_protocol.c, ap_set_keepalive).
		"Apache, MaxKeepAliveRequests 7": {start: apache("KeepAliveTimeout 3\nMaxKeepAliveRequests 7"), exactly: 8, cause: result.CloseAnnounced, seconds: 3, most: 7},
		"Apache, MaxKeepAliveRequests 0": {start: apache("MaxKeepAliveRequests 0"), cause: result.CloseNone, seconds: 5},
		"Apache, KeepAlive Off":          {start: apache("KeepAlive Off"), exactly: 1, cause: result.CloseAnnounced},
		"Apache, HTTP/1.0": {
			start: apache("SetEnvIf Request_URI . downgrade-1.0 force-response-1.0", "setenvif"), exactly: 1, cause: result.CloseAnnounced,
		},
		"HAProxy":            {start: haproxy("", ""), cause: result.CloseNone},
		"HAProxy, httpclose": {start: haproxy("", "option httpclose"), exactly: 1, cause: result.CloseAnnounced},
		"Node.js":            {start: node(nodeServer("")), cause: result.CloseNone, seconds: 5},
		"Node.js, maxRequestsPerSocket 7": {
			start: node(nodeServer("server.maxRequestsPerSocket = 7; server.keepAliveTimeout = 4000;")), exactly: 7, cause: result.CloseAnnounced, seconds: 4, most: 7,
		},
		"Node.js, closes without saying so": {start: node(nodeServer("last = socket => socket.end();")), exactly: 5, cause: result.CloseUnannounced, seconds: 5},
		"Node.js, resets":                   {start: node(nodeServer("last = socket => socket.resetAndDestroy();")), exactly: 5, cause: result.CloseReset, seconds: 5},
		"Go":                                {start: golang(nil, ok), cause: result.CloseNone},
		"Go, keepalive disabled":            {start: golang(func(s *http.Server) { s.SetKeepAlivesEnabled(false) }, ok), exactly: 1, cause: result.CloseAnnounced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			log := c.start(t, pair)
			r := probe(t, pair, asked{url: url("http", pathOf(name)), limits: quick(2), measure: []string{"reuse"}})
			got := r.Measurements.Reuse
			if got.Outcome != result.Measured || r.Statuses["200"] == 0 || len(r.Statuses) != 1 {
				t.Fatalf("%s: %q, statuses %v", got.Outcome, got.Cause, r.Statuses)
			}
			if got.Kept == nil || *got.Kept != (c.exactly != 1) || got.CloseCause != c.cause {
				t.Errorf("kept %v, cause %q, want %q", show(got.Kept), got.CloseCause, c.cause)
			}
			switch {
			case c.exactly > 0 && (got.RequestsPerConnection == nil || *got.RequestsPerConnection != c.exactly):
				t.Errorf("requests on a connection: %v, want %d", show(got.RequestsPerConnection), c.exactly)
			case c.exactly == 0 && (got.RequestsPerConnection != nil || got.RequestsAtLeast == nil || *got.RequestsAtLeast < 2):
				t.Errorf("requests on a connection: %v, at least %v, want no end", show(got.RequestsPerConnection), show(got.RequestsAtLeast))
			}
			checkHeader(t, got.KeepAliveHeader, c.seconds, c.most)
			if c.counting {
				checkCounted(t, log, r.Spent)
			}
			if carrying := carrying(t, log); c.counting && c.cause == result.CloseNone && carrying != 1 {
				t.Errorf("%d connections carried several requests, want one that carries all reused samples", carrying)
			}
		})
	}
}

// nodeServer is a server of Node.js that answers at once, changed by settings. It calls last, if they set it, after the
// fifth response of a connection.
func nodeServer(settings string) string {
	return `
const http = require('http');
let last = null;
const server = http.createServer((request, response) => {
  const socket = request.socket;
  socket.requests = (socket.requests || 0) + 1;
  if (last && socket.requests === 5) response.on('finish', () => last(socket));
  response.end('ok\n');
});
` + settings
}

func checkHeader(t *testing.T, header *result.KeepAliveHeader, seconds, most int) {
	t.Helper()
	if seconds == 0 {
		if header != nil {
			t.Errorf("a header Keep-Alive: %+v", header)
		}
		return
	}
	if header == nil || header.TimeoutSeconds == nil || *header.TimeoutSeconds != seconds {
		t.Fatalf("header Keep-Alive: %+v, want a timeout of %d s", header, seconds)
	}
	if most == 0 && header.Max != nil || most > 0 && (header.Max == nil || *header.Max != most) {
		t.Errorf("header Keep-Alive: max %v, want %d", show(header.Max), most)
	}
}

// A server that ends a silent connection sooner than the next request may be sent closes because of the silence, not after
// a number of requests.
func TestReuseAtASlowPace(t *testing.T) {
	for name, c := range map[string]struct {
		start start
		kept  *bool
	}{
		// Requests come a second apart, so that the second one finds the connection open if no other is sent between.
		"nginx, keepalive_timeout 1500ms":  {nginx("keepalive_timeout 1500ms;"), new(true)},
		"Apache, KeepAliveTimeout 1500 ms": {apache("KeepAliveTimeout 1500ms"), new(true)},
		"Go, IdleTimeout 1500 ms":          {golang(func(s *http.Server) { s.IdleTimeout = 1500 * time.Millisecond }, ok), new(true)},
		// No second request can be in time, and whether it were answered is not known.
		"HAProxy, timeout http-keep-alive 400ms": {haproxy("", "timeout http-keep-alive 400ms"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			c.start(t, pair)
			limits := budget.Limits{Connections: 60, RequestsPerSecond: 1, Seconds: 12}
			got := probe(t, pair, asked{url: url("http", pathOf(name)), limits: limits, measure: []string{"reuse"}}).Measurements.Reuse
			if got.Outcome != result.Measured || got.RequestsPerConnection != nil || !strings.Contains(got.Missing, "silent") {
				t.Errorf("%s %q: %v requests, missing %q", got.Outcome, got.Cause, show(got.RequestsPerConnection), got.Missing)
			}
			if show(got.Kept) != show(c.kept) || (got.CloseCause == result.CloseNone) != (c.kept != nil) {
				t.Errorf("kept %v, want %v; %q", show(got.Kept), show(c.kept), got.CloseCause)
			}
		})
	}
}
