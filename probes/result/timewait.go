package result

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
