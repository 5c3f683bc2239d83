package observer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/connpolicy/connpolicy/probes/result"
)

// testdata/client.prom was read from the observer in a pod of the demo's client, at 60 connections a second.
func TestParse(t *testing.T) {
	file, err := os.Open("testdata/client.prom")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if seen.PortsAvailable == nil || *seen.PortsAvailable != 28232 {
		t.Errorf("ports available %v", seen.PortsAvailable)
	}
	if len(seen.Destinations) == 0 || !strings.HasSuffix(seen.Destinations[0].Address, ":80") ||
		seen.Destinations[0].PortsInUse < 1000 || seen.Destinations[0].PortsInUsePeak < seen.Destinations[0].PortsInUse ||
		seen.Destinations[0].TimeWait == 0 || seen.Destinations[0].OpensPerSecond == nil {
		t.Errorf("destinations %+v", seen.Destinations)
	}
	if !slices.Equal(seen.ListeningPorts, []int{9090, 9964}) {
		t.Errorf("listening %v", seen.ListeningPorts)
	}
	if seen.Sysctls["net.ipv4.ip_local_port_range"] == "" || seen.UptimeSeconds == 0 || seen.Kernel == "" {
		t.Errorf("sysctls %v uptime %v kernel %q", seen.Sysctls, seen.UptimeSeconds, seen.Kernel)
	}
}

// header is what an answer needs, to be an observer's.
const header = result.MetricObserverInfo + "{version=\"" + result.Version + "\"} 1\n" + result.MetricListening + "{port=\"9964\"} 1\n"

// many writes so many lines, each with a number of its own.
func many(line string, count int) string {
	var text strings.Builder
	for i := range count {
		fmt.Fprintf(&text, line, 1+i)
	}
	return text.String()
}

// endsOf writes how connections to one destination ended.
func endsOf(orderly, unanswered, reset, resetHere, silent float64) string {
	var text strings.Builder
	for manner, count := range map[string]float64{
		"orderly": orderly, "unanswered": unanswered, "reset": reset, "resetHere": resetHere, "silent": silent,
	} {
		fmt.Fprintf(&text, "%s{destination=\"198.18.0.7:80\",manner=%q} %v\n", result.MetricEnds, manner, count)
	}
	return text.String()
}

// testdata/ends.prom was read from an observer beside a client whose server resets one connection in twenty, and of four
// closes instead of answering.
func TestParseEnds(t *testing.T) {
	data, err := os.ReadFile("testdata/ends.prom")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if c := seen.Destinations[0].Connections; c.Closed != 200 || c.Ends == nil || *c.Ends != (result.Ends{Orderly: 188, Unanswered: 4, Reset: 12}) {
		t.Errorf("ends %+v of %d", c.Ends, c.Closed)
	}
	for text, want := range map[string]*result.Ends{
		endsOf(900, 3, 12, 1, 2): {Orderly: 900, Unanswered: 3, Reset: 12, ResetHere: 1, Silent: 2},
		endsOf(0, 0, 0, 0, 0):    {},
		result.MetricClosed + "{destination=\"198.18.0.7:80\"} 12\n": nil,
	} {
		seen, err := Parse(strings.NewReader(header + text))
		if err != nil || len(seen.Destinations) != 1 || !reflect.DeepEqual(seen.Destinations[0].Connections.Ends, want) {
			t.Errorf("%s: %+v, %v", text, seen.Destinations, err)
		}
	}
	// As many destinations as an observer has ever served tell it each.
	var all strings.Builder
	for i := range maximumDestinations {
		all.WriteString(strings.ReplaceAll(endsOf(7, 0, 1, 0, 0), "198.18.0.7", fmt.Sprintf("198.18.0.%d", 1+i)))
	}
	seen, err = Parse(strings.NewReader(header + all.String()))
	if err != nil || len(seen.Destinations) != maximumDestinations {
		t.Errorf("%d destinations, %v", len(seen.Destinations), err)
	}
}

// testdata/connections.prom was read from an observer beside `probe load`, at 100 connections a second.
func TestParseConnections(t *testing.T) {
	data, err := os.ReadFile("testdata/connections.prom")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Destinations) != 1 || seen.Destinations[0].Connections == nil || seen.OtherDestinations != nil {
		t.Fatalf("destinations %+v and %+v", seen.Destinations, seen.OtherDestinations)
	}
	c := seen.Destinations[0].Connections
	if c.Opened != 2454 || c.Closed != 2454 || c.SingleExchange == nil || *c.SingleExchange != 2454 {
		t.Errorf("counts %+v", c)
	}
	if c.BytesSent == nil || c.BytesSent.P50 != 90 || c.LifetimeSecondsAtMost == nil || c.LifetimeSecondsAtMost.P99 == 0 {
		t.Errorf("quantiles %+v, %+v", c.BytesSent, c.LifetimeSecondsAtMost)
	}
	if c.IdleSeconds != nil || c.CloseWaitOldestSeconds != nil {
		t.Error("figures of open connections, of which there are none")
	}
	if seen.OpenedUnseen == nil || seen.Counters["Tcp.ActiveOpens"] != 2461 || len(seen.Listeners) != 2 || seen.Listeners[0].QueueLimit != 4096 {
		t.Errorf("unseen %v, counters %v, listeners %v", seen.OpenedUnseen, seen.Counters, seen.Listeners)
	}

	others := strings.ReplaceAll(string(data), "198.18.99.2:8080", result.OtherDestinations)
	if seen, err = Parse(strings.NewReader(others)); err != nil || len(seen.Destinations) != 0 || seen.OtherDestinations == nil {
		t.Errorf("the sum of others: %+v, %v, %v", seen.Destinations, seen.OtherDestinations, err)
	}
}

// testdata/recent.prom is what such an observer served of the last hour, 26 seconds after it had begun.
func TestParseRecent(t *testing.T) {
	data, err := os.ReadFile("testdata/recent.prom")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if seen.PeriodSeconds == nil || *seen.PeriodSeconds != seen.UptimeSeconds || *seen.PeriodSeconds < 26 {
		t.Errorf("period %v of %v s", seen.PeriodSeconds, seen.UptimeSeconds)
	}
	if len(seen.CounterChanges) != len(seen.Counters) || seen.CounterChanges["TcpExt.TW"] != 2502 {
		t.Errorf("changes %v of %v", seen.CounterChanges, seen.Counters)
	}
	if d := seen.Destinations; len(d) != 2 || d[0].Connections == nil || d[0].Connections.Opened != 2502 {
		t.Errorf("destinations %+v", d)
	}
	for name, text := range map[string]string{
		"too many changes":              result.MetricPeriodSeconds + " 0\n" + many(result.MetricCounterChange+"{name=\"a%d\"} 1\n", 65),
		"a period before the beginning": result.MetricUptimeSeconds + " 3599\n" + result.MetricPeriodSeconds + " 3600\n",
		"a change that is none":         result.MetricPeriodSeconds + " 0\n" + result.MetricCounterChange + "{name=\"a\"} -1\n",
	} {
		if seen, err := Parse(strings.NewReader(header + text)); err == nil {
			t.Errorf("%s: read as %+v", name, seen)
		}
	}
}

// What does not fail is bounded and no nonsense, whatever answers in a pod.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/client.prom", "testdata/connections.prom", "testdata/ends.prom", "testdata/recent.prom"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(header + result.MetricOpenPeak + "{destination=\"other\"} 1e300\n"))
	f.Add([]byte(header + result.MetricPortsInUse + "{destination=\"198.18.0.7:80\"} 3\n" +
		result.MetricPortsOfOtherParity + "{destination=\"198.18.0.7:80\"} 2\n"))
	f.Add([]byte(header + endsOf(900, 3, 12, 1, 2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		seen, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(seen.Destinations) > maximumDestinations || len(seen.ListeningPorts) > result.MaximumListeningPorts ||
			len(seen.Sysctls) > maximumSysctls || len(seen.Counters) > maximumCounters || len(seen.CounterChanges) > maximumCounters || len(seen.Listeners) > result.MaximumListeners {
			t.Errorf("more than an observer serves: %+v", seen)
		}
		if period := seen.PeriodSeconds; period != nil && (*period < 0 || *period > seen.UptimeSeconds) {
			t.Errorf("%v s of %v s", *period, seen.UptimeSeconds)
		}
		for _, d := range seen.Destinations {
			if _, err := netip.ParseAddrPort(d.Address); err != nil || d.PortsInUse < 0 || d.TimeWait < 0 {
				t.Errorf("destination %+v", d)
			}
			if other := d.PortsOfOtherParity; other != nil && (*other < 0 || *other > d.PortsInUse) {
				t.Errorf("%d of %d ports", *other, d.PortsInUse)
			}
			if c := d.Connections; c != nil && c.Ends != nil {
				if e := *c.Ends; e.Unanswered < 0 || e.Unanswered > e.Orderly || e.Reset < 0 || e.ResetHere < 0 || e.Silent < 0 {
					t.Errorf("ends %+v", e)
				}
			}
		}
		// What can be encoded holds neither NaN nor infinities.
		if _, err := json.Marshal(seen); err != nil {
			t.Error(err)
		}
	})
}

func TestParseRefusesStrangers(t *testing.T) {
	for name, text := range map[string]string{
		"another exporter":       "# TYPE up gauge\nup 1\n",
		"another version":        result.MetricObserverInfo + "{version=\"connpolicy.dev/probe/v9\"} 1\n",
		"no metrics":             "<html>hello</html>\n",
		"nothing":                "",
		"a counter that is none": header + result.MetricPortsInUse + "{destination=\"198.18.0.7:80\"} 1.5\n",
		"a negative count":       header + result.MetricOpenedUnseen + " -1\n",
		"no number":              header + result.MetricUptimeSeconds + " NaN\n",
		"an endless number":      header + result.MetricOpensPerSecond + " +Inf\n",
		"two values":             header + result.MetricOpensPerSecond + " 1\n" + result.MetricOpensPerSecond + "{a=\"b\"} 1\n",
		"more ports of a kind than there are": header + result.MetricPortsInUse + "{destination=\"198.18.0.7:80\"} 1\n" +
			result.MetricPortsOfOtherParity + "{destination=\"198.18.0.7:80\"} 2\n",
		"a destination in words":                 header + result.MetricPortsInUse + "{destination=\"payments\"} 1\n",
		"an address in words":                    header + result.MetricListenQueue + "{address=\"here\"} 1\n",
		"a state that is none":                   header + result.MetricKeepalive + "{destination=\"198.18.0.7:80\",state=\"x\"} 1\n",
		"half of the quantiles":                  header + result.MetricBytesSent + "{destination=\"198.18.0.7:80\",quantile=\"0.5\"} 1\n",
		"a manner that is none":                  header + endsOf(1, 0, 0, 0, 0) + result.MetricEnds + "{destination=\"198.18.0.7:80\",manner=\"x\"} 1\n",
		"not all manners":                        header + result.MetricEnds + "{destination=\"198.18.0.7:80\",manner=\"orderly\"} 1\n",
		"more unanswered ends than orderly ones": header + endsOf(1, 2, 0, 0, 0),
		"half an end":                            header + endsOf(1.5, 0, 0, 0, 0),
		"a setting without name":                 header + result.MetricSysctl + "{value=\"1\"} 1\n",
		"port 0":                                 header + result.MetricListening + "{port=\"0\"} 1\n",
		"a port beyond the last":                 header + result.MetricListening + "{port=\"65536\"} 1\n",
		"too long":                               header + strings.Repeat("# a comment that fills the answer\n", 5000),
		"too many destinations":                  header + many(result.MetricPortsInUse+"{destination=\"198.18.0.7:%d\"} 1\n", 52),
		"too many ports":                         header + many(result.MetricListening+"{port=\"%d\"} 1\n", 201),
		"too many settings":                      header + many(result.MetricSysctl+"{name=\"a%d\",value=\"1\"} 1\n", 65),
		"too many counters":                      header + many(result.MetricCounter+"{name=\"a%d\"} 1\n", 65),
		"a port in words": result.MetricObserverInfo + "{version=\"" + result.Version + "\"} 1\n" +
			result.MetricListening + "{port=\"http\"} 1\n",
	} {
		if seen, err := Parse(strings.NewReader(text)); err == nil {
			t.Errorf("%s: read as %+v", name, seen)
		}
	}
}

func TestUnknownIsNotZero(t *testing.T) {
	// An observer whose list of the sockets failed serves none of them, and not even itself listens.
	if seen, err := Parse(strings.NewReader(result.MetricObserverInfo + "{version=\"" + result.Version + "\"} 1\n")); err == nil {
		t.Errorf("sockets that nobody listed: %+v", seen)
	}
	seen, err := Parse(strings.NewReader(result.MetricObserverInfo + "{version=\"" + result.Version + "\"} 1\n" +
		result.MetricListening + "{port=\"9964\"} 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if seen.PortsAvailable != nil || seen.OpensPerSecond != nil {
		t.Errorf("figures that nobody sent: %+v", seen)
	}
	held := header + result.MetricPortsInUse + "{destination=\"198.18.0.7:80\"} 3\n"
	for text, want := range map[string]*int{
		held: nil,
		held + result.MetricPortsOfOtherParity + "{destination=\"198.18.0.7:80\"} 0\n": new(0),
		held + result.MetricPortsOfOtherParity + "{destination=\"198.18.0.7:80\"} 2\n": new(2),
	} {
		seen, err := Parse(strings.NewReader(text))
		if err != nil || len(seen.Destinations) != 1 || !reflect.DeepEqual(seen.Destinations[0].PortsOfOtherParity, want) {
			t.Errorf("%s: %+v, %v", text, seen.Destinations, err)
		}
	}
}

// place is where a test's server answers as an observer would.
func place(t *testing.T, handler http.Handler) (host string, port int, opened *atomic.Int32) {
	t.Helper()
	opened = &atomic.Int32{}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	address, err := netip.ParseAddrPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return address.Addr().String(), int(address.Port()), opened
}

// served are answers by their paths. What is not among them is not found.
func served(answers map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, found := answers[r.URL.Path]
		switch {
		case !found:
			http.NotFound(w, r)
		case answer == "":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = io.WriteString(w, answer)
		}
	})
}

func TestRead(t *testing.T) {
	const opened = result.MetricOpened + "{destination=\"198.18.0.7:80\"} "
	total := header + result.MetricUptimeSeconds + " 90000\n" + opened + "4000\n"
	recent := header + result.MetricUptimeSeconds + " 90000\n" + result.MetricPeriodSeconds + " 3900\n" + opened + "40\n" +
		result.MetricCounterChange + "{name=\"TcpExt.ListenOverflows\"} 0\n"
	for name, c := range map[string]struct {
		answers map[string]string
		// period is 0 where nothing is told of the last hour.
		period float64
		cause  string
	}{
		"both":                {map[string]string{result.PathMetrics: total, result.PathRecent: recent}, 3900, ""},
		"an older version":    {map[string]string{result.PathMetrics: total}, 0, ""},
		"no observer":         {map[string]string{}, 0, "404"},
		"the totals twice":    {map[string]string{result.PathMetrics: total, result.PathRecent: total}, 0, "no metric " + result.MetricPeriodSeconds},
		"a malformed answer":  {map[string]string{result.PathMetrics: total, result.PathRecent: recent + opened + "half\n"}, 0, "parse the metrics"},
		"nonsense":            {map[string]string{result.PathMetrics: total, result.PathRecent: recent + result.MetricOpenedUnseen + " -1\n"}, 0, "no count"},
		"a huge answer":       {map[string]string{result.PathMetrics: total, result.PathRecent: recent + strings.Repeat("# filling\n", 20_000)}, 0, "longer than"},
		"trouble of its own":  {map[string]string{result.PathMetrics: total, result.PathRecent: ""}, 0, "500"},
		"trouble with totals": {map[string]string{result.PathMetrics: "", result.PathRecent: recent}, 0, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			host, port, connections := place(t, served(c.answers))
			reading, err := Read(t.Context(), &http.Client{Transport: &http.Transport{}}, host, port)
			if c.cause != "" {
				if err == nil || !strings.Contains(err.Error(), c.cause) {
					t.Errorf("%+v, %v, want %q", reading, err, c.cause)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if reading.Total.PeriodSeconds != nil || reading.Total.Destinations[0].Connections.Opened != 4000 || reading.Total.At.IsZero() {
				t.Errorf("totals %+v", reading.Total)
			}
			if (reading.Recent != nil) != (c.period != 0) {
				t.Fatalf("of late %+v", reading.Recent)
			}
			if r := reading.Recent; r != nil && (*r.PeriodSeconds != c.period || r.Destinations[0].Connections.Opened != 40 ||
				len(r.CounterChanges) != 1 || r.At.IsZero()) {
				t.Errorf("of late %+v", r)
			}
			if connections.Load() != 1 {
				t.Errorf("%d connections for one reading", connections.Load())
			}
		})
	}
}

func TestReadFollowsNobody(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect of whatever answers in a pod was followed")
	}))
	defer elsewhere.Close()
	host, port, _ := place(t, http.RedirectHandler(elsewhere.URL, http.StatusFound))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if _, err := Read(t.Context(), client, host, port); err == nil {
		t.Error("a redirect was taken for an observer")
	}
}
