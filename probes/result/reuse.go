package result

// CloseCause says how a server ended a connection that the client would have kept.
type CloseCause string

const (
	// CloseNone means that the server did not close after a response while the probe looked.
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
	// Kept says whether the server answered a second request on one connection. Nil: not known, see Missing.
	Kept *bool `json:"kept,omitempty"`
	// RequestsPerConnection is the exact number of requests after which the server closed. Nil if it did not close.
	RequestsPerConnection *int `json:"requestsPerConnection,omitempty"`
	// RequestsAtLeast is the number of requests that one connection was seen to carry. Where RequestsPerConnection is
	// set the two are equal.
	RequestsAtLeast *int `json:"requestsAtLeast,omitempty"`
	// CloseCause says how the server ended the connection after a response. Empty: not known.
	CloseCause CloseCause `json:"closeCause,omitempty"`
	// KeepAliveHeader is what the server promised in a Keep-Alive header; where it counts down, the highest. Nil if there
	// was none.
	KeepAliveHeader *KeepAliveHeader `json:"keepAliveHeader,omitempty"`
	// NewMicroseconds is the time of a whole transaction on a new connection: connect, the full TLS handshake if there is
	// one, and request.
	NewMicroseconds *Distribution `json:"newMicroseconds,omitempty"`
	// ReusedMicroseconds is the time of the same request on a connection that was already there.
	ReusedMicroseconds *Distribution `json:"reusedMicroseconds,omitempty"`
	// Missing says which of the figures could not be had although the outcome is measured, and why.
	Missing string `json:"missing,omitempty"`
}

// KeepAliveHeader is the header of RFC 2068 section 19.7.1.1 that servers still send.
type KeepAliveHeader struct {
	TimeoutSeconds *int `json:"timeoutSeconds,omitempty"`
	Max            *int `json:"max,omitempty"`
}
