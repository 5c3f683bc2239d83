package http1_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// source hands out a text as a connection would, then ends.
type source struct{ io.Reader }

func (s source) Read(_ context.Context, buffer []byte) (int, error) {
	n, err := s.Reader.Read(buffer)
	if n > 0 {
		err = nil
	}
	return n, err
}

func TestRequest(t *testing.T) {
	request := http1.Request{Method: "GET", Host: "payments:8080", Target: "/a?b=c", UserAgent: "connpolicy-probe/1"}
	const head = "GET /a?b=c HTTP/1.1\r\nHost: payments:8080\r\nUser-Agent: connpolicy-probe/1\r\nAccept: */*\r\n"
	if got := string(request.Bytes()); got != head+"Connection: keep-alive\r\n\r\n" {
		t.Errorf("request %q", got)
	}
	upgrade := request
	upgrade.Accept, upgrade.Upgrade, upgrade.Fields = "text/event-stream", "websocket", []http1.Field{{Name: "A", Value: "b"}}
	want := strings.Replace(head, "*/*", "text/event-stream", 1) + "Connection: Upgrade\r\nUpgrade: websocket\r\nA: b\r\n\r\n"
	if got := string(upgrade.Bytes()); got != want {
		t.Errorf("request with fields %q", got)
	}
	request.Close = true
	if got := string(request.Bytes()); got != head+"Connection: close\r\n\r\n" {
		t.Errorf("request with close %q", got)
	}
}

func TestResponses(t *testing.T) {
	for name, c := range map[string]struct {
		text, method string
		want         http1.Response
	}{
		"length": {
			text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
			want: http1.Response{Status: 200, Persistent: true, BodyBytes: 3},
		},
		"bare line feeds, no reason phrase": {
			text: "HTTP/1.1 404\nContent-Length:0\n\n",
			want: http1.Response{Status: 404, Persistent: true},
		},
		"announced close among options": {
			text: "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n",
			want: http1.Response{Status: 200, CloseAnnounced: true},
		},
		"keep-alive header": {
			text: "HTTP/1.1 200 OK\r\nkeep-alive: timeout=\"5\", max=100, x\r\nContent-Length: 0\r\n\r\n",
			want: http1.Response{Status: 200, Persistent: true, KeepAlive: &result.KeepAliveHeader{TimeoutSeconds: new(5), Max: new(100)}},
		},
		"keep-alive header without figures": {
			text: "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=-1, max=many\r\nContent-Length: 0\r\n\r\n",
			want: http1.Response{Status: 200, Persistent: true, KeepAlive: &result.KeepAliveHeader{}},
		},
		"chunks with extensions and trailers": {
			text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 99\r\n\r\n3;a=b\r\nok\n\r\n0A\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
			want: http1.Response{Status: 200, Persistent: true, BodyBytes: 13},
		},
		"another coding than chunked ends with the connection": {
			text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 99\r\n\r\nwhatever",
			want: http1.Response{Status: 200, Delimited: true, BodyBytes: 8},
		},
		"neither length nor chunks": {
			text: "HTTP/1.1 200 OK\r\n\r\nwhatever",
			want: http1.Response{Status: 200, Delimited: true, BodyBytes: 8},
		},
		"HTTP/1.0": {
			text: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
			want: http1.Response{Status: 200, HTTP10: true, BodyBytes: 2},
		},
		"HTTP/1.0 with keep-alive": {
			text: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
			want: http1.Response{Status: 200, HTTP10: true, Persistent: true, BodyBytes: 2},
		},
		"interim responses first": {
			text: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
			want: http1.Response{Status: 204, Persistent: true},
		},
		"HEAD": {
			text: "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", method: "HEAD",
			want: http1.Response{Status: 200, Persistent: true},
		},
		"another protocol": {
			text: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
				"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover, x\r\n\r\n",
			want: http1.Response{Status: 101, Persistent: true, Upgrade: &http1.Upgrade{
				Protocol: "websocket", Agreed: true, Accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Subprotocol: "chat",
				Extensions: []string{"permessage-deflate; client_no_context_ta…", "x"},
			}},
		},
		"a media type": {
			text: "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nContent-Length: 0\r\n\r\n",
			want: http1.Response{Status: 200, Persistent: true, ContentType: "text/event-stream"},
		},
		"not modified": {
			text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
			want: http1.Response{Status: 304, Persistent: true},
		},
	} {
		method := c.method
		if method == "" {
			method = "GET"
		}
		for way, reader := range map[string]io.Reader{
			"at once":         strings.NewReader(c.text),
			"byte by byte":    iotest.OneByteReader(strings.NewReader(c.text)),
			"in half buffers": iotest.HalfReader(strings.NewReader(c.text)),
		} {
			got, err := http1.NewReader(source{reader}).ReadResponse(t.Context(), method)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, %s: %+v, %v, want %+v", name, way, got, err, c.want)
			}
		}
	}
}

func TestSeveralResponsesOnOneConnection(t *testing.T) {
	const one = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
	reader := http1.NewReader(source{strings.NewReader(strings.Repeat(one, 100))})
	for i := range 100 {
		if _, err := reader.ReadResponse(t.Context(), "GET"); err != nil {
			t.Fatalf("response %d: %v", i, err)
		}
	}
	if _, err := reader.ReadResponse(t.Context(), "GET"); err != io.EOF { //nolint:errorlint // the contract is io.EOF, unwrapped
		t.Errorf("after the last: %v, want io.EOF", err)
	}
}

func TestPending(t *testing.T) {
	reader := http1.NewReader(source{strings.NewReader("HTTP/1.1 204 No Content\r\n\r\nunasked")})
	if _, err := reader.ReadResponse(t.Context(), "GET"); err != nil || !reader.Pending() {
		t.Errorf("pending %v, error %v", reader.Pending(), err)
	}
}

// A body is handed out as it arrives, and what lies behind the response belongs to the next protocol.
func TestBodies(t *testing.T) {
	for name, c := range map[string]struct {
		text, body, rest string
		sized            bool
		want             error
	}{
		"chunks":                  {"Transfer-Encoding: chunked\r\n\r\n3\r\nab\n\r\n2\r\ncd\r\n0\r\n\r\nrest", "ab\ncd", "rest", false, io.EOF},
		"a length":                {"Content-Length: 5\r\n\r\nabcderest", "abcde", "rest", true, io.EOF},
		"to the end":              {"\r\nabcde", "abcde", "", false, io.EOF},
		"cut in the chunks":       {"Transfer-Encoding: chunked\r\n\r\n3\r\nab\n\r\n", "ab\n", "", false, http1.ErrCutOff},
		"cut in the length":       {"Content-Length: 5\r\n\r\nab", "ab", "", true, http1.ErrCutOff},
		"none":                    {"Content-Length: 0\r\n\r\nrest", "", "rest", true, io.EOF},
		"as many as there may be": {"Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 50_000) + "0\r\n\r\n", strings.Repeat("x", 50_000), "", false, io.EOF},
	} {
		reader := http1.NewReader(source{strings.NewReader("HTTP/1.1 200 OK\r\n" + c.text)})
		_, body, err := reader.ReadHead(t.Context(), "GET")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []byte
		for err == nil {
			var piece []byte
			piece, err = body.Next(t.Context())
			got = append(got, piece...)
		}
		if string(got) != c.body || !errors.Is(err, c.want) || body.Ended() != errors.Is(c.want, io.EOF) || body.Sized() != c.sized {
			t.Errorf("%s: %d bytes of body, %v, ended %v, sized %v", name, len(got), err, body.Ended(), body.Sized())
		}
		if rest := string(reader.Rest()); errors.Is(c.want, io.EOF) && rest != c.rest {
			t.Errorf("%s: %q behind it, want %q", name, rest, c.rest)
		}
	}
}

func TestBrokenResponses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"another protocol":      {"SSH-2.0-x\r\n", http1.ErrMalformed},
		"HTTP/2":                {"HTTP/2.0 200 OK\r\n\r\n", http1.ErrMalformed},
		"a short status":        {"HTTP/1.1 20 OK\r\n\r\n", http1.ErrMalformed},
		"a status below 100":    {"HTTP/1.1 099 OK\r\n\r\n", http1.ErrMalformed},
		"a signed status":       {"HTTP/1.1 +20 OK\r\n\r\n", http1.ErrMalformed},
		"no colon":              {"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", http1.ErrMalformed},
		"a folded line":         {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", http1.ErrMalformed},
		"a space in a name":     {"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n", http1.ErrMalformed},
		"a negative length":     {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", http1.ErrMalformed},
		"a signed length":       {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", http1.ErrMalformed},
		"two lengths":           {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", http1.ErrMalformed},
		"a negative chunk":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", http1.ErrMalformed},
		"a chunk too long":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n", http1.ErrMalformed},
		"endless interim":       {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100), http1.ErrMalformed},
		"long header line":      {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 70_000), http1.ErrHeaderTooLarge},
		"many headers":          {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20_000), http1.ErrHeaderTooLarge},
		"many trailers":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", 20_000), http1.ErrHeaderTooLarge},
		"many chunks":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 50_000), http1.ErrHeaderTooLarge},
		"a body too large":      {"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n", http1.ErrBodyTooLarge},
		"a chunk too large":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5000000\r\n", http1.ErrBodyTooLarge},
		"a stream too large":    {"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 5_000_000), http1.ErrBodyTooLarge},
		"cut in the status":     {"HTTP/1.1 2", http1.ErrCutOff},
		"cut in the headers":    {"HTTP/1.1 200 OK\r\nA: b\r\n", http1.ErrCutOff},
		"cut in the body":       {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", http1.ErrCutOff},
		"cut in a chunk":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\no", http1.ErrCutOff},
		"cut before the chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", http1.ErrCutOff},
		"cut in the trailers":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", http1.ErrCutOff},
		"nothing":               {"", io.EOF},
	} {
		response, err := http1.NewReader(source{strings.NewReader(c.text)}).ReadResponse(t.Context(), "GET")
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, response, err, c.want)
		}
	}
}

// captures returns what real servers sent for two requests at once, by the name of the server: nginx 1.22, Apache 2.4, HAProxy
// 2.6, Node.js 20 and Go 1.26, as they come or as the name says.
func captures(tb testing.TB) map[string]string {
	tb.Helper()
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) == 0 {
		tb.Fatal("no captures", err)
	}
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		texts[filepath.Base(file)] = string(text)
	}
	return texts
}

func TestResponsesOfRealServers(t *testing.T) {
	// Those that end the connection answer the first request alone.
	ends := map[string]int{"nginx-delimited": 200, "apache-http10": 200, "haproxy-400": 400}
	for name, text := range captures(t) {
		reader := http1.NewReader(source{strings.NewReader(text)})
		count := 0
		for {
			response, err := reader.ReadResponse(t.Context(), "GET")
			if errors.Is(err, io.EOF) {
				break
			}
			want := 200
			if name == "nginx-404" {
				want = 404
			}
			if status, has := ends[name]; has {
				want = status
			}
			_, last := ends[name]
			if err != nil || response.Status != want || response.Persistent == last || response.BodyBytes == 0 {
				t.Fatalf("%s: response %d: %+v, %v", name, count+1, response, err)
			}
			count++
		}
		if _, one := ends[name]; count != 2 && !one || count != 1 && one {
			t.Errorf("%s: %d responses", name, count)
		}
	}
}

// Whatever arrives, the reader ends, and it reads the same however the bytes are cut into pieces.
func FuzzReadResponse(f *testing.F) {
	for _, text := range captures(f) {
		f.Add(text)
	}
	f.Add("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 21:00:00 GMT\r\nContent-Type: text/html\r\nContent-Length: 3\r\nConnection: keep-alive\r\nAccept-Ranges: bytes\r\n\r\nok\n")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nok\n\r\n0\r\nT: v\r\n\r\n")
	f.Add("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-Websocket-Extensions: permessage-deflate\r\nUpgrade: websocket\r\nDate: Fri, 27 Nov 2026 02:54:16 GMT\r\n\r\n")
	f.Add("HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.2\r\n\r\nok")
	f.Add("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		whole, wholeErr := http1.NewReader(source{strings.NewReader(text)}).ReadResponse(t.Context(), "GET")
		pieces, piecesErr := http1.NewReader(source{iotest.OneByteReader(strings.NewReader(text))}).ReadResponse(t.Context(), "GET")
		if !reflect.DeepEqual(whole, pieces) || (wholeErr == nil) != (piecesErr == nil) {
			t.Errorf("at once %+v, %v; byte by byte %+v, %v", whole, wholeErr, pieces, piecesErr)
		}
		if wholeErr == nil && (whole.Status < 101 || whole.Status > 999 || whole.BodyBytes < 0) {
			t.Errorf("accepted %+v", whole)
		}
	})
}
