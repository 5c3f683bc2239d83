package policy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// window is the time in which endpoints leave.
type window struct {
	began, lastLeft time.Time
	// virtual are the addresses that sockets name. None: they name the endpoints themselves.
	virtual []netip.AddrPort
	// left are the endpoints that left and did not come back; listed is how many of them the Service still lists, goneAt
	// since when it lists none.
	left   map[string]bool
	listed int
	goneAt time.Time
	// accounts of the pods that were read before.
	accounts map[types.UID]*account
}

func newWindow(now time.Time, virtual []string) *window {
	return &window{began: now, virtual: addressesOf(virtual), left: map[string]bool{}, accounts: map[types.UID]*account{}}
}

// leave takes endpoints in that are seen to leave now.
func (w *window) leave(now time.Time, endpoints []string) {
	for _, endpoint := range endpoints {
		w.left[endpoint] = true
	}
	w.lastLeft, w.goneAt = now, time.Time{}
}

// note looks which of those that left came back, and which are still listed.
func (w *window) note(now time.Time, is offer) {
	staying, listed := setOf(is.staying), setOf(is.listed)
	w.listed = 0
	for endpoint := range w.left {
		switch {
		case staying[endpoint]:
			delete(w.left, endpoint)
			if len(w.virtual) == 0 {
				for _, a := range w.accounts {
					a.unfollow(addressesOf([]string{endpoint}))
				}
			}
		case listed[endpoint]:
			w.listed++
		}
	}
	if w.listed > 0 {
		w.goneAt = time.Time{}
	} else if w.goneAt.IsZero() {
		w.goneAt = now
	}
}

// over says whether there is nothing more to wait for: no endpoint or no pod is left, or those that left are gone and all that
// ended is counted, or it took too long.
func (w *window) over(now time.Time) bool {
	if len(w.left) == 0 || len(w.accounts) == 0 || !now.Before(w.deadline()) {
		return true
	}
	return !w.goneAt.IsZero() && !slices.ContainsFunc(slices.Collect(maps.Values(w.accounts)), func(a *account) bool {
		return a.last.At.Before(w.goneAt.Add(settles))
	})
}

// deadline is when to wait no longer.
func (w *window) deadline() time.Time {
	last, longest := w.lastLeft.Add(longestWait), w.began.Add(longestDrain)
	if last.After(longest) {
		return longest
	}
	return last
}

// drain is what is told of a window that is over. Nil: nothing, for all endpoints came back, or no pod was read after they
// left.
func (w *window) drain(now time.Time) *v1alpha1.Drain {
	readSince := w.lastLeft.Add(settles)
	if latest := now.Add(-2 * readOften); readSince.After(latest) && !now.Before(w.deadline()) {
		readSince = latest // they still leave
	}
	maps.DeleteFunc(w.accounts, func(_ types.UID, a *account) bool { return a.last.At.Before(readSince) })
	if len(w.accounts) == 0 || len(w.left) == 0 {
		return nil
	}
	drain := &v1alpha1.Drain{
		StartTime: metav1.NewTime(w.began.Truncate(time.Second)),
		Endpoints: int32(len(w.left)), StillListed: int32(w.listed), Pods: int32(len(w.accounts)),
	}
	addresses := w.virtual
	if len(w.virtual) > 0 {
		drain.Before = &v1alpha1.ConnectionCounts{}
	} else {
		addresses = addressesOf(slices.Collect(maps.Keys(w.left)))
	}
	for _, a := range w.accounts {
		drain.During = plus(drain.During, a.during(addresses))
		if drain.Before != nil {
			*drain.Before = plus(*drain.Before, a.before)
		}
		if end := a.last.At.Truncate(time.Second); end.After(drain.EndTime.Time) {
			drain.EndTime = metav1.NewTime(end)
		}
	}
	return drain
}

// account counts the connections of one pod while endpoints leave.
type account struct {
	// last is the reading that was counted last.
	last *result.Observation
	// towards the addresses that are followed.
	towards map[netip.AddrPort]*tally
	// before is what the first reading had counted.
	before v1alpha1.ConnectionCounts
}

// tally counts the connections to one address.
type tally struct {
	last result.Connections
	sum  v1alpha1.ConnectionCounts
}

// follow counts the connections to addresses from a reading on. It is not possible if the reading does not tell them apart.
func (a *account) follow(from *result.Observation, addresses []netip.AddrPort) (possible bool) {
	if a.last == nil {
		a.last, a.towards = from, map[netip.AddrPort]*tally{}
	}
	counts := countsIn(from)
	for _, address := range addresses {
		if a.towards[address] != nil {
			continue
		}
		c, told := counts.to(address)
		if !told {
			return false
		}
		a.towards[address] = &tally{last: c, sum: v1alpha1.ConnectionCounts{Open: int64(c.Open)}}
	}
	return true
}

func (a *account) unfollow(addresses []netip.AddrPort) {
	for _, address := range addresses {
		delete(a.towards, address)
	}
}

// count takes in a reading. It is not possible if it does not continue the one before: the observer began anew, or tells the
// addresses apart no more.
func (a *account) count(read *result.Observation) (possible bool) {
	if !read.At.After(a.last.At) {
		return true
	}
	if !continues(a.last, read) {
		return false
	}
	counts := countsIn(read)
	for address, t := range a.towards {
		c, told := counts.to(address)
		if !told {
			return false
		}
		t.count(c)
	}
	a.last = read
	return true
}

// continues says whether a reading is of the observer of the one before: one that began since has not looked for so long.
func continues(before, read *result.Observation) bool {
	return before != nil && read.UptimeSeconds >= read.At.Sub(before.At).Seconds()
}

// count adds what came since the last time. An observer forgets an address that no socket has named for some minutes, and
// counts from 0 when one does again. A connect that failed since, but began before, counts as one of this time, so that no
// more of them fail than there were.
func (t *tally) count(c result.Connections) {
	from := t.last
	if c.Closed < from.Closed || c.Failed < from.Failed {
		from = result.Connections{}
	}
	failed := c.Failed - from.Failed
	t.sum.Opened += max(c.Opened-from.Opened, failed)
	t.sum.Failed += failed
	t.sum.Closed += c.Closed - from.Closed
	t.sum.Open = int64(c.Open)
	if c.Ends != nil {
		if from.Ends == nil {
			from.Ends = &result.Ends{}
		}
		t.sum.Ends = plusEnds(t.sum.Ends, new(v1alpha1.ConnectionEnds(c.Ends.Since(*from.Ends))))
	}
	t.last = c
}

// during sums up what was counted towards addresses.
func (a *account) during(addresses []netip.AddrPort) v1alpha1.ConnectionCounts {
	var sum v1alpha1.ConnectionCounts
	for _, address := range addresses {
		if t := a.towards[address]; t != nil {
			sum = plus(sum, t.sum)
		}
	}
	return sum
}

// destinations is what a reading tells of each address.
type destinations struct {
	byAddress map[netip.AddrPort]*result.Connections
	// all: no other address has connections.
	all bool
}

func countsIn(read *result.Observation) destinations {
	d := destinations{byAddress: map[netip.AddrPort]*result.Connections{}, all: read.OtherDestinations == nil}
	for i := range read.Destinations {
		for _, address := range addressesOf([]string{read.Destinations[i].Address}) {
			d.byAddress[address] = read.Destinations[i].Connections
		}
	}
	return d
}

// to is what is told of the connections to an address. They are not told apart from others by an observer of an older version,
// nor where the address may be one of those that have no figures of their own.
func (d destinations) to(address netip.AddrPort) (c result.Connections, told bool) {
	switch connections, listed := d.byAddress[address]; {
	case connections != nil:
		return *connections, true
	case listed:
		return result.Connections{}, false
	default:
		return result.Connections{}, d.all
	}
}

// sum of what is told of some addresses.
func (d destinations) sum(addresses []netip.AddrPort) v1alpha1.ConnectionCounts {
	var sum v1alpha1.ConnectionCounts
	for _, address := range addresses {
		var t tally
		c, _ := d.to(address)
		t.count(c)
		sum = plus(sum, t.sum)
	}
	return sum
}

// addressesOf parses ip:port texts, whose spelling may differ. Endpoints that are named by a host are left out.
func addressesOf(texts []string) []netip.AddrPort {
	var addresses []netip.AddrPort
	for _, text := range texts {
		if address, err := netip.ParseAddrPort(text); err == nil {
			addresses = append(addresses, netip.AddrPortFrom(address.Addr().Unmap(), address.Port()))
		}
	}
	return addresses
}

func plus(a, b v1alpha1.ConnectionCounts) v1alpha1.ConnectionCounts {
	return v1alpha1.ConnectionCounts{
		Opened: a.Opened + b.Opened, Failed: a.Failed + b.Failed, Closed: a.Closed + b.Closed, Open: a.Open + b.Open,
		Ends: plusEnds(a.Ends, b.Ends),
	}
}

func plusEnds(a, b *v1alpha1.ConnectionEnds) *v1alpha1.ConnectionEnds {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	sum := result.Ends(*a)
	sum.Add(result.Ends(*b))
	return new(v1alpha1.ConnectionEnds(sum))
}

// without takes counts out of those that they are part of. An observer that forgot the address in between counted anew, and
// then they are not part of them.
func without(all, part v1alpha1.ConnectionCounts) v1alpha1.ConnectionCounts {
	rest := v1alpha1.ConnectionCounts{Opened: all.Opened - part.Opened, Failed: all.Failed - part.Failed, Closed: all.Closed - part.Closed, Open: all.Open, Ends: all.Ends}
	if min(rest.Opened, rest.Failed, rest.Closed) < 0 {
		return all
	}
	if all.Ends != nil && part.Ends != nil {
		rest.Ends = new(v1alpha1.ConnectionEnds(result.Ends(*all.Ends).Since(result.Ends(*part.Ends))))
		if *plusEnds(rest.Ends, part.Ends) != *all.Ends {
			return all
		}
	}
	return rest
}
