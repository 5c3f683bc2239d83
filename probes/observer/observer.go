// Package observer watches the sockets of the network namespace that it runs in and serves what it sees as metrics, under
// the names of probes/result. It needs no privilege and opens no connections.
//
// It is cheap: the counters under /proc are read every few seconds, the sockets are listed once a window, and for a
// scrape only if the last list is older than scrapeAge.
package observer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

const (
	counterInterval = 2 * time.Second
	// scrapeAge is the age of a census beyond which a scrape takes a new one.
	scrapeAge = 5 * time.Second
	// staleAge is the age beyond which the figures of a census stand for nothing any more, and are not served.
	staleAge = time.Minute
	// maximumDestinations and maximumListening bound the number of series.
	maximumDestinations = 50
	maximumListening    = 200
)

// dumpFunc lists sockets as sockdiag.Dump does.
type dumpFunc func(sockdiag.Query, func(sockdiag.Socket)) error

// Observer watches one network namespace.
type Observer struct {
	log     *slog.Logger
	proc    procnet.FS
	dump    dumpFunc
	window  time.Duration
	kernel  string
	started time.Time

	// mutex lets one caller look at a time; the others then find fresh figures.
	mutex      sync.Mutex
	openings   openings
	before     *census
	latest     *census
	peaks      peaks
	dumpErrors int
}

// New returns an observer of the calling process's namespace. The window is that of the rates, from two seconds to half
// a minute, so that every connection that this side closed is seen in TIME_WAIT.
func New(log *slog.Logger, proc procnet.FS, window time.Duration) (*Observer, error) {
	if window < counterInterval || window > timeWaitLength/2 {
		return nil, errors.New("the window must be 2 to 30 seconds")
	}
	kernel, err := proc.KernelRelease()
	if err != nil {
		return nil, err
	}
	o := &Observer{
		log:      log,
		proc:     proc,
		dump:     sockdiag.Dump,
		window:   window,
		kernel:   kernel,
		openings: openings{window: window},
		peaks:    peaks{},
	}
	o.started = time.Now()
	return o, nil
}

// Run looks until the context ends.
func (o *Observer) Run(ctx context.Context) {
	ticker := time.NewTicker(counterInterval)
	defer ticker.Stop()
	for {
		o.readCounters()
		o.takeCensus(o.window)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (o *Observer) readCounters() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	counters, err := o.proc.SNMP()
	if err != nil {
		o.log.Error("the kernel's counters could not be read", "error", err)
		return
	}
	if count, ok := counters["Tcp.ActiveOpens"]; ok {
		o.openings.add(time.Now(), count)
	}
}

// takeCensus lists the sockets unless the last list is younger than maximumAge. After an error the last figures stay, until staleAge.
func (o *Observer) takeCensus(maximumAge time.Duration) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	now := time.Now()
	var since time.Duration
	if o.latest != nil {
		if since = now.Sub(o.latest.at); since < maximumAge {
			return
		}
	}
	c, err := take(o.dump, now, since)
	if err != nil {
		o.dumpErrors++
		o.log.Error("the sockets could not be listed; the last figures stay for a minute", "error", err)
		return
	}
	o.before, o.latest = o.latest, &c
	o.peaks.remember(c, maximumDestinations)
}
