package observer

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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

func TestParseRefusesStrangers(t *testing.T) {
	for name, text := range map[string]string{
		"another exporter": "# TYPE up gauge\nup 1\n",
		"another version":  result.MetricObserverInfo + "{version=\"connpolicy.dev/probe/v9\"} 1\n",
		"no metrics":       "<html>hello</html>\n",
		"nothing":          "",
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
