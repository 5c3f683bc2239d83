package servers_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Who holds TIME_WAIT is told by the kernel in the server's own namespace too.
func TestTimeWait(t *testing.T) {
	for name, c := range map[string]struct {
		start  start
		holder result.Side // after a plain request
	}{
		"nginx":                      {nginx(""), ""},
		"nginx, keepalive_timeout 0": {nginx("keepalive_timeout 0;"), result.SideServer},
		"nginx, keepalive_timeout 1": {nginx("keepalive_timeout 1s;"), result.SideServer},
		"Apache":                     {apache(""), ""},
		"Apache, KeepAlive Off":      {apache("KeepAlive Off"), result.SideServer},
		"HAProxy":                    {haproxy("", ""), ""},
		"HAProxy, httpclose":         {haproxy("", "option httpclose"), result.SideServer},
		"Node.js":                    {node(nodeServer("")), ""},
		"Go":                         {golang(nil, ok), ""},
		"Go, keepalive disabled":     {golang(func(s *http.Server) { s.SetKeepAlivesEnabled(false) }, ok), result.SideServer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			c.start(t, pair)
			r := probe(t, pair, asked{url: url("http", pathOf(name)), limits: quick(12), measure: []string{"timeWait"}})
			w := r.Measurements.TimeWait
			if w.Outcome != result.Measured || w.Holder != c.holder || w.Scenarios["serverAfterClose"] != result.SideServer {
				t.Errorf("%s: %q: holder %q, want %q; %v", w.Outcome, w.Cause, w.Holder, c.holder, w.Scenarios)
			}
			held := len(sockets(t, pair, port, timeWait))
			// Three were asked to close. A server that closes by itself did so with the plain one too, and may have come first
			// with the others.
			if held < 3 || c.holder == result.SideServer && held < 4 || c.holder == "" && (held != 3 || w.Scenarios["clientFirst"] != result.SideClient) {
				t.Errorf("the server holds TIME_WAIT of %d connections of %d; %v", held, r.Spent.Connections, w.Scenarios)
			}
		})
	}
}

const slowly = 100 * time.Millisecond

func slow(w http.ResponseWriter, r *http.Request) {
	time.Sleep(slowly)
	ok(w, r)
}

// nodeSlow answers after a tenth of a second, without keeping others from being worked on meanwhile.
const nodeSlow = `
const server = require('http').createServer((request, response) => setTimeout(() => response.end('ok\n'), 100));
`

// behind is a server of nginx or HAProxy in front of one of Node.js that takes its time, at port 8081 of the same
// namespace.
func behind(front start) start {
	return func(t *testing.T, pair *nstest.Pair) string {
		t.Helper()
		path, place := program(t, "node"), folder(t)
		run(t, pair, upstreamPort, place, path, write(t, place, "server.js", nodeSlow+"server.listen(8081, '127.0.0.1');\n"))
		return front(t, pair)
	}
}

func TestClosing(t *testing.T) {
	for name, c := range map[string]struct {
		start       start
		halfClose   bool
		least, most float64 // seconds that the server reads on for
	}{
		"nginx": {nginx(""), true, 0, 0.4},
		// Its clock of lingering has whole seconds.
		"nginx, lingering_close always":   {nginx("lingering_close always; lingering_time 2s; lingering_timeout 1s;"), true, 0.7, 2.4},
		"nginx, gives up with the client": {behind(nginx("location / { proxy_pass http://127.0.0.1:8081; }")), false, 0, 0.4},
		"nginx, proxy_ignore_client_abort": {
			behind(nginx("location / { proxy_ignore_client_abort on; proxy_pass http://127.0.0.1:8081; }")), true, 0, 0.4,
		},
		// Apache goes on reading for 30 seconds (server/connection.c, MAX_SECS_TO_LINGER), longer than anybody looks.
		"Apache":        {apache(""), true, 2.5, 3.5},
		"HAProxy":       {haproxy("", ""), true, 0, 0.4},
		"HAProxy, slow": {behind(haproxy("", "default_backend slow", "backend slow", "  server it 127.0.0.1:8081")), true, 0, 0.4},
		"Node.js":       {node(nodeServer("")), true, 0, 0.4},
		"Node.js, slow": {node(nodeSlow), false, 0, 0.4},
		// It waits half a second before it closes for good only if it has not read a request's body (net/http/server.go,
		// closeWriteAndWait).
		"Go, slow": {golang(nil, slow), true, 0, 0.4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			c.start(t, pair)
			r := probe(t, pair, asked{url: url("http", pathOf(name)), limits: quick(15), measure: []string{"closing"}}).Measurements.Closing
			if r.Outcome != result.Measured || r.HalfClose == nil || *r.HalfClose != c.halfClose {
				t.Errorf("%s: %q: half-close answered: %v, want %v", r.Outcome, r.Cause, show(r.HalfClose), c.halfClose)
			}
			if r.LingerSeconds == nil || *r.LingerSeconds < c.least || *r.LingerSeconds > c.most {
				t.Errorf("lingers for %v s, want %g to %g", show(r.LingerSeconds), c.least, c.most)
			}
			if r.Truncated == nil || *r.Truncated {
				t.Errorf("truncated: %v", show(r.Truncated))
			}
		})
	}
}
