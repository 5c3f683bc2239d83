package slowstart

import (
	"testing"
	"time"
)

// flights is a response of 1000-byte segments that arrives in flights, a round trip apart.
func flights(roundTrip time.Duration, segments ...uint32) transfer {
	t := transfer{segmentBytes: 1000, windowBytes: 64_000}
	var total uint32
	for i, each := range segments {
		total += each
		t.see(arrival{at: time.Unix(0, 0).Add(time.Duration(i) * roundTrip), bytes: uint64(total) * 1000, segments: total})
	}
	return t
}

// On a busy machine a look may come so late that it sees several flights as one, as large as the receive window.
func TestInitialWindowDespiteALateLook(t *testing.T) {
	const roundTrip = 20 * time.Millisecond
	usual, late := flights(roundTrip, 10, 20, 40, 80), flights(roundTrip, 70, 80)
	if window, why := initialWindow([]transfer{usual, late, usual, usual, late, usual, usual}, roundTrip); window != 10 {
		t.Errorf("initial window %g: %s", window, why)
	}
	if window, why := initialWindow([]transfer{late, late, usual, late}, roundTrip); why == "" {
		t.Errorf("initial window %g although the receive window held most of the flights back", window)
	}
}
