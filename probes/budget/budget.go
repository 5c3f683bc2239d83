// Package budget holds a run of the probe to its limits. Nothing is sent to the target without a turn, and a turn is only
// given while every limit holds.
package budget

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// MaximumErrorsInRow is after how many errors in a row the run leaves the target alone.
const MaximumErrorsInRow = 3

// Limits are what a run may do to its target.
type Limits struct {
	// Connections in all.
	Connections int
	// RequestsPerSecond bounds the turns per second: each opens at most one connection and sends at most one request.
	RequestsPerSecond int
	// Seconds is the duration of the whole run.
	Seconds int
	// IdleSeconds is the time for the measurement of idle connections, beyond Seconds. 0: it has its part of Seconds.
	IdleSeconds int
	// ParallelRequestsPerSecond bounds the turns per second of the measurement of parallel connections, which is made only
	// when it is named. 0: RequestsPerSecond holds for it too.
	ParallelRequestsPerSecond int
}

// Validate returns an error if a limit is not above zero.
func (l Limits) Validate() error {
	if l.Connections <= 0 || l.RequestsPerSecond <= 0 || l.Seconds <= 0 {
		return errors.New("each limit must be above zero")
	}
	if l.IdleSeconds < 0 || l.ParallelRequestsPerSecond < 0 {
		return errors.New("no limit may be below zero")
	}
	return nil
}

// Reasons why no turn is given.
var (
	// ErrConnections: the connections allowed are used up.
	ErrConnections = errors.New("the limit of connections is reached")
	// ErrSeconds: the time allowed is over.
	ErrSeconds = errors.New("the time limit is reached")
	// ErrErrors is wrapped by the reason after MaximumErrorsInRow.
	ErrErrors = fmt.Errorf("%d errors in a row", MaximumErrorsInRow)
	// ErrStopped is wrapped by the reason after the context was cancelled.
	ErrStopped = errors.New("not finished")
)

// Budget is what is left of the limits. It may be used from several goroutines at once.
type Budget struct {
	end   time.Time // of the run
	total int       // connections of the run

	turn  sync.Mutex    // held by whoever waits for a turn
	lock  sync.Mutex    // guards all below
	pause time.Duration // between two turns

	// The allowance of the measurement under way, a part of what the run has left.
	allowedEnd         time.Time
	allowedConnections int

	nextTurn    time.Time
	errorsInRow int
	lastError   error
	spent       result.Spent
	statuses    map[string]int
}

// New returns a budget that begins now.
func New(limits Limits) *Budget {
	b := &Budget{
		pause:    time.Second / time.Duration(limits.RequestsPerSecond),
		end:      time.Now().Add(time.Duration(limits.Seconds) * time.Second),
		total:    limits.Connections,
		statuses: map[string]int{},
	}
	b.Allow(1)
	return b
}

// Allow gives the measurement that begins now a share, above 0 to 1, of the time and of the connections that are left.
// What it does not use is left for those after it.
func (b *Budget) Allow(share float64) {
	b.lock.Lock()
	defer b.lock.Unlock()
	now := time.Now()
	b.allowedEnd = now.Add(time.Duration(share * float64(b.end.Sub(now))))
	b.allowConnections(share)
}

// AllowBeyond gives the measurement that begins now a time of its own, beyond that of the run, and a share of the
// connections that are left.
func (b *Budget) AllowBeyond(length time.Duration, share float64) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.allowedEnd = time.Now().Add(length)
	b.allowConnections(share)
}

// Prolong gives the measurement under way so much time from now on, beyond that of the run. What it may open stays the same.
func (b *Budget) Prolong(length time.Duration) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.allowedEnd = time.Now().Add(length)
}

func (b *Budget) allowConnections(share float64) {
	b.allowedConnections = b.spent.Connections + int(math.Ceil(share*float64(b.total-b.spent.Connections)))
}

// Pace sets how many turns are given per second from now on.
func (b *Budget) Pace(turnsPerSecond int) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.pause = time.Second / time.Duration(turnsPerSecond)
}

// ConnectionsLeft is how many connections the measurement under way may still open.
func (b *Budget) ConnectionsLeft() int {
	b.lock.Lock()
	defer b.lock.Unlock()
	return max(0, b.allowedConnections-b.spent.Connections)
}

// UntilTurn is how long the pace lets nobody have a turn from now on.
func (b *Budget) UntilTurn() time.Duration {
	b.lock.Lock()
	defer b.lock.Unlock()
	return max(0, time.Until(b.nextTurn))
}

// End is when the time of the measurement under way is over.
func (b *Budget) End() time.Time {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.allowedEnd
}

// Turn waits until the next request may be sent and, if connect is true, a connection be opened with it, which is counted
// here. Its errors wrap ErrConnections, ErrSeconds, ErrErrors or ErrStopped; then nothing may be sent.
func (b *Budget) Turn(ctx context.Context, connect bool) error {
	// One waits at a time, so that each turn keeps its distance from the one before.
	b.turn.Lock()
	defer b.turn.Unlock()
	if err := stopped(ctx); err != nil {
		return err
	}
	begin, err := b.next(connect)
	if err != nil {
		return err
	}
	if err := b.waitUntil(ctx, begin); err != nil {
		return err
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	// Counted from now and not from the planned time, so that no burst follows a delay.
	b.nextTurn = time.Now().Add(b.pause)
	if connect {
		b.spent.Connections++
	}
	return nil
}

// TryTurn is Turn for those who must not wait because they listen to several connections: it gives a turn if one may begin
// now, and else says how long until then.
func (b *Budget) TryTurn(ctx context.Context, connect bool) (wait time.Duration, err error) {
	if err := stopped(ctx); err != nil {
		return 0, err
	}
	begin, err := b.next(connect)
	if err != nil {
		return 0, err
	}
	if !begin.Before(b.End()) {
		return 0, ErrSeconds
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	now := time.Now()
	// Another may have had the turn meanwhile.
	if wait := b.nextTurn.Sub(now); wait > 0 {
		return wait, nil
	}
	b.nextTurn = now.Add(b.pause)
	if connect {
		b.spent.Connections++
	}
	return 0, nil
}

// next says when the next turn may begin, if there is one.
func (b *Budget) next(connect bool) (time.Time, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.errorsInRow >= MaximumErrorsInRow {
		return time.Time{}, fmt.Errorf("%w, the last: %w", ErrErrors, b.lastError)
	}
	if connect && b.spent.Connections >= b.allowedConnections {
		return time.Time{}, ErrConnections
	}
	if now := time.Now(); b.nextTurn.Before(now) {
		return now, nil
	}
	return b.nextTurn, nil
}

// Pause waits without sending anything. Its errors wrap ErrSeconds, at once if the time of the measurement under way ends
// within the pause, or ErrStopped.
func (b *Budget) Pause(ctx context.Context, length time.Duration) error {
	return b.waitUntil(ctx, time.Now().Add(length))
}

func (b *Budget) waitUntil(ctx context.Context, end time.Time) error {
	if !end.Before(b.End()) {
		return ErrSeconds
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(end)):
	}
	return stopped(ctx)
}

func stopped(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrStopped, context.Cause(ctx))
}

// Requested counts a request that is sent.
func (b *Budget) Requested() { b.count(func() { b.spent.Requests++ }) }

// Responded counts a response by its HTTP status.
func (b *Budget) Responded(status int) { b.count(func() { b.statuses[strconv.Itoa(status)]++ }) }

// Sent counts bytes that were sent.
func (b *Budget) Sent(bytes int) { b.count(func() { b.spent.BytesSent += int64(bytes) }) }

// Received counts bytes that arrived.
func (b *Budget) Received(bytes int) { b.count(func() { b.spent.BytesReceived += int64(bytes) }) }

func (b *Budget) count(do func()) {
	b.lock.Lock()
	defer b.lock.Unlock()
	do()
}

// Note records the outcome of a turn. MaximumErrorsInRow errors without a success between them end the run. What the
// time limit cut off was no error of the target. After a stop Turn asks for no outcome.
func (b *Budget) Note(err error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	switch {
	case err == nil:
		b.errorsInRow = 0
	case time.Now().Before(b.allowedEnd) && !errors.Is(err, ErrSeconds):
		b.errorsInRow++
		b.lastError = err
	}
}

// Spent is what the run did so far.
func (b *Budget) Spent() result.Spent {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.spent
}

// Statuses counts the responses so far by their HTTP status.
func (b *Budget) Statuses() map[string]int {
	b.lock.Lock()
	defer b.lock.Unlock()
	return maps.Clone(b.statuses)
}
