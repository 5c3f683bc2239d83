package report

import "github.com/connpolicy/connpolicy/probes/result"

func (t *text) pathMTU(p result.PathMTU) {
	t.title("Path MTU", p.Meta)
	t.answer(p.BlackHole, "black hole", "large packets from the target vanish on the way, and small ones arrive",
		"packets of full size arrive from the target")
	t.whole(p.Whole, p.SegmentBytes, "as it is")
	t.whole(p.ClampedWhole, p.ClampedSegmentBytes, "clamped")
	if p.ReceivedSegmentBytes != nil {
		t.line("  %-18s segments of up to %d bytes", "arrived", *p.ReceivedSegmentBytes)
	}
	if p.InTLSHandshake != nil && *p.InTLSHandshake {
		t.line("  %-18s in the TLS handshake: the certificates do not arrive", "stalled")
	}
}

// whole tells how many responses arrived where segments may have so many bytes.
func (t *text) whole(c *result.Count, segmentBytes *int, name string) {
	switch {
	case c == nil:
	case segmentBytes == nil:
		t.line("  %-18s %d of %d responses arrived whole", name, c.Got, c.Of)
	default:
		t.line("  %-18s %d of %d responses arrived whole, in segments of at most %d bytes", name, c.Got, c.Of, *segmentBytes)
	}
}
