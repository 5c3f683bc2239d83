package servers_test

import (
	"net/http/httptest"
	"testing"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/server"
)

// newsBehindNginx asks for news, by a stream and by WebSocket, of a server behind nginx with these directives.
func newsBehindNginx(t *testing.T, directives string, seconds int, streaming, webSocket string) map[string]*result.PushWay {
	t.Helper()
	pair := nstest.New(t)
	origin := httptest.NewUnstartedServer(server.Handler())
	origin.Listener = pair.Listen(t)
	origin.Start()
	t.Cleanup(origin.Close)
	nginx("location / { proxy_pass http://"+origin.Listener.Addr().String()+"; proxy_http_version 1.1;"+
		"proxy_set_header Connection $http_connection; proxy_set_header Upgrade $http_upgrade;"+directives+"}")(t, pair)
	push := probe(t, pair, asked{
		url: url("http", "/"), measure: []string{"push"}, limits: budget.Limits{Connections: 12, RequestsPerSecond: 100, Seconds: seconds},
		pushPaths: map[string]string{"streaming": streaming, "websocket": webSocket},
	}).Measurements.Push
	return map[string]*result.PushWay{"stream": push.Streaming, "WebSocket": push.WebSocket}
}

// nginx passes a stream on as it comes even where it buffers, as long as the client keeps up: it flushes a buffer that it
// wants back (ngx_http_write_filter_module.c), whatever is said of proxy_buffering. What curl saw, the probe sees.
func TestPushBehindNginx(t *testing.T) {
	for name, directives := range map[string]string{
		"with buffers":    "proxy_buffering on;",
		"without buffers": "proxy_buffering off;",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, way := range newsBehindNginx(t, directives, 14, "/events?every=400ms", "/ws?every=400ms") {
				if way.Outcome != result.Measured || show(way.Buffered) != false || way.CutBy != "" {
					t.Errorf("%s: %s %q %q: %d messages, buffered %v, %+v, cut by %q", name, way.Outcome, way.Cause, way.Missing, way.Messages,
						show(way.Buffered), way.Together, way.CutBy)
				}
			}
		})
	}
}

// A stream on which nothing comes is cut by nginx when its time is over.
func TestPushCutByNginx(t *testing.T) {
	t.Parallel()
	for name, way := range newsBehindNginx(t, "proxy_buffering off; proxy_read_timeout 2s;", 24, "/events?every=1h", "/ws") {
		if way.Outcome != result.Measured || way.CutBy != result.CutFIN || way.CutAfterSeconds == nil || *way.CutAfterSeconds < 1.5 || *way.CutAfterSeconds > 6 {
			t.Errorf("%s: %s %q: cut after %v s by %q", name, way.Outcome, way.Cause, show(way.CutAfterSeconds), way.CutBy)
		}
	}
}
