package main

import (
	"context"
	"fmt"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/bed"
	"github.com/connpolicy/connpolicy/hack/bench/figures"
)

const (
	observerSockets = 10_000
	// observerLeast is the shortest time that tells what an observer costs.
	observerLeast = 20 * time.Second
	observerPort  = "9191"
)

// benchObserver measures the processor time of an observer that looks at many sockets once a second.
func benchObserver(ctx context.Context, s *stand) ([]figures.Figure, error) {
	sockets, err := s.gather(ctx, observerSockets)
	if err != nil {
		return nil, err
	}
	defer sockets.disperse()
	begin := time.Now()
	observer, err := s.bed.Client.Start(ctx, s.probe, "observe", "--listen", bed.ClientAddress+":"+observerPort,
		"--window-seconds", "2")
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
	case <-time.After(max(s.length, observerLeast)):
	}
	state, elapsed := observer.Stop(), time.Since(begin)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if !state.Success() {
		return nil, fmt.Errorf("the observer ended with: %s", state)
	}
	percent := 100 * (state.UserTime() + state.SystemTime()).Seconds() / elapsed.Seconds()
	return []figures.Figure{
		figures.Alone(fmt.Sprintf("observer of %d sockets, a look a second", observerSockets), "% of a core",
			[]float64{percent}, figures.Bound{AtMost: 2}),
	}, nil
}
