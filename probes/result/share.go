package result

// The limits of a run are divided among its measurements by these weights, handshake first but for dns and pathMTU. What one
// leaves is left for those after it.
const (
	HandshakeWeight = 2
	TimeWaitWeight  = 1
	ReuseWeight     = 3
)

// PathMTUConnections is the most that the measurement pathMTU opens.
const PathMTUConnections = 6

// Weight is the part of the limits that a measurement gets, relative to that of the others of the run. Those of dns and
// pathMTU are 0: dns asks name servers and opens no connection to the target, pathMTU opens PathMTUConnections at most; the
// rest is left for those after them.
func Weight(measurement string) int {
	switch measurement {
	case "dns", "pathMTU":
		return 0
	case "handshake":
		return HandshakeWeight
	case "timeWait":
		return TimeWaitWeight
	case "slowStart", "smallWrites":
		return 2
	case "reuse", "http2":
		return ReuseWeight
	case "idle":
		return 3
	case "websocket", "push":
		return 5
	case "parallel":
		return 6
	}
	return 1
}

// ConnectionsFor returns the lowest limit of connections under which the handshake measurement of a run with these
// measurements can open so many. Requests per second times seconds must be no less, or time ends it before.
func (m Measurements) ConnectionsFor(handshakes int) int {
	weights := HandshakeWeight
	for name := range m.Outcomes() {
		if name != "handshake" {
			weights += Weight(name)
		}
	}
	// Its part is rounded up, so the smallest limit is the one whose part is just above one connection less.
	limit := (handshakes-1)*weights/HandshakeWeight + 1
	if m.PathMTU != nil {
		limit += PathMTUConnections
	}
	return limit
}
