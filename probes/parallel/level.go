package parallel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// errTooLong: a response did not come as a whole within exchange.Timeout.
var errTooLong = &tcpconn.Error{Op: "read", Err: tcpconn.ErrTimeout}

// refusal is a status that says that the server has enough.
type refusal struct{ status int }

func (r *refusal) Error() string { return fmt.Sprintf("status %d", r.status) }

// enough says whether a status asks to be spared.
func enough(status int) bool { return status == 429 || status >= 500 }

// level is one number of connections under a load of its own: requests that are due at even distances, whatever became of
// those before them.
type level struct {
	lanes    []*lane
	interval time.Duration
	length   time.Duration

	began time.Time
	// closed: the time is over, and nothing more is sent.
	closed bool
	// taken is how many of the requests that are due were taken up. Those whose connection was ended under them wait in
	// again, with the times that they were due at.
	taken int
	again []time.Time

	// freeSince is since when there has been a free lane; zero: there is none. What is late while there is one is late by
	// the probe's own doing, its limit or its thread's, and is not counted to the target.
	freeSince time.Time

	// answers are the times of the responses after began, took what they took with the wait for a free lane from when they
	// were due, in microseconds. Those that still waited for a lane at the end are in took alone, with their wait until then.
	answers []time.Duration
	took    []float64
	// waited is how long the thread had nothing to do, delayed how long it had and got no processor.
	waited, delayed time.Duration
	// failure ended the level early.
	failure error
	errors  int
}

// run makes the load. The calling goroutine is locked to its thread.
func (l *level) run(ctx context.Context, b *budget.Budget) {
	l.began = time.Now()
	l.freeSince = l.began
	for {
		wait, goOn := l.step(ctx, b)
		if !goOn {
			break
		}
		if err := l.listen(ctx, wait); err != nil {
			l.fail(err)
			break
		}
	}
}

// close counts what still waits when the time is over, as far as it is for a lane that it has waited.
func (l *level) close(end time.Time) {
	until := end
	if !l.freeSince.IsZero() && l.freeSince.Before(end) {
		until = l.freeSince
	}
	for due := l.due(); due.Before(until); due = l.due() {
		l.took = append(l.took, microseconds(until.Sub(due)))
		l.takeUp()
	}
}

// due is when the next request is due.
func (l *level) due() time.Time {
	if len(l.again) > 0 {
		return l.again[0]
	}
	return l.began.Add(time.Duration(l.taken) * l.interval)
}

// takeUp takes that request up.
func (l *level) takeUp() {
	if len(l.again) > 0 {
		l.again = l.again[1:]
		return
	}
	l.taken++
}

// step sends what is due, and says how long there is nothing to do but to listen. It returns false at the end.
func (l *level) step(ctx context.Context, b *budget.Budget) (wait time.Duration, goOn bool) {
	now := time.Now()
	end := l.began.Add(l.length)
	switch {
	case l.failure != nil || l.closed:
	case now.Before(end):
		wait, err := l.send(ctx, b, now)
		if err == nil {
			return min(wait, time.Until(end)), true
		}
		l.fail(err)
	default:
		l.close(end)
		l.closed = true
	}
	// What is under way is waited for, whatever ended the level, but not beyond the run's own end.
	left := time.Until(b.End())
	for _, lane := range l.lanes {
		if lane.busy && ctx.Err() == nil && left > 0 {
			return min(left, time.Until(lane.sent.Add(exchange.Timeout))), true
		}
	}
	return 0, false
}

// send sends the requests that are due, as far as there are free lanes and turns for them.
func (l *level) send(ctx context.Context, b *budget.Budget, now time.Time) (wait time.Duration, err error) {
	for {
		due := l.due()
		if due.After(now) {
			return due.Sub(now), nil
		}
		free := l.free()
		if free == nil {
			l.freeSince = time.Time{}
			return exchange.Timeout, nil
		}
		if wait, err := b.TryTurn(ctx, free.connection == nil); wait > 0 || err != nil {
			return wait, err
		}
		l.takeUp()
		if free.connection == nil {
			if err := free.open(ctx); err != nil {
				return 0, err
			}
		}
		waited := max(0, l.freeSince.Sub(due))
		if err := free.send(ctx, waited); err != nil {
			return 0, err
		}
	}
}

// free is a lane without a request under way, nil if there is none. One with a connection comes first, and of these the one
// that has been free for longest, so that all are in use.
func (l *level) free() *lane {
	var best *lane
	for _, lane := range l.lanes {
		if lane.busy {
			continue
		}
		open := lane.connection != nil
		if best == nil || open && (best.connection == nil || lane.sent.Before(best.sent)) {
			best = lane
		}
	}
	return best
}

// listen waits for something to happen on a connection, and takes it.
func (l *level) listen(ctx context.Context, wait time.Duration) error {
	var open []*lane
	var watched []tcpconn.Watched
	for _, lane := range l.lanes {
		if lane.connection != nil {
			open = append(open, lane)
			watched = append(watched, tcpconn.Watched{Conn: lane.connection.TCP(), ForData: lane.busy})
		}
	}
	asleep := time.Now()
	events, err := tcpconn.Poll(ctx, watched, max(0, wait))
	if err != nil {
		return err
	}
	now := time.Now()
	l.waited += now.Sub(asleep)
	for i, lane := range open {
		switch {
		case lane.busy && (events[i].Readable || events[i].Ended != nil):
			l.take(lane)
		case lane.busy && now.Sub(lane.sent) > exchange.Timeout:
			lane.close()
			l.fail(errTooLong)
		case !lane.busy && events[i].Ended != nil:
			// The server has ended a connection between two requests. Its lane opens another.
			lane.close()
		}
	}
	return nil
}

// take takes what has arrived on a lane.
func (l *level) take(lane *lane) {
	due, carried := lane.due, lane.carried
	a := lane.listen()
	now := time.Now()
	if !lane.busy && l.freeSince.IsZero() {
		l.freeSince = now
	}
	switch {
	case a.err != nil && carried > 0 && (errors.Is(a.err, io.EOF) || exchange.WasReset(a.err)):
		// The server ended the connection while the request was on its way, as it may (RFC 9112 section 9.3.1).
		l.again = append(l.again, due)
	case a.err != nil:
		l.fail(a.err)
	case a.response != nil && enough(a.response.Status):
		l.fail(&refusal{a.response.Status})
	case a.response != nil:
		l.answers = append(l.answers, now.Sub(l.began))
		l.took = append(l.took, microseconds(now.Sub(due)))
	}
}

// fail ends the level, whose length is what it had until then. What the time limit or a stop cut off is no error.
func (l *level) fail(err error) {
	if !errors.Is(err, budget.ErrSeconds) && !errors.Is(err, budget.ErrStopped) && !errors.Is(err, budget.ErrConnections) {
		l.errors++
	}
	if l.failure != nil {
		return
	}
	l.failure = err
	if !l.closed {
		l.length = time.Since(l.began)
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
