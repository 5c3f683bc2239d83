package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/target"
)

// environmentBeProbe makes the test binary be the probe, so that tests can run it as a process of its own.
const environmentBeProbe = "CONNPOLICY_TEST_BE_PROBE"

// atOnce is how soon a program ends after SIGTERM. Alone on a machine it takes milliseconds.
const atOnce = 5 * time.Second

// nobody is a user without any privilege.
const nobody = 65534

func TestMain(m *testing.M) {
	if os.Getenv(environmentBeProbe) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is a probe that runs as a process without privilege.
type process struct {
	command        *exec.Cmd
	stdout, stderr bytes.Buffer
}

// start starts the probe on the calling thread, and so in its network namespace.
func start(t *testing.T, arguments ...string) *process {
	t.Helper()
	p := &process{command: exec.Command("/proc/self/exe", arguments...)}
	p.command.Env = append(os.Environ(), environmentBeProbe+"=1")
	p.command.Dir = "/"
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := p.command.Start(); err != nil {
		t.Error(err)
	}
	return p
}

// stop sends SIGTERM and returns the exit code and the time that the end took.
func (p *process) stop(t *testing.T) (int, time.Duration) {
	t.Helper()
	begin := time.Now()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	code := p.wait()
	return code, time.Since(begin)
}

func (p *process) wait() int {
	// The exit code tells all that the error would.
	_ = p.command.Wait()
	return p.command.ProcessState.ExitCode()
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct{ arguments, want string }{
		{"", "Usage"},
		{"fly", "no command"},
		{"run", "--target is needed"},
		{"run --target ftp://x", "none of http, https, ws, wss and tcp"},
		{"run --target https://x --tls-ca /does/not/exist", "--tls-ca"},
		{"run --target https://x --tls-key k", "go together"},
		{"run --target http://x --protocol UDP", "there is no protocol"},
		{"run --target http://x -o xml", "text or json"},
		{"run --target http://x --measure handshake,colour", "colour"},
		{"run --target http://x --except colour", "colour"},
		{"run --target http://x --measure idle --except idle", "leaves nothing to measure"},
		{"run --target http://x --limit-rps 0", "above zero"},
		{"run --target http://x --handshake-samples -1", "0 or more"},
		{"run --target http://x --address-family ipx", "address family"},
		{"run --target http://x more", "not expected"},
		{"run --target ws://x --websocket-subprotocols a/b", "no name of a subprotocol"},
		{"run --target http://x --measure push --push-paths telling=/x", "--push-paths"},
		{"run --target http://x --measure push --push-paths polling=x", "--push-paths"},
		{"run --no-such-flag", "no-such-flag"},
		{"serve --idle-timeout 0s", "--idle-timeout is above 0"},
		{"serve --tls-certificate c", "go together"},
		{"load", "scheme"},
		{"load --target tcp://x:1", "HTTP"},
		{"load --target http://x --rate 0", "rate"},
		{"observe --window-seconds 1", "window"},
		{"list all", "not expected"},
	} {
		var stdout, stderr bytes.Buffer
		if code := execute(t.Context(), strings.Fields(c.arguments), &stdout, &stderr); code != exitUsage {
			t.Errorf("probe %s: exit code %d", c.arguments, code)
		}
		if !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
			t.Errorf("probe %s: wrote %q and %q, want %q in the second", c.arguments, &stdout, &stderr, c.want)
		}
	}
}

func TestHelpListAndVersion(t *testing.T) {
	for arguments, want := range map[string]string{
		"help": "observe", "run --help": "", "list": "timeWait", "version": "", "serve --help": "",
	} {
		var stdout, stderr bytes.Buffer
		if code := execute(t.Context(), strings.Fields(arguments), &stdout, &stderr); code != exitOK {
			t.Errorf("probe %s: exit code %d", arguments, code)
		}
		if !strings.Contains(stdout.String(), want) || stdout.Len()+stderr.Len() == 0 {
			t.Errorf("probe %s: %q, %q", arguments, &stdout, &stderr)
		}
	}
}

func TestMeasurementsWithoutExceptions(t *testing.T) {
	for _, c := range []struct{ measure, except, want string }{
		{"", "", ""}, // the runner's choice
		{"handshake,idle", "", "handshake,idle"},
		{"handshake,idle", "idle", "handshake"},
	} {
		o := runOptions{measure: split(c.measure), except: split(c.except)}
		got, err := o.measurements(target.TCP)
		if err != nil || strings.Join(got, ",") != c.want {
			t.Errorf("%q except %q: %v, %v, want %q", c.measure, c.except, got, err, c.want)
		}
	}
}

func TestExceptLeavesTheOthers(t *testing.T) {
	all, err := runner.Select(nil, target.TCP)
	if err != nil {
		t.Fatal(err)
	}
	o := runOptions{except: []string{"idle"}}
	got, err := o.measurements(target.TCP)
	if err != nil || len(got) != len(all)-1 || slices.Contains(got, "idle") || !slices.Contains(got, "handshake") {
		t.Errorf("%v, %v, of %d", got, err, len(all))
	}
}

func split(names string) []string {
	return strings.FieldsFunc(names, func(r rune) bool { return r == ',' })
}

func TestRunWithoutPrivilege(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	serve(t, listener)
	url := "http://" + listener.Addr().String() + "/"
	var p *process
	pair.InClient(t, func() {
		p = start(t, "run", "--target", url, "-o", "json", "--limit-seconds", "4", "--limit-rps", "400",
			"--limit-connections", "400", "--handshake-samples", "120", "--measure", "handshake,timeWait,reuse")
	})
	if code := p.wait(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &p.stderr)
	}
	var r result.Result
	if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	matchesSchema(t, p.stdout.Bytes())
	outcomes := r.Measurements.Outcomes()
	for _, name := range []string{"handshake", "timeWait", "reuse"} {
		if meta := outcomes[name]; meta.Outcome != result.Measured {
			t.Errorf("%s: %+v", name, meta)
		}
	}
	if len(outcomes) != 3 {
		t.Errorf("outcomes %v", outcomes)
	}
	if samples := r.Measurements.Handshake.Samples; samples < 120 {
		t.Errorf("%d samples of handshake, want the 120 asked for", samples)
	}
	if r.Target.Address != listener.Addr().String() || r.Host.Sysctls["net.ipv4.ip_local_port_range"] == "" {
		t.Errorf("target %+v, host %+v", r.Target, r.Host)
	}
	if w := r.Measurements.TimeWait; w.Scenarios["clientFirst"] != result.SideClient || w.Scenarios["serverAfterClose"] != result.SideServer {
		t.Errorf("TIME_WAIT scenarios %v", w.Scenarios)
	}
}

// serve answers as the demo's server does.
func serve(t *testing.T, listener net.Listener) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }))
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
}

// terminationFile is a file that the probe may write, as the kubelet prepares it.
func terminationFile(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	path := filepath.Join(directory, "log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{filepath.Dir(directory): 0o755, directory: 0o755, path: 0o666} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func readTermination(t *testing.T, path string) result.Result {
	t.Helper()
	message, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := result.DecodeMessage(message)
	if err != nil {
		t.Fatalf("%v: %q", err, message)
	}
	return r
}

// A failed measurement is exit code 1 by hand, and 0 where the result was handed over.
func TestFailureByHandAndInAPod(t *testing.T) {
	pair := nstest.New(t)
	url := "http://" + nstest.ServerAddress + ":9/"
	path := terminationFile(t)
	var byHand, inPod *process
	pair.InClient(t, func() {
		byHand = start(t, "run", "--target", url)
		inPod = start(t, "run", "--target", url, "--termination-message", path)
	})
	if code := byHand.wait(); code != exitFailed || !strings.Contains(byHand.stdout.String(), "connection refused") {
		t.Errorf("by hand: exit code %d: %s", code, &byHand.stdout)
	}
	if code := inPod.wait(); code != exitOK {
		t.Errorf("in a pod: exit code %d: %s", code, &inPod.stderr)
	}
	r := readTermination(t, path)
	if h := r.Measurements.Handshake; h == nil || h.Outcome != result.Failed {
		t.Errorf("handshake %+v", h)
	}
}

// nobodyReads is a standard output whose reader has gone.
type nobodyReads struct{}

func (nobodyReads) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestResultIsHandedOverAlthoughNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var stderr bytes.Buffer
	code := execute(t.Context(), []string{"run", "--refuse-local", "--target", "http://127.0.0.1:9", "--termination-message", path}, nobodyReads{}, &stderr)
	if code != exitFailed {
		t.Errorf("exit code %d although the print failed: %s", code, &stderr)
	}
	if r := readTermination(t, path); r.Measurements.Handshake == nil {
		t.Errorf("handed over: %+v", r)
	}
}

func TestTerminationBudget(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	serve(t, listener)
	path := terminationFile(t)
	var p *process
	pair.InClient(t, func() {
		p = start(t, "run", "--target", "http://"+listener.Addr().String(), "--limit-seconds", "3", "--limit-rps", "200",
			"--termination-message", path, "--termination-budget-bytes", "1000")
	})
	if code := p.wait(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &p.stderr)
	}
	if status, err := os.Stat(path); err != nil || status.Size() > 1000 {
		t.Errorf("%v, %v", status, err)
	}
	if r := readTermination(t, path); len(r.Dropped) == 0 {
		t.Error("nothing was dropped to fit 1000 bytes")
	}
}

func TestSIGTERMHandsOverWhatThereIs(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	serve(t, listener)
	path := terminationFile(t)
	var p *process
	pair.InClient(t, func() {
		p = start(t, "run", "--target", "http://"+listener.Addr().String(), "--limit-seconds", "60", "--limit-rps", "20", "--termination-message", path)
	})
	time.Sleep(2 * time.Second)
	code, took := p.stop(t)
	if code != exitOK || took > atOnce {
		t.Errorf("exit code %d after %v: %s", code, took, &p.stderr)
	}
	stopped := false
	measurements := readTermination(t, path).Measurements
	for _, meta := range measurements.Outcomes() {
		stopped = stopped || meta.Outcome == result.Failed && strings.Contains(meta.Cause, "stopped by SIGTERM")
	}
	if !stopped {
		t.Error("no measurement says that it was stopped")
	}
}

func TestRefuseLocal(t *testing.T) {
	t.Setenv(environmentRefused, "198.18.99.77")
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "169.254.169.254", "198.18.99.77", "[::ffff:127.0.0.1]"} {
		var stdout, stderr bytes.Buffer
		code := execute(t.Context(), []string{"run", "--refuse-local", "--target", "http://" + host + ":9", "-o", "json"}, &stdout, &stderr)
		var r result.Result
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		matchesSchema(t, stdout.Bytes())
		for name, meta := range r.Measurements.Outcomes() {
			if meta.Outcome != result.Skipped || meta.Cause == "" {
				t.Errorf("%s: %s is %s: %s", host, name, meta.Outcome, meta.Cause)
			}
		}
		if code != exitOK || r.Spent != (result.Spent{}) || r.Target.Address != "" {
			t.Errorf("%s: exit code %d, spent %+v", host, code, r.Spent)
		}
	}
	t.Setenv(environmentRefused, "node-1")
	var stderr bytes.Buffer
	if code := execute(t.Context(), []string{"run", "--refuse-local", "--target", "http://198.18.99.77"}, io.Discard, &stderr); code != exitUsage {
		t.Errorf("a name among the refused addresses: exit code %d, %s", code, &stderr)
	}
}

func TestNameThatDoesNotResolve(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := execute(t.Context(), []string{"run", "--target", "http://no-such-host.invalid"}, &stdout, &stderr)
	if code != exitFailed || !strings.Contains(stdout.String(), "does not resolve") {
		t.Errorf("exit code %d: %s", code, &stdout)
	}
}

// The server of ours and the probe, both without privilege, agree on all that there is about WebSocket and news.
func TestServerThatPushes(t *testing.T) {
	pair := nstest.New(t)
	var server, webSocket, news *process
	pair.InServer(t, func() { server = start(t, "serve", "--listen", nstest.ServerAddress+":8080") })
	for deadline := time.Now().Add(20 * time.Second); get(t, pair, "/poll") == "" && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	pair.InClient(t, func() {
		webSocket = start(t, "run", "--target", "ws://"+nstest.ServerAddress+":8080/ws", "-o", "json", "--limit-seconds", "10")
		news = start(t, "run", "--target", "http://"+nstest.ServerAddress+":8080", "-o", "json", "--limit-seconds", "14", "--measure", "push",
			"--push-paths", "polling=/poll?every=300ms,streaming=/events?every=300ms,websocket=/ws?every=300ms")
	})
	read := func(p *process) (r result.Result) {
		if code := p.wait(); code != exitOK {
			t.Errorf("exit code %d: %s", code, &p.stderr)
		}
		if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		matchesSchema(t, p.stdout.Bytes())
		return r
	}
	w := read(webSocket)
	for _, name := range []string{"handshake", "timeWait", "identity", "websocket"} {
		if meta := w.Measurements.Outcomes()[name]; meta.Outcome != result.Measured {
			t.Errorf("%s: %+v", name, meta)
		}
	}
	if m := w.Measurements.WebSocket; m == nil || m.Echo == nil || !*m.Echo || m.Idle == nil || m.Idle.Outcome != result.Measured {
		t.Errorf("WebSocket: %+v", m)
	}
	p := read(news).Measurements.Push
	for name, way := range map[string]*result.PushWay{"polling": p.Polling, "streaming": p.Streaming, "WebSocket": p.WebSocket} {
		if way.Outcome != result.Measured || way.Messages < 2 || way.DelayMicroseconds == nil {
			t.Errorf("%s: %+v", name, way)
		}
	}
	if p.LongPolling.Outcome != result.Unsupported {
		t.Errorf("long polling: %+v", p.LongPolling)
	}
	if code, took := server.stop(t); code != exitOK || took > atOnce {
		t.Errorf("exit code %d %v after SIGTERM: %s", code, took, &server.stderr)
	}
}

// get asks the server at port 8080 from the client's namespace, and returns nothing while it does not answer.
func get(t *testing.T, pair *nstest.Pair, path string) string {
	t.Helper()
	var text bytes.Buffer
	pair.InClient(t, func() {
		var dialer net.Dialer
		connection, err := dialer.DialContext(t.Context(), "tcp", nstest.ServerAddress+":8080")
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = fmt.Fprintf(connection, "GET %s HTTP/1.0\r\n\r\n", path)
		_, _ = io.Copy(&text, connection)
	})
	return text.String()
}

// The demo's client, its server and the observer run together without privilege and agree with each other.
func TestDemoPrograms(t *testing.T) {
	pair := nstest.New(t)
	pair.Sysctl(t, "net.ipv4.ip_local_port_range", "40000 40299")
	var server, client, observer *process
	pair.InServer(t, func() { server = start(t, "serve", "--listen", nstest.ServerAddress+":8080") })
	pair.InClient(t, func() {
		observer = start(t, "observe", "--listen", ":9964", "--window-seconds", "2")
		client = start(t, "load", "--target", "http://"+nstest.ServerAddress+":8080/", "--rate", "100", "--metrics-listen", ":9090")
	})
	ports := 0
	var load, seen string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		load, seen = scrape(t, pair, 9090, result.PathMetrics), scrape(t, pair, 9964, result.PathMetrics)
		ports = metric(seen, `connpolicy_observer_ports_in_use{destination="198.18.99.2:8080"}`)
		if ports == 300 && metric(load, `connpolicy_load_errors_total{cause="cannot assign requested address"}`) > 0 {
			break
		}
	}
	if own := metric(load, "connpolicy_load_ports_in_use"); ports != 300 || own != 300 {
		t.Errorf("of 300 ports the observer sees %d in use, the client %d\n%s\n%s", ports, own, load, seen)
	}
	if opened := metric(seen, "connpolicy_observer_connections_opened_total"); opened < 300 || opened > 310 {
		t.Errorf("%d connections opened, want the 300 of the ports and none by the observer", opened)
	}
	recent := scrape(t, pair, 9964, result.PathRecent)
	if period, uptime := metric(recent, result.MetricPeriodSeconds), metric(recent, result.MetricUptimeSeconds); period < 1 || period != uptime {
		t.Errorf("of the %d s since it began the observer tells %d s as the last hour\n%s", uptime, period, recent)
	}
	for name, p := range map[string]*process{"load": client, "observe": observer, "serve": server} {
		if code, took := p.stop(t); code != exitOK || took > atOnce {
			t.Errorf("probe %s: exit code %d %v after SIGTERM: %s", name, code, took, &p.stderr)
		}
	}
}

// scrape reads the metrics of a program in the client's namespace, or nothing while it does not answer.
func scrape(t *testing.T, pair *nstest.Pair, port int, path string) string {
	t.Helper()
	var text bytes.Buffer
	pair.InServer(t, func() {
		var dialer net.Dialer
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		connection, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", nstest.ClientAddress, port))
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = fmt.Fprintf(connection, "GET %s HTTP/1.0\r\n\r\n", path)
		_, _ = io.Copy(&text, connection)
	})
	return text.String()
}

// metric returns a sample's value, -1 if it is not there.
func metric(text, name string) int {
	for line := range strings.Lines(text) {
		var value float64
		if rest, found := strings.CutPrefix(line, name+" "); found {
			if _, err := fmt.Sscan(rest, &value); err == nil {
				return int(value)
			}
		}
	}
	return -1
}

func TestSignalIsTheCause(t *testing.T) {
	ctx, stop := withSignals(t.Context())
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); cause.Error() != "stopped by SIGTERM" {
		t.Errorf("cause %v", cause)
	}
}
