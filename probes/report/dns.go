package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/connpolicy/connpolicy/probes/result"
)

func (t *text) dns(d result.DNS) {
	t.title("Name", d.Meta)
	if d.FullName != "" {
		t.line("  stands for         %s", d.FullName)
	}
	if d.QueriesPerName != nil {
		t.line("  queries            %d for one resolution%s", *d.QueriesPerName, needed(d))
	}
	t.distribution("to resolve it", d.ResolveMicroseconds)
	t.distribution("the full name", d.NeededMicroseconds)
	if d.SearchListMicroseconds != nil {
		t.line("  search list        costs %.0f µs each time (median)", *d.SearchListMicroseconds)
	}
	t.answers(d)
	if d.TimeToLiveSeconds != nil {
		t.line("  may be kept        for %d s, say the servers", *d.TimeToLiveSeconds)
	}
	if d.Aliases != nil && *d.Aliases > 0 {
		t.line("  aliases            %d lead from it to the addresses", *d.Aliases)
	}
	if len(d.Servers) > 0 && d.Ndots != nil {
		t.line("  name servers       %s; ndots:%d; searched in: %s", strings.Join(d.Servers, ", "), *d.Ndots, cmp.Or(strings.Join(d.Search, " "), "nothing"))
	}
}

// needed says how many queries less would do.
func needed(d result.DNS) string {
	if d.QueriesNeeded == nil || *d.QueriesNeeded >= *d.QueriesPerName {
		return ""
	}
	return fmt.Sprintf("; %d would do for the full name, written with its final dot", *d.QueriesNeeded)
}

// answers tells of what went wrong with them, and only that.
func (t *text) answers(d result.DNS) {
	if d.Queries == nil {
		return
	}
	if d.Lost != nil && *d.Lost > 0 && d.TimeoutSeconds != nil {
		t.line("  lost               %d of %d queries got no answer; whoever needs the name then waits %d s and asks again", *d.Lost, *d.Queries, *d.TimeoutSeconds)
	}
	for _, kind := range []struct {
		name    string
		count   *int
		meaning string
	}{
		{"rejected", d.Rejected, "of %d queries were answered by a failure or a refusal"},
		{"too long", d.Truncated, "answers to %d queries did not fit a datagram, and were asked for again over TCP"},
		{"ignored", d.Ignored, "datagrams came beside the answers to %d queries and were no answer to any"},
	} {
		if kind.count != nil && *kind.count > 0 {
			t.line("  %-18s %d "+kind.meaning, kind.name, *kind.count, *d.Queries)
		}
	}
}
