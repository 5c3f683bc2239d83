package observer

import (
	"log/slog"
	"time"

	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

const (
	// bufferedEnds is how many ends may come between two readings. The kernel's buffer holds three times as many, if
	// net.core.rmem_max is as it comes.
	bufferedEnds = 100
	// shortestInterval and longestInterval bound the time between two readings.
	shortestInterval = 25 * time.Millisecond
	longestInterval  = 500 * time.Millisecond
	// stopAbove and startBelow are ends a second. Telling costs the workload itself: at 20,000 a second on two busy
	// processors it took 9 to 27 % of its throughput.
	stopAbove  = 2000
	startBelow = 1500
	// toldWithin is how long the kernel may take to tell an end: it leaves that to a worker thread.
	toldWithin = 200 * time.Millisecond
	// maximumEnds bounds what waits for the next look; the rest counts as lost.
	maximumEnds = 20_000
)

// closings tells the ends of sockets, as sockdiag.Closings does.
type closings interface {
	Read(visit func(sockdiag.Socket)) (lost bool, err error)
	Close() error
}

func listenClosings() (closings, error) { return sockdiag.ListenClosings() }

// ends listens to the ends of connections while there are not too many.
type ends struct {
	log    *slog.Logger
	listen func() (closings, error)
	// feed is nil while nobody listens; refused is set where the kernel does not tell.
	feed    closings
	refused bool
	// interval is how soon to read again.
	interval time.Duration
	pending  []ending
	lost     int64
	// complete: each end since the last take was told.
	complete bool
	// since is when listening began, before how long it lasted until then.
	since  time.Time
	before time.Duration
	// countedAt and counted are the last reading of what follow is told.
	countedAt time.Time
	counted   int64
}

// follow begins or stops to listen by how fast connections are made; known is false while nobody knows.
func (e *ends) follow(made int64, known bool) {
	now := time.Now()
	perSecond := 0.0
	if elapsed := now.Sub(e.countedAt).Seconds(); !e.countedAt.IsZero() && elapsed > 0 {
		perSecond = float64(made-e.counted) / elapsed
	}
	if known {
		e.countedAt, e.counted = now, made
	}
	e.interval = longestInterval
	if perSecond > 0 {
		e.interval = max(shortestInterval, min(longestInterval, time.Duration(bufferedEnds/perSecond*float64(time.Second))))
	}
	switch {
	case e.feed != nil && perSecond > stopAbove:
		e.stop()
	case e.feed == nil && !e.refused && perSecond < startBelow:
		e.start(now)
	}
}

func (e *ends) start(now time.Time) {
	feed, err := e.listen()
	if err != nil {
		e.refused = true
		e.log.Info("the kernel does not tell the ends of connections; they are known to the second", "cause", err)
		return
	}
	e.feed, e.since, e.complete = feed, now, false
}

// stop reads what was told until now, and listens no more.
func (e *ends) stop() {
	if e.feed == nil {
		return
	}
	e.read()
	if e.feed == nil {
		return
	}
	e.before += time.Since(e.since)
	if err := e.feed.Close(); err != nil {
		e.log.Error("a socket of the observer could not be closed", "error", err)
	}
	e.feed = nil
}

// read takes what the kernel told.
func (e *ends) read() {
	if e.feed == nil {
		return
	}
	now := time.Now()
	lost, err := e.feed.Read(func(s sockdiag.Socket) {
		if len(e.pending) == maximumEnds {
			e.lost++
			e.complete = false
			return
		}
		e.pending = append(e.pending, endingOf(s, now))
	})
	if lost {
		e.lost++
		e.complete = false
	}
	if err != nil {
		e.log.Error("the ends of connections are known to the second from now on", "error", err)
		e.refused = true
		e.before += now.Sub(e.since)
		_ = e.feed.Close()
		e.feed = nil
	}
}

// take returns what was read since the last call, and whether that is each end. It is valid until the next read.
func (e *ends) take() (taken []ending, complete bool) {
	taken, complete = e.pending, e.complete && e.told()
	e.pending, e.complete = e.pending[:0], e.told()
	return taken, complete
}

// told says whether the kernel tells ends at the moment.
func (e *ends) told() bool { return e.feed != nil }

// listened is for how long it told them.
func (e *ends) listened(now time.Time) time.Duration {
	if e.feed == nil {
		return e.before
	}
	return e.before + now.Sub(e.since)
}
