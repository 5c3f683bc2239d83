package report

import "github.com/connpolicy/connpolicy/probes/result"

func (t *text) http2(h result.HTTP2) {
	t.title("HTTP/2", h.Meta)
	if h.Supported != nil && !*h.Supported {
		t.line("  spoken             no")
	}
	if h.MaxConcurrentStreams != nil {
		t.line("  requests at once   %d on a connection at most, says the server", *h.MaxConcurrentStreams)
	}
	t.distribution("request", h.RequestMicroseconds)
	if h.Streams != nil && h.ConcurrentMicroseconds != nil && h.ParallelMicroseconds != nil {
		t.line("  %d requests at once: median %.0f µs on one connection, %.0f µs on %d connections",
			*h.Streams, h.ConcurrentMicroseconds.P50, h.ParallelMicroseconds.P50, *h.Streams)
	}
	if h.PingAnswered != nil && !*h.PingAnswered {
		t.line("  pings              are not answered: a client that pings to keep connections alive would give them up")
	}
	t.distribution("ping", h.PingMicroseconds)
	switch {
	case h.GoAwayCode != "" && h.GoAwayAfterRequests != nil && h.GoAwayAfterSeconds != nil:
		t.line("  ended by server    after %d requests and %.1f s: GOAWAY %s", *h.GoAwayAfterRequests, *h.GoAwayAfterSeconds, h.GoAwayCode)
	case h.RequestsAtLeast != nil:
		t.line("  requests           at least %d on a connection; the server did not end it, so that clients stay with one of its replicas", *h.RequestsAtLeast)
	}
}
