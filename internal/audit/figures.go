package audit

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// KeyFigures are the figures that tell how a link stands, over all vantages and observed pods. Nil is unknown.
type KeyFigures struct {
	// HandshakeP99Microseconds is the highest 99th percentile of connect().
	HandshakeP99Microseconds *int64
	// SetupSharePercent is the highest share of a small transaction that is spent on setting up its connection.
	SetupSharePercent *int
	// RequestsAtLeast is the lowest number of requests that one connection was seen to carry.
	RequestsAtLeast *int
	// ConnectionsPerSecond is the rate of connections that the busiest pod opened to the link.
	ConnectionsPerSecond *int
	// PortUtilizationPercent is the share of the local ports that the fullest pod held at its peak, rounded down.
	PortUtilizationPercent *int
	// IdleCutSeconds is the shortest silence that cut a connection, IdleSurvivedSeconds the longest that one survived.
	IdleCutSeconds, IdleSurvivedSeconds *int
	// StallMicroseconds is the most that a request loses to small writes that wait for acknowledgments.
	StallMicroseconds *int64
	// InitialWindowSegments is the smallest first flight of the server.
	InitialWindowSegments *int
}

// PastFigures are the key figures of an earlier look.
type PastFigures struct {
	At time.Time
	KeyFigures
}

// Figures returns the key figures of a link.
func Figures(in Input) KeyFigures {
	var k KeyFigures
	for _, p := range in.Probes {
		k.addSilence(p.Result.Measurements)
		k.addFlights(p.Result.Measurements)
		if h := p.Result.Measurements.Handshake; h != nil && h.Outcome == result.Measured {
			if h.ConnectMicroseconds != nil {
				k.HandshakeP99Microseconds = highest(k.HandshakeP99Microseconds, int64(math.Round(h.ConnectMicroseconds.P99)))
			}
			if h.SetupSharePercent != nil {
				k.SetupSharePercent = highest(k.SetupSharePercent, int(math.Round(*h.SetupSharePercent)))
			}
		}
		if r := p.Result.Measurements.Reuse; r != nil && r.Outcome == result.Measured && r.RequestsAtLeast != nil {
			k.RequestsAtLeast = lowest(k.RequestsAtLeast, *r.RequestsAtLeast)
		}
	}
	for _, u := range PortUses(in) {
		k.PortUtilizationPercent = highest(k.PortUtilizationPercent, int(u.percent()))
		if u.OpensPerSecond != nil {
			k.ConnectionsPerSecond = highest(k.ConnectionsPerSecond, int(math.Round(*u.OpensPerSecond)))
		}
	}
	return k
}

// addSilence takes in what a vantage says of silence, of plain connections or of WebSocket.
func (k *KeyFigures) addSilence(m result.Measurements) {
	silences := []*result.Idle{m.Idle}
	if m.WebSocket != nil {
		silences = append(silences, m.WebSocket.Idle)
	}
	for _, i := range silences {
		if i == nil || i.Outcome != result.Measured {
			continue
		}
		if i.AfterSecondsAtMost != nil {
			k.IdleCutSeconds = lowest(k.IdleCutSeconds, int(math.Round(*i.AfterSecondsAtMost)))
		}
		if i.SurvivedSeconds != nil {
			k.IdleSurvivedSeconds = highest(k.IdleSurvivedSeconds, int(math.Round(*i.SurvivedSeconds)))
		}
	}
}

// addFlights takes in what a vantage says of the segments of responses.
func (k *KeyFigures) addFlights(m result.Measurements) {
	if w := m.SmallWrites; w != nil && w.Outcome == result.Measured && w.StallMicroseconds != nil {
		k.StallMicroseconds = highest(k.StallMicroseconds, int64(math.Round(*w.StallMicroseconds)))
	}
	if s := m.SlowStart; s != nil && s.Outcome == result.Measured && s.InitialWindowSegments != nil {
		k.InitialWindowSegments = lowest(k.InitialWindowSegments, int(math.Round(*s.InitialWindowSegments)))
	}
}

func lowest(known *int, candidate int) *int {
	if known != nil && *known <= candidate {
		return known
	}
	return &candidate
}

func highest[T int | int64](known *T, candidate T) *T {
	if known != nil && *known >= candidate {
		return known
	}
	return &candidate
}

// PortUse is how many local ports one pod holds towards the address of the link that it holds most towards. Ports are
// counted for each remote address and port, because the kernel gives the same local port out again for another one.
type PortUse struct {
	Pod string
	// Address is the remote address and port.
	Address string
	// InUse is the number of ports held when the observer was read, InUsePeak the highest number of the five minutes
	// before, TimeWait how many of InUse are in TIME_WAIT.
	InUse, InUsePeak, TimeWait int
	// Available is the number of ports that the kernel may choose from. It is above 0.
	Available int
	// OpensPerSecond is the rate of connections that the pod opened to all addresses of the link. Nil: not known, not yet
	// or because the pod opens connections that leave no trace in its sockets.
	OpensPerSecond *float64
}

// percent is the share of the ports that were held at the peak.
func (u PortUse) percent() float64 { return 100 * float64(u.InUsePeak) / float64(u.Available) }

// PortUses returns the use of ports of each observed pod, in the order of in.Observations. A pod whose number of
// available ports could not be read is left out. A pod that holds no port towards the link has zeros and the link's
// first address.
func PortUses(in Input) []PortUse {
	var uses []PortUse
	for _, o := range in.Observations {
		if o.Observation.PortsAvailable == nil || *o.Observation.PortsAvailable <= 0 || len(in.Addresses) == 0 {
			continue
		}
		uses = append(uses, portUse(o, in.Addresses))
	}
	return uses
}

func portUse(o PodObservation, addresses []string) PortUse {
	use := PortUse{Pod: o.Pod, Address: addresses[0], Available: *o.Observation.PortsAvailable}
	if rate := opensTo(o, addresses); rate != nil && rate.atMost == rate.perSecond {
		use.OpensPerSecond = &rate.perSecond
	}
	for _, d := range o.Observation.Destinations {
		if peak := max(d.PortsInUsePeak, d.PortsInUse); peak > use.InUsePeak && ofLink(d, addresses) {
			use.Address, use.InUse, use.InUsePeak, use.TimeWait = d.Address, d.PortsInUse, peak, d.TimeWait
		}
	}
	return use
}

// sockets are a pod's connections to all addresses of a link.
type sockets struct{ held, timeWait int }

// open is the number of connections that are not in TIME_WAIT.
func (s sockets) open() int { return max(s.held-s.timeWait, 0) }

// linkSockets sums up the sockets of a pod to addresses.
func linkSockets(o PodObservation, addresses []string) sockets {
	var sum sockets
	for _, d := range o.Observation.Destinations {
		if ofLink(d, addresses) {
			sum.held += d.PortsInUse
			sum.timeWait += d.TimeWait
		}
	}
	return sum
}

// opens is the rate at which a pod opens connections to a link.
type opens struct {
	// perSecond is estimated from the sockets that are left behind. It misses connections that the server closes, since
	// those leave none.
	perSecond float64
	// atMost is the rate if all connections that no destination accounts for go to the link.
	atMost float64
}

// unaccountedShare of all connections may be missed by the estimates without meaning: they are of other moments.
const unaccountedShare = 0.1

// opensTo returns the rate at which a pod opens connections to addresses. Nil: not known yet.
func opensTo(o PodObservation, addresses []string) *opens {
	total := o.Observation.OpensPerSecond
	if total == nil {
		return nil
	}
	var toLink, toAll float64
	for _, d := range o.Observation.Destinations {
		if d.OpensPerSecond == nil {
			return nil
		}
		toAll += *d.OpensPerSecond
		if ofLink(d, addresses) {
			toLink += *d.OpensPerSecond
		}
	}
	rate := opens{perSecond: toLink, atMost: toLink}
	if unaccounted := *total - toAll; unaccounted > unaccountedShare**total {
		rate.atMost += unaccounted
	}
	return &rate
}

func ofLink(d result.Destination, addresses []string) bool {
	return slices.ContainsFunc(addresses, func(a string) bool { return sameAddress(a, d.Address) })
}

// sameAddress compares ip:port texts, however an IPv6 address is written.
func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	left, err := netip.ParseAddrPort(a)
	if err != nil {
		return false
	}
	right, err := netip.ParseAddrPort(b)
	return err == nil && left.Port() == right.Port() && left.Addr().Unmap() == right.Addr().Unmap()
}
