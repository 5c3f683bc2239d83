// Package result is the contract between what runs in pods (the probe and the observer) and the controllers that
// read it: types, names and an encoding, versioned, and the standard library only.
//
// In every type a nil pointer means that the figure is unknown. Zero is a measured zero.
package result

// Version of the contract. A reader refuses a major version that it does not know; fields are only ever added.
const Version = "connpolicy.dev/probe/v1"

// Outcome says what became of a measurement.
type Outcome string

const (
	// Measured means that the figures are there and stand for what was seen.
	Measured Outcome = "measured"
	// Unsupported means that the peer, the protocol or the kernel does not offer what the measurement needs.
	Unsupported Outcome = "unsupported"
	// Skipped means that the measurement was not begun, because a limit or an earlier failure forbade it.
	Skipped Outcome = "skipped"
	// Failed means that the measurement was begun and could not be finished.
	Failed Outcome = "failed"
	// Lost means that the measurement may have been made, but its result did not arrive. Only the controllers say this.
	Lost Outcome = "lost"
)

// Result is everything that one run of the probe found out about one target.
type Result struct {
	// Version is the contract's version, see the constant Version.
	Version string `json:"version"`
	// Target is what was probed.
	Target Target `json:"target"`
	// Host is the network namespace and the kernel that the probe ran on.
	Host Host `json:"host"`
	// Spent is what the run cost the target.
	Spent Spent `json:"spent"`
	// ElapsedSeconds is the duration of the whole run.
	ElapsedSeconds float64 `json:"elapsedSeconds"`
	// Statuses counts the HTTP responses of the whole run by their status code. A probe measures a connection whatever the
	// status says; whether 200 or 503 was measured is told here.
	Statuses map[string]int `json:"statuses,omitempty"`
	// Measurements holds one entry for each measurement that was asked for.
	Measurements Measurements `json:"measurements"`
	// Dropped names what was left out because the encoded result would not have fitted its budget: measurements, "sysctls"
	// for Host.Sysctls, and "statuses" for Statuses.
	Dropped []string `json:"dropped,omitempty"`
}

// Target is the address that was probed, as asked for and as resolved.
type Target struct {
	// URL as the user gave it, for example http://payments.shop.svc:8080/healthz.
	URL string `json:"url"`
	// Protocol is TCP, HTTP, HTTPS, HTTP2, GRPC or WebSocket.
	Protocol string `json:"protocol"`
	// Address is the resolved address and port that the connections went to; empty if the name did not resolve.
	Address string `json:"address,omitempty"`
	// Addresses are all addresses that the name resolved to, in the order in which the resolver prefers them. Absent if
	// there is only the one above.
	Addresses []string `json:"addresses,omitempty"`
}

// Host describes the place that the probe stood at.
type Host struct {
	// Kernel is the release of the running kernel (uname -r).
	Kernel string `json:"kernel"`
	// Sysctls holds the values in force in the probe's network namespace, by full name
	// (net.ipv4.ip_local_port_range). A sysctl that could not be read is absent; none is there if Dropped names them.
	Sysctls map[string]string `json:"sysctls,omitempty"`
}

// Spent counts what the probe did to the target. It never exceeds the limits that the probe was given.
type Spent struct {
	Connections   int   `json:"connections"`
	Requests      int   `json:"requests"`
	BytesSent     int64 `json:"bytesSent"`
	BytesReceived int64 `json:"bytesReceived"`
}

// Measurements holds the measurements by name. One that was not asked for is nil.
type Measurements struct {
	DNS         *DNS         `json:"dns,omitempty"`
	Handshake   *Handshake   `json:"handshake,omitempty"`
	Reuse       *Reuse       `json:"reuse,omitempty"`
	Idle        *Idle        `json:"idle,omitempty"`
	TimeWait    *TimeWait    `json:"timeWait,omitempty"`
	SlowStart   *SlowStart   `json:"slowStart,omitempty"`
	SmallWrites *SmallWrites `json:"smallWrites,omitempty"`
	Parallel    *Parallel    `json:"parallel,omitempty"`
	Pipelining  *Pipelining  `json:"pipelining,omitempty"`
	Closing     *Closing     `json:"closing,omitempty"`
	PathMTU     *PathMTU     `json:"pathMTU,omitempty"`
	WebSocket   *WebSocket   `json:"websocket,omitempty"`
	Push        *Push        `json:"push,omitempty"`
	HTTP2       *HTTP2       `json:"http2,omitempty"`
	Identity    *Identity    `json:"identity,omitempty"`
	Backlog     *Backlog     `json:"backlog,omitempty"`
}

// Meta is what every measurement says about itself.
type Meta struct {
	Outcome Outcome `json:"outcome"`
	// Cause tells a person why the outcome is not "measured". It is empty if it is.
	Cause string `json:"cause,omitempty"`
	// Samples is the number of samples behind the figures.
	Samples int `json:"samples"`
	// Errors counts the attempts that failed and so gave no sample.
	Errors int `json:"errors,omitempty"`
	// ElapsedSeconds is the duration of this measurement.
	ElapsedSeconds float64 `json:"elapsedSeconds"`
}

// Distribution summarises samples of one figure, in microseconds.
type Distribution struct {
	Min float64 `json:"min"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
	// P50Low and P50High bound the median with 95 % confidence (binomial order statistics). Absent if there are too
	// few samples for a bound.
	P50Low  *float64 `json:"p50Low,omitempty"`
	P50High *float64 `json:"p50High,omitempty"`
	// Histogram counts the samples in classes of equal ratio from Min to Max. Absent in a termination message, which has
	// no room for it, and where all samples are equal or one is zero.
	Histogram []int `json:"histogram,omitempty"`
}
