// Package observer watches the sockets of the network namespace that it runs in and tells how its connections are made,
// used and closed: as metrics, under the names of probes/result, or as one observation at the end. It needs no privilege
// and opens no connections.
//
// It looks at all open sockets once a second, at those in TIME_WAIT once a window, and takes tcp_info when that is cheap;
// all of it less often where it would take more than two percent of a processor. Where connections end less often than
// 2,000 times a second, it has the kernel tell each end. Its memory is bounded: 60,000 open sockets are followed, at about
// half a kilobyte each, 100 destinations are told apart, and the last 1,000 ended connections of each are remembered, and
// what each had counted every ten minutes of the last hour.
package observer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

const (
	// step is the time between two looks.
	step = time.Second
	// minimumWindow is that of the rates.
	minimumWindow = 2 * time.Second
	// scrapeAge is the age of a census beyond which a scrape takes a new one.
	scrapeAge = 5 * time.Second
	// staleAge is the age beyond which the figures of a census stand for nothing any more, and are not served.
	staleAge = time.Minute
	// lookShare and infoShare are the parts of a processor that looks may take, without tcp_info and with it, as their
	// inverse: 1.2 and 0.2 %. Where that does not allow a look a second, there are fewer. The kernel goes through the table
	// of all sockets of the host for each, which takes 1 to 20 ms even if none is ours.
	lookShare = 80
	infoShare = 500
)

// dumpFunc lists sockets as sockdiag.Dump does.
type dumpFunc func(sockdiag.Query, func(sockdiag.Socket)) error

// Observer watches one network namespace.
type Observer struct {
	log    *slog.Logger
	proc   procnet.FS
	dump   dumpFunc
	window time.Duration
	kernel string

	// mutex lets one caller look at a time; the others then find fresh figures.
	mutex    sync.Mutex
	openings openings
	// counters are nil until they could be read.
	counters map[string]int64
	// began is the mark since which totals count; marks are those of the last hour and the one before, ascending.
	began  mark
	marks  []mark
	ledger *ledger
	look   look
	ends   ends
	// due and infoDue are when the next look may be, and the next with tcp_info.
	due, infoDue time.Time
	dumpErrors   int64
}

// New returns an observer of the calling process's namespace. The window is that of the rates, from two seconds to half
// a minute, so that every connection that this side closed is seen in TIME_WAIT.
func New(log *slog.Logger, proc procnet.FS, window time.Duration) (*Observer, error) {
	if window < minimumWindow || window > timeWaitLength/2 {
		return nil, errors.New("the window must be 2 to 30 seconds")
	}
	kernel, err := proc.KernelRelease()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &Observer{
		log:      log,
		proc:     proc,
		dump:     sockdiag.Dump,
		window:   window,
		kernel:   kernel,
		openings: openings{window: window},
		began:    mark{at: now},
		ledger:   newLedger(),
		ends:     ends{log: log, listen: listenClosings, interval: longestInterval},
	}, nil
}

// LogEnded has each connection that ends from now on given to ended, and those that are open at the end of Run. It is to be
// called before Run.
func (o *Observer) LogEnded(ended func(result.ConnectionRecord)) { o.ledger.ended = ended }

// Run looks until the context ends, and then once more.
func (o *Observer) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			o.lookLast()
			return
		case now := <-timer.C:
			timer.Reset(o.wake(now))
		}
	}
}

// wake looks if a look is due, reads the ends that were told, and says when to wake again.
func (o *Observer) wake(now time.Time) time.Duration {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if now.Before(o.due) {
		o.ends.read()
	} else {
		o.lookAround()
	}
	return max(0, min(time.Until(o.due), o.ends.interval))
}

// lookAround looks at the sockets, and at those in TIME_WAIT if a window has passed.
func (o *Observer) lookAround() {
	o.ends.follow(o.made())
	o.lookAt(o.censusAge() >= o.window, false)
}

// lookLast looks at everything, and waits for what the kernel has still to tell.
func (o *Observer) lookLast() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.lookAt(true, true)
	if o.ledger.ended != nil {
		o.ledger.logOpen(o.ledger.ended)
		o.ledger.ended = nil
	}
	o.ends.stop()
}

// readCounters says whether they could be read.
func (o *Observer) readCounters() bool {
	counters, err := readCounters(o.proc)
	if err != nil {
		o.log.Error("the kernel's counters could not be read", "error", err)
		return false
	}
	if o.counters == nil {
		o.began.counters = counters
	}
	o.counters = counters
	if count, ok := counters["Tcp.ActiveOpens"]; ok {
		o.openings.add(time.Now(), count)
	}
	return true
}

// made is how many connections were made so far, of either side: as many will end. known is false before the counters were
// read.
func (o *Observer) made() (count int64, known bool) {
	return o.counters["Tcp.ActiveOpens"] + o.counters["Tcp.PassiveOpens"], o.counters != nil
}

// censusAge is how long ago the sockets in TIME_WAIT were listed.
func (o *Observer) censusAge() time.Duration {
	if o.ledger.censusAt.IsZero() {
		return staleAge
	}
	return time.Since(o.ledger.censusAt)
}

// lookAt lists the sockets, the last time with all that is known of them, and says when the next look is due.
func (o *Observer) lookAt(withTimeWait, last bool) {
	now := time.Now()
	withInfo := last || !now.Before(o.infoDue)
	cost := measureCost(func() { o.lookNow(now, withInfo, withTimeWait, last) })
	if withInfo {
		o.infoDue = now.Add(cost * infoShare)
		o.due = now.Add(step)
	} else {
		o.due = now.Add(max(step, cost*lookShare))
	}
	if o.ledger.censusAt.Equal(now) {
		o.noteMark(now)
	}
}

// lookNow counts what a list of the sockets shows. After an error the last figures stay, until staleAge.
func (o *Observer) lookNow(now time.Time, withInfo, withTimeWait, last bool) {
	err := o.look.take(o.dump, now, withInfo, withTimeWait)
	if last && o.ends.told() {
		<-time.After(toldWithin)
	}
	// Counters and ends are of one time with the sockets, as nearly as can be.
	o.ends.read()
	counted := o.readCounters()
	if err != nil {
		o.dumpErrors++
		o.log.Error("the sockets could not be listed; the last figures stay for a minute", "error", err)
		return
	}
	if counted {
		o.look.aborts, o.look.abortsKnown = abortsOf(o.counters)
	}
	endings, complete := o.ends.take()
	o.look.endsTold, o.look.endsComplete, o.look.last = o.ends.told(), complete, last
	o.ledger.apply(&o.look, endings, o.chosenPorts(withTimeWait))
}

// chosenPorts is what the kernel takes local ports from, nil if it cannot be read. Those that connect() tries first are
// counted for a census only.
func (o *Observer) chosenPorts(withFirst bool) *chosenPorts {
	ports, err := o.proc.PortRange()
	if err != nil {
		return nil
	}
	chosen := &chosenPorts{PortRange: ports}
	if withFirst {
		if first, err := o.proc.FirstPorts(); err == nil {
			chosen.first = &first
		}
	}
	return chosen
}

// refresh takes a census unless the last is younger than maximumAge.
func (o *Observer) refresh(maximumAge time.Duration) {
	if o.censusAge() >= maximumAge {
		o.lookAt(true, false)
	}
}

// Observe returns what was seen so far. It fails if the sockets could not be listed within the last minute.
func (o *Observer) Observe() (result.Observation, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.censusAge() >= staleAge {
		return result.Observation{}, fmt.Errorf("the sockets could not be listed; %d attempts failed", o.dumpErrors)
	}
	return o.observation(), nil
}

// observation is what was seen up to now, with what was counted since the observer began.
func (o *Observer) observation() result.Observation { return o.observed(time.Now(), o.began) }

// recent is the same with what was counted in about the last hour.
func (o *Observer) recent() result.Observation {
	now := time.Now()
	from := o.recently(now)
	seen := o.observed(now, from)
	seen.PeriodSeconds = new(now.Sub(from.at).Seconds())
	return seen
}

// observed is what was seen up to now, with what was counted since a mark.
func (o *Observer) observed(now time.Time, from mark) result.Observation {
	seen := result.Observation{
		Version: result.Version, Kernel: o.kernel, At: now, UptimeSeconds: now.Sub(o.began.at).Seconds(),
		Cost: result.Cost{
			CPUSeconds: processCPU().Seconds(), Looks: o.ledger.looks, InfoLooks: o.ledger.infoLook, Errors: o.dumpErrors,
			ExactSeconds: o.ends.listened(now).Seconds(), ClosingsLost: o.ends.lost,
		},
		Counters: o.counters, CounterChanges: changes(from.counters, o.counters),
		Sysctls: o.proc.Sysctls(procnet.WorkloadSysctls()),
	}
	for name, value := range seen.Sysctls {
		if len(value) > result.MaximumSysctlBytes {
			delete(seen.Sysctls, name)
		}
	}
	if rate, ok := o.openings.perSecond(); ok {
		seen.OpensPerSecond = &rate
	}
	if ports, err := o.proc.AvailablePorts(); err == nil {
		seen.PortsAvailable = &ports
	}
	if o.censusAge() >= staleAge {
		return seen
	}
	o.ledger.observe(&seen, now, from)
	if opened, ok := seen.CounterChanges["Tcp.ActiveOpens"]; ok {
		seen.Opened = &opened
		seen.OpenedUnseen = new(max(0, opened-(o.ledger.opened()-from.opened)))
	}
	return seen
}
