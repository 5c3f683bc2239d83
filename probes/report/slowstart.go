package report

import "github.com/connpolicy/connpolicy/probes/result"

func (t *text) slowStart(s result.SlowStart) {
	t.title("Slow start", s.Meta)
	if s.Missing != "" {
		t.line("  not found out      %s", s.Missing)
	}
	if s.InitialWindowSegments != nil && s.SegmentBytes != nil {
		t.line("  first flight       %.0f segments of %d bytes: what the server sends on a new connection before it waits for an answer (10 is usual)",
			*s.InitialWindowSegments, *s.SegmentBytes)
	}
	if s.Bytes != nil && s.RoundTripMicroseconds != nil {
		t.line("  response           %s long, over a round trip of %.1f ms", size(*s.Bytes), *s.RoundTripMicroseconds/1e3)
	}
	if s.ColdRounds != nil && s.WarmRounds != nil {
		t.line("  round trips        %d on a new connection, %d on one in use", *s.ColdRounds, *s.WarmRounds)
	}
	if cold, warm := s.ColdMicroseconds, s.WarmMicroseconds; s.ColdRounds != nil && cold != nil && warm != nil && cold.P50 > warm.P50 {
		t.line("  means              on a new connection this response takes %.1f ms longer, beside the time to open it: keep connections",
			(cold.P50-warm.P50)/1e3)
	}
	if s.WindowLostAfterIdle != nil {
		t.afterIdle(s)
	}
	t.distribution("new connection", s.ColdMicroseconds)
	t.distribution("connection in use", s.WarmMicroseconds)
}

func (t *text) afterIdle(s result.SlowStart) {
	if !*s.WindowLostAfterIdle {
		t.line("  after a pause      of %.1f s a connection in use is as fast as before: %.0f segments at once, %.0f before it",
			*s.IdleSeconds, *s.AfterIdleSegments, *s.WarmSegments)
		return
	}
	t.line("  after a pause      of %.1f s a connection in use is slow again: %.0f segments at once, %.0f before it",
		*s.IdleSeconds, *s.AfterIdleSegments, *s.WarmSegments)
	t.line("  means              the first response after a pause is as slow as on a new connection; the cure is at the server, which")
	t.line("                     sends: net.ipv4.tcp_slow_start_after_idle=0, or BBR. The same setting at the client changes nothing")
}
