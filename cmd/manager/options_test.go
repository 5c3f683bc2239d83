package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/internal/tuner"
	"github.com/connpolicy/connpolicy/probes/result"
)

func TestParse(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "connpolicy-system")
	o, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.enableApply || o.openReports || o.maxProbes != 20 || o.maxProbesPerNode != 2 || o.observerPort != result.DefaultObserverPort ||
		o.nodePorts != (tuner.PortRange{First: 30000, Last: 32767}) || o.logLevel != slog.LevelInfo {
		t.Errorf("defaults %+v", o)
	}
	o, err = parse(strings.Fields("--leader-elect --enable-apply --open-reports --limit-rps=10 --limit-idle-seconds=300 --node-port-range=40000-40010 --log-level=debug"))
	if err != nil {
		t.Fatal(err)
	}
	if !o.leaderElect || !o.enableApply || !o.openReports || o.ceilings.RequestsPerSecond != 10 || *o.ceilings.IdleSeconds != 300 ||
		o.nodePorts.First != 40000 || o.logLevel != slog.LevelDebug {
		t.Errorf("options %+v", o)
	}
}

func TestParseRefusesMistakes(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	for arguments, words := range map[string]string{
		"--leader-elect":                  "POD_NAMESPACE",
		"--max-probes=0":                  "--max-probes",
		"--max-probes-per-node=-1":        "--max-probes-per-node",
		"--limit-seconds=-1":              "--limit-seconds",
		"--limit-idle-seconds=-1":         "--limit-idle-seconds",
		"--observer-port=70000":           "--observer-port",
		"--node-port-range=30000":         "not a range",
		"--node-port-range=32767-30000":   "not a range",
		"--node-port-range=30000-32767,1": "not a range",
		"--log-level=loud":                "--log-level",
		"serve":                           "unexpected argument",
		"--no-such-flag":                  "no-such-flag",
	} {
		if _, err := parse(strings.Fields(arguments)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", arguments, err, words)
		}
	}
}
