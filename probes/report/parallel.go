package report

import (
	"fmt"
	"strings"

	"github.com/connpolicy/connpolicy/probes/result"
)

// barWidth is the length of the longest bar of a level, in characters.
const barWidth = 30

func (t *text) parallel(p result.Parallel) {
	t.title("Parallel connections", p.Meta)
	switch {
	case p.Knee != nil:
		t.line("  gains              up to %s; more bring %s", connections(*p.Knee), noUse(p.StoppedBy))
	case p.StoppedBy == "limit":
		t.line("  gains              as far as it looked; the limits of connections, requests per second (--limit-parallel-rps) or")
		t.line("                     seconds ended it")
	case p.StoppedBy == "probe":
		t.line("  gains              as far as the probe could look: it had no time for more requests")
	case p.StoppedBy == "errors":
		t.line("  ended by           an error: the target was left alone then")
	case p.StoppedBy != "":
		t.line("  ended by           %s: the target has enough, and was left alone then", p.StoppedBy)
	}
	most := 0.0
	for _, level := range p.Levels {
		most = max(most, level.RequestsPerSecond)
	}
	for _, level := range p.Levels {
		bar := ""
		if most > 0 {
			bar = strings.Repeat("█", int(barWidth*level.RequestsPerSecond/most+0.5))
		}
		t.line("  %16d  %7.0f answers/s of %7.0f; median %.0f µs, p99 %.0f  %s",
			level.Connections, level.RequestsPerSecond, level.OfferedPerSecond, level.P50Microseconds, level.P99Microseconds, bar)
	}
	if p.SingleAgainMicroseconds != nil {
		t.line("  one connection, looked at again before the last level: median %.0f µs", *p.SingleAgainMicroseconds)
	}
}

func noUse(stoppedBy string) string {
	if stoppedBy == "latency" {
		return "later answers (the median grows by half or more)"
	}
	return "no more answers"
}

func connections(count int) string {
	if count == 1 {
		return "one connection"
	}
	return fmt.Sprintf("%d connections", count)
}
