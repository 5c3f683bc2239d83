package result

// Handshake is how connections are set up.
type Handshake struct {
	Meta
	// ConnectMicroseconds is the time from connect() to a writable socket, by the probe's own clock.
	ConnectMicroseconds *Distribution `json:"connectMicroseconds,omitempty"`
	// ConnectAbove counts the samples of connect above a limit that the run was given. Nil if it was given none.
	ConnectAbove *Above `json:"connectAbove,omitempty"`
	// KernelRTTMicroseconds is the kernel's first estimate of the round trip (tcpi_rtt right after the handshake).
	KernelRTTMicroseconds *Distribution `json:"kernelRTTMicroseconds,omitempty"`
	// SynRetransmissions counts the SYNs that were sent again (tcpi_total_retrans right after the handshake), over all
	// samples and over the connects that failed. One or more of them costs a second or more.
	SynRetransmissions *int `json:"synRetransmissions,omitempty"`
	// SetupSharePercent is the median share of a small transaction on a new connection that is spent on setting it up,
	// 0 to 100: set-up ÷ (set-up + request), where set-up is connect and, over HTTPS, the full TLS handshake. Absent where
	// no request was made (protocol TCP).
	SetupSharePercent *float64 `json:"setupSharePercent,omitempty"`
	// TLS is how TLS is set up on top. Nil where the protocol has none.
	TLS *TLS `json:"tls,omitempty"`
}

// Above is how many samples lie above a limit.
type Above struct {
	// Microseconds is the limit. A sample that equals it is not above.
	Microseconds float64 `json:"microseconds"`
	// Got of Of samples are above.
	Count
}

// TLSOlder stands for all versions of TLS before 1.2.
const TLSOlder = "older than TLS 1.2"

// TLS is how a TLS session is set up on a connection.
type TLS struct {
	// Version is TLS 1.2 or TLS 1.3, or "older than TLS 1.2" where the handshake failed because the server speaks neither; ALPN
	// the application protocol agreed on (RFC 7301), empty if the server chose none.
	Version string `json:"version,omitempty"`
	ALPN    string `json:"alpn,omitempty"`
	// FullMicroseconds is the time of a full handshake, ResumedMicroseconds of one that resumes a session (RFC 8446
	// section 2.2), both from the first byte sent to the end of this side's handshake, without the TCP handshake. The
	// two are sampled in turn.
	FullMicroseconds    *Distribution `json:"fullMicroseconds,omitempty"`
	ResumedMicroseconds *Distribution `json:"resumedMicroseconds,omitempty"`
	// ResumptionOffered says whether the server gave a session ticket, Resumed how many of ResumptionsTried it honoured.
	ResumptionOffered *bool `json:"resumptionOffered,omitempty"`
	Resumed           *int  `json:"resumed,omitempty"`
	ResumptionsTried  *int  `json:"resumptionsTried,omitempty"`
	// CertificateExpires is the earliest end of validity among the server's certificates by which it is trusted,
	// CertificateBegins the beginning of the validity of the same certificate, both RFC 3339. Where a handshake failed because one
	// is out of its time, they are that one's.
	CertificateExpires string `json:"certificateExpires,omitempty"`
	CertificateBegins  string `json:"certificateBegins,omitempty"`
}
