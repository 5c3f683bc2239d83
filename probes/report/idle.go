package report

import (
	"fmt"

	"github.com/connpolicy/connpolicy/probes/result"
)

func (t *text) idle(i result.Idle, protocol string) {
	t.title("Idle connections", i.Meta)
	if protocol == "WebSocket" {
		t.silence(i, "ping", "a client that has nothing to say for longer loses its connection;", webSocketCure(i))
		return
	}
	t.silence(i, "request", "a client that keeps a connection longer than that sends its next request into a closed one;",
		"let clients drop idle connections earlier than this")
}

// silence tells what became of silent connections, which were asked by keepalive and by something else, and what it means
// that they are cut.
func (t *text) silence(i result.Idle, question string, meaning ...string) {
	switch {
	case i.Cut == nil:
	case *i.Cut:
		t.line("  cut                %s after %s of silence", cutting(i.How), between(i.AfterSecondsAtLeast, i.AfterSecondsAtMost))
		for n, line := range meaning {
			t.line("  %-18s %s", []string{"means", ""}[min(n, 1)], line)
		}
	default:
		t.line("  cut                no, up to %.1f s of silence, which is as far as this run looked", i.LookedSeconds)
	}
	if i.SurvivedSeconds != nil && i.SurvivedOf != nil {
		t.line("  longest survived   %.1f s, by %d of %d", *i.SurvivedSeconds, i.SurvivedOf.Got, i.SurvivedOf.Of)
	}
	if i.KeepaliveHelps != nil {
		if *i.KeepaliveHelps {
			t.line("  TCP keepalive      helps: connections with keepalive outlived the cut")
		} else {
			t.line("  TCP keepalive      does not help: what cuts looks at requests or data, not at packets")
		}
	}
	if i.PingHelps != nil {
		t.answer(i.PingHelps, "pings", "help: connections with a ping every third of that outlived the cut", "do not help: what cuts does not count them as use")
	}
	t.ladder("asked by keepalive", i.KeepaliveLadder)
	t.ladder("asked by "+question, i.RequestLadder)
}

func cutting(how result.IdleCut) string {
	switch how {
	case result.CutFIN:
		return "closed (FIN)"
	case result.CutRST:
		return "reset (RST)"
	case result.CutBlackHole:
		return "forgotten without a word (what is sent is never answered)"
	default:
		return "in different ways"
	}
}

func between(atLeast, atMost *float64) string {
	switch {
	case atLeast != nil && atMost != nil:
		return fmt.Sprintf("%.1f to %.1f s", *atLeast, *atMost)
	case atMost != nil:
		return fmt.Sprintf("at most %.1f s", *atMost)
	default:
		return "an unknown time"
	}
}

// ladder draws a row a silence, with a mark for each connection: o lives, F closed, R reset, x no answer, ? unknown.
func (t *text) ladder(name string, l *result.Ladder) {
	if l == nil {
		return
	}
	t.line("  %-18s o lives, F closed, R reset, x no answer, ? unknown", name)
	for _, rung := range l.Beside().Rungs {
		marks := ""
		for _, kind := range []struct {
			mark  string
			count int
		}{{"o", rung.Alive}, {"F", rung.FIN}, {"R", rung.RST}, {"x", rung.BlackHole}, {"?", rung.Unknown}} {
			for range kind.count {
				marks += kind.mark
			}
		}
		t.line("  %16.1f s  %s", rung.Seconds, marks)
	}
}
