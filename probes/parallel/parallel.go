// Package parallel measures what more connections at once gain: how many requests per second 1, 2, 4, 8… connections
// answer, and from where on more of them bring no more, or only later, answers.
//
// The load is open: requests are due at even distances, and their time counts from when they were due. A load that waits
// for each answer before it asks again slows down with the server, and so hides that the server is full. What is due
// grows with the connections, so that each of them is busy for most of the time; the server is full where it does not
// follow. It is told at once by a status of 429 or 5xx, or an error, and then left alone.
package parallel

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// mostConnections bounds the climb.
	mostConnections = 64
	// busyShare is the part of the time that each connection is meant to be in use: enough to fill a server that has fewer
	// workers, and so little that what a stall has dammed up drains soon.
	busyShare = 0.6
	// limitShare is the part of the limit of requests per second that is used, so that a turn that came late delays none of
	// those after it.
	limitShare = 0.9
	// leastMore is by what more must be due for more connections to be tried.
	leastMore = 1.1
	// A level takes levelLength, or as long as levelRequests need, but no longer than longestLevel.
	levelLength   = 2 * time.Second
	levelRequests = 40
	longestLevel  = 8 * time.Second
	// The time of a request alone is known from so many, or from those that fit alone.
	firstRequests = 20
	fewestFirst   = 5
	aloneLength   = 1500 * time.Millisecond
)

// errNotKept: there is nothing to be compared.
var errNotKept = errors.New("the server ends every connection after one request, so that none can be kept in use")

// Measure climbs from one connection to as many as gain, or as the limits allow. perSecond is the limit of requests per
// second, runDelay how long the calling thread has waited for a processor so far. The calling goroutine is locked to that
// thread.
func Measure(ctx context.Context, peer *exchange.Peer, perSecond int, runDelay func() (time.Duration, error)) result.Parallel {
	m := &measurement{peer: peer, runDelay: runDelay, course: exchange.Course{Began: time.Now()}, most: limitShare * float64(perSecond)}
	defer m.drop()
	defer punctual()()
	alone, err := m.alone(ctx)
	if err == nil {
		m.perConnection = busyShare * float64(time.Second) / float64(alone)
		err = m.climb(ctx)
	}
	m.stopBy(err)
	r := m.r
	r.Meta = m.course.Conclude()
	switch {
	case errors.Is(err, errNotKept):
		r.Outcome, r.Cause, r.StoppedBy = result.Unsupported, err.Error(), ""
	case errors.Is(err, errUnsteady):
		r.Outcome, r.Cause = result.Failed, err.Error()
	}
	return r
}

// punctual makes the kernel wake this thread when it asked to be woken, and not up to 50 µs later (prctl(2),
// PR_SET_TIMERSLACK). It returns what undoes that. Without it times are longer by those.
func punctual() (undo func()) {
	const nanosecond, byDefault = 1, 0
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, nanosecond, 0, 0, 0)
	return func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, byDefault, 0, 0, 0) }
}

type measurement struct {
	peer     *exchange.Peer
	runDelay func() (time.Duration, error)
	course   exchange.Course
	r        result.Parallel

	// most is the highest rate of requests, perConnection what is due for each connection, both per second.
	most, perConnection float64
	lanes               []*lane
}

// alone is the time of a request on a connection in use, while nothing else is under way.
func (m *measurement) alone(ctx context.Context) (time.Duration, error) {
	var connection *exchange.Connection
	defer func() {
		if connection != nil {
			connection.Close()
		}
	}()
	var took []time.Duration
	for carried := 0; len(took) < firstRequests && (len(took) < fewestFirst || time.Since(m.course.Began) < aloneLength); {
		if err := m.peer.Turn(ctx, connection == nil); err != nil {
			return 0, err
		}
		if connection == nil {
			var err error
			if connection, err = m.peer.Connect(ctx); err != nil {
				return 0, err
			}
			carried = 0
		}
		response, this, err := connection.Request(ctx, false)
		switch {
		case err == nil && enough(response.Status):
			return 0, &refusal{response.Status}
		case err == nil && response.Persistent:
			carried++
			took = append(took, this)
			continue
		case carried == 0 && err != nil:
			return 0, err
		case carried == 0:
			return 0, errNotKept
		}
		connection.Close()
		connection = nil
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// climb goes from level to level.
func (m *measurement) climb(ctx context.Context) error {
	single, err := m.single(ctx)
	if err != nil {
		return err
	}
	before := single
	for connections := 2; connections <= mostConnections && m.offered(connections) > leastMore*m.offered(connections/2); connections *= 2 {
		this, err := m.level(ctx, connections)
		if err != nil {
			return err
		}
		why := judge(single, before, this)
		if why != "" {
			if single, this, err = m.lookAgain(ctx, single, connections); err != nil {
				return err
			}
			why = judge(single, before, this)
		}
		if why != "" {
			m.r.StoppedBy = why
			if why != stoppedByProbe {
				m.r.Knee = new(connections / 2)
			}
			return nil
		}
		before = this
	}
	m.r.StoppedBy = stoppedByLimit
	return nil
}

// single is the first level. Where one connection does not keep up with what is due for it, since some requests take much
// longer than that in the middle, less is.
func (m *measurement) single(ctx context.Context) (figures, error) {
	for range 3 {
		f, err := m.level(ctx, 1)
		if err != nil || f.answered >= followedShare*f.offered {
			return f, err
		}
		m.perConnection /= 2
	}
	return figures{}, errUnsteady
}

// errUnsteady: there is no rate that one connection keeps up with.
var errUnsteady = errors.New("the times of requests on one connection differ too much for a steady load")

// offered is how many requests per second are due with so many connections.
func (m *measurement) offered(connections int) float64 {
	return min(m.most, m.perConnection*float64(connections))
}

// level runs the load of so many connections and keeps what it showed.
func (m *measurement) level(ctx context.Context, connections int) (figures, error) {
	l, err := m.run(ctx, connections)
	if err != nil {
		return figures{}, err
	}
	f, enough := l.figures()
	if enough {
		last := len(m.r.Levels) - 1
		if last >= 0 && m.r.Levels[last].Connections == connections {
			m.r.Levels = m.r.Levels[:last]
		}
		m.r.Levels = append(m.r.Levels, f.report(connections, l.errors))
	}
	switch {
	case l.failure != nil:
		return figures{}, l.failure
	case !enough:
		return figures{}, errFew
	}
	return f, nil
}

// errFew: a level is too short for what is slow.
var errFew = errors.New("too few requests were answered in the time that there is")

// lookAgain looks once more at one connection, and then at the level that seemed to be of no use. A stall of the machine
// or the path would be taken for the load's doing, and it seldom comes twice.
func (m *measurement) lookAgain(ctx context.Context, single figures, connections int) (singleAgain, this figures, err error) {
	l, err := m.run(ctx, 1)
	if err != nil {
		return figures{}, figures{}, err
	}
	control, enough := l.figures()
	switch {
	case l.failure != nil:
		return figures{}, figures{}, l.failure
	case !enough:
		return figures{}, figures{}, errFew
	}
	m.r.SingleAgainMicroseconds = &control.p50
	this, err = m.level(ctx, connections)
	return worse(single, control), this, err
}

// run opens the connections that are missing and makes the load of a level.
func (m *measurement) run(ctx context.Context, connections int) (*level, error) {
	for len(m.lanes) < connections {
		m.lanes = append(m.lanes, &lane{peer: m.peer})
	}
	perSecond := m.offered(connections)
	l := &level{
		lanes:    m.lanes[:connections],
		interval: time.Duration(float64(time.Second) / perSecond),
		length:   max(levelLength, min(longestLevel, time.Duration(levelRequests/perSecond*float64(time.Second)))),
	}
	if err := m.fits(l); err != nil {
		return nil, err
	}
	for _, lane := range l.lanes {
		if lane.connection != nil {
			continue
		}
		if err := m.peer.Turn(ctx, true); err != nil {
			return nil, err
		}
		if err := lane.open(ctx); err != nil {
			return nil, err
		}
	}
	before, errBefore := m.runDelay()
	l.run(ctx, m.peer.Budget)
	// A kernel that does not tell leaves it at zero.
	if after, err := m.runDelay(); err == nil && errBefore == nil {
		l.delayed = after - before
	}
	m.course.Samples += len(l.answers)
	return l, nil
}

// fits says whether the limits leave room for a level, before anything is done for it.
func (m *measurement) fits(l *level) error {
	missing := 0
	for _, lane := range l.lanes {
		if lane.connection == nil {
			missing++
		}
	}
	switch {
	case missing > m.peer.Budget.ConnectionsLeft():
		return budget.ErrConnections
	case time.Now().Add(l.length).After(m.peer.Budget.End()):
		return budget.ErrSeconds
	}
	return nil
}

// stopBy says why the climb ended, if it was not of its own accord.
func (m *measurement) stopBy(err error) {
	var refused *refusal
	switch {
	case err == nil:
	case errors.As(err, &refused):
		m.r.StoppedBy = refused.Error()
		if len(m.r.Levels) == 0 {
			m.course.Failed(err)
		}
	case errors.Is(err, errFew):
		m.r.StoppedBy = stoppedByLimit
		m.course.Failed(err)
	case errors.Is(err, errUnsteady):
		m.course.Failed(err)
	case errors.Is(err, budget.ErrSeconds), errors.Is(err, budget.ErrConnections):
		m.r.StoppedBy = stoppedByLimit
		m.course.Stop = err
	case errors.Is(err, budget.ErrStopped), errors.Is(err, budget.ErrErrors):
		m.course.Stop = err
	default:
		m.r.StoppedBy = stoppedByErrors
		m.course.Failed(err)
		m.peer.Note(err)
	}
}

func (m *measurement) drop() {
	for _, lane := range m.lanes {
		lane.close()
	}
}
