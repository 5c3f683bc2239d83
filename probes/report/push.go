package report

import (
	"fmt"

	"github.com/connpolicy/connpolicy/probes/result"
)

func (t *text) push(p result.Push) {
	t.title("Ways to tell news", p.Meta)
	for _, way := range []struct {
		name string
		seen *result.PushWay
	}{{"polling", p.Polling}, {"long polling", p.LongPolling}, {"stream", p.Streaming}, {"WebSocket", p.WebSocket}} {
		if way.seen != nil {
			t.pushWay(way.name, *way.seen)
		}
	}
}

func (t *text) pushWay(name string, w result.PushWay) {
	if w.Outcome != result.Measured {
		t.line("  %-18s %s: %s", name, w.Outcome, w.Cause)
		return
	}
	cost := ""
	if w.BytesPerMessage != nil {
		cost = fmt.Sprintf(", %.0f bytes a message", *w.BytesPerMessage)
	}
	t.line("  %-18s %s by %s on %s%s, at %s", name,
		plural(w.Messages, "message"), plural(w.Requests, "request"), plural(w.Connections, "connection"), cost, w.Path)
	t.distribution("  age on arrival", w.DelayMicroseconds)
	t.distribution("  between messages", w.GapMicroseconds)
	t.distribution("  an answer", w.AnswerMicroseconds)
	if w.Together != nil {
		t.answer(w.Buffered, "  held back", fmt.Sprintf("yes: %d of %d messages that were made apart came together", w.Together.Got, w.Together.Of),
			"no: messages come one by one, as they are made")
	}
	switch {
	case w.CutAfterSeconds != nil:
		t.line("    cut              %s after %.1f s", cutting(w.CutBy), *w.CutAfterSeconds)
	case w.LookedSeconds != nil && w.AnswerMicroseconds == nil:
		t.line("    cut              no, for the %.1f s that it was looked at", *w.LookedSeconds)
	}
	if w.Missing != "" {
		t.line("    not known        %s", w.Missing)
	}
}
