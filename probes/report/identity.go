package report

import (
	"strings"

	"github.com/connpolicy/connpolicy/probes/result"
)

func (t *text) identity(i result.Identity) {
	t.title("Addresses", i.Meta)
	if i.ClientLocal != "" {
		t.line("  seen from here     %s to %s", i.ClientLocal, i.ClientRemote)
	}
	switch {
	case i.ServerRemote != "":
		t.line("  seen by the server %s to %s", i.ServerRemote, i.ServerLocal)
	case i.Outcome == result.Measured:
		t.line("  seen by the server it does not tell (`probe serve` would)")
	}
	t.answer(i.SourceTranslated, "source", "the server sees another client: its address is translated, or a proxy stands between", "reaches the server as it is")
	t.answer(i.DestinationTranslated, "destination", "the server has another address: a Service, a load balancer or a proxy stands between", "is the server's own")
	if len(i.Via) > 0 {
		t.line("  named themselves   %s", strings.Join(i.Via, "; "))
	}
}
