package policy

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// maximumDrains bounds the drains in a report.
	maximumDrains = 3
	// beforehand is how much sooner than it was seen to leave an endpoint may have begun to: its server may end its
	// connections before the cluster knows, and this manager may be a reading late.
	beforehand = 10 * time.Second
	// staleReading is how old a reading may be to count as the one before endpoints left. It is longer than readSeldom.
	staleReading = 3 * time.Minute
	// settles is how long it takes until an observer has counted what ended.
	settles = 15 * time.Second
	// longestWait is for how long endpoints that left are waited for to be gone, longestDrain for how long more of them may
	// follow.
	longestWait  = 15 * time.Minute
	longestDrain = time.Hour
	// lookedAway is how long a look may be missing until what was seen before it says nothing any more: the policy was
	// suspended, or its workload had no pods.
	lookedAway = 5 * time.Minute
)

// offer is what a link's Service offers at one look.
type offer struct {
	// link names the workload that connects and the Service with its port.
	link string
	// virtual are its virtual addresses, which sockets to it name. None: sockets name the endpoints themselves.
	virtual []string
	// staying are the endpoints that are ready and not on their way out, listed are all.
	staying, listed []string
}

// of says whether two offers are of the same link, and of the same kind of Service.
func (o offer) of(other offer) bool {
	return o.link == other.link && (len(o.virtual) == 0) == (len(other.virtual) == 0)
}

// readings are what observers said last, by pod: nil where nothing was read yet. A pod that is not among them is gone.
type readings map[types.UID]*result.Observation

// witness follows the endpoints behind a link, and what the connections of the observed pods come to when some of them leave.
// What it knows is lost with the manager, and then nothing is said of the endpoints that were leaving.
type witness struct {
	lookedAt time.Time
	offered  offer
	// lately are the last readings of each pod, the newest first.
	lately map[types.UID][2]*result.Observation
	// window is under way. Nil: no endpoint is leaving.
	window *window
	// witnessed by pod is what windows that are over counted, which is not how things are when nobody leaves.
	witnessed map[types.UID]v1alpha1.ConnectionCounts
	// told are drains that no report holds yet, the last first.
	told []v1alpha1.Drain
}

// look compares what the Service offers with what it did at the look before, and opens a window when endpoints left. It comes
// before observers are read anew.
func (w *witness) look(now time.Time, is offer, seen readings) {
	if !is.of(w.offered) {
		*w = witness{}
	} else if now.Sub(w.lookedAt) > lookedAway {
		*w = witness{told: w.told, witnessed: w.witnessed}
	}
	w.remember(seen)
	staying := setOf(is.staying)
	left := slices.DeleteFunc(slices.Clone(w.offered.staying), func(endpoint string) bool { return staying[endpoint] })
	if len(left) > 0 {
		w.leave(now, left)
	}
	if w.window != nil {
		w.window.note(now, is)
	}
	w.lookedAt, w.offered = now, is
}

// remember takes in readings that are new, and forgets pods that are gone.
func (w *witness) remember(seen readings) {
	gone := func(pod types.UID) bool { _, known := seen[pod]; return !known }
	maps.DeleteFunc(w.lately, func(pod types.UID, _ [2]*result.Observation) bool { return gone(pod) })
	maps.DeleteFunc(w.witnessed, func(pod types.UID, _ v1alpha1.ConnectionCounts) bool { return gone(pod) })
	for pod, read := range seen {
		last := w.lately[pod]
		if read == nil || last[0] != nil && !read.At.After(last[0].At) {
			continue
		}
		if w.lately == nil {
			w.lately = map[types.UID][2]*result.Observation{}
		}
		if !continues(last[0], read) {
			last[0] = nil
			delete(w.witnessed, pod)
		}
		w.lately[pod] = [2]*result.Observation{read, last[0]}
	}
	if w.window != nil {
		maps.DeleteFunc(w.window.accounts, func(pod types.UID, _ *account) bool { return gone(pod) })
	}
}

// before is the last reading of a pod from before an endpoint left that is seen to leave now. Nil: there is none.
func (w *witness) before(pod types.UID, now time.Time) *result.Observation {
	for _, read := range w.lately[pod] {
		if read == nil {
			continue
		}
		if age := now.Sub(read.At); age >= beforehand && age <= staleReading {
			return read
		}
	}
	return nil
}

// leave takes endpoints into the window, and opens it with the pods that were read before.
func (w *witness) leave(now time.Time, left []string) {
	opens := w.window == nil
	if opens {
		w.window = newWindow(now, w.addresses())
		for pod := range w.lately {
			w.window.accounts[pod] = &account{}
		}
	}
	w.window.leave(now, left)
	addresses := addressesOf(left)
	if len(w.window.virtual) > 0 {
		if !opens {
			return // they are counted already
		}
		addresses = w.window.virtual
	}
	for pod, a := range w.window.accounts {
		if read := w.before(pod, now); read == nil || !a.follow(read, addresses) {
			delete(w.window.accounts, pod)
		} else if opens {
			a.before = without(countsIn(read).sum(addresses), w.witnessed[pod])
		}
	}
}

// addresses are the virtual ones that sockets name; none where they name endpoints, as those to a headless Service do, and
// those to any that are chosen by the workload itself, a sidecar or Cilium.
func (w *witness) addresses() []string {
	var seen []audit.PodObservation
	for _, read := range w.lately {
		seen = append(seen, audit.PodObservation{Observation: *read[0]})
	}
	if audit.SocketsName(seen, w.offered.listed) && !audit.SocketsName(seen, w.offered.virtual) {
		return nil
	}
	return w.offered.virtual
}

// read counts what observers say now, and closes the window when its time has come.
func (w *witness) read(now time.Time, seen readings) {
	w.remember(seen)
	if w.window == nil {
		return
	}
	for pod, a := range w.window.accounts {
		if !a.count(w.lately[pod][0]) {
			delete(w.window.accounts, pod)
		}
	}
	if w.window.over(now) {
		w.close(now)
	}
}

// close tells what the window came to, if there is anything to tell.
func (w *witness) close(now time.Time) {
	over := w.window
	w.window = nil
	drain := over.drain(now)
	if drain == nil {
		return
	}
	w.told = slices.Concat([]v1alpha1.Drain{*drain}, w.told)
	w.told = w.told[:min(len(w.told), maximumDrains)]
	if len(over.virtual) == 0 {
		return
	}
	if w.witnessed == nil {
		w.witnessed = map[types.UID]v1alpha1.ConnectionCounts{}
	}
	for pod, a := range over.accounts {
		w.witnessed[pod] = plus(w.witnessed[pod], a.during(over.virtual))
	}
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, each := range list {
		set[each] = true
	}
	return set
}
