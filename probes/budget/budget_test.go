package budget

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestValidate(t *testing.T) {
	if err := (Limits{Connections: 1, RequestsPerSecond: 1, Seconds: 1}).Validate(); err != nil {
		t.Error(err)
	}
	for _, l := range []Limits{
		{RequestsPerSecond: 1, Seconds: 1},
		{Connections: 1, Seconds: 1},
		{Connections: 1, RequestsPerSecond: 1},
		{Connections: -1, RequestsPerSecond: 1, Seconds: 1},
		{Connections: 1, RequestsPerSecond: 1, Seconds: 1, IdleSeconds: -1},
		{Connections: 1, RequestsPerSecond: 1, Seconds: 1, ParallelRequestsPerSecond: -1},
	} {
		if l.Validate() == nil {
			t.Errorf("%+v is allowed", l)
		}
	}
}

func TestConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 3, RequestsPerSecond: 100, Seconds: 10})
		for range 3 {
			if err := b.Turn(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Turn(t.Context(), true); !errors.Is(err, ErrConnections) {
			t.Errorf("a fourth connection: %v", err)
		}
		if err := b.Turn(t.Context(), false); err != nil {
			t.Errorf("a request on a connection that is there: %v", err)
		}
	})
}

// However long single turns take, no second holds more of them than the limit.
func TestRateHoldsAfterDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 1, RequestsPerSecond: 10, Seconds: 60})
		var turns []time.Time
		for i := 0; ; i++ {
			if err := b.Turn(t.Context(), false); err != nil {
				if !errors.Is(err, ErrSeconds) {
					t.Fatal(err)
				}
				break
			}
			turns = append(turns, time.Now())
			if i%7 == 0 {
				time.Sleep(450 * time.Millisecond)
			}
		}
		for i := 10; i < len(turns); i++ {
			if window := turns[i].Sub(turns[i-10]); window < time.Second {
				t.Fatalf("eleven turns within %v", window)
			}
		}
		if len(turns) < 300 {
			t.Errorf("only %d turns in a minute", len(turns))
		}
	})
}

// A turn that nobody waits for is given by the same rules, and says how long it would be to wait.
func TestTryTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 2, RequestsPerSecond: 10, Seconds: 1})
		if wait, err := b.TryTurn(t.Context(), true); wait != 0 || err != nil {
			t.Fatalf("the first turn: %v, %v", wait, err)
		}
		time.Sleep(30 * time.Millisecond)
		if wait, err := b.TryTurn(t.Context(), true); wait != 70*time.Millisecond || err != nil || b.Spent().Connections != 1 {
			t.Errorf("too early: %v, %v, %d connections", wait, err, b.Spent().Connections)
		}
		time.Sleep(500 * time.Millisecond)
		if wait, err := b.TryTurn(t.Context(), true); wait != 0 || err != nil || b.Spent().Connections != 2 {
			t.Errorf("the second: %v, %v, %d connections", wait, err, b.Spent().Connections)
		}
		// No burst follows the delay.
		if wait, err := b.TryTurn(t.Context(), false); wait != 100*time.Millisecond || err != nil {
			t.Errorf("at once after it: %v, %v", wait, err)
		}
		if _, err := b.TryTurn(t.Context(), true); !errors.Is(err, ErrConnections) {
			t.Errorf("a third connection: %v", err)
		}
		time.Sleep(500 * time.Millisecond)
		if _, err := b.TryTurn(t.Context(), false); !errors.Is(err, ErrSeconds) {
			t.Errorf("after the time: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.TryTurn(ctx, false); !errors.Is(err, ErrStopped) {
			t.Errorf("stopped: %v", err)
		}
		broken := New(Limits{Connections: 1, RequestsPerSecond: 10, Seconds: 1})
		for range MaximumErrorsInRow {
			broken.Note(errors.New("broken"))
		}
		if _, err := broken.TryTurn(t.Context(), false); !errors.Is(err, ErrErrors) {
			t.Errorf("after three errors: %v", err)
		}
	})
}

func TestTimeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 9, RequestsPerSecond: 1, Seconds: 3})
		begin := time.Now()
		turns := 0
		var err error
		for ; err == nil; turns++ {
			err = b.Turn(t.Context(), false)
		}
		if !errors.Is(err, ErrSeconds) || turns-1 != 3 || time.Since(begin) > 3*time.Second {
			t.Errorf("%d turns in %v, then %v", turns-1, time.Since(begin), err)
		}
	})
}

func TestThreeErrorsInARowEndTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 9, RequestsPerSecond: 1000, Seconds: 3})
		broken := errors.New("broken")
		for _, outcome := range []error{broken, broken, nil, broken, broken} {
			b.Note(outcome)
			if err := b.Turn(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		b.Note(broken)
		if err := b.Turn(t.Context(), true); !errors.Is(err, ErrErrors) || !errors.Is(err, broken) {
			t.Errorf("after three errors in a row: %v", err)
		}
	})
}

func TestWhatTheTimeLimitCutsOffIsNoErrorOfTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 9, RequestsPerSecond: 1000, Seconds: 2})
		b.Allow(0.5)
		time.Sleep(time.Second)
		for range 5 {
			b.Note(errors.New("timed out"))
		}
		b.Allow(1)
		if err := b.Turn(t.Context(), true); err != nil {
			t.Errorf("the next measurement: %v", err)
		}
	})
}

func TestSharesLeaveTheRestToThoseAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 10, RequestsPerSecond: 1000, Seconds: 10})
		b.Allow(0.5)
		for range 5 {
			if err := b.Turn(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Turn(t.Context(), true); !errors.Is(err, ErrConnections) {
			t.Errorf("beyond half of the connections: %v", err)
		}
		if left := time.Until(b.End()); left > 5*time.Second || left < 4900*time.Millisecond {
			t.Errorf("%v are left of half of ten seconds", left)
		}
		b.Allow(1)
		for range 5 {
			if err := b.Turn(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Turn(t.Context(), true); !errors.Is(err, ErrConnections) || b.Spent().Connections != 10 {
			t.Errorf("%v after %d of 10 connections", err, b.Spent().Connections)
		}
	})
}

func TestStopEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 9, RequestsPerSecond: 1, Seconds: 30})
		ctx, cancel := context.WithCancelCause(t.Context())
		if err := b.Turn(ctx, false); err != nil {
			t.Fatal(err)
		}
		cause := errors.New("stopped by SIGTERM")
		begin := time.Now()
		time.AfterFunc(300*time.Millisecond, func() { cancel(cause) })
		if err := b.Turn(ctx, false); !errors.Is(err, ErrStopped) || !errors.Is(err, cause) {
			t.Errorf("stopped: %v", err)
		}
		if waited := time.Since(begin); waited != 300*time.Millisecond {
			t.Errorf("the wait went on for %v", waited)
		}
	})
}

// The error that a stop makes of a request under way may be the third in a row; the reason is still the stop.
func TestStopIsTheReasonWhateverCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 9, RequestsPerSecond: 1000, Seconds: 3})
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("stopped by SIGTERM")
		cancel(cause)
		for range MaximumErrorsInRow {
			b.Note(cause)
		}
		if err := b.Turn(ctx, true); !errors.Is(err, ErrStopped) || errors.Is(err, ErrErrors) {
			t.Errorf("stopped: %v", err)
		}
	})
}

func TestPauseEndsWithTheTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Limits{Connections: 9, RequestsPerSecond: 1, Seconds: 2})
		b.Allow(0.5)
		begin := time.Now()
		if err := b.Pause(t.Context(), 900*time.Millisecond); err != nil || time.Since(begin) != 900*time.Millisecond {
			t.Errorf("a pause within the limit: %v after %v", err, time.Since(begin))
		}
		err := b.Pause(t.Context(), 200*time.Millisecond)
		if !errors.Is(err, ErrSeconds) || time.Since(begin) > time.Second {
			t.Errorf("a pause beyond the limit: %v after %v", err, time.Since(begin))
		}
		for range MaximumErrorsInRow {
			b.Note(err)
		}
		b.Allow(1)
		if err := b.Turn(t.Context(), true); err != nil {
			t.Errorf("the time limit was taken for an error of the target: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Pause(ctx, time.Millisecond); !errors.Is(err, ErrStopped) {
			t.Errorf("stopped: %v", err)
		}
	})
}
