package result

// SlowStart is how a transfer on a cold connection differs from one on a warm connection, and what is left of a warm one
// after a pause. The window is that of the end that sends, the server: what would have to change is there.
type SlowStart struct {
	Meta
	// Sender is the end whose window was seen. It is the server, since responses are what is long.
	Sender Side `json:"sender,omitempty"`
	// InitialWindowSegments is the size of the server's first flight on a new connection in segments (RFC 6928: 10): what
	// arrives within half a round trip of the first byte. Over TLS the server's side of the handshake has gone before, and
	// may have widened the window already. Unknown below 2 ms of round trip, and for responses shorter than three initial
	// windows.
	InitialWindowSegments *float64 `json:"initialWindowSegments,omitempty"`
	// SegmentBytes is the size of a full segment's data, as the receiving kernel saw it.
	SegmentBytes *int `json:"segmentBytes,omitempty"`
	// RoundTripMicroseconds is the path's round trip, the least that the kernel saw.
	RoundTripMicroseconds *float64 `json:"roundTripMicroseconds,omitempty"`
	// ColdMicroseconds is the time from request to last byte on a new connection, WarmMicroseconds the same on a connection
	// that has just carried two such responses, both without the set-up, sampled in turn.
	ColdMicroseconds *Distribution `json:"coldMicroseconds,omitempty"`
	WarmMicroseconds *Distribution `json:"warmMicroseconds,omitempty"`
	// ColdRounds and WarmRounds are the numbers of round trips that the response took, by its flights; the medians.
	ColdRounds *int `json:"coldRounds,omitempty"`
	WarmRounds *int `json:"warmRounds,omitempty"`
	// Bytes is the length of the response's body.
	Bytes *int64 `json:"bytes,omitempty"`
	// WindowLostAfterIdle says whether a warm connection begins anew after idling (RFC 5681 section 4.1; Linux:
	// tcp_slow_start_after_idle of the sender, which is the server here). It is judged by the first flights, never by time.
	WindowLostAfterIdle *bool `json:"windowLostAfterIdle,omitempty"`
	// WarmSegments is the first flight on a warm connection, AfterIdleSegments the one after idling for IdleSeconds, both of
	// the same connections; medians. A flight may be the whole response.
	WarmSegments      *float64 `json:"warmSegments,omitempty"`
	AfterIdleSegments *float64 `json:"afterIdleSegments,omitempty"`
	IdleSeconds       *float64 `json:"idleSeconds,omitempty"`
	// Missing says which of the figures could not be had although the outcome is measured, and why.
	Missing string `json:"missing,omitempty"`
}

// SmallWrites is the stall of Nagle's algorithm (RFC 896) against delayed acknowledgments (RFC 1122 section 4.2.3.2).
type SmallWrites struct {
	Meta
	// StallMicroseconds is what a request loses to it: the median with delayed acknowledgments less the median with
	// immediate ones. Zero if the mechanism is not seen: the medians do not differ beyond doubt, or by another time than
	// acknowledgments are delayed, or the response comes in one segment.
	StallMicroseconds *float64 `json:"stallMicroseconds,omitempty"`
	// Side is the end that writes in small pieces with Nagle's algorithm on: none or server. A probe never says client,
	// since its own requests are one write with the algorithm off. The application's are seen by an observer alone.
	Side Side `json:"side,omitempty"`
	// DelayedMicroseconds and QuickMicroseconds are the times of a request with this end's acknowledgments delayed and
	// immediate (TCP_QUICKACK), sampled in turn on one connection.
	DelayedMicroseconds *Distribution `json:"delayedMicroseconds,omitempty"`
	QuickMicroseconds   *Distribution `json:"quickMicroseconds,omitempty"`
	// Segments is the median number of data segments in which the response arrived under delayed acknowledgments.
	Segments *int `json:"segments,omitempty"`
}

// Parallel is what more connections at once gain. Requests are due at even distances, more of them with more connections,
// so that each connection is busy for most of the time (an open loop).
type Parallel struct {
	Meta
	// Levels in ascending order of connections.
	Levels []ParallelLevel `json:"levels,omitempty"`
	// Knee is the highest number of connections that gained: more did not bring more answers beyond the noise, or the median
	// time beyond doubt above 1.5 times that of one connection. Nil if it was not reached.
	Knee *int `json:"knee,omitempty"`
	// StoppedBy says what ended the climb: knee, latency, errors, status 429, status 503, limit, or probe, where the probe
	// itself had no time for more.
	StoppedBy string `json:"stoppedBy,omitempty"`
	// SingleAgainMicroseconds is the median time with one connection, looked at once more after a level that seemed to be
	// too slow: a noise that has grown is none of the load's doing. Absent if no level did.
	SingleAgainMicroseconds *float64 `json:"singleAgainMicroseconds,omitempty"`
}

// ParallelLevel is one number of connections.
type ParallelLevel struct {
	Connections int `json:"connections"`
	// OfferedPerSecond is the rate of requests that were due, RequestsPerSecond the rate of the answers.
	OfferedPerSecond  float64 `json:"offeredPerSecond"`
	RequestsPerSecond float64 `json:"requestsPerSecond"`
	// P50Microseconds and P99Microseconds are counted from the moment that a request was due, less what the probe itself was
	// late. A request that waited for a free connection until the end counts with what it had waited, which is less than it
	// would have taken.
	P50Microseconds float64 `json:"p50Microseconds"`
	P99Microseconds float64 `json:"p99Microseconds"`
	Errors          int     `json:"errors,omitempty"`
}
