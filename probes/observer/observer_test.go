package observer

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

func TestMetricsOfKnownSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		k.listen(8080)
		k.accept(500, 8080) // these hold no port of their own
		bound := k.open(3, payments)
		for i := range 3 {
			k.sockets[bound+i].State, k.sockets[bound+i].Remote = sockdiag.Close, netip.AddrPort{} // bound, not connected
		}
		k.open(20, payments)
		finWait := k.open(5, payments)
		for i := range 5 {
			k.sockets[finWait+i].State = sockdiag.FinWait2
		}
		k.timeWait(100, payments, 30*time.Second)
		k.timeWait(7, bank, time.Second)
		o := newObserver(t, k)
		check(t, scrape(t, o), map[string]string{
			of("ports_in_use", payments):                                                          "125",
			of("ports_in_use_peak", payments):                                                     "125",
			of("time_wait", payments):                                                             "100",
			of("destination_open", payments):                                                      "20",
			of("destination_opened_total", payments):                                              "0",
			of("ports_in_use", bank):                                                              "7",
			of("ports_in_use", "198.18.0.99:33001"):                                               "",
			of("destination_connections_opened_per_second", payments):                             "", // not known yet
			`connpolicy_observer_listening{port="8080"}`:                                          "1",
			`connpolicy_observer_listen_queue_limit{address="0.0.0.0:8080"}`:                      "128",
			"connpolicy_observer_ports_available":                                                 "28232",
			"connpolicy_observer_dump_errors_total":                                               "0",
			"connpolicy_observer_connections_opened_per_second":                                   "",
			`connpolicy_observer_info{version="connpolicy.dev/probe/v1",kernel="6.18.44"}`:        "1",
			`connpolicy_observer_sysctl{name="net.ipv4.ip_local_port_range",value="32768 60999"}`: "1",
			`connpolicy_observer_sysctl{name="net.ipv4.ip_local_reserved_ports",value=""}`:        "1",
		})

		// Ten seconds later: 10 connections more are open, 40 were opened and closed in between.
		time.Sleep(10 * time.Second)
		k.age(10 * time.Second)
		k.open(10, payments)
		k.timeWait(40, payments, 5*time.Second)
		check(t, scrape(t, o), map[string]string{
			of("destination_connections_opened_per_second", payments): "5",
			of("destination_connections_opened_per_second", bank):     "0",
			of("destination_opened_total", payments):                  "50",
			of("destination_closed_here_total", payments):             "40",
			of("ports_in_use", payments):                              "175",
			of("ports_in_use_peak", payments):                         "175",
			of("ports_in_use", bank):                                  "7",
			"connpolicy_observer_uptime_seconds":                      "10",
		})

		// The peak lasts five minutes, and the destination with it.
		k.sockets = nil
		for range 29 {
			time.Sleep(10 * time.Second)
			check(t, scrape(t, o), map[string]string{of("ports_in_use", payments): "0", of("ports_in_use_peak", payments): "175"})
		}
		time.Sleep(30 * time.Second)
		check(t, scrape(t, o), map[string]string{of("ports_in_use", payments): "", of("ports_in_use_peak", payments): ""})
		if len(o.ledger.outgoing)+len(o.ledger.connections)+len(o.ledger.accounts) != 0 {
			t.Errorf("%d destinations, %d connections, %d accounts are remembered for ever",
				len(o.ledger.outgoing), len(o.ledger.connections), len(o.ledger.accounts))
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
			if strings.Contains(name, "destination") || strings.HasPrefix(name, "connpolicy_observer_listen") {
				t.Errorf("%s although no dump ever succeeded", name)
			}
		}
		if seen, err := o.Observe(); err == nil {
			t.Errorf("an observation of what nobody saw: %+v", seen)
		}
		k.err = nil
		k.open(12, payments)
		check(t, scrape(t, o), map[string]string{of("ports_in_use", payments): "12"})
		k.err = errors.New("interrupted")
		time.Sleep(6 * time.Second)
		check(t, scrape(t, o), map[string]string{of("ports_in_use", payments): "12", "connpolicy_observer_dump_errors_total": "2"})

		// What is older than a minute is not known any more.
		time.Sleep(55 * time.Second)
		for name := range scrape(t, o) {
			if strings.Contains(name, "destination=") || strings.HasPrefix(name, "connpolicy_observer_listen") {
				t.Errorf("%s although all dumps failed for a minute", name)
			}
		}

		// Of those closed since the last census some have left TIME_WAIT by now, so that no rate is known at first.
		k.err = nil
		k.sockets = nil
		k.timeWait(30, payments, 30*time.Second)
		check(t, scrape(t, o), map[string]string{
			of("ports_in_use", payments): "30", of("destination_connections_opened_per_second", payments): "",
		})
		time.Sleep(10 * time.Second)
		k.age(10 * time.Second)
		check(t, scrape(t, o), map[string]string{of("destination_connections_opened_per_second", payments): "0"})
	})
}

// What a listener accepts that comes in the middle of a look is no connection of the namespace's own.
func TestListenerThatComesDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		k.onDump = func() {
			if k.dumps == 2 {
				k.accept(5, 8080)
				for i := range k.sockets {
					k.sockets[i].Info = nil
				}
			}
			if k.dumps == 3 {
				k.listen(8080)
			}
		}
		samples := scrape(t, newObserver(t, k))
		check(t, samples, map[string]string{`connpolicy_observer_listening{port="8080"}`: "1"})
		for name := range samples {
			if strings.HasPrefix(name, "connpolicy_observer_ports_in_use{") {
				t.Errorf("%s, which was accepted", name)
			}
		}
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

// However many sockets there are and however long their addresses, the answer is bounded, and nothing is lost from the sums.
func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		const destinations = 300
		sockets := 0
		for i := range destinations {
			remote := fmt.Sprintf("[2001:db8:1111:2222:3333:4444:5555:%x]:65535", 0x1000+i)
			for j := k.open(i%40+1, remote); j < len(k.sockets); j++ {
				k.sockets[j].Info.LastDataSentMilliseconds = new(uint32(123456))
				k.sockets[j].Info.LastDataReceivedMilliseconds = new(uint32(123457))
				k.sockets[j].State = sockdiag.CloseWait
				sockets++
			}
			k.listen(uint16(10000 + i))
		}
		o := newObserver(t, k)
		scrape(t, o)
		ended := k.sockets
		k.sockets = nil
		for _, s := range ended {
			if s.State != sockdiag.Listen {
				s.State, s.Info = sockdiag.Close, infoOf(2, 1234567890, 9876543210)
				k.told = append(k.told, s)
			}
		}
		k.sockets = ended[:len(ended):len(ended)]
		o.lookAround()
		time.Sleep(7 * time.Second)
		samples := scrape(t, o)
		series, total := map[string]int{}, 0
		for name := range samples {
			metric, _, _ := strings.Cut(name, "{")
			series[metric]++
		}
		if series["connpolicy_observer_ports_in_use"] != result.MaximumDestinations+1 ||
			series["connpolicy_observer_listening"] != result.MaximumListeningPorts ||
			series["connpolicy_observer_listen_queue"] != result.MaximumListeners {
			t.Errorf("series: %v", series)
		}
		for name, value := range samples {
			if strings.HasPrefix(name, "connpolicy_observer_ports_in_use{") {
				var held int
				if _, err := fmt.Sscan(value, &held); err != nil {
					t.Error(err)
				}
				total += held
			}
		}
		if total != sockets {
			t.Errorf("%d ports in all series, want %d", total, sockets)
		}
		for _, metrics := range []http.Handler{o.Metrics(), o.Recent()} {
			recorder := httptest.NewRecorder()
			metrics.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
			t.Logf("%d bytes", recorder.Body.Len())
			if recorder.Body.Len() > result.MaximumMetricsBytes-2*result.MaximumSysctlBytes {
				t.Errorf("%d bytes leave no room for long settings", recorder.Body.Len())
			}
		}
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
		t.Error("a window of one look is allowed")
	}
	if _, err := New(log, procnet.New("/proc"), time.Minute); err == nil {
		t.Error("a window as long as TIME_WAIT is allowed")
	}
	if _, err := New(log, procnet.New(t.TempDir()), 10*time.Second); err == nil {
		t.Error("a missing /proc is no error")
	}
}
