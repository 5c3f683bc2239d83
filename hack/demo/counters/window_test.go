package counters

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestBetween(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first := map[string]Sample{
		"a": {Pod: "a", At: begin, StartedSeconds: 1, Connections: 100, Errors: map[string]float64{CauseNoPort: 5}, PortsInUse: 90},
		"b": {Pod: "b", At: begin, StartedSeconds: 2, Connections: 200, NotSent: 7, PortsInUse: 190},
	}
	last := map[string]Sample{
		"a": {Pod: "a", At: begin.Add(10 * time.Second), StartedSeconds: 1, Connections: 5100, Errors: map[string]float64{CauseNoPort: 25, "timeout": 10}, PortsInUse: 28232},
		"b": {Pod: "b", At: begin.Add(20 * time.Second), StartedSeconds: 2, Connections: 10200, NotSent: 47, PortsInUse: 28000},
	}
	figures, err := Between(first, last)
	if err != nil {
		t.Fatal(err)
	}
	if figures.Pods != 2 || figures.Seconds != 10 {
		t.Errorf("got %d pods and %g s, want 2 and the shorter window, 10", figures.Pods, figures.Seconds)
	}
	if figures.Errors != 30 || figures.ErrorsPerSecond != 3 {
		t.Errorf("got %g errors, %g/s, want 30, 3/s", figures.Errors, figures.ErrorsPerSecond)
	}
	if figures.ErrorCauses[CauseNoPort] != 20 || figures.ErrorCauses["timeout"] != 10 {
		t.Errorf("got causes %v", figures.ErrorCauses)
	}
	if figures.ConnectionsPerSecond != 1000 || figures.NotSentPerSecond != 2 {
		t.Errorf("got %g connections/s and %g given up/s, want 1000 and 2", figures.ConnectionsPerSecond, figures.NotSentPerSecond)
	}
	if figures.PortsInUse["a"] != 28232 {
		t.Errorf("got ports in use %v, want those of the end", figures.PortsInUse)
	}
	if figures.ConnectP50 != nil {
		t.Errorf("got a median of %s of no observation", *figures.ConnectP50)
	}
}

func TestBetweenRefusesWhatCannotBeCompared(t *testing.T) {
	now := time.Now()
	one := map[string]Sample{"a": {Pod: "a", At: now, StartedSeconds: 1}}
	for name, last := range map[string]map[string]Sample{
		"no client":      {},
		"another client": {"b": {Pod: "b", At: now.Add(time.Second), StartedSeconds: 1}},
		"a new start":    {"a": {Pod: "a", At: now.Add(time.Second), StartedSeconds: 9}},
		"no time":        {"a": {Pod: "a", At: now, StartedSeconds: 1}},
	} {
		if _, err := Between(one, last); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Between(nil, nil); err == nil {
		t.Error("a window of nobody: no error")
	}
}

func TestExhausted(t *testing.T) {
	first := map[string]Sample{"a": {Errors: map[string]float64{CauseNoPort: 1}}, "b": {}}
	onlyOne := map[string]Sample{"a": {Errors: map[string]float64{CauseNoPort: 2}}, "b": {Errors: map[string]float64{"timeout": 9}}}
	both := map[string]Sample{"a": {Errors: map[string]float64{CauseNoPort: 2}}, "b": {Errors: map[string]float64{CauseNoPort: 1}}}
	if Exhausted(first, onlyOne) || !Exhausted(first, both) || Exhausted(nil, nil) {
		t.Error("exhausted is when every client has met the error since the first samples")
	}
}

func TestLastStart(t *testing.T) {
	got := LastStart(map[string]Sample{"a": {StartedSeconds: 10.5}, "b": {StartedSeconds: 9}})
	if want := time.UnixMilli(10500); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if !LastStart(nil).IsZero() {
		t.Error("nobody has started")
	}
}

func TestQuantile(t *testing.T) {
	histogram := Histogram{{UpperSeconds: 0.001, Cumulative: 50}, {UpperSeconds: 0.002, Cumulative: 100}, {UpperSeconds: math.Inf(1), Cumulative: 100}}
	for q, want := range map[float64]time.Duration{0.25: 500 * time.Microsecond, 0.5: time.Millisecond, 0.75: 1500 * time.Microsecond, 1: 2 * time.Millisecond} {
		if got := histogram.Quantile(q); got == nil || (*got-want).Abs() > time.Nanosecond {
			t.Errorf("quantile %g is %v, want %s", q, got, want)
		}
	}
	slow := Histogram{{UpperSeconds: 1, Cumulative: 0}, {UpperSeconds: math.Inf(1), Cumulative: 3}}
	if got := slow.Quantile(0.5); got == nil || *got != time.Second {
		t.Errorf("got %v for what exceeds every bound, want the highest bound", got)
	}
	if Histogram(nil).Quantile(0.5) != nil {
		t.Error("nothing was observed, yet there is a quantile")
	}
}

const clientMetrics = `# TYPE connpolicy_load_started_seconds gauge
connpolicy_load_started_seconds 1.7e+09
# TYPE connpolicy_load_connections_total counter
connpolicy_load_connections_total 28232
# TYPE connpolicy_load_not_sent_total counter
connpolicy_load_not_sent_total 3
# TYPE connpolicy_load_errors_total counter
connpolicy_load_errors_total{cause="cannot assign requested address"} 41
# TYPE connpolicy_load_ports_in_use gauge
connpolicy_load_ports_in_use 28000
# TYPE connpolicy_load_connect_seconds histogram
connpolicy_load_connect_seconds_bucket{le="0.001"} 28000
connpolicy_load_connect_seconds_bucket{le="+Inf"} 28232
connpolicy_load_connect_seconds_sum 4
connpolicy_load_connect_seconds_count 28232
`

func TestParse(t *testing.T) {
	sample, err := Parse("client-1", time.Now(), strings.NewReader(clientMetrics))
	if err != nil {
		t.Fatal(err)
	}
	if sample.Connections != 28232 || sample.NotSent != 3 || sample.Errors[CauseNoPort] != 41 || sample.PortsInUse != 28000 || sample.StartedSeconds != 1.7e9 {
		t.Errorf("got %+v", sample)
	}
	if len(sample.Connect) != 2 || sample.Connect[0].Cumulative != 28000 {
		t.Errorf("got histogram %v", sample.Connect)
	}
}

func TestParseNamesWhatIsMissing(t *testing.T) {
	incomplete := strings.Replace(clientMetrics, "connpolicy_load_ports_in_use 28000\n", "", 1)
	_, err := Parse("client-1", time.Now(), strings.NewReader(incomplete))
	if err == nil || !strings.Contains(err.Error(), "connpolicy_load_ports_in_use") {
		t.Errorf("got error %v, want one that names the missing metric", err)
	}
}

func TestParseObserved(t *testing.T) {
	held, err := parseObserved("client-1", strings.NewReader(`# TYPE connpolicy_observer_ports_in_use gauge
connpolicy_observer_ports_in_use{destination="198.19.0.7:80"} 28232
connpolicy_observer_ports_in_use{destination="198.19.0.10:53"} 1
`))
	if err != nil || held["198.19.0.7:80"] != 28232 || len(held) != 2 {
		t.Errorf("got %v, %v", held, err)
	}
	if _, err := parseObserved("client-1", strings.NewReader("")); err == nil {
		t.Error("an observer that serves nothing was taken for one that sees nothing")
	}
}
