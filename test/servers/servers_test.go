// Package servers holds the probe against servers that people run: nginx, Apache httpd, HAProxy, Node.js and Go's. What
// each is configured to do must be found again.
//
// The truth of a test is what the server's configuration says and its manual says of it, told beside the test where it
// is no matter of course; it was seen with curl, ss and openssl before, not with the probe. The programs are those of
// Debian's packages: `make test-packages` installs them, as root.
package servers_test

import (
	"bytes"
	"crypto/tls"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/target"
)

// atOnce is how many tests run side by side, each in namespaces of its own. Nearly all of their time is waiting.
const atOnce = "6"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// asked is one run of the probe.
type asked struct {
	url      string
	protocol target.Protocol
	tls      *tls.Config
	limits   budget.Limits
	measure  []string
	// pushPaths say where the ways of telling news are.
	pushPaths map[string]string
}

// quick are limits that let a test see much in little time.
func quick(seconds int) budget.Limits {
	return budget.Limits{Connections: 60, RequestsPerSecond: 400, Seconds: seconds}
}

// probe runs the probe in the client's namespace.
func probe(t *testing.T, pair *nstest.Pair, a asked) result.Result {
	t.Helper()
	parsed, err := target.Parse(a.url, a.protocol)
	if err != nil {
		t.Fatal(err)
	}
	var r result.Result
	pair.InClient(t, func() {
		r, err = runner.Run(t.Context(), runner.Config{
			Target: parsed, Family: target.AnyFamily, Limits: a.limits, Measure: a.measure, TLS: a.tls, PushPaths: a.pushPaths,
			UserAgent: "connpolicy-probe/test", Proc: procnet.New("/proc"), Log: t.Logf,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkCounted compares what the probe says that it spent with nginx's log. Each connection carried a request.
func checkCounted(t *testing.T, log string, spent result.Spent) {
	t.Helper()
	var connections, requests int
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		content, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		numbers := map[string]bool{}
		for line := range strings.Lines(string(content)) {
			connection, _, _ := strings.Cut(line, " ")
			numbers[connection] = true
		}
		// nginx writes its line after the response, perhaps when the probe has already read it.
		if connections, requests = len(numbers), bytes.Count(content, []byte{'\n'}); connections == spent.Connections && requests == spent.Requests {
			return
		}
	}
	t.Errorf("nginx logged %d connections and %d requests, the probe says %d and %d", connections, requests, spent.Connections, spent.Requests)
}

// carrying counts the connections in nginx's log that carried more than one request.
func carrying(t *testing.T, log string) int {
	t.Helper()
	content, err := os.ReadFile(log)
	if err != nil && log != "" {
		t.Fatal(err)
	}
	return strings.Count(string(content), " 2\n")
}

// show tells what a pointer points to.
func show[T any](pointer *T) any {
	if pointer == nil {
		return "unknown"
	}
	return *pointer
}
