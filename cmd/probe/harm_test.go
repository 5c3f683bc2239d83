package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
)

// The limits of a run against a target that means harm, and how much later than its last second it may end: on a busy
// machine a program takes its time to start and to end.
const (
	harmConnections = 12
	harmRPS         = 50
	harmSeconds     = 2
	harmLater       = 2 * time.Second
	// mostResident is what a probe may take of a machine's memory, in KiB.
	mostResident = 30 << 10
)

// hostile is a server that means harm, and counts what reaches it.
type hostile struct {
	// behave has the connection to itself until it returns. Beside it all that arrives is read.
	behave func(net.Conn)
	// deaf: what arrives is not read. Without behave the connection stays as it is.
	deaf bool
}

// Whatever the target does, each measurement ends in an outcome within the limits, and within thirty megabytes.
func TestNoHarm(t *testing.T) {
	nstest.RequireRoot(t)
	program := buildProbe(t)
	const head = "HTTP/1.1 200 OK\r\n"
	again := func(first, repeated string, pause time.Duration) func(net.Conn) {
		return func(connection net.Conn) {
			_, err := io.WriteString(connection, first)
			for err == nil {
				<-time.After(pause)
				_, err = io.WriteString(connection, repeated)
			}
		}
	}
	kibi := strings.Repeat("x", 1<<10)
	for name, c := range map[string]struct {
		hostile
		arguments []string
	}{
		"streams for ever":         {hostile: hostile{behave: again(head+"\r\n", strings.Repeat("x", 1<<16), 0)}},
		"streams chunks for ever":  {hostile: hostile{behave: again(head+"Transfer-Encoding: chunked\r\n\r\n", "400\r\n"+kibi+"\r\n", 0)}},
		"a header of 100 MB":       {hostile: hostile{behave: manyHeaders(100 << 20)}},
		"a line without end":       {hostile: hostile{behave: again(head+"X: ", strings.Repeat("x", 1<<16), 0)}},
		"interim responses":        {hostile: hostile{behave: again("", "HTTP/1.1 102 Processing\r\n\r\n", 0)}},
		"responses nobody asked":   {hostile: hostile{behave: again("", head+"Content-Length: 1\r\n\r\nx", 0)}},
		"a byte a second":          {hostile: hostile{behave: again("H", "T", time.Second)}},
		"a chunk of a byte, slow":  {hostile: hostile{behave: again(head+"Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 10*time.Millisecond)}},
		"garbage":                  {hostile: hostile{behave: again("\x00\xff\x16\x03", "\x80\x00\r\n\r\n", 0)}},
		"silence":                  {hostile: hostile{behave: func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) }}},
		"does not read":            {hostile: hostile{deaf: true}},
		"closes at once":           {hostile: hostile{behave: func(net.Conn) {}}},
		"resets at once":           {hostile: hostile{behave: reset, deaf: true}},
		"redirects to itself":      {hostile: hostile{behave: redirect, deaf: true}},
		"TLS, garbage":             {hostile{behave: again("", strings.Repeat("\x16\x03\x03", 1000), 0)}, []string{"https"}},
		"TLS, records without end": {hostile{behave: again("", "\x16\x03\x03\x00\x04\x02\x40\x00\x00", 0)}, []string{"https"}},
		"TLS, alerts without end":  {hostile{behave: again("", "\x15\x03\x03\x00\x02\x01\x64", 0)}, []string{"https"}},
		"TLS, silence":             {hostile{behave: func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) }}, []string{"https"}},
		"HTTP/2, SETTINGS": {hostile{behave: frames(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
		})}, []string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, PING": {hostile{behave: frames(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })}, []string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, WINDOW_UPDATE": {hostile{behave: frames(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) })},
			[]string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, GOAWAY": {hostile{behave: frames(func(f *http2.Framer) error { return f.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil) })},
			[]string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, CONTINUATION": {hostile{behave: frames(func(f *http2.Framer) error {
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: nil}); err != nil {
				return err
			}
			for {
				if err := f.WriteContinuation(1, false, literal(kibi)); err != nil {
					return err
				}
			}
		})}, []string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, a bomb of headers": {hostile{behave: frames(headerBomb)}, []string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, interim responses": {hostile{behave: frames(func(f *http2.Framer) error {
			var block bytes.Buffer
			if err := hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "102"}); err != nil {
				return err
			}
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
		})}, []string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, a body without end": {hostile{behave: frames(func(f *http2.Framer) error { return f.WriteData(1, false, make([]byte, 1<<14)) })},
			[]string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, frames of 16 MiB": {hostile{behave: frames(func(f *http2.Framer) error { return f.WriteData(1, false, make([]byte, 1<<24-1)) })},
			[]string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, silence": {hostile{behave: func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) }}, []string{"http", "--protocol", "HTTP2"}},
		"HTTP/2, garbage": {hostile{behave: again("", "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0)}, []string{"http", "--protocol", "HTTP2"}},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, more := "http", []string(nil)
			if len(c.arguments) > 0 {
				scheme, more = c.arguments[0], c.arguments[1:]
			}
			pair := nstest.New(t)
			var running sync.WaitGroup
			for _, m := range runner.Measurements() {
				listener := pair.Listen(t)
				counted := serveHostile(t, listener, c.hostile)
				arguments := append([]string{"--target", scheme + "://" + listener.Addr().String() + "/", "--measure", m.Name}, more...)
				p := startHarmed(t, pair, program, arguments)
				running.Go(func() { p.check(t, m.Name, counted) })
			}
			running.Wait()
		})
	}
}

// buildProbe builds the probe as it is shipped; the test's own program holds much else.
func buildProbe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return path
}

// counts is what reached a server.
type counts struct{ connections, received atomic.Int64 }

func serveHostile(t *testing.T, listener net.Listener, h hostile) *counts {
	t.Helper()
	counted := &counts{}
	nstest.Serve(t, listener, func(connection net.Conn) {
		counted.connections.Add(1)
		switch {
		case h.behave == nil:
			<-t.Context().Done()
			return
		case h.deaf:
			h.behave(connection)
			return
		}
		var reading sync.WaitGroup
		reading.Go(func() {
			n, _ := io.Copy(io.Discard, connection)
			counted.received.Add(n)
		})
		h.behave(connection)
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		reading.Wait()
	})
	return counted
}

// redirect answers each request with where to go, which is where it came.
func redirect(connection net.Conn) {
	for reader := bufio.NewReader(connection); ; {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		location := "http://" + request.Host + request.RequestURI
		if _, err := io.WriteString(connection, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "+location+"\r\n\r\n"); err != nil {
			return
		}
	}
}

// reset ends a connection with a reset.
func reset(connection net.Conn) {
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func manyHeaders(length int) func(net.Conn) {
	return func(connection net.Conn) {
		_, err := io.WriteString(connection, "HTTP/1.1 200 OK\r\n")
		line := "X-Fill: " + strings.Repeat("x", 1<<10) + "\r\n"
		for sent := 0; sent < length && err == nil; sent += len(line) {
			_, err = io.WriteString(connection, line)
		}
		_, _ = io.WriteString(connection, "Content-Length: 0\r\n\r\n")
	}
}

// frames sends settings, then frames without end.
func frames(again func(*http2.Framer) error) func(net.Conn) {
	return func(connection net.Conn) {
		framer := http2.NewFramer(connection, nil)
		framer.AllowIllegalWrites = true
		for err := framer.WriteSettings(); err == nil; {
			err = again(framer)
		}
	}
}

// literal is one header field, not indexed (RFC 7541 section 6.2.2), whose value is a text.
func literal(value string) []byte {
	block := []byte{0, 1, 'x', 0x7f}
	for rest := len(value) - 127; ; rest >>= 7 {
		if rest < 128 {
			block = append(block, byte(rest))
			break
		}
		block = append(block, byte(rest)|128)
	}
	return append(block, value...)
}

// headerBomb names one long field of the table again and again, a byte each (RFC 7541 section 6.1).
func headerBomb(f *http2.Framer) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "x", Value: strings.Repeat("y", 3900)}} {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	const newest = 0x80 | 62
	block.Write(bytes.Repeat([]byte{newest}, 12_000))
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
}

// harmed is a probe under way against such a server.
type harmed struct {
	command        *exec.Cmd
	stdout, stderr bytes.Buffer
	begin          time.Time
}

func startHarmed(t *testing.T, pair *nstest.Pair, program string, arguments []string) *harmed {
	t.Helper()
	arguments = append([]string{"run", "-o", "json", "--limit-connections", strconv.Itoa(harmConnections), "--limit-rps", strconv.Itoa(harmRPS),
		"--limit-seconds", strconv.Itoa(harmSeconds)}, arguments...)
	p := &harmed{command: exec.Command(program, arguments...), begin: time.Now()}
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	var err error
	pair.InClient(t, func() { err = p.command.Start() })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *harmed) check(t *testing.T, name string, counted *counts) {
	resident := p.wait()
	took := time.Since(p.begin)
	if took > harmSeconds*time.Second+harmLater {
		t.Errorf("%s: it took %v", name, took)
	}
	// One that has nothing to do may have ended before it could be looked at.
	if resident > mostResident || resident == 0 && took > time.Second {
		t.Errorf("%s: %d KiB resident", name, resident)
	}
	var r result.Result
	if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil {
		t.Errorf("%s: %v: %s", name, err, &p.stderr)
		return
	}
	meta, has := r.Measurements.Outcomes()[name]
	if !has || meta.Outcome != result.Measured && meta.Cause == "" {
		t.Errorf("%s: outcome %q: %q", name, meta.Outcome, meta.Cause)
	}
	if code := p.command.ProcessState.ExitCode(); code != exitOK && code != exitFailed {
		t.Errorf("%s: exit code %d: %s", name, code, &p.stderr)
	}
	if r.Spent.Connections > harmConnections || r.Spent.Requests > harmRPS*harmSeconds+1 {
		t.Errorf("%s: spent %+v", name, r.Spent)
	}
	// The server may still be accepting.
	for deadline := time.Now().Add(2 * time.Second); counted.connections.Load() != int64(r.Spent.Connections) && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
	}
	if got := counted.connections.Load(); got != int64(r.Spent.Connections) {
		t.Errorf("%s: the server saw %d connections, the probe says %d", name, got, r.Spent.Connections)
	}
	if got := counted.received.Load(); got > r.Spent.BytesSent {
		t.Errorf("%s: the server received %d bytes, the probe says that it sent %d", name, got, r.Spent.BytesSent)
	}
}

// wait waits for the probe's end and returns its largest resident memory in KiB, as its kernel says while it runs: what
// wait4 tells includes the program that started it.
func (p *harmed) wait() (resident int) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The exit code tells all that the error would.
		_ = p.command.Wait()
	}()
	mark := regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB$`)
	status := "/proc/" + strconv.Itoa(p.command.Process.Pid) + "/status"
	for {
		select {
		case <-ended:
			return resident
		case <-time.After(5 * time.Millisecond):
		}
		content, err := os.ReadFile(status)
		if err != nil || !bytes.Contains(content, []byte("Name:\tprobe\n")) {
			continue
		}
		if found := mark.FindSubmatch(content); found != nil {
			if now, err := strconv.Atoi(string(found[1])); err == nil {
				resident = max(resident, now)
			}
		}
	}
}
