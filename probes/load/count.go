package load

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// timeWait is how long Linux keeps the port of a connection that this side closed first (include/net/tcp.h,
// TCP_TIMEWAIT_LEN).
const timeWait = 60 * time.Second

// maximumCauses bounds the number of series of the error metric.
const maximumCauses = 20

// connectBoundsSeconds are the upper bounds of the buckets of the connect time, three a decade.
func connectBoundsSeconds() []float64 {
	return []float64{
		10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6,
		1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1,
	}
}

// count is what the load did. All threads write it.
type count struct {
	started time.Time

	mutex    sync.Mutex
	counts   snapshot
	closings []time.Time // of the connections whose port is still held, the oldest first
}

// snapshot is a copy of the counts at one time.
type snapshot struct {
	requests, connections, notSent int
	errors                         map[string]int
	lastError                      string
	connectBuckets                 []int // one a bound, and one for what exceeds them all; not cumulative
	connectSumSeconds              float64
	open, portsInUse               int
}

func newCount(started time.Time) *count {
	return &count{started: started, counts: snapshot{
		errors:         map[string]int{},
		connectBuckets: make([]int, len(connectBoundsSeconds())+1),
	}}
}

func (c *count) connected(took time.Duration) {
	bounds := connectBoundsSeconds()
	bucket := 0
	for bucket < len(bounds) && took.Seconds() > bounds[bucket] {
		bucket++
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.counts.connections++
	c.counts.open++
	c.counts.connectBuckets[bucket]++
	c.counts.connectSumSeconds += took.Seconds()
}

func (c *count) closed(now time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.counts.open--
	c.closings = append(c.closings, now)
	c.release(now)
}

// release forgets the ports whose TIME_WAIT is over.
func (c *count) release(now time.Time) {
	free := 0
	for free < len(c.closings) && now.Sub(c.closings[free]) >= timeWait {
		free++
	}
	c.closings = c.closings[free:]
}

func (c *count) answered() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.counts.requests++
}

func (c *count) failed(cause string, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, known := c.counts.errors[cause]; !known && len(c.counts.errors) >= maximumCauses {
		cause = "other"
	}
	c.counts.errors[cause]++
	c.counts.lastError = err.Error()
}

func (c *count) notSent(number int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.counts.notSent += number
}

func (c *count) snapshot(now time.Time) snapshot {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.release(now)
	copied := c.counts
	copied.errors = maps.Clone(c.counts.errors)
	copied.connectBuckets = slices.Clone(c.counts.connectBuckets)
	copied.portsInUse = copied.open + len(c.closings)
	return copied
}

func (s snapshot) allErrors() int {
	sum := 0
	for _, number := range s.errors {
		sum += number
	}
	return sum
}

// cause names an error in few words, the same for all of its kind.
func cause(err error) string {
	var errno unix.Errno
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, tcpconn.ErrTimeout):
		return tcpconn.ErrTimeout.Error()
	}
	return err.Error()
}
