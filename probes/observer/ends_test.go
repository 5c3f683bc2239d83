package observer

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// The kernel is asked to tell ends only while there are few, and how often they are read follows their number.
func TestEndsAreToldWhileThereAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		e := ends{log: slog.New(slog.DiscardHandler), listen: func() (closings, error) { return k, nil }}
		e.follow(0, false)
		made := int64(5_000_000) // since the namespace was made, long ago
		e.follow(made, true)
		for _, c := range []struct {
			perSecond int64
			told      bool
			interval  time.Duration
		}{
			{0, true, 500 * time.Millisecond}, {500, true, 200 * time.Millisecond}, {1900, true, 0}, {2100, false, 0},
			{1900, false, 0}, {1400, true, 0}, {100_000, false, 25 * time.Millisecond}, {100, true, 500 * time.Millisecond},
		} {
			time.Sleep(time.Second)
			made += c.perSecond
			e.follow(made, true)
			if e.told() != c.told || c.interval != 0 && e.interval != c.interval {
				t.Errorf("at %d a second: told %v, read every %v", c.perSecond, e.told(), e.interval)
			}
		}
		if listened := e.listened(time.Now()); listened != 5*time.Second {
			t.Errorf("listened for %v, want 5 s", listened)
		}
	})
}

// Whether each end since the take before was told is known: not after losses, nor where nobody listened meanwhile.
func TestWhetherAllEndsWereTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		e := ends{log: slog.New(slog.DiscardHandler), listen: func() (closings, error) { return k, nil }}
		made := int64(0)
		for i, step := range []struct {
			perSecond int64
			lose      bool
			want      bool
		}{
			{0, false, false}, // it has just begun
			{0, false, true}, {0, true, false}, {0, false, true},
			{stopAbove + 100, false, false}, {startBelow - 100, false, false}, {startBelow - 100, false, true},
		} {
			time.Sleep(time.Second)
			made += step.perSecond
			e.follow(made, true)
			k.lost = step.lose
			e.read()
			k.lost = false
			e.read()
			if _, complete := e.take(); complete != step.want {
				t.Errorf("step %d: complete %v", i, complete)
			}
		}
	})
}

func TestKernelThatDoesNotTell(t *testing.T) {
	e := ends{log: slog.New(slog.DiscardHandler), listen: func() (closings, error) { return nil, errors.New("not permitted") }}
	e.follow(0, true)
	e.follow(0, true)
	e.read()
	e.stop()
	if taken, complete := e.take(); !e.refused || e.told() || len(taken) != 0 || complete {
		t.Errorf("%+v", e)
	}
}
