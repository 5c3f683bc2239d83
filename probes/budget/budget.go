// Package budget holds a run of the probe to its limits. Nothing is sent to the target without a turn, and a turn is only
// given while every limit holds.
package budget

import (
	"context"
	"errors"
	"fmt"
	"math"
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
}

// Validate returns an error if a limit is not above zero.
func (l Limits) Validate() error {
	if l.Connections <= 0 || l.RequestsPerSecond <= 0 || l.Seconds <= 0 {
		return errors.New("each limit must be above zero")
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

// Budget is what is left of the limits. It is used from one goroutine.
type Budget struct {
	pause time.Duration
	end   time.Time // of the run
	total int       // connections of the run

	// The allowance of the measurement under way, a part of what the run has left.
	allowedEnd         time.Time
	allowedConnections int

	nextTurn    time.Time
	errorsInRow int
	lastError   error
	spent       result.Spent
}

// New returns a budget that begins now.
func New(limits Limits) *Budget {
	b := &Budget{
		pause: time.Second / time.Duration(limits.RequestsPerSecond),
		end:   time.Now().Add(time.Duration(limits.Seconds) * time.Second),
		total: limits.Connections,
	}
	b.Allow(1)
	return b
}

// Allow gives the measurement that begins now a share, above 0 to 1, of the time and of the connections that are left.
// What it does not use is left for those after it.
func (b *Budget) Allow(share float64) {
	now := time.Now()
	b.allowedEnd = now.Add(time.Duration(share * float64(b.end.Sub(now))))
	b.allowedConnections = b.spent.Connections + int(math.Ceil(share*float64(b.total-b.spent.Connections)))
}

// End is when the time of the measurement under way is over.
func (b *Budget) End() time.Time { return b.allowedEnd }

// Turn waits until the next request may be sent and, if connect is true, a connection be opened with it. Its errors wrap
// ErrConnections, ErrSeconds, ErrErrors or ErrStopped; then nothing may be sent.
func (b *Budget) Turn(ctx context.Context, connect bool) error {
	if err := stopped(ctx); err != nil {
		return err
	}
	if b.errorsInRow >= MaximumErrorsInRow {
		return fmt.Errorf("%w, the last: %w", ErrErrors, b.lastError)
	}
	if connect && b.spent.Connections >= b.allowedConnections {
		return ErrConnections
	}
	now := time.Now()
	begin := b.nextTurn
	if begin.Before(now) {
		begin = now
	}
	if err := b.waitUntil(ctx, begin); err != nil {
		return err
	}
	// Counted from now and not from the planned time, so that no burst follows a delay.
	b.nextTurn = time.Now().Add(b.pause)
	return nil
}

// Pause waits without sending anything. Its errors wrap ErrSeconds, at once if the time of the measurement under way ends
// within the pause, or ErrStopped.
func (b *Budget) Pause(ctx context.Context, length time.Duration) error {
	return b.waitUntil(ctx, time.Now().Add(length))
}

func (b *Budget) waitUntil(ctx context.Context, end time.Time) error {
	if !end.Before(b.allowedEnd) {
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

// Connected counts an attempt to open a connection.
func (b *Budget) Connected() { b.spent.Connections++ }

// Requested counts a request that is sent.
func (b *Budget) Requested() { b.spent.Requests++ }

// Sent and Received count bytes.
func (b *Budget) Sent(bytes int) { b.spent.BytesSent += int64(bytes) }

// Received counts bytes that arrived.
func (b *Budget) Received(bytes int) { b.spent.BytesReceived += int64(bytes) }

// Note records the outcome of a turn. MaximumErrorsInRow errors without a success between them end the run. What the
// time limit cut off was no error of the target. After a stop Turn asks for no outcome.
func (b *Budget) Note(err error) {
	switch {
	case err == nil:
		b.errorsInRow = 0
	case time.Now().Before(b.allowedEnd) && !errors.Is(err, ErrSeconds):
		b.errorsInRow++
		b.lastError = err
	}
}

// Spent is what the run did so far.
func (b *Budget) Spent() result.Spent { return b.spent }
