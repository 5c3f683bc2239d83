package policy

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// forgetAfter is how long a pod is remembered that nobody looks at any more. It is longer than longestPause.
const forgetAfter = 3 * longestPause

// sightings remembers what observers said last, by pod, so that a reconcile that something else caused does not read
// them again, and several policies on one workload share them. Nothing is lost with it: a new manager reads again.
type sightings struct {
	mutex sync.Mutex
	byPod map[types.UID]sighting
}

func (s *sightings) get(pod types.UID) (sighting, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	seen, known := s.byPod[pod]
	return seen, known
}

func (s *sightings) put(pod types.UID, seen sighting) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.byPod == nil {
		s.byPod = map[types.UID]sighting{}
	}
	for other, last := range s.byPod {
		if seen.at.Sub(last.at) > forgetAfter {
			delete(s.byPod, other)
		}
	}
	s.byPod[pod] = seen
}
