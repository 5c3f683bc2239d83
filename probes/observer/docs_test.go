package observer

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/probes/exposition"
	"github.com/connpolicy/connpolicy/probes/result"
)

// documentation is what people know of an observer's metrics.
const documentation = "../../docs/observability.md"

// everything is an observation of which each metric has a sample. Nil: what is counted was counted since the observer began.
func everything(periodSeconds *float64) result.Observation {
	quantiles := &result.Quantiles{P50: 1, P99: 2}
	return result.Observation{
		Version: "v1", Kernel: "6.18", PeriodSeconds: periodSeconds,
		OpensPerSecond: new(1.0), OpenedUnseen: new(int64(1)), PortsAvailable: new(28232),
		Destinations: []result.Destination{{
			Address: payments, PortsOfOtherParity: new(0), OpensPerSecond: new(1.0),
			Connections: &result.Connections{
				BusyPeak: new(1), Ends: &result.Ends{}, MeanLifetimeSeconds: new(1.0), LifetimeSecondsAtMost: quantiles,
				BytesSent: quantiles, BytesReceived: quantiles, ExchangesAtMost: quantiles, SingleExchange: new(int64(1)),
				IdleSeconds: quantiles, CloseWaitOldestSeconds: new(1.0),
			},
		}},
		ListeningPorts: []int{8080}, Listeners: []result.Listener{{Address: payments}},
		Counters: map[string]int64{"Tcp.ActiveOpens": 1}, CounterChanges: map[string]int64{"Tcp.ActiveOpens": 1},
		Sysctls: map[string]string{"net.ipv4.tcp_fin_timeout": "60"},
	}
}

// served writes an observation as metrics.
func served(o result.Observation) string {
	var w exposition.Writer
	writeMetrics(&w, o)
	return string(w.Bytes())
}

func TestEveryMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	documented := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "| `connpolicy_observer_")
	})
	label := regexp.MustCompile(`[{,](\w+)=`)
	metrics := served(everything(new(3600.0)))
	var rows []string
	for _, metric := range regexp.MustCompile(`(?m)^# HELP (\S+) (.*)$`).FindAllStringSubmatch(metrics, -1) {
		name, help := metric[1], metric[2]
		sample := regexp.MustCompile(`(?m)^` + name + `(\{.*\})? \S+$`).FindStringSubmatch(metrics)
		if sample == nil {
			t.Fatalf("%s has no sample, which tells its labels", name)
		}
		var labels []string
		for _, found := range label.FindAllStringSubmatch(sample[1], -1) {
			labels = append(labels, "`"+found[1]+"`")
		}
		row := fmt.Sprintf("| `%s` | %s | %s |", name, strings.Join(labels, ", "), help)
		rows = append(rows, strings.Replace(row, "|  |", "| |", 1))
	}
	if !slices.Equal(documented, rows) {
		t.Errorf("%s lists\n%s\nwant\n%s", documentation, strings.Join(documented, "\n"), strings.Join(rows, "\n"))
	}
}

// What people are told of the types: those that end in _total are counters, and the others gauges.
func TestTotalsAreCounters(t *testing.T) {
	types := regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(served(everything(nil)), -1)
	if len(types) == 0 {
		t.Fatal("no metric has a type")
	}
	for _, metric := range types {
		want := exposition.Gauge
		if strings.HasSuffix(metric[1], "_total") {
			want = exposition.Counter
		}
		if metric[2] != string(want) {
			t.Errorf("%s is a %s, want %s", metric[1], metric[2], want)
		}
	}
}
