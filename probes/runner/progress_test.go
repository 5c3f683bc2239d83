package runner_test

import (
	"slices"
	"testing"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/target"
)

func TestProgressTellsOfEachMeasurement(t *testing.T) {
	pair := nstest.New(t)
	server := serve(t, pair, send(kept, false))
	parsed, err := target.Parse("http://"+server.address.String(), "")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	connections := 0
	pair.InClient(t, func() {
		_, err = runner.Run(t.Context(), runner.Config{
			Target: parsed, Family: target.AnyFamily, Measure: []string{"handshake", "timeWait", "reuse"},
			Limits:    budget.Limits{Connections: 60, RequestsPerSecond: 400, Seconds: 4},
			UserAgent: "connpolicy-probe/test", Proc: procnet.New("/proc"), Log: t.Logf,
			// Told by one goroutine at a time, and by none once the run has ended.
			Progress: func(p runner.Progress) {
				told = append(told, p.Measurement)
				if p.Spent.Connections < connections || p.Spent.Connections > 60 {
					t.Errorf("%d connections after %d", p.Spent.Connections, connections)
				}
				connections = p.Spent.Connections
			},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Compact(told); !slices.Equal(got, []string{"handshake", "timeWait", "reuse"}) {
		t.Errorf("told of %v", got)
	}
}
