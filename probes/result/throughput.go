package result

// SlowStart is how a transfer on a cold connection differs from one on a warm connection.
type SlowStart struct {
	Meta
	// InitialWindowSegments is the size of the server's first flight in segments (RFC 6928: 10), seen as the bytes that
	// arrive within half a round trip of the first. Unknown below 2 ms of round trip, and for responses shorter than three
	// initial windows.
	InitialWindowSegments *float64 `json:"initialWindowSegments,omitempty"`
	// RoundTripMicroseconds is the path's round trip, the least that the kernel saw.
	RoundTripMicroseconds *float64 `json:"roundTripMicroseconds,omitempty"`
	// ColdMicroseconds is the time from request to last byte on a new connection, WarmMicroseconds the same on a connection
	// that has just carried such a response, both without the set-up, sampled in turn.
	ColdMicroseconds *Distribution `json:"coldMicroseconds,omitempty"`
	WarmMicroseconds *Distribution `json:"warmMicroseconds,omitempty"`
	// ColdRounds is the number of round trips that the cold response took, by its flights.
	ColdRounds *int `json:"coldRounds,omitempty"`
	// Bytes is the length of the response.
	Bytes *int64 `json:"bytes,omitempty"`
	// WindowLostAfterIdle says whether a warm connection begins anew after idling (RFC 5681 section 4.1; Linux:
	// tcp_slow_start_after_idle of the sender, which is the server here).
	WindowLostAfterIdle *bool `json:"windowLostAfterIdle,omitempty"`
	// AfterIdleSegments is the first flight after idling for IdleSeconds.
	AfterIdleSegments *float64 `json:"afterIdleSegments,omitempty"`
	IdleSeconds       *float64 `json:"idleSeconds,omitempty"`
}

// SmallWrites is the stall of Nagle's algorithm (RFC 896) against delayed acknowledgements (RFC 1122 section 4.2.3.2).
type SmallWrites struct {
	Meta
	// StallMicroseconds is what a request loses to it: the median with delayed acknowledgements less the median with
	// immediate ones. Zero if there is none.
	StallMicroseconds *float64 `json:"stallMicroseconds,omitempty"`
	// Side is the end that writes in small pieces with Nagle's algorithm on: none, client or server. The probe itself never
	// does, so that client means that the probe's own requests were held back by something on the path.
	Side Side `json:"side,omitempty"`
	// DelayedMicroseconds and QuickMicroseconds are the times of a request with this end's acknowledgements delayed and
	// immediate (TCP_QUICKACK), sampled in turn on one connection.
	DelayedMicroseconds *Distribution `json:"delayedMicroseconds,omitempty"`
	QuickMicroseconds   *Distribution `json:"quickMicroseconds,omitempty"`
	// Segments is the median number of data segments in which the response arrived.
	Segments *int `json:"segments,omitempty"`
}

// Parallel is what more connections at once gain.
type Parallel struct {
	Meta
	// Levels in ascending order of connections.
	Levels []ParallelLevel `json:"levels,omitempty"`
	// Knee is the number of connections beyond which more did not gain. Nil if it was not reached.
	Knee *int `json:"knee,omitempty"`
	// StoppedBy says what ended the climb: knee, latency, errors, status 429, status 503, limit.
	StoppedBy string `json:"stoppedBy,omitempty"`
}

// ParallelLevel is one number of connections.
type ParallelLevel struct {
	Connections int `json:"connections"`
	// OfferedPerSecond is the rate of requests that were due (open loop), RequestsPerSecond those answered.
	OfferedPerSecond  float64 `json:"offeredPerSecond"`
	RequestsPerSecond float64 `json:"requestsPerSecond"`
	// P50Microseconds and P99Microseconds are counted from the moment that a request was due.
	P50Microseconds float64 `json:"p50Microseconds"`
	P99Microseconds float64 `json:"p99Microseconds"`
	Errors          int     `json:"errors,omitempty"`
}
