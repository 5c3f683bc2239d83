package servers_test

import (
	"crypto/tls"
	"testing"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/target"
)

func TestHTTP2(t *testing.T) {
	certificate := newCertificate(t)
	nginxOverTLS := certificate.in("ssl_certificate {certificate}; ssl_certificate_key {key};")
	for name, c := range map[string]struct {
		start   start
		tls     *tls.Config
		streams int64 // at once, as the server allows; 0: not told
		goAway  int   // after so many requests; 0: never
	}{
		"nginx":                        {start: nginxWith("http2", "http2_max_concurrent_streams 16; keepalive_requests 100000;"), streams: 16},
		"nginx, keepalive_requests 20": {start: nginxWith("http2", "keepalive_requests 20;"), streams: 128, goAway: 20},
		// The last of eight requests that are sent at once.
		"nginx, keepalive_requests 24":       {start: nginxWith("http2", "keepalive_requests 24;"), streams: 128, goAway: 24},
		"nginx, keepalive_requests 3":        {start: nginxWith("http2", "keepalive_requests 3;"), streams: 128, goAway: 3},
		"nginx, keepalive_requests 150, TLS": {start: nginxWith("ssl http2", nginxOverTLS+"keepalive_requests 150;"), tls: certificate.trust, streams: 128, goAway: 150},
		"Apache":                             {start: apache("Protocols h2c\nH2MaxSessionStreams 16", "http2"), streams: 16},
		"HAProxy":                            {start: haproxy("proto h2", ""), streams: 100},
		"Node.js": {start: node(`
const server = require('http2').createServer({settings: {maxConcurrentStreams: 16}}, (request, response) => response.end('ok\n'));
`), streams: 16},
		// It takes the eight that were sent at once, of which this is the last.
		"Node.js, GOAWAY after 64": {start: node(`
let requests = new Map();
const server = require('http2').createServer({settings: {maxConcurrentStreams: 16}}, (request, response) => {
  const session = request.stream.session;
  const count = (requests.get(session) || 0) + 1;
  requests.set(session, count);
  if (count === 64) response.on('finish', () => session.close());
  response.end('ok\n');
});
`), streams: 16, goAway: 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			c.start(t, pair)
			scheme := "http"
			if c.tls != nil {
				scheme = "https"
			}
			r := probe(t, pair, asked{url: url(scheme, pathOf(name)), protocol: target.HTTP2, tls: c.tls, limits: quick(3), measure: []string{"http2"}})
			h := r.Measurements.HTTP2
			if h.Outcome != result.Measured || h.Supported == nil || !*h.Supported || r.Statuses["200"] == 0 || len(r.Statuses) != 1 {
				t.Fatalf("%s: %q, supported %v, statuses %v", h.Outcome, h.Cause, show(h.Supported), r.Statuses)
			}
			if h.MaxConcurrentStreams == nil || *h.MaxConcurrentStreams != c.streams {
				t.Errorf("%v streams at once, want %d", show(h.MaxConcurrentStreams), c.streams)
			}
			switch {
			case c.goAway == 0 && (h.GoAwayAfterRequests != nil || h.GoAwayCode != "" || h.RequestsAtLeast == nil || *h.RequestsAtLeast < 100):
				t.Errorf("GOAWAY %q after %v requests, at least %v, want no end", h.GoAwayCode, show(h.GoAwayAfterRequests), show(h.RequestsAtLeast))
			case c.goAway > 0 && (h.GoAwayAfterRequests == nil || *h.GoAwayAfterRequests != c.goAway || h.GoAwayCode != "NO_ERROR"):
				t.Errorf("GOAWAY %q after %v requests, want %d", h.GoAwayCode, show(h.GoAwayAfterRequests), c.goAway)
			}
			if c.goAway == 0 && (h.PingAnswered == nil || !*h.PingAnswered) {
				t.Errorf("pings answered: %v", show(h.PingAnswered))
			}
		})
	}
}

func TestHTTP2IsNotSpoken(t *testing.T) {
	certificate := newCertificate(t)
	for name, c := range map[string]struct {
		start  start
		scheme string
	}{
		"nginx":                      {nginx(""), "http"},
		"nginx, TLS without ALPN h2": {nginxWith("ssl", certificate.in("ssl_certificate {certificate}; ssl_certificate_key {key};")), "https"},
		"Node.js":                    {node(nodeServer("")), "http"},
		"Apache":                     {apache("Protocols http/1.1"), "http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			c.start(t, pair)
			h := probe(t, pair, asked{url: url(c.scheme, "/"), protocol: target.HTTP2, tls: certificate.trust, limits: quick(3), measure: []string{"http2"}}).Measurements.HTTP2
			if h.Outcome != result.Unsupported || h.Supported == nil || *h.Supported || h.Cause == "" {
				t.Errorf("%s: %q, supported %v", h.Outcome, h.Cause, show(h.Supported))
			}
		})
	}
}
