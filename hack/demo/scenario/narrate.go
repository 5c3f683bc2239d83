package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/connpolicy/connpolicy/hack/demo/counters"
)

const narrationInterval = 5 * time.Second

// narrate tells every few seconds what the clients count, until the context ends.
func (s *Scenario) narrate(ctx context.Context) {
	var before map[string]counters.Sample
	for sleep(ctx, narrationInterval) == nil {
		now, err := s.clients.Read(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.Session.Transcript.Say("  the clients cannot be read just now: %v", err)
		default:
			s.Session.Transcript.Say("  %s", narration(before, now))
		}
		before = now
	}
}

// narration is a line about the time between two readings.
func narration(before, now map[string]counters.Sample) string {
	figures, err := counters.Between(before, now)
	if err != nil {
		return fmt.Sprintf("%d clients are ready", len(now))
	}
	return fmt.Sprintf("%d clients: %4.0f connections/s, %s ports held, %.1f errors/s, connect p50 %s, p99 %s",
		figures.Pods, figures.ConnectionsPerSecond, ports(figures.PortsInUse), figures.ErrorsPerSecond,
		duration(figures.ConnectP50), duration(figures.ConnectP99))
}
