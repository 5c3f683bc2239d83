package result

// IdleCut says how a connection that nobody used came to its end.
type IdleCut string

const (
	// CutFIN means that the other side, or something on the path, closed the connection.
	CutFIN IdleCut = "fin"
	// CutRST means that it was reset.
	CutRST IdleCut = "rst"
	// CutBlackHole means that the path silently forgot it: what is sent is never answered.
	CutBlackHole IdleCut = "blackhole"
	// CutMixed means that connections were cut in different ways.
	CutMixed IdleCut = "mixed"
)

// Idle is after how much silence a connection is cut.
type Idle struct {
	Meta
	// Cut says whether any connection was cut while the probe looked.
	Cut *bool `json:"cut,omitempty"`
	// How they were cut. Empty if none was.
	How IdleCut `json:"how,omitempty"`
	// AfterSecondsAtLeast is the longest silence that all connections survived below the first cut, AfterSecondsAtMost the
	// shortest that cut one. The cut-off lies between them.
	AfterSecondsAtLeast *float64 `json:"afterSecondsAtLeast,omitempty"`
	AfterSecondsAtMost  *float64 `json:"afterSecondsAtMost,omitempty"`
	// SurvivedSeconds is the longest silence that a connection was seen to survive.
	SurvivedSeconds *float64 `json:"survivedSeconds,omitempty"`
	// SurvivedOf counts the survivors of the longest rung that had any.
	SurvivedOf *Count `json:"survivedOf,omitempty"`
	// KeepaliveHelps says whether connections with TCP keepalive at a third of the cut-off outlived it. Nil: not tried.
	KeepaliveHelps *bool `json:"keepaliveHelps,omitempty"`
	// PingHelps says whether connections with a WebSocket ping every third of the cut-off outlived it. Nil: not tried. It is
	// only tried on WebSocket connections.
	PingHelps *bool `json:"pingHelps,omitempty"`
	// KeepaliveLadder probes the nearest TCP hop without a byte (keepalive probes); RequestLadder sends a request after the
	// silence, on WebSocket connections a ping, so that it reaches through proxies.
	KeepaliveLadder *Ladder `json:"keepaliveLadder,omitempty"`
	RequestLadder   *Ladder `json:"requestLadder,omitempty"`
	// LookedSeconds is the longest silence that the budget allowed to try.
	LookedSeconds float64 `json:"lookedSeconds"`
}

// Count is some out of some.
type Count struct {
	Of  int `json:"of"`
	Got int `json:"got"`
}

// Ladder is a row of silences, each tried on connections of their own.
type Ladder struct {
	Rungs []Rung `json:"rungs"`
}

// Beside returns the rungs that tell where the cut-off lies: all from the last two that everything survived. The ones
// below say the same. If nothing was cut, these are the two longest.
func (l Ladder) Beside() Ladder {
	const below = 2
	cut := len(l.Rungs)
	for i, rung := range l.Rungs {
		if rung.FIN+rung.RST+rung.BlackHole+rung.Unknown > 0 {
			cut = i
			break
		}
	}
	return Ladder{Rungs: l.Rungs[max(0, cut-below):]}
}

// Rung is one silence and what became of the connections that kept it.
type Rung struct {
	// Seconds of silence.
	Seconds float64 `json:"seconds"`
	// Alive, FIN, RST and BlackHole count what became of the connections. Unknown counts those of which it could not be
	// told.
	Alive     int `json:"alive,omitempty"`
	FIN       int `json:"fin,omitempty"`
	RST       int `json:"rst,omitempty"`
	BlackHole int `json:"blackhole,omitempty"`
	Unknown   int `json:"unknown,omitempty"`
}
