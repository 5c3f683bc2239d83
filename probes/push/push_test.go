package push_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/server"
	"github.com/connpolicy/connpolicy/probes/target"
)

func measure(t *testing.T, pair *nstest.Pair, address string, seconds int, paths map[string]string) (*result.Push, result.Spent) {
	t.Helper()
	parsed, err := target.Parse(address, "")
	if err != nil {
		t.Fatal(err)
	}
	l := budget.Limits{Connections: 12, RequestsPerSecond: 100, Seconds: seconds}
	begin := time.Now()
	var r result.Result
	pair.InClient(t, func() {
		r, err = runner.Run(t.Context(), runner.Config{
			Target: parsed, Family: target.AnyFamily, Measure: []string{"push"}, Limits: l, PushPaths: paths,
			UserAgent: "connpolicy-probe/test", Proc: procnet.New("/proc"), Log: t.Logf,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > time.Duration(seconds+5)*time.Second {
		t.Errorf("it took %v", took)
	}
	if r.Spent.Connections > l.Connections {
		t.Errorf("%d connections, the limit is %d", r.Spent.Connections, l.Connections)
	}
	return r.Measurements.Push, r.Spent
}

// counted is a server that counts what reaches it.
type counted struct{ connections, requests atomic.Int64 }

func (c *counted) serve(t *testing.T, listener net.Listener, handler http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		handler.ServeHTTP(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.connections.Add(1)
		}
	}
	s.Listener = listener
	s.Start()
	t.Cleanup(s.Close)
	return "http://" + listener.Addr().String()
}

func show[T any](pointer *T) any {
	if pointer == nil {
		return "unknown"
	}
	return *pointer
}

// The server of ours tells the same news in all ways, and a stream costs less than polling.
func TestWaysSideBySide(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	var c counted
	address := c.serve(t, pair.Listen(t), server.Handler())
	const news = "?every=400ms"
	r, spent := measure(t, pair, address, 24, map[string]string{
		"polling": "/poll" + news, "longPolling": "/long-poll" + news, "streaming": "/events" + news, "websocket": "/ws" + news,
	})
	if r.Outcome != result.Measured || r.Errors != 0 {
		t.Fatalf("%s %q, %d errors", r.Outcome, r.Cause, r.Errors)
	}
	for name, way := range map[string]*result.PushWay{"polling": r.Polling, "long polling": r.LongPolling, "streaming": r.Streaming, "WebSocket": r.WebSocket} {
		if way.Outcome != result.Measured || way.Messages < 5 || way.Connections != 1 || way.Missing != "" || way.CutBy != "" || way.GapMicroseconds == nil {
			t.Errorf("%s: %s %q %q: %d messages on %d connections, cut by %q", name, way.Outcome, way.Cause, way.Missing, way.Messages, way.Connections, way.CutBy)
			continue
		}
		// News are as old as they are: those that were waited for less than half of the time between them.
		if late := 400_000.0; way != r.Polling && way.DelayMicroseconds.P50 > late/2 {
			t.Errorf("%s: half of the messages are older than %g µs", name, way.DelayMicroseconds.P50)
		}
		t.Logf("%s: %d messages, %d requests, %.0f bytes a message, delay %.0f µs", name, way.Messages, way.Requests, *way.BytesPerMessage, way.DelayMicroseconds.P50)
	}
	if r.Streaming.Requests != 1 || r.WebSocket.Requests != 1 || r.Polling.Requests < r.Polling.Messages || r.LongPolling.Requests < r.LongPolling.Messages {
		t.Errorf("requests: %d, %d, %d, %d", r.Polling.Requests, r.LongPolling.Requests, r.Streaming.Requests, r.WebSocket.Requests)
	}
	if show(r.Streaming.Buffered) != false || show(r.WebSocket.Buffered) != false || r.Polling.Buffered != nil {
		t.Errorf("buffered: %v, %v, %v", show(r.Streaming.Buffered), show(r.WebSocket.Buffered), show(r.Polling.Buffered))
	}
	if *r.Streaming.BytesPerMessage >= *r.LongPolling.BytesPerMessage || *r.WebSocket.BytesPerMessage >= *r.Streaming.BytesPerMessage {
		t.Errorf("bytes a message: %g, %g, %g", *r.LongPolling.BytesPerMessage, *r.Streaming.BytesPerMessage, *r.WebSocket.BytesPerMessage)
	}
	if c.connections.Load() != int64(spent.Connections) || c.requests.Load() != int64(spent.Requests) {
		t.Errorf("spent %+v, the server saw %d connections and %d requests", spent, c.connections.Load(), c.requests.Load())
	}
}

// What is at one path tells which way it is, and the others are not offered.
func TestPathOfOneWay(t *testing.T) {
	goesOn := func(w http.ResponseWriter, r *http.Request) {
		for i := 0; r.Context().Err() == nil; i++ {
			fmt.Fprintf(w, "line %d\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(300 * time.Millisecond)
		}
	}
	for name, c := range map[string]struct {
		handler http.Handler
		path    string
		offered string
		missing string
	}{
		"polling":               {server.Handler(), "/poll", "polling", ""},
		"long polling":          {server.Handler(), "/long-poll?every=1s", "longPolling", ""},
		"server-sent events":    {server.Handler(), "/events?every=300ms", "streaming", ""},
		"chunks":                {http.HandlerFunc(goesOn), "/", "streaming", "the delays"},
		"the same all the time": {server.Handler(), "/", "polling", "no news"},
		"WebSocket":             {server.Handler(), "/ws?every=300ms", "websocket", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			var seen counted
			r, spent := measure(t, pair, seen.serve(t, pair.Listen(t), c.handler)+c.path, 9, nil)
			for way, w := range map[string]*result.PushWay{"polling": r.Polling, "longPolling": r.LongPolling, "streaming": r.Streaming, "websocket": r.WebSocket} {
				switch {
				case way == c.offered && (w.Outcome != result.Measured || !strings.HasPrefix(w.Missing, c.missing) || c.missing != "no news" && w.Messages == 0):
					t.Errorf("%s: %s %q %q, %d messages", way, w.Outcome, w.Cause, w.Missing, w.Messages)
				case way != c.offered && (w.Outcome != result.Unsupported || w.Cause == "" || w.Messages > 0):
					t.Errorf("%s: %s %q, %d messages", way, w.Outcome, w.Cause, w.Messages)
				}
			}
			if r.Outcome != result.Measured || seen.connections.Load() != int64(spent.Connections) || seen.requests.Load() != int64(spent.Requests) {
				t.Errorf("%s %q: spent %+v, the server saw %d connections and %d requests", r.Outcome, r.Cause, spent, seen.connections.Load(), seen.requests.Load())
			}
		})
	}
}

// A target of WebSocket is asked for nothing else.
func TestTargetOfWebSocket(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	var seen counted
	address := seen.serve(t, pair.Listen(t), server.Handler())
	r, _ := measure(t, pair, strings.Replace(address, "http", "ws", 1)+"/ws?every=200ms", 6, nil)
	if r.WebSocket.Outcome != result.Measured || r.WebSocket.Messages < 3 || r.Polling.Outcome != result.Unsupported || seen.requests.Load() != 1 {
		t.Errorf("%s %q: %d messages; polling %s; %d requests", r.WebSocket.Outcome, r.WebSocket.Cause, r.WebSocket.Messages, r.Polling.Outcome, seen.requests.Load())
	}
}

// holding is a hop that passes on what the upstream sends in goes, as a proxy with a buffer does; every is 0 for one that
// does not.
func holding(t *testing.T, pair *nstest.Pair, upstream string, every time.Duration) string {
	t.Helper()
	listener := pair.Listen(t)
	nstest.Serve(t, listener, func(client net.Conn) {
		var origin net.Conn
		var err error
		pair.InServer(t, func() {
			var dialer net.Dialer
			origin, err = dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(upstream, "http://"))
		})
		if err != nil {
			return
		}
		defer origin.Close()
		go func() {
			_, _ = io.Copy(origin, client)
			// The client has gone.
			_ = origin.Close()
		}()
		for buffer := make([]byte, 1<<20); ; time.Sleep(every) {
			n, err := origin.Read(buffer)
			if err != nil {
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	return "http://" + listener.Addr().String()
}

// tell streams news as lines, the time of each ahead of the clock by so much.
func tell(ahead, every time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for r.Context().Err() == nil {
			fmt.Fprintf(w, "{\"time\": %d}\n", time.Now().Add(ahead).UnixMilli())
			_ = http.NewResponseController(w).Flush()
			time.Sleep(every)
		}
	})
}

func TestHopThatHoldsBack(t *testing.T) {
	for name, every := range map[string]time.Duration{"passes on at once": 0, "passes on every second": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			var origin counted
			upstream := origin.serve(t, pair.Listen(t), tell(0, 100*time.Millisecond))
			r, _ := measure(t, pair, holding(t, pair, upstream, every), 9, nil)
			held := every > 0
			s := r.Streaming
			if s.Outcome != result.Measured || show(s.Buffered) != held || s.Together == nil {
				t.Fatalf("%s %q %q: %d messages, buffered %v, %+v", s.Outcome, s.Cause, s.Missing, s.Messages, show(s.Buffered), s.Together)
			}
			if old := s.DelayMicroseconds.P50 > 150_000; old != held {
				t.Errorf("the messages are %g µs old", s.DelayMicroseconds.P50)
			}
		})
	}
}

// The other side ends a stream in all the ways that there are.
func TestStreamThatIsCut(t *testing.T) {
	const after = 2 * time.Second
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	feed := func(end func(*net.TCPConn)) func(net.Conn) {
		return func(connection net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(connection)); err != nil {
				return
			}
			_, _ = io.WriteString(connection, head)
			for begin := time.Now(); time.Since(begin) < after; time.Sleep(100 * time.Millisecond) {
				event := fmt.Sprintf("data: %d\n\n", time.Now().UnixMilli())
				_, _ = fmt.Fprintf(connection, "%x\r\n%s\r\n", len(event), event)
			}
			if tcp, is := connection.(*net.TCPConn); is {
				end(tcp)
			}
		}
	}
	for name, c := range map[string]struct {
		end func(*net.TCPConn)
		box nstest.Middlebox
		how result.IdleCut
	}{
		"ends it":            {end: func(c *net.TCPConn) { _, _ = io.WriteString(c, "0\r\n\r\n") }, how: result.CutFIN},
		"ends it in a chunk": {end: func(c *net.TCPConn) { _, _ = io.WriteString(c, "ff\r\ndata") }, how: result.CutFIN},
		"resets it":          {end: func(c *net.TCPConn) { _ = c.SetLinger(0) }, how: result.CutRST},
		"the path forgets it": {
			end: func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) },
			box: nstest.Middlebox{IdleTimeout: time.Second, Forgets: nstest.DropSilently}, how: result.CutBlackHole,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pair *nstest.Pair
			if c.box.IdleTimeout > 0 {
				pair = nstest.NewLink(t, nstest.LinkOptions{Middlebox: c.box}).Pair
			} else {
				pair = nstest.New(t)
			}
			listener := pair.Listen(t)
			nstest.Serve(t, listener, feed(c.end))
			r, _ := measure(t, pair, "http://"+listener.Addr().String(), 14, map[string]string{"streaming": "/"})
			s := r.Streaming
			if s.Outcome != result.Measured || s.CutBy != c.how || s.CutAfterSeconds == nil || *s.CutAfterSeconds < 1 || *s.CutAfterSeconds > 9 || s.Messages < 3 {
				t.Errorf("%s %q: %d messages, cut after %v s by %q", s.Outcome, s.Cause, s.Messages, show(s.CutAfterSeconds), s.CutBy)
			}
			// A client connects anew when it is cut, but not for ever.
			if most := 3; s.Connections > most || c.how != result.CutBlackHole && s.Connections != most {
				t.Errorf("%d connections", s.Connections)
			}
		})
	}
}

// The clock of the server is an hour ahead.
func TestClocksThatDisagree(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	var seen counted
	address := seen.serve(t, pair.Listen(t), tell(time.Hour, 100*time.Millisecond))
	r, _ := measure(t, pair, address, 8, nil)
	s := r.Streaming
	if s.Outcome != result.Measured || s.DelayMicroseconds != nil || !strings.Contains(s.Missing, "clocks") || show(s.Buffered) != false {
		t.Errorf("%s %q %q: delays %v, buffered %v", s.Outcome, s.Cause, s.Missing, s.DelayMicroseconds, show(s.Buffered))
	}
}

// What is broken or hostile is an outcome with its cause, within the limits.
func TestTargetsThatMisbehave(t *testing.T) {
	write := func(head, repeated string, pause time.Duration) func(net.Conn) {
		return func(connection net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(connection)); err != nil {
				return
			}
			for text := head; ; text = repeated {
				if _, err := io.WriteString(connection, text); err != nil || text == "" {
					return
				}
				time.Sleep(pause)
			}
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		handle  func(net.Conn)
		paths   map[string]string
		outcome result.Outcome
		cause   string
	}{
		"not found":             {write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "", 0), nil, result.Unsupported, "status 404"},
		"redirects":             {write("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "", 0), nil, result.Unsupported, "status 302"},
		"never answers":         {func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) }, nil, result.Failed, "timed out"},
		"no HTTP":               {write("SSH-2.0-OpenSSH_9.2\r\n\r\n", "", 0), nil, result.Failed, "not valid HTTP/1"},
		"a header of 100 MB":    {write(ok+"X: ", strings.Repeat("x", 1<<16), 0), nil, result.Failed, "64 KiB of headers"},
		"a flood":               {write(ok+"\r\n", strings.Repeat("x", 1<<16), 0), map[string]string{"streaming": "/"}, result.Measured, ""},
		"a flood to a poller":   {write(ok+"\r\n", strings.Repeat("x", 1<<16), 0), map[string]string{"polling": "/"}, result.Failed, "4 MiB"},
		"one byte a second":     {write(ok+"Content-Type: text/event-stream\r\n\r\n", ":", time.Second), map[string]string{"streaming": "/"}, result.Measured, ""},
		"is no stream":          {write(ok+"Content-Length: 0\r\n\r\n", "", 0), map[string]string{"streaming": "/"}, result.Unsupported, "as a whole"},
		"no WebSocket":          {write(ok+"Content-Length: 0\r\n\r\n", "", 0), map[string]string{"websocket": "/"}, result.Unsupported, "status 200"},
		"closes without a word": {func(net.Conn) {}, map[string]string{"longPolling": "/"}, result.Failed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			listener := pair.Listen(t)
			var connections atomic.Int64
			nstest.Serve(t, listener, func(connection net.Conn) {
				connections.Add(1)
				c.handle(connection)
			})
			r, spent := measure(t, pair, "http://"+listener.Addr().String(), 8, c.paths)
			if r.Outcome != c.outcome || !strings.Contains(r.Cause, c.cause) || (r.Cause == "") != (c.outcome == result.Measured) {
				t.Errorf("%s %q, want %s %q", r.Outcome, r.Cause, c.outcome, c.cause)
			}
			if got := connections.Load(); got != int64(spent.Connections) {
				t.Errorf("%d connections, the probe says %d", got, spent.Connections)
			}
		})
	}
}
