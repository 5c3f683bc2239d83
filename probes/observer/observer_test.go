package observer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

const (
	payments = "198.18.0.7:8080"
	bank     = "[fd00::7]:443"
)

// kernel is a list of sockets that a test writes, and whether listing them fails.
type kernel struct {
	sockets []sockdiag.Socket
	err     error
	dumps   int
	// onDump is called at each dump, nil for nothing.
	onDump func()
}

func (k *kernel) dump(query sockdiag.Query, visit func(sockdiag.Socket)) error {
	k.dumps++
	if k.onDump != nil {
		k.onDump()
	}
	for _, s := range k.sockets {
		if query.States&sockdiag.StateSet(s.State) != 0 {
			visit(s)
		}
	}
	return k.err
}

// add writes count sockets in one state.
func (k *kernel) add(count int, state sockdiag.State, localPort uint16, remote string, expires time.Duration) {
	for range count {
		s := sockdiag.Socket{State: state, Local: netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), localPort), Expires: expires}
		if remote != "" {
			s.Remote = netip.MustParseAddrPort(remote)
		}
		k.sockets = append(k.sockets, s)
	}
}

func newObserver(t *testing.T, k *kernel) *Observer {
	t.Helper()
	o, err := New(slog.New(slog.DiscardHandler), procnet.New("../procnet/testdata/linux-6.18"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	o.dump = k.dump
	return o
}

// scrape returns the samples served, by name with labels.
func scrape(t *testing.T, o *Observer) map[string]string {
	t.Helper()
	recorder := httptest.NewRecorder()
	o.Metrics().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	samples := map[string]string{}
	for line := range strings.Lines(recorder.Body.String()) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "#") {
			end := strings.LastIndexByte(line, ' ')
			samples[line[:end]] = line[end+1:]
		}
	}
	return samples
}

func check(t *testing.T, samples map[string]string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got, ok := samples[name]; value == "" && ok || value != "" && got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
}

func of(metric, destination string) string {
	return fmt.Sprintf("connpolicy_observer_%s{destination=%q}", metric, destination)
}

func TestMetricsOfKnownSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		k.add(1, sockdiag.Listen, 8080, "", 0)
		k.add(500, sockdiag.Established, 8080, "198.18.0.99:40000", 0) // accepted, no port of its own
		k.add(3, sockdiag.Close, 45000, "", 0)                         // bound, not connected
		k.add(20, sockdiag.Established, 40000, payments, 0)
		k.add(5, sockdiag.FinWait2, 40001, payments, 30*time.Second)
		k.add(100, sockdiag.TimeWait, 40002, payments, 30*time.Second)
		k.add(7, sockdiag.TimeWait, 40003, bank, 59*time.Second)
		o := newObserver(t, k)
		check(t, scrape(t, o), map[string]string{
			of("ports_in_use", payments):                                                          "125",
			of("ports_in_use_peak", payments):                                                     "125",
			of("time_wait", payments):                                                             "100",
			of("ports_in_use", bank):                                                              "7",
			of("ports_in_use", "198.18.0.99:40000"):                                               "",
			of("destination_connections_opened_per_second", payments):                             "", // not known yet
			`connpolicy_observer_listening{port="8080"}`:                                          "1",
			"connpolicy_observer_ports_available":                                                 "28232",
			"connpolicy_observer_dump_errors_total":                                               "0",
			"connpolicy_observer_connections_opened_per_second":                                   "",
			`connpolicy_observer_info{version="connpolicy.dev/probe/v1",kernel="6.18.44"}`:        "1",
			`connpolicy_observer_sysctl{name="net.ipv4.ip_local_port_range",value="32768 60999"}`: "1",
			`connpolicy_observer_sysctl{name="net.ipv4.ip_local_reserved_ports",value=""}`:        "1",
		})

		// Ten seconds later: 10 connections more are open, 40 were closed in between, and those before are older.
		time.Sleep(10 * time.Second)
		k.sockets = nil
		k.add(30, sockdiag.Established, 40000, payments, 0)
		k.add(5, sockdiag.FinWait2, 40001, payments, 20*time.Second)
		k.add(100, sockdiag.TimeWait, 40002, payments, 20*time.Second)
		k.add(40, sockdiag.TimeWait, 40004, payments, 55*time.Second)
		check(t, scrape(t, o), map[string]string{
			of("destination_connections_opened_per_second", payments): "5",
			of("destination_connections_opened_per_second", bank):     "0",
			of("ports_in_use", payments):                              "175",
			of("ports_in_use_peak", payments):                         "175",
			of("ports_in_use", bank):                                  "0",
			of("ports_in_use_peak", bank):                             "7",
			"connpolicy_observer_uptime_seconds":                      "10",
		})

		// The peak lasts five minutes, and the destination with it.
		k.sockets = nil
		for range 29 {
			time.Sleep(10 * time.Second)
			check(t, scrape(t, o), map[string]string{of("ports_in_use", payments): "0", of("ports_in_use_peak", payments): "175"})
		}
		time.Sleep(20 * time.Second)
		check(t, scrape(t, o), map[string]string{of("ports_in_use", payments): "", of("ports_in_use_peak", payments): ""})
		if len(o.peaks) != 0 {
			t.Errorf("%d destinations are remembered for ever", len(o.peaks))
		}
	})
}

func TestFailedDumpKeepsTheLastFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		o := newObserver(t, k)
		k.err = errors.New("interrupted")
		samples := scrape(t, o)
		check(t, samples, map[string]string{"connpolicy_observer_dump_errors_total": "1"})
		for name := range samples {
			if strings.HasPrefix(name, "connpolicy_observer_ports_in_use") || strings.HasPrefix(name, "connpolicy_observer_listening") {
				t.Errorf("%s although no dump ever succeeded", name)
			}
		}
		k.err = nil
		k.add(12, sockdiag.Established, 40000, payments, 0)
		check(t, scrape(t, o), map[string]string{of("ports_in_use", payments): "12"})
		k.err = errors.New("interrupted")
		k.sockets = nil
		time.Sleep(6 * time.Second)
		check(t, scrape(t, o), map[string]string{of("ports_in_use", payments): "12", "connpolicy_observer_dump_errors_total": "2"})

		// What is older than a minute is not known any more.
		time.Sleep(55 * time.Second)
		for name := range scrape(t, o) {
			if strings.Contains(name, "destination=") || strings.HasPrefix(name, "connpolicy_observer_listening") {
				t.Errorf("%s although all dumps failed for a minute", name)
			}
		}

		// Of those closed since the last census some have left TIME_WAIT by now, so that no rate is known at first.
		k.err = nil
		k.add(30, sockdiag.TimeWait, 40001, payments, 30*time.Second)
		check(t, scrape(t, o), map[string]string{
			of("ports_in_use", payments): "30", of("destination_connections_opened_per_second", payments): "",
		})
		time.Sleep(10 * time.Second)
		check(t, scrape(t, o), map[string]string{of("destination_connections_opened_per_second", payments): "0"})
	})
}

// What a listener accepts that comes in the middle of a census is no connection of the namespace's own.
func TestListenerThatComesDuringACensus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		k.onDump = func() {
			if k.dumps == 2 {
				k.add(1, sockdiag.Listen, 8080, "", 0)
				k.add(5, sockdiag.Established, 8080, "198.18.0.99:40000", 0)
			}
		}
		check(t, scrape(t, newObserver(t, k)), map[string]string{
			of("ports_in_use", "198.18.0.99:40000"):      "",
			`connpolicy_observer_listening{port="8080"}`: "1",
		})

		// If they never end, that is an error and not a guess.
		k = &kernel{}
		k.onDump = func() { k.add(1, sockdiag.Listen, uint16(1000+k.dumps), "", 0) }
		check(t, scrape(t, newObserver(t, k)), map[string]string{"connpolicy_observer_dump_errors_total": "1"})
	})
}

func TestScrapesShareACensus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		o := newObserver(t, k)
		done := make(chan struct{})
		for range 20 {
			go func() {
				scrape(t, o)
				done <- struct{}{}
			}()
		}
		for range 20 {
			<-done
		}
		if k.dumps != 3 { // the listeners, the others, the listeners again
			t.Errorf("%d dumps for 20 scrapes at once, want 3", k.dumps)
		}
		time.Sleep(4 * time.Second)
		scrape(t, o)
		if k.dumps != 3 {
			t.Errorf("%d dumps although the last is four seconds old", k.dumps)
		}
		time.Sleep(time.Second)
		scrape(t, o)
		if k.dumps != 6 {
			t.Errorf("%d dumps although the last is five seconds old, want 6", k.dumps)
		}
	})
}

func TestDestinationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		for i := range 200 {
			k.add(i+1, sockdiag.Established, 40000, fmt.Sprintf("198.18.1.%d:80", i), 0)
			k.add(1, sockdiag.Listen, uint16(10000+i), "", 0)
			k.add(1, sockdiag.Listen, uint16(20000+i), "", 0)
		}
		samples := scrape(t, newObserver(t, k))
		series := map[string]int{}
		for name := range samples {
			metric, _, _ := strings.Cut(name, "{")
			series[metric]++
		}
		if series["connpolicy_observer_ports_in_use"] != maximumDestinations || series["connpolicy_observer_listening"] != maximumListening {
			t.Errorf("series: %v", series)
		}
		check(t, samples, map[string]string{of("ports_in_use", "198.18.1.199:80"): "200", of("ports_in_use", "198.18.1.149:80"): ""})
	})
}

func TestOpeningsPerSecond(t *testing.T) {
	o := openings{window: 10 * time.Second}
	begin := time.Unix(0, 0)
	for second := 0; second <= 40; second += 2 {
		// 100 a second for the first 20 seconds, then 10 a second.
		count := int64(min(second, 20)*100 + max(0, second-20)*10)
		o.add(begin.Add(time.Duration(second)*time.Second), count)
		rate, ok := o.perSecond()
		if ok != (second >= 10) {
			t.Errorf("after %d s: known %v", second, ok)
		}
		if want := map[int]float64{10: 100, 20: 100, 30: 10, 40: 10}[second]; want != 0 && rate != want {
			t.Errorf("after %d s: %v/s, want %v", second, rate, want)
		}
	}
	if len(o.samples) > 7 {
		t.Errorf("%d samples are kept for a window of five", len(o.samples))
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	if _, err := New(log, procnet.New("/proc"), time.Second); err == nil {
		t.Error("a window shorter than the interval of the counters is allowed")
	}
	if _, err := New(log, procnet.New("/proc"), time.Minute); err == nil {
		t.Error("a window as long as TIME_WAIT is allowed")
	}
	if _, err := New(log, procnet.New(t.TempDir()), 10*time.Second); err == nil {
		t.Error("a missing /proc is no error")
	}
}
