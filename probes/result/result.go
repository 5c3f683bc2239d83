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
	// Measurements holds one entry for each measurement that was asked for.
	Measurements Measurements `json:"measurements"`
	// Dropped names what was left out because the encoded result would not have fitted its budget: measurements, and
	// "sysctls" for Host.Sysctls.
	Dropped []string `json:"dropped,omitempty"`
}

// Target is the address that was probed, as asked for and as resolved.
type Target struct {
	// URL as the user gave it, for example http://payments.shop.svc:8080/healthz.
	URL string `json:"url"`
	// Protocol is TCP or HTTP.
	Protocol string `json:"protocol"`
	// Address is the resolved address and port that the connections went to; empty if the name did not resolve.
	Address string `json:"address,omitempty"`
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
	Handshake *Handshake `json:"handshake,omitempty"`
	Reuse     *Reuse     `json:"reuse,omitempty"`
	TimeWait  *TimeWait  `json:"timeWait,omitempty"`
}

// Meta is what every measurement says about itself.
type Meta struct {
	Outcome Outcome `json:"outcome"`
	// Cause tells a person why the outcome is not "measured". It is empty if it is.
	Cause string `json:"cause,omitempty"`
	// Samples is the number of samples behind the figures.
	Samples int `json:"samples"`
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
}

// Handshake is how connections are set up.
type Handshake struct {
	Meta
	// ConnectMicroseconds is the time from connect() to a writable socket, by the probe's own clock.
	ConnectMicroseconds *Distribution `json:"connectMicroseconds,omitempty"`
	// KernelRTTMicroseconds is the kernel's first estimate of the round trip (tcpi_rtt right after the handshake).
	KernelRTTMicroseconds *Distribution `json:"kernelRTTMicroseconds,omitempty"`
	// SynRetransmissions counts the SYNs that were sent again (tcpi_total_retrans right after the handshake), over all
	// samples and over the connects that failed. One or more of them costs a second or more.
	SynRetransmissions *int `json:"synRetransmissions,omitempty"`
	// SetupSharePercent is the median share of a small transaction on a new connection that is spent on setting it up,
	// 0 to 100: connect ÷ (connect + request). Absent where no request was made (protocol TCP).
	SetupSharePercent *float64 `json:"setupSharePercent,omitempty"`
}

// CloseCause says how a server ended a connection that the client would have kept.
type CloseCause string

const (
	// CloseNone means that the server did not close while the probe looked.
	CloseNone CloseCause = "none"
	// CloseAnnounced means that the server said `Connection: close` and closed.
	CloseAnnounced CloseCause = "announced"
	// CloseUnannounced means that the server closed without saying so in the response before.
	CloseUnannounced CloseCause = "unannounced"
	// CloseHTTP10 means that the server answered with HTTP/1.0 and without `Connection: keep-alive`.
	CloseHTTP10 CloseCause = "http10"
	// CloseDelimited means that the response had neither a length nor chunks; its end was the end of the connection
	// (RFC 9112 section 6.3).
	CloseDelimited CloseCause = "closeDelimited"
	// CloseReset means that the connection was reset.
	CloseReset CloseCause = "reset"
)

// Reuse is whether the server keeps a connection for further requests, and for how many.
type Reuse struct {
	Meta
	// Kept says whether the server answered a second request on one connection.
	Kept *bool `json:"kept,omitempty"`
	// RequestsPerConnection is the exact number of requests after which the server closed. Nil if it did not close.
	RequestsPerConnection *int `json:"requestsPerConnection,omitempty"`
	// RequestsAtLeast is the number of requests that one connection was seen to carry. Where RequestsPerConnection is
	// set the two are equal.
	RequestsAtLeast *int `json:"requestsAtLeast,omitempty"`
	// CloseCause says how the server ended the connection.
	CloseCause CloseCause `json:"closeCause,omitempty"`
	// KeepAliveHeader is what the server promised in a Keep-Alive header. Nil if there was none.
	KeepAliveHeader *KeepAliveHeader `json:"keepAliveHeader,omitempty"`
	// NewMicroseconds is the time of a whole transaction on a new connection: connect and request.
	NewMicroseconds *Distribution `json:"newMicroseconds,omitempty"`
	// ReusedMicroseconds is the time of the same request on a connection that was already there.
	ReusedMicroseconds *Distribution `json:"reusedMicroseconds,omitempty"`
}

// KeepAliveHeader is the header of RFC 2068 section 19.7.1.1 that servers still send.
type KeepAliveHeader struct {
	TimeoutSeconds *int `json:"timeoutSeconds,omitempty"`
	Max            *int `json:"max,omitempty"`
}

// Side is one end of a connection.
type Side string

const (
	// SideNone means that neither end was left with the state.
	SideNone Side = "none"
	// SideClient is the end that opened the connection.
	SideClient Side = "client"
	// SideServer is the end that accepted it.
	SideServer Side = "server"
)

// TimeWait is who is left with the TIME_WAIT state of a closed connection, and what that allows.
type TimeWait struct {
	Meta
	// Holder is the end that holds TIME_WAIT after a plain request when the server is free to close first. Empty if it
	// was not found out.
	Holder Side `json:"holder,omitempty"`
	// Scenarios names the holder in each scenario that was tried: clientFirst, serverAfterClose.
	Scenarios map[string]Side `json:"scenarios,omitempty"`
	// Seconds is how long the state lasts (include/net/tcp.h, TCP_TIMEWAIT_LEN), as seen in the socket's timer.
	Seconds *float64 `json:"seconds,omitempty"`
	// Ports is the number of local ports that the kernel may choose from for one destination: ip_local_port_range
	// without ip_local_reserved_ports, in the probe's namespace.
	Ports *int `json:"ports,omitempty"`
	// ConnectionsPerSecondCeiling is the rate of new connections to one destination at which the ports run out, when
	// this end closes first: Ports ÷ Seconds.
	ConnectionsPerSecondCeiling *float64 `json:"connectionsPerSecondCeiling,omitempty"`
	// ConnectionsPerSecondSmooth is the rate up to which connect() stays fast. Half of the ceiling: connect() searches
	// the ports of one parity first (net/ipv4/inet_hashtables.c, __inet_hash_connect).
	ConnectionsPerSecondSmooth *float64 `json:"connectionsPerSecondSmooth,omitempty"`
}
