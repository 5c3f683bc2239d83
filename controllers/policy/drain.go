package policy

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/probes/result"
)

// witnesses are those of all links, by policy and link.
type witnesses struct {
	mutex  sync.Mutex
	byLink map[linkKey]keptWitness
}

// keptWitness is a witness and when somebody asked for it last.
type keptWitness struct {
	*witness
	asked time.Time
}

type linkKey struct {
	policy types.UID
	link   string
}

// of returns a link's witness. A policy is reconciled by one at a time, who then has it alone.
func (w *witnesses) of(policy types.UID, link string, now time.Time) *witness {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.byLink == nil {
		w.byLink = map[linkKey]keptWitness{}
	}
	key := linkKey{policy, link}
	kept := w.byLink[key]
	if kept.witness == nil {
		maps.DeleteFunc(w.byLink, func(_ linkKey, other keptWitness) bool { return now.Sub(other.asked) > forgetAfter })
		kept.witness = &witness{}
	}
	kept.asked = now
	w.byLink[key] = kept
	return kept.witness
}

// watchEndpoints looks which endpoints left, before observers are read anew, and says whether any are leaving now.
func (r *Reconciler) watchEndpoints(s *scope) (leaving bool) {
	seen := s.readings()
	for _, l := range s.links {
		if l.spec.Service == nil {
			continue
		}
		w := r.witnesses.of(s.policy.UID, l.spec.Name, s.now)
		if is, known := l.offer(s.policy, w.offered); known {
			w.look(s.now, is, seen)
			l.witness, leaving = w, leaving || w.window != nil
		}
	}
	return leaving
}

// countConnections counts what the connections came to by what observers say now.
func (s *scope) countConnections() {
	seen := s.readings()
	for _, l := range s.links {
		if l.witness == nil {
			continue
		}
		l.witness.read(s.now, seen)
		if l.witness.window != nil {
			s.wakeAt(s.now.Add(readOften))
		}
	}
}

// offer is what the link's Service offers the policy's workload now, after what it offered last. It is not known while
// something other than the endpoints is in the way, nor of a Service that was never seen.
func (l *link) offer(policy *v1alpha1.ConnectionPolicy, last offer) (is offer, known bool) {
	source := sourceKey(*policy.Spec.From) + " "
	switch l.trouble.reason {
	case v1alpha1.ReasonServiceNotFound:
		service := serviceNamespace(policy, l.spec) + "/" + l.spec.Service.Name + ":"
		return offer{link: last.link, virtual: last.virtual}, strings.HasPrefix(last.link, source+service)
	case "", v1alpha1.ReasonNoEndpoints:
		is = offer{link: source + l.target.name, staying: l.target.staying, listed: l.target.listed}
		if l.target.virtual {
			is.virtual = l.target.addresses
		}
		return is, true
	default:
		return offer{}, false
	}
}

// readings are the last of the pods of the source that live, of those that are observed.
func (s *scope) readings() readings {
	seen := readings{}
	for i := range s.source.pods {
		if pod := &s.source.pods[i]; pod.DeletionTimestamp == nil {
			seen[pod.UID] = nil
		}
	}
	for _, o := range s.observed {
		seen[o.pod.UID] = o.seen.observation
	}
	return seen
}

// allDrains are those that a report knows, after those that were witnessed since.
func allDrains(known []v1alpha1.Drain, w *witness) []v1alpha1.Drain {
	if w == nil {
		return known
	}
	all := slices.Concat(w.told, known)
	return all[:min(len(all), maximumDrains)]
}

// drainsDiffer: another one was witnessed.
func drainsDiffer(old, next []v1alpha1.Drain) bool {
	return !slices.EqualFunc(old, next, func(a, b v1alpha1.Drain) bool {
		return a.StartTime.Equal(&b.StartTime) && a.EndTime.Equal(&b.EndTime)
	})
}

// drainsOf are the drains as the rules judge them, the last first.
func drainsOf(list []v1alpha1.Drain) []audit.Drain {
	var drains []audit.Drain
	for _, d := range list {
		drain := audit.Drain{
			Began: d.StartTime.Time, Ended: d.EndTime.Time, Endpoints: int(d.Endpoints), StillListed: int(d.StillListed), Pods: int(d.Pods),
			During: countedConnections(d.During),
		}
		if d.Before != nil {
			drain.Before = new(countedConnections(*d.Before))
		}
		drains = append(drains, drain)
	}
	return drains
}

func countedConnections(c v1alpha1.ConnectionCounts) audit.ConnectionCounts {
	counts := audit.ConnectionCounts{Opened: c.Opened, Failed: c.Failed, Closed: c.Closed, Open: c.Open}
	if c.Ends != nil {
		counts.Ends = new(result.Ends(*c.Ends))
	}
	return counts
}
