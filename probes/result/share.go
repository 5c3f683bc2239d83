package result

// The limits of a run are divided among its measurements by these weights, handshake first. What one leaves is left for
// those after it.
const (
	HandshakeWeight = 2
	TimeWaitWeight  = 1
	ReuseWeight     = 3
)

// ConnectionsFor returns the lowest limit of connections under which the handshake measurement of a run with these
// measurements can open so many. Requests per second times seconds must be no less, or time ends it before.
func (m Measurements) ConnectionsFor(handshakes int) int {
	weights := HandshakeWeight
	if m.TimeWait != nil {
		weights += TimeWaitWeight
	}
	if m.Reuse != nil {
		weights += ReuseWeight
	}
	// Its part is rounded up, so the smallest limit is the one whose part is just above one connection less.
	return (handshakes-1)*weights/HandshakeWeight + 1
}
