package observer

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

// timeWaitLength is how long Linux keeps TIME_WAIT (include/net/tcp.h, TCP_TIMEWAIT_LEN).
const timeWaitLength = 60 * time.Second

// census counts the sockets of the namespace at one time.
type census struct {
	at           time.Time
	listening    map[uint16]bool
	destinations map[netip.AddrPort]holding
}

// holding is what the namespace's own connections to one destination hold.
type holding struct {
	// ports is the number of local ports held, timeWait how many of them are in TIME_WAIT.
	ports, timeWait int
	// closed is the number of those in TIME_WAIT that entered it since the census before.
	closed int
}

// open is the number of ports that are held by more than TIME_WAIT.
func (h holding) open() int { return h.ports - h.timeWait }

// attempts bounds how often a census is taken again because a listener came while it was taken.
const attempts = 3

// take counts the sockets that dump lists. since is how long ago the census before was.
//
// A connection whose local port is listened on was accepted here and holds no port of its own. What a listener accepted
// that came while the sockets were listed would look like connections to as many destinations as it has clients, so the
// listeners are listed before and after, and a new one begins the count again.
func take(dump dumpFunc, at time.Time, since time.Duration) (census, error) {
	listening, err := listeners(dump)
	if err != nil {
		return census{}, err
	}
	for range attempts {
		c := census{at: at, listening: listening, destinations: map[netip.AddrPort]holding{}}
		others := sockdiag.Query{States: sockdiag.AllStates &^ sockdiag.StateSet(sockdiag.Listen)}
		if err := dump(others, func(s sockdiag.Socket) { c.add(s, since) }); err != nil {
			return census{}, err
		}
		if listening, err = listeners(dump); err != nil {
			return census{}, err
		}
		if c.knows(listening) {
			return c, nil
		}
	}
	return census{}, errUnsettled
}

var errUnsettled = errors.New("new listeners came faster than the sockets could be listed")

// listeners returns the ports that are listened on.
func listeners(dump dumpFunc) (map[uint16]bool, error) {
	ports := map[uint16]bool{}
	query := sockdiag.Query{States: sockdiag.StateSet(sockdiag.Listen)}
	err := dump(query, func(s sockdiag.Socket) { ports[s.Local.Port()] = true })
	return ports, err
}

// knows says whether the census took account of each of the listening ports.
func (c census) knows(listening map[uint16]bool) bool {
	for port := range listening {
		if !c.listening[port] {
			return false
		}
	}
	return true
}

func (c census) add(s sockdiag.Socket, since time.Duration) {
	// A socket that is bound and not connected has no destination.
	if c.listening[s.Local.Port()] || s.Remote.Port() == 0 {
		return
	}
	h := c.destinations[s.Remote]
	h.ports++
	if s.State == sockdiag.TimeWait {
		h.timeWait++
		if timeWaitLength-s.Expires < since {
			h.closed++
		}
	}
	c.destinations[s.Remote] = h
}

// opensPerSecond estimates the rate of connections opened to a destination between two censuses: those that were closed
// since and those by which the open ones grew. Connections that were both opened and closed in between, with the other
// side closing first, leave nothing behind and are missed. ok is false if more time lies between the censuses than
// TIME_WAIT lasts, so that some of the closed ones are gone.
func opensPerSecond(before, after census, destination netip.AddrPort) (rate float64, ok bool) {
	between := after.at.Sub(before.at)
	if between > timeWaitLength {
		return 0, false
	}
	is := after.destinations[destination]
	opened := is.closed + is.open() - before.destinations[destination].open()
	return max(0, float64(opened)) / between.Seconds(), true
}

// fullest returns at most maximum destinations, those that hold the most ports first.
func (c census) fullest(maximum int) []netip.AddrPort {
	all := slices.SortedFunc(maps.Keys(c.destinations), func(a, b netip.AddrPort) int {
		return cmp.Or(cmp.Compare(c.destinations[b].ports, c.destinations[a].ports), a.Compare(b))
	})
	return all[:min(maximum, len(all))]
}
