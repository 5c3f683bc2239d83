package websocket_test

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/server"
	"github.com/connpolicy/connpolicy/probes/target"
)

// limits leave time for all that a server may leave unanswered, and the connections for what is no silence.
func limits() budget.Limits {
	return budget.Limits{Connections: 12, RequestsPerSecond: 100, Seconds: 14}
}

func measure(t *testing.T, pair *nstest.Pair, url string, l budget.Limits, security *tls.Config, subprotocols ...string) result.Result {
	t.Helper()
	parsed, err := target.Parse(url, "")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	var r result.Result
	pair.InClient(t, func() {
		r, err = runner.Run(t.Context(), runner.Config{
			Target: parsed, Family: target.AnyFamily, Measure: []string{"websocket"}, Limits: l, TLS: security, Subprotocols: subprotocols,
			UserAgent: "connpolicy-probe/test", Proc: procnet.New("/proc"), Log: t.Logf,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if took, most := time.Since(begin), time.Duration(l.Seconds+l.IdleSeconds+5)*time.Second; took > most {
		t.Errorf("it took %v", took)
	}
	if r.Spent.Connections > l.Connections {
		t.Errorf("%d connections, the limit is %d", r.Spent.Connections, l.Connections)
	}
	return r
}

// peer is a server of WebSocket whose behaviour is known. The zero peer does all that it should, and echoes.
type peer struct {
	mute, alter bool // pongs are withheld, or have other data
	onMessage   func(s *speaker, kind ws.OpCode, text []byte) bool
	keepsOn     bool // does not answer a close frame
	waits       bool // answers pings only between messages
	begins      func(s *speaker)
	idle        time.Duration // ends connections that are silent for so long
	ends        func(*speaker)
	subprotocol string
}

type speaker struct {
	net.Conn
	t *testing.T
}

func (s *speaker) frame(kind ws.OpCode, final bool, text []byte) {
	// The client may have gone.
	_ = ws.WriteFrame(s, ws.NewFrame(kind, final, text))
}

// serve runs a peer and counts the connections that reach it.
func (p peer) serve(t *testing.T, listener net.Listener) *atomic.Int64 {
	t.Helper()
	var connections atomic.Int64
	nstest.Serve(t, listener, func(connection net.Conn) {
		connections.Add(1)
		upgrader := ws.Upgrader{Protocol: func(name []byte) bool { return string(name) == p.subprotocol }}
		if _, err := upgrader.Upgrade(connection); err != nil {
			return
		}
		s := &speaker{Conn: connection, t: t}
		if p.begins != nil {
			p.begins(s)
		}
		p.speak(s)
	})
	return &connections
}

func (p peer) speak(s *speaker) {
	reader := bufio.NewReader(s)
	var message []byte
	var kind ws.OpCode
	var later [][]byte
	for {
		if p.idle > 0 {
			_ = s.SetReadDeadline(time.Now().Add(p.idle))
		}
		header, err := ws.ReadHeader(reader)
		if netErr, is := err.(net.Error); is && netErr.Timeout() { //nolint:errorlint // as it comes
			p.ends(s)
			return
		}
		if err != nil {
			return
		}
		if !header.Masked {
			s.t.Error("a frame of the client is not masked")
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(reader, payload); err != nil {
			return
		}
		ws.Cipher(payload, header.Mask, 0)
		switch header.OpCode {
		case ws.OpPing:
			switch {
			case p.mute:
			case p.alter:
				s.frame(ws.OpPong, true, []byte("other"))
			case p.waits && message != nil:
				later = append(later, payload)
			default:
				s.frame(ws.OpPong, true, payload)
			}
		case ws.OpClose:
			if !p.keepsOn {
				s.frame(ws.OpClose, true, payload)
				return
			}
		case ws.OpPong:
		default:
			if header.OpCode != ws.OpContinuation {
				kind, message = header.OpCode, []byte{}
			}
			message = append(message, payload...)
			if !header.Fin {
				continue
			}
			for _, data := range later {
				s.frame(ws.OpPong, true, data)
			}
			if p.onMessage == nil {
				s.frame(kind, true, message)
			} else if !p.onMessage(s, kind, message) {
				return
			}
			message, later = nil, nil
		}
	}
}

func show[T any](pointer *T) any {
	if pointer == nil {
		return "unknown"
	}
	return *pointer
}

// want is what a measurement must find; unknown is nil.
type want struct {
	echo, pong, altered, duplex, bye *bool
	messageStatus, closeStatus       *int
}

func TestPeersOfKnownBehaviour(t *testing.T) {
	yes, no := new(true), new(false)
	silent := func(*speaker, ws.OpCode, []byte) bool { return true }
	for name, c := range map[string]struct {
		peer peer
		want want
	}{
		"does all":           {peer{}, want{echo: yes, pong: yes, duplex: yes, bye: yes, closeStatus: new(1000)}},
		"withholds pongs":    {peer{mute: true}, want{echo: yes, pong: no, altered: no, bye: yes, closeStatus: new(1000)}},
		"alters pongs":       {peer{alter: true}, want{echo: yes, pong: no, altered: yes, bye: yes, closeStatus: new(1000)}},
		"is silent":          {peer{onMessage: silent}, want{pong: yes, bye: yes, closeStatus: new(1000)}},
		"keeps on":           {peer{keepsOn: true}, want{echo: yes, pong: yes, duplex: yes, bye: no}},
		"half duplex":        {peer{waits: true}, want{echo: yes, pong: yes, duplex: no, bye: yes, closeStatus: new(1000)}},
		"closes without one": {peer{onMessage: func(*speaker, ws.OpCode, []byte) bool { return false }}, want{pong: yes, bye: yes, closeStatus: new(1000)}},
		"answers something else": {peer{onMessage: func(s *speaker, _ ws.OpCode, _ []byte) bool {
			s.frame(ws.OpText, true, []byte(`{"error": "no such command"}`))
			return true
		}}, want{echo: no, pong: yes, bye: yes, closeStatus: new(1000)}},
		"dislikes text": {peer{onMessage: func(s *speaker, _ ws.OpCode, _ []byte) bool {
			s.frame(ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusUnsupportedData, "no text"))
			return false
		}}, want{pong: yes, messageStatus: new(1003), bye: yes, closeStatus: new(1000)}},
		"fragments": {peer{onMessage: func(s *speaker, kind ws.OpCode, text []byte) bool {
			s.frame(kind, false, text[:3])
			s.frame(ws.OpPing, true, []byte("in the middle"))
			s.frame(ws.OpContinuation, false, text[3:5])
			s.frame(ws.OpContinuation, true, text[5:])
			return true
		}}, want{echo: yes, pong: yes, duplex: yes, bye: yes, closeStatus: new(1000)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			listener := pair.Listen(t)
			connections := c.peer.serve(t, listener)
			r := measure(t, pair, "ws://"+listener.Addr().String()+"/x?y", limits(), nil)
			w := r.Measurements.WebSocket
			if w.Outcome != result.Measured || w.Errors != 0 || w.Upgraded == nil || !*w.Upgraded || show(w.Status) != 101 || w.HandshakeMicroseconds == nil {
				t.Fatalf("%s %q, %d errors, upgraded %v, status %v", w.Outcome, w.Cause, w.Errors, show(w.Upgraded), show(w.Status))
			}
			for what, figure := range map[string][2]any{
				"echo": {show(w.Echo), show(c.want.echo)}, "pong": {show(w.Pong), show(c.want.pong)}, "altered": {show(w.PongAltered), show(c.want.altered)},
				"full duplex": {show(w.FullDuplex), show(c.want.duplex)}, "close handshake": {show(w.CloseHandshake), show(c.want.bye)},
				"status upon the message": {show(w.MessageCloseStatus), show(c.want.messageStatus)},
				"status of the close":     {show(w.CloseStatus), show(c.want.closeStatus)},
				"samples of pongs":        {w.PongMicroseconds != nil, c.want.pong == yes},
				"samples of echoes":       {w.EchoMicroseconds != nil, c.want.echo == yes},
				"messages of its own":     {show(w.ServerMessages), 0},
			} {
				if figure[0] != figure[1] {
					t.Errorf("%s: %v, want %v", what, figure[0], figure[1])
				}
			}
			if got := connections.Load(); got != int64(r.Spent.Connections) {
				t.Errorf("%d connections, the probe says %d", got, r.Spent.Connections)
			}
		})
	}
}

// A server that speaks of its own accord is counted, and answered.
func TestPeerThatSpeaksFirst(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	peer{begins: func(s *speaker) {
		s.frame(ws.OpText, true, []byte("welcome"))
		s.frame(ws.OpPing, true, nil)
	}}.serve(t, listener)
	r := measure(t, pair, "ws://"+listener.Addr().String(), limits(), nil)
	w := r.Measurements.WebSocket
	// What comes before a connection is closed may be read or not, but on all that were used it was.
	if w.Outcome != result.Measured || w.ServerMessages == nil || w.ServerPings == nil || *w.ServerMessages != *w.ServerPings ||
		*w.ServerMessages < 12 || *w.ServerMessages > r.Spent.Connections {
		t.Errorf("%s %q: %v messages, %v pings on %d connections", w.Outcome, w.Cause, show(w.ServerMessages), show(w.ServerPings), r.Spent.Connections)
	}
	if show(w.Echo) != true || show(w.Pong) != true || show(w.CloseHandshake) != true {
		t.Errorf("echo %v, pong %v, close handshake %v", show(w.Echo), show(w.Pong), show(w.CloseHandshake))
	}
}

// accepted is an answer that upgrades, but for what is put in.
func accepted(key, headers string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + key + "\r\n" + headers + "\r\n"
}

// TestRefusals are answers that open no connection. One is enough to tell.
func TestRefusals(t *testing.T) {
	const empty = "Content-Length: 0\r\n\r\n"
	for name, c := range map[string]struct {
		respond func(key string) string
		status  int
		cause   string
	}{
		"forbidden": {func(string) string { return "HTTP/1.1 403 Forbidden\r\n" + empty }, 403, "status 403"},
		"another version": {func(string) string {
			return "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 7\r\n" + empty
		}, 426, "status 426"},
		"no upgrade":    {func(string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n" }, 200, "status 200"},
		"a stream":      {func(string) string { return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n" }, 200, "status 200"},
		"another's key": {func(string) string { return accepted("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "") }, 101, "Sec-WebSocket-Accept"},
		"no key": {func(string) string {
			return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
		}, 101, "Sec-WebSocket-Accept"},
		"no headers": {func(string) string { return "HTTP/1.1 101 Switching Protocols\r\n\r\n" }, 101, "without the headers"},
		"another protocol": {func(string) string {
			return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
		}, 101, "without the headers"},
		"an unasked subprotocol":  {func(key string) string { return accepted(key, "Sec-WebSocket-Protocol: chat\r\n") }, 101, `subprotocol "chat"`},
		"an extension of its own": {func(key string) string { return accepted(key, "Sec-WebSocket-Extensions: x-mux\r\n") }, 101, `extension "x-mux"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			listener := pair.Listen(t)
			nstest.Serve(t, listener, func(connection net.Conn) {
				reader := bufio.NewReader(connection)
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				_, _ = io.WriteString(connection, c.respond(accept(request.Header.Get("Sec-WebSocket-Key"))))
				_, _ = io.Copy(io.Discard, reader)
			})
			r := measure(t, pair, "ws://"+listener.Addr().String(), limits(), nil)
			w := r.Measurements.WebSocket
			if w.Outcome != result.Unsupported || !strings.Contains(w.Cause, c.cause) || show(w.Upgraded) != false || show(w.Status) != c.status {
				t.Errorf("%s %q: upgraded %v, status %v", w.Outcome, w.Cause, show(w.Upgraded), show(w.Status))
			}
			if w.HandshakeMicroseconds != nil || w.Idle != nil || r.Spent.Connections != 1 || r.Spent.Requests != 1 {
				t.Errorf("handshakes %v, idle %v, spent %+v", w.HandshakeMicroseconds, w.Idle, r.Spent)
			}
		})
	}
}

// What is broken behind the upgrade is a failure with its cause, within the limits.
func TestBrokenPeers(t *testing.T) {
	repeat := func(bytes []byte, pause time.Duration) func(*speaker) {
		return func(s *speaker) {
			for {
				if _, err := s.Write(bytes); err != nil {
					return
				}
				time.Sleep(pause)
			}
		}
	}
	huge := ws.MustCompileFrame(ws.NewTextFrame(make([]byte, 1<<16)))
	huge[1], huge[2], huge[3], huge[4], huge[5], huge[6], huge[7], huge[8], huge[9] = 127, 0, 0, 0, 0, 6, 0, 0, 0
	endless := append([]byte{0x01, 127, 0, 0, 0, 0, 0, 1, 0, 0}, make([]byte, 1<<16)...)
	continues := append([]byte{0x00, 127, 0, 0, 0, 0, 0, 1, 0, 0}, make([]byte, 1<<16)...)
	for name, c := range map[string]struct {
		begins func(*speaker)
		cause  string
	}{
		"garbage":             {repeat([]byte("\xffSSH-2.0-OpenSSH_9.2\r\n"), 0), "no WebSocket"},
		"masks its frames":    {repeat(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("x")))), 0), "no WebSocket"},
		"a frame of 100 MB":   {repeat(huge, 0), "more than 4 MiB"},
		"a message of 100 MB": {func(s *speaker) { _, _ = s.Write(endless); repeat(continues, 0)(s) }, "more than 4 MiB"},
		"resets":              {func(s *speaker) { reset(s); _ = s.Close() }, "ended the connection in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			listener := pair.Listen(t)
			connections := peer{begins: c.begins}.serve(t, listener)
			r := measure(t, pair, "ws://"+listener.Addr().String(), limits(), nil)
			w := r.Measurements.WebSocket
			if w.Outcome != result.Failed || !strings.Contains(w.Cause, c.cause) || w.PongMicroseconds != nil || w.Echo != nil {
				t.Errorf("%s %q: %+v", w.Outcome, w.Cause, w)
			}
			if got := connections.Load(); got != int64(r.Spent.Connections) {
				t.Errorf("%d connections, the probe says %d", got, r.Spent.Connections)
			}
		})
	}
}

func reset(s *speaker) {
	if tcp, is := s.Conn.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
}

// A server that hands out one byte a second is no failure of the probe: the time ends it.
func TestOneByteASecond(t *testing.T) {
	t.Parallel()
	for name, upgrades := range map[string]bool{"before the upgrade": false, "behind it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			listener := pair.Listen(t)
			nstest.Serve(t, listener, func(connection net.Conn) {
				request, err := http.ReadRequest(bufio.NewReader(connection))
				if err != nil {
					return
				}
				text := accepted(accept(request.Header.Get("Sec-WebSocket-Key")), "")
				if upgrades {
					_, _ = io.WriteString(connection, text)
					text = strings.Repeat("\x81\x7d"+strings.Repeat("x", 125), 10)
				}
				for i := range len(text) {
					if _, err := connection.Write([]byte{text[i]}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			w := measure(t, pair, "ws://"+listener.Addr().String(), budget.Limits{Connections: 30, RequestsPerSecond: 100, Seconds: 8}, nil).Measurements.WebSocket
			if upgrades && (show(w.Upgraded) != true || show(w.CloseHandshake) != false || w.Echo != nil) || !upgrades && (w.Outcome != result.Failed || w.Upgraded != nil || w.Cause == "") {
				t.Errorf("%s %q: upgraded %v, close handshake %v", w.Outcome, w.Cause, show(w.Upgraded), show(w.CloseHandshake))
			}
		})
	}
}

// Silence ends in all the ways that there are, and each is told.
func TestSilence(t *testing.T) {
	const after = 3 * time.Second
	for name, c := range map[string]struct {
		box   nstest.Middlebox
		ends  func(*speaker)
		how   result.IdleCut
		pings bool
	}{
		"the server closes": {ends: func(*speaker) {}, how: result.CutFIN, pings: true},
		"the server says goodbye and stays": {ends: func(s *speaker) {
			s.frame(ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusGoingAway, "idle"))
			_ = s.SetReadDeadline(time.Now().Add(time.Minute))
			_, _ = io.Copy(io.Discard, s)
		}, how: result.CutFIN, pings: true},
		"the server resets": {ends: reset, how: result.CutRST, pings: true},
		"the path drops":    {box: nstest.Middlebox{IdleTimeout: after, Forgets: nstest.DropSilently, PayloadOnly: true}, how: result.CutBlackHole, pings: true},
		"the path resets":   {box: nstest.Middlebox{IdleTimeout: after, Forgets: nstest.ResetLater, PayloadOnly: true}, how: result.CutRST, pings: true},
		"the path closes":   {box: nstest.Middlebox{IdleTimeout: after, Forgets: nstest.CloseAtOnce, PayloadOnly: true}, how: result.CutFIN, pings: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := peer{ends: c.ends}
			var pair *nstest.Pair
			if c.ends != nil {
				p.idle = after
				pair = nstest.New(t)
			} else {
				pair = nstest.NewLink(t, nstest.LinkOptions{Delay: time.Millisecond, Middlebox: c.box}).Pair
			}
			listener := pair.Listen(t)
			p.serve(t, listener)
			l := budget.Limits{Connections: 70, RequestsPerSecond: 100, Seconds: 15, IdleSeconds: 24}
			w := measure(t, pair, "ws://"+listener.Addr().String(), l, nil).Measurements.WebSocket
			i := w.Idle
			if i == nil {
				t.Fatalf("%s %q", w.Outcome, w.Cause)
			}
			if i.Outcome != result.Measured || show(i.Cut) != true || i.How != c.how {
				t.Fatalf("%s %q: %+v, %+v, %+v", w.Outcome, w.Cause, i, i.KeepaliveLadder, i.RequestLadder)
			}
			// A rung below the truth and one above, and what a busy machine adds.
			if i.AfterSecondsAtLeast == nil || i.AfterSecondsAtMost == nil || *i.AfterSecondsAtLeast > 3.3 || *i.AfterSecondsAtMost < 2.9 ||
				*i.AfterSecondsAtLeast < 2 || *i.AfterSecondsAtMost > 4.2 {
				t.Errorf("after %v to %v s, it is 3", show(i.AfterSecondsAtLeast), show(i.AfterSecondsAtMost))
			}
			if show(i.PingHelps) != c.pings || show(i.KeepaliveHelps) != false {
				t.Errorf("pings help: %v, keepalive helps: %v", show(i.PingHelps), show(i.KeepaliveHelps))
			}
		})
	}
}

// The server of ours, over TLS, with a subprotocol that nobody but the server is asked for.
func TestOverTLS(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	served := httptest.NewUnstartedServer(server.Handler())
	served.Listener = pair.Listen(t)
	served.StartTLS()
	t.Cleanup(served.Close)
	authorities := x509.NewCertPool()
	authorities.AddCert(served.Certificate())
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities, ServerName: "example.com"}
	l := budget.Limits{Connections: 40, RequestsPerSecond: 100, Seconds: 9}
	w := measure(t, pair, fmt.Sprintf("wss://%s/ws?every=300ms", served.Listener.Addr()), l, trust).Measurements.WebSocket
	if w.Outcome != result.Measured || show(w.Echo) != true || show(w.Pong) != true || show(w.FullDuplex) != true || show(w.CloseHandshake) != true {
		t.Errorf("%s %q: echo %v, pong %v, full duplex %v, close handshake %v", w.Outcome, w.Cause, show(w.Echo), show(w.Pong), show(w.FullDuplex), show(w.CloseHandshake))
	}
	if w.ServerMessages == nil || *w.ServerMessages < 5 || w.Idle == nil || show(w.Idle.Cut) != false {
		t.Errorf("%v messages, idle %+v", show(w.ServerMessages), w.Idle)
	}
}

// Asked for by name, idle looks at the silence of WebSocket connections alone.
func TestIdleByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path    string
		outcome result.Outcome
	}{"is kept": {"/ws", result.Measured}, "is refused": {"/poll", result.Unsupported}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			served := httptest.NewUnstartedServer(server.Handler())
			served.Listener = pair.Listen(t)
			served.Start()
			t.Cleanup(served.Close)
			parsed, err := target.Parse("ws://"+served.Listener.Addr().String()+c.path, "")
			if err != nil {
				t.Fatal(err)
			}
			var r result.Result
			pair.InClient(t, func() {
				r, err = runner.Run(t.Context(), runner.Config{
					Target: parsed, Family: target.AnyFamily, Measure: []string{"idle"},
					Limits:    budget.Limits{Connections: 30, RequestsPerSecond: 100, Seconds: 1, IdleSeconds: 3},
					UserAgent: "connpolicy-probe/test", Proc: procnet.New("/proc"), Log: t.Logf,
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			i := r.Measurements.Idle
			kept := c.outcome == result.Measured
			if i.Outcome != c.outcome || kept != (i.RequestLadder != nil) || kept != (show(i.Cut) == false) || !kept && !strings.Contains(i.Cause, "status 200") {
				t.Errorf("%s %q: %+v", i.Outcome, i.Cause, i)
			}
		})
	}
}

func TestSubprotocol(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	listener := pair.Listen(t)
	peer{subprotocol: "graphql-transport-ws"}.serve(t, listener)
	l := budget.Limits{Connections: 12, RequestsPerSecond: 100, Seconds: 8}
	w := measure(t, pair, "ws://"+listener.Addr().String(), l, nil, "chat", "graphql-transport-ws").Measurements.WebSocket
	if w.Outcome != result.Measured || w.Subprotocol != "graphql-transport-ws" || w.Extensions != nil {
		t.Errorf("%s %q: subprotocol %q, extensions %q", w.Outcome, w.Cause, w.Subprotocol, w.Extensions)
	}
}

// accept computes what RFC 6455 section 4.2.2 asks of a server.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
