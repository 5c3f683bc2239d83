package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/connpolicy/connpolicy/probes/server"
)

func start(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(server.Handler())
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// news is what is told.
type news struct {
	ID   int64     `json:"id"`
	Time time.Time `json:"time"`
}

func parse(t *testing.T, text string) news {
	t.Helper()
	var n news
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return n
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnyPath(t *testing.T) {
	s := start(t)
	response := get(t, s.URL+"/healthz")
	if text := body(t, response); text != "ok\n" || response.Header.Get(server.LocalHeader) != s.Listener.Addr().String() || response.Header.Get(server.RemoteHeader) == "" {
		t.Errorf("%q, %v", text, response.Header)
	}
}

// All ways tell the same news, no sooner than they are made.
func TestNews(t *testing.T) {
	s := start(t)
	const every = 200 * time.Millisecond
	polled := parse(t, body(t, get(t, s.URL+"/poll?every=200ms")))
	begin := time.Now()
	next := parse(t, body(t, get(t, s.URL+"/long-poll?every=200ms")))
	if polled.Time.After(begin) || next.Time.Before(begin) || next.ID <= polled.ID || time.Now().Before(next.Time) {
		t.Errorf("polled %v, waited for %v from %v on", polled, next, begin)
	}
	response := get(t, s.URL+"/events?every=200ms")
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("a stream of %q", kind)
	}
	lines := bufio.NewScanner(response.Body)
	var before news
	for count := 0; count < 3 && lines.Scan(); {
		text, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		n := parse(t, text)
		if n.Time.Truncate(every) != n.Time || time.Now().Before(n.Time) || count > 0 && (n.ID != before.ID+1 || n.Time.Sub(before.Time) != every) {
			t.Errorf("%v after %v", n, before)
		}
		before = n
		count++
	}
	for _, query := range []string{"?every=1ms", "?every=2h", "?every=often"} {
		for _, path := range []string{"/poll", "/long-poll", "/events", "/ws"} {
			if response := get(t, s.URL+path+query); response.StatusCode != http.StatusBadRequest {
				t.Errorf("%s%s: status %d", path, query, response.StatusCode)
			}
		}
	}
}

// dial opens a WebSocket connection to the path.
func dial(t *testing.T, address, path string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	connection, rest, _, err := ws.Dial(ctx, "ws://"+address+path)
	if err != nil {
		t.Fatal(err)
	}
	if rest != nil {
		t.Fatal("the server spoke before it was spoken to")
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	return connection
}

func send(t *testing.T, connection net.Conn, frame ws.Frame) {
	t.Helper()
	if err := ws.WriteFrame(connection, ws.MaskFrame(frame)); err != nil {
		t.Fatal(err)
	}
}

// want reads the next frame.
func want(t *testing.T, connection net.Conn, kind ws.OpCode, payload string) {
	t.Helper()
	header, err := ws.ReadHeader(connection)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, header.Length)
	if _, err := io.ReadFull(connection, got); err != nil {
		t.Fatal(err)
	}
	if header.OpCode != kind || !header.Fin || header.Masked || string(got) != payload {
		t.Fatalf("frame %+v %q, want %v %q", header, got, kind, payload)
	}
}

func status(code ws.StatusCode) string { return string(ws.NewCloseFrameBody(code, "")) }

func TestEcho(t *testing.T) {
	s := start(t)
	connection := dial(t, s.Listener.Addr().String(), "/ws")
	send(t, connection, ws.NewTextFrame([]byte("hello")))
	want(t, connection, ws.OpText, "hello")
	send(t, connection, ws.NewFrame(ws.OpBinary, false, []byte("in ")))
	send(t, connection, ws.NewPingFrame([]byte("between")))
	want(t, connection, ws.OpPong, "between")
	send(t, connection, ws.NewFrame(ws.OpContinuation, true, []byte("two")))
	want(t, connection, ws.OpBinary, "in two")
	send(t, connection, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "bye")))
	want(t, connection, ws.OpClose, status(ws.StatusNormalClosure))
	if _, err := connection.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as it comes
		t.Errorf("behind the close: %v", err)
	}
}

func TestWhatIsNoMessageEndsTheConnection(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		send ws.Frame
		code ws.StatusCode
	}{
		"no beginning": {ws.MaskFrame(ws.NewFrame(ws.OpContinuation, true, nil)), ws.StatusProtocolError},
		"no mask":      {ws.NewTextFrame(nil), ws.StatusProtocolError},
		"too long":     {ws.MaskFrame(ws.NewTextFrame(make([]byte, 1<<20+1))), ws.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			connection := dial(t, s.Listener.Addr().String(), "/ws")
			// What it is too long for it does not read.
			_ = ws.WriteHeader(connection, c.send.Header)
			want(t, connection, ws.OpClose, status(c.code))
		})
	}
}

// serving is a server that was started.
type serving struct {
	address string
	stop    func()
	served  chan error
}

func serve(t *testing.T, o server.Options) serving {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Address, o.Handler = listener.Addr().String(), server.Handler()
	_ = listener.Close()
	ctx, stop := context.WithCancel(t.Context())
	s := serving{address: o.Address, stop: stop, served: make(chan error, 1)}
	go func() { s.served <- server.Serve(ctx, o) }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		connection, err := net.Dial("tcp", o.Address)
		if err == nil {
			_ = connection.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (s serving) ends(t *testing.T) {
	select {
	case err := <-s.served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server goes on")
	}
}

// The end of the server ends what has no end of its own, and says so.
func TestStop(t *testing.T) {
	s := serve(t, server.Options{})
	stream := get(t, "http://"+s.address+"/events?every=1h")
	connection := dial(t, s.address, "/ws")
	s.stop()
	want(t, connection, ws.OpClose, status(ws.StatusGoingAway))
	if text := body(t, stream); text != "" {
		t.Errorf("the stream said %q", text)
	}
	s.ends(t)
}

// A server that does not drain leaves a request without an answer.
func TestCutOff(t *testing.T) {
	s := serve(t, server.Options{CutOff: true})
	connection, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	// By the answer to the first request the server is known to have the connection.
	const request = "GET %s HTTP/1.1\r\nHost: server\r\n\r\n"
	if _, err := fmt.Fprintf(connection, request+request, "/poll", "/long-poll?every=1h"); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(connection)
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	body(t, response)
	s.stop()
	if left, err := io.ReadAll(answers); err != nil || len(left) > 0 {
		t.Errorf("then came %q and %v", left, err)
	}
	s.ends(t)
}
