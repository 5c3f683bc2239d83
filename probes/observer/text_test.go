package observer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// A report says what the figures mean, and nothing where they mean nothing.
func TestTextSaysWhatItMeans(t *testing.T) {
	leaking := &result.Connections{
		Opened: 600, Closed: 600, SingleExchange: new(int64(590)), CloseWait: 4, CloseWaitOldestSeconds: new(300.0),
		InFlightSamples: 100, NagleSamples: 40, ZeroWindowSamples: 3, Samples: 200,
		Ends:      &result.Ends{Orderly: 470, Unanswered: 9, Reset: 70, ResetHere: 8, Silent: 32},
		BytesSent: &result.Quantiles{P50: 88, P99: 20 << 10, Max: new(float64(30 << 20)), Samples: new(600)},
	}
	o := result.Observation{
		UptimeSeconds: 60, PortsAvailable: new(1000), Opened: new(int64(605)), OpenedUnseen: new(int64(5)),
		Destinations: []result.Destination{
			{Address: "198.18.0.7:80", PortsInUse: 600, PortsInUsePeak: 620, TimeWait: 590, Connections: leaking},
			{Address: "198.18.0.8:80", PortsInUse: 40, PortsInUsePeak: 40, PortsOfOtherParity: new(31)},
		},
		Listeners:      []result.Listener{{Address: "0.0.0.0:8080", QueuePeak: 5, QueueLimit: 4}},
		CounterChanges: map[string]int64{"TcpExt.ListenOverflows": 7},
	}
	text := render(t, o)
	for _, want := range []string{
		"62 % of the local ports towards 198.18.0.7:80", "are not reused: 590 of 600", "closed by the peer long ago", "TCP_NODELAY",
		"did not take data at times", "accept queue of 0.0.0.0:8080 was full", "7 connections found an accept queue full",
		"70 of 580 connections to 198.18.0.7:80 were reset by it or by a hop", "32 of 580 connections to 198.18.0.7:80 ended because it answered no more",
		"8 of 580 connections to 198.18.0.7:80 were reset by this side", "9 of the orderly ended with data of this side last",
		"470 orderly, 70 reset by the peer or a hop, 8 reset by this side, 32 on which the peer fell silent; of 20 the kernel did not tell",
		"of 5 no socket was seen", "31 of them connect() would take last", "median 88 B, p99 20 KiB, most 30 MiB, of 600", "the oldest for at least 5m0s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing from\n%s", want, text)
		}
	}
	sound := result.Observation{UptimeSeconds: 60, PortsAvailable: new(1000), Destinations: []result.Destination{
		{Address: "198.18.0.7:80", PortsInUse: 10, Connections: &result.Connections{
			Open: 10, Opened: 2, Closed: 2, SingleExchange: new(int64(2)), Ends: &result.Ends{Orderly: 300, Reset: 1, ResetHere: 2, Silent: 2},
		}},
	}}
	if text := render(t, sound); strings.Contains(text, "!") || !strings.Contains(text, "unknown: the kernel's counters") {
		t.Errorf("of a sound workload:\n%s", text)
	}
}

func render(t *testing.T, o result.Observation) string {
	t.Helper()
	var b strings.Builder
	if err := WriteText(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The log holds as many connections as it may, each readable on a line of its own, and says what it left out.
func TestConnectionLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	log := newConnectionLog(file, 3)
	ended := record{opened: time.Unix(10, 0), earlier: time.Second, closed: time.Unix(12, 0), sent: 5, received: unknown, exchanges: 1}
	for range 5 {
		log.write(logged(life{cookie: 1}.tuple(), false, ended))
	}
	if err := log.flush(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) != 3 || log.leftOut != 2 {
		t.Errorf("%d lines, %d left out", len(lines), log.leftOut)
	}
	var c result.ConnectionRecord
	if err := json.Unmarshal([]byte(lines[0]), &c); err != nil {
		t.Fatal(err)
	}
	if c.Remote != "198.18.0.7:80" || *c.BytesSent != 5 || c.BytesReceived != nil || *c.OpenedUpToSecondsEarlier != 1 || !c.ClosedAt.Equal(ended.closed) {
		t.Errorf("%+v", c)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	log = newConnectionLog(file, 100_000)
	for range 1000 {
		log.write(logged(life{cookie: 1}.tuple(), false, ended))
	}
	if err := log.flush(); err == nil {
		t.Error("a log that could not be written is no error")
	}
}
