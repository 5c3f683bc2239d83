package observer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
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

// What does not fail is bounded and no nonsense, whatever answers in a pod.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/client.prom", "testdata/connections.prom"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(header + result.MetricOpenPeak + "{destination=\"other\"} 1e300\n"))
	f.Add([]byte(header + result.MetricPortsInUse + "{destination=\"198.18.0.7:80\"} 3\n" +
		result.MetricPortsOfOtherParity + "{destination=\"198.18.0.7:80\"} 2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		seen, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(seen.Destinations) > maximumDestinations || len(seen.ListeningPorts) > result.MaximumListeningPorts ||
			len(seen.Sysctls) > maximumSysctls || len(seen.Counters) > maximumCounters || len(seen.Listeners) > result.MaximumListeners {
			t.Errorf("more than an observer serves: %+v", seen)
		}
		for _, d := range seen.Destinations {
			if _, err := netip.ParseAddrPort(d.Address); err != nil || d.PortsInUse < 0 || d.TimeWait < 0 {
				t.Errorf("destination %+v", d)
			}
			if other := d.PortsOfOtherParity; other != nil && (*other < 0 || *other > d.PortsInUse) {
				t.Errorf("%d of %d ports", *other, d.PortsInUse)
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
		"a destination in words": header + result.MetricPortsInUse + "{destination=\"payments\"} 1\n",
		"an address in words":    header + result.MetricListenQueue + "{address=\"here\"} 1\n",
		"a state that is none":   header + result.MetricKeepalive + "{destination=\"198.18.0.7:80\",state=\"x\"} 1\n",
		"half of the quantiles":  header + result.MetricBytesSent + "{destination=\"198.18.0.7:80\",quantile=\"0.5\"} 1\n",
		"a setting without name": header + result.MetricSysctl + "{value=\"1\"} 1\n",
		"port 0":                 header + result.MetricListening + "{port=\"0\"} 1\n",
		"a port beyond the last": header + result.MetricListening + "{port=\"65536\"} 1\n",
		"too long":               header + strings.Repeat("# a comment that fills the answer\n", 5000),
		"too many destinations":  header + many(result.MetricPortsInUse+"{destination=\"198.18.0.7:%d\"} 1\n", 52),
		"too many ports":         header + many(result.MetricListening+"{port=\"%d\"} 1\n", 201),
		"too many settings":      header + many(result.MetricSysctl+"{name=\"a%d\",value=\"1\"} 1\n", 65),
		"too many counters":      header + many(result.MetricCounter+"{name=\"a%d\"} 1\n", 65),
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

func TestReadFollowsNobody(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect of whatever answers in a pod was followed")
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer server.Close()
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if _, err := Read(t.Context(), client, host, number); err == nil {
		t.Error("a redirect was taken for an observer")
	}
}
