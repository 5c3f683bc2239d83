//go:build e2e

package e2e

import (
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/hack/demo/scenario"
)

// TestDemo asserts what `make demo` shows: clients out of ports, found, tuned, cured.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo := &scenario.Scenario{Session: session}
	outcome, err := demo.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(outcome.Summary())
	if err := outcome.Check(); err != nil {
		t.Error(err)
	}
	if got := verdictOn(outcome.ReportBefore, rulePortHeadroom); got != v1alpha1.VerdictFail {
		t.Errorf("with all ports held the rule %s says %q", rulePortHeadroom, got)
	}
	for _, held := range append(outcome.PortsBefore, outcome.PortsAfter...) {
		// The observer's last look at the sockets may be some seconds old, in which the client opened and freed ports.
		if difference := held.Client - held.Observer; difference > held.Client/5 || -difference > held.Client/5 {
			t.Errorf("in %s the client counts %d ports in use and the observer %d", held.Pod, held.Client, held.Observer)
		}
	}
}

// rulePortHeadroom judges how many of the local ports are held.
const rulePortHeadroom = "CP401"

func verdictOn(report v1alpha1.ConnectionReport, rule string) v1alpha1.VerdictResult {
	for _, verdict := range report.Status.Judgements() {
		if verdict.Rule == rule {
			return verdict.Result
		}
	}
	return ""
}
