package report

import "github.com/connpolicy/connpolicy/probes/result"

func (t *text) smallWrites(s result.SmallWrites) {
	t.title("Small writes", s.Meta)
	switch {
	case s.StallMicroseconds == nil:
	case s.Side == result.SideServer:
		t.line("  stall              %.0f ms in each request, of which the server does nothing: it sends its response in pieces and holds back",
			*s.StallMicroseconds/1e3)
		t.line("                     a small one until the one before is acknowledged (Nagle's algorithm), which clients delay")
		t.line("  means              every request on a connection in use waits for nothing; the cure is at the server: switch Nagle's")
		t.line("                     algorithm off (TCP_NODELAY), or send head and body of a response with one write")
	default:
		t.line("  stall              none: a request takes as long whether its response is acknowledged at once or late")
	}
	if s.Segments != nil {
		t.line("  segments           %d a response", *s.Segments)
	}
	t.distribution("acknowledged late", s.DelayedMicroseconds)
	t.distribution("acknowledged soon", s.QuickMicroseconds)
}
