package slowstart

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/stats"
)

// arrival is what the kernel had received of a response by a moment.
type arrival struct {
	at time.Time
	// bytes and segments are counted from the response's first.
	bytes    uint64
	segments uint32
}

// resolution is how far apart two arrivals are at least; what comes closer together is one. It bounds the memory that a
// response of single bytes takes, and is a twentieth of the shortest round trip that flights are told apart at.
const resolution = 100 * time.Microsecond

// transfer is one response: how long it took from its request on, and how it arrived.
type transfer struct {
	took     time.Duration
	arrivals []arrival
	// segmentBytes is the data of a full segment, windowBytes what this end allowed the server to send before it hears again.
	segmentBytes, windowBytes uint32
	bodyBytes                 int64
}

// see adds what has been received by now.
func (t *transfer) see(a arrival) {
	last := len(t.arrivals) - 1
	switch {
	case last >= 0 && a.bytes == t.arrivals[last].bytes:
	case last >= 0 && a.at.Sub(t.arrivals[last].at) < resolution:
		t.arrivals[last].bytes, t.arrivals[last].segments = a.bytes, a.segments
	default:
		t.arrivals = append(t.arrivals, a)
	}
}

// segments is the length of the response in full segments.
func (t *transfer) segments() float64 {
	if len(t.arrivals) == 0 {
		return 0
	}
	return t.inSegments(t.arrivals[len(t.arrivals)-1].bytes)
}

func (t *transfer) inSegments(bytes uint64) float64 {
	return float64(bytes) / float64(max(t.segmentBytes, 1))
}

// flight is what a sender sent before it waited for an acknowledgment.
type flight struct {
	segments float64
	bytes    uint64
	// whole: the response ended with it. Else ends says whether it can be told from the next: silence followed, and the
	// next began when the acknowledgments could have come back.
	whole, ends bool
}

// first is the response's first flight: what arrives within half a round trip of the first byte. An acknowledgment of it
// cannot bring anything before a whole one has passed.
func (t *transfer) first(roundTrip time.Duration) flight {
	if len(t.arrivals) == 0 {
		return flight{whole: true}
	}
	begin := t.arrivals[0].at
	next := slices.IndexFunc(t.arrivals, func(a arrival) bool { return a.at.Sub(begin) >= roundTrip/2 })
	last := next - 1
	if next < 0 {
		last = len(t.arrivals) - 1
	}
	a := t.arrivals[last]
	// The window is counted in segments, of which some may be short, a header's for instance. Where a device puts segments
	// together without saying how many they were, the bytes tell more.
	f := flight{segments: max(float64(a.segments), t.inSegments(a.bytes)), bytes: a.bytes, whole: next < 0}
	if !f.whole {
		pause := t.arrivals[next].at.Sub(begin)
		f.ends = pause >= roundTrip*3/4 && pause <= 2*roundTrip
	}
	return f
}

// rounds counts the round trips that a response took. A flight begins a round trip after the one before; three quarters of
// it leave room for what arrived late.
func (t *transfer) rounds(roundTrip time.Duration) float64 {
	count, begin := 0.0, time.Time{}
	for _, a := range t.arrivals {
		if count == 0 || a.at.Sub(begin) >= roundTrip*3/4 {
			count++
			begin = a.at
		}
	}
	return count
}

const (
	// fewestFlights are needed for a verdict.
	fewestFlights = 3
	// shortestRoundTrip is the least at which flights can be told apart.
	shortestRoundTrip = 2 * time.Millisecond
	// usualInitialWindow, in segments, is that of RFC 6928, and shortestWindows the number of initial windows that a response
	// must fill.
	usualInitialWindow = 10
	shortestWindows    = 3
)

// initialWindow is the first flight, in segments, of responses on new connections. If it cannot be told, why says so.
func initialWindow(cold []transfer, roundTrip time.Duration) (segments float64, why string) {
	var sizes []float64
	held := 0
	for _, t := range cold {
		f := t.first(roundTrip)
		switch {
		case t.windowBytes > 0 && float64(f.bytes) > 0.9*float64(t.windowBytes):
			// One may be several flights, if this end's first look at them came late.
			held++
		case f.ends:
			sizes = append(sizes, f.segments)
		}
	}
	if 2*held >= len(cold) && held > 0 {
		return 0, fmt.Sprintf("this end's receive window of %d bytes holds the server's first flight back", cold[0].windowBytes)
	}
	if len(cold) < fewestFlights {
		return 0, fmt.Sprintf("there were only %d responses on new connections, and it takes %d", len(cold), fewestFlights)
	}
	if len(sizes) < fewestFlights || 2*len(sizes) < len(cold) {
		return 0, fmt.Sprintf("no silence followed the first flight in %d of %d responses: the server sends bit by bit, or the path is slow",
			len(cold)-len(sizes), len(cold))
	}
	slices.Sort(sizes)
	segments = stats.Quantile(sizes, 0.5)
	agreeing := 0
	for _, size := range sizes {
		if math.Abs(size-segments) <= 0.5 {
			agreeing++
		}
	}
	if 2*agreeing < len(sizes) {
		return 0, fmt.Sprintf("the first flights differ, from %.1f to %.1f segments", sizes[0], sizes[len(sizes)-1])
	}
	shortest := slices.MinFunc(cold, func(a, b transfer) int { return int(a.segments() - b.segments()) })
	if shortest.segments() < shortestWindows*segments {
		return 0, fmt.Sprintf("the response of %.0f segments is shorter than %d initial windows of %.0f",
			shortest.segments(), shortestWindows, segments)
	}
	return segments, ""
}

// pair is the first flights, in segments, of one connection before and after a pause.
type pair struct{ warm, afterIdle float64 }

const (
	// lostShare: a flight after idling of at most this share of the one before says that the window was lost, and
	// keptShare that it was kept.
	lostShare = 0.6
	keptShare = 0.8
)

// windowLost judges pairs of flights. If they do not tell, why says so.
func windowLost(pairs []pair, initialWindow float64) (lost bool, why string) {
	if len(pairs) < fewestFlights {
		return false, fmt.Sprintf("only %d connections were left idle, and it takes %d", len(pairs), fewestFlights)
	}
	shares := make([]float64, len(pairs))
	for i, p := range pairs {
		shares[i] = p.afterIdle / p.warm
	}
	slices.Sort(shares)
	warm, share := medianOf(pairs, func(p pair) float64 { return p.warm }), stats.Quantile(shares, 0.5)
	switch {
	case warm < 1.5*initialWindow:
		return false, fmt.Sprintf("a warm connection's first flight of %.0f segments is hardly more than the initial window", warm)
	case share <= lostShare:
		return true, ""
	case share >= keptShare:
		return false, ""
	}
	return false, fmt.Sprintf("the first flight after idling is %.0f %% of the one before, which says neither", 100*share)
}

// medianOf is the median of one figure; items must not be empty.
func medianOf[T any](items []T, figure func(T) float64) float64 {
	figures := make([]float64, len(items))
	for i, item := range items {
		figures[i] = figure(item)
	}
	slices.Sort(figures)
	return stats.Quantile(figures, 0.5)
}
