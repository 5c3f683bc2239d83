package pipelining_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/pipelining"
	"github.com/connpolicy/connpolicy/probes/result"
)

const head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"

// responseTo is what a request of that method gets.
func responseTo(method string) string {
	if method == http.MethodHead {
		return head
	}
	return head + "ok\n"
}

// serve hands each request's method to respond, with its number on the connection.
func serve(respond func(w io.Writer, method string, number int) bool) func(net.Conn) {
	return func(connection net.Conn) {
		reader := bufio.NewReader(connection)
		for number := 1; ; number++ {
			request, err := http.ReadRequest(reader)
			if err != nil || !respond(connection, request.Method, number) {
				return
			}
		}
	}
}

// rest waits as a server does that works on a request.
func rest(length time.Duration) { <-time.After(length) }

func TestServersOfKnownBehaviour(t *testing.T) {
	write := func(w io.Writer, text string) bool {
		_, err := io.WriteString(w, text)
		return err == nil
	}
	for name, c := range map[string]struct {
		handle   func(net.Conn)
		delay    time.Duration
		verdict  result.PipeliningVerdict
		answered int
		outcome  result.Outcome
	}{
		"answers as they come, far away": {serve(func(w io.Writer, method string, _ int) bool {
			return write(w, responseTo(method))
		}), 10 * time.Millisecond, result.PipeliningInOrder, 4, result.Measured},
		"works on one after the other": {serve(func(w io.Writer, method string, _ int) bool {
			rest(20 * time.Millisecond)
			return write(w, responseTo(method))
		}), 0, result.PipeliningSerial, 4, result.Measured},
		"swaps": {func(connection net.Conn) {
			reader := bufio.NewReader(connection)
			for {
				first, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				answers := responseTo(first.Method)
				// What is there already is answered first.
				if reader.Buffered() > 0 {
					second, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					answers = responseTo(second.Method) + answers
				}
				if !write(connection, answers) {
					return
				}
			}
		}, 0, result.PipeliningOutOfOrder, 0, result.Measured},
		"drops what came early": {func(connection net.Conn) {
			for {
				// A reader of its own for each request loses what it has read beyond it.
				request, err := http.ReadRequest(bufio.NewReader(connection))
				if err != nil || !write(connection, responseTo(request.Method)) {
					return
				}
			}
		}, 0, result.PipeliningRefused, 1, result.Measured},
		"closes after two that came at once": {func(connection net.Conn) {
			reader := bufio.NewReader(connection)
			for early := 0; ; {
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				if reader.Buffered() > 0 {
					early++
				}
				if !write(connection, responseTo(request.Method)) || early == 2 {
					return
				}
			}
		}, 0, result.PipeliningClosed, 2, result.Measured},
		"refuses the second": {func(connection net.Conn) {
			reader := bufio.NewReader(connection)
			for pipelined := false; ; {
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				answer := responseTo(request.Method)
				if pipelined {
					answer = strings.Replace(answer, "200 OK", "400 Bad Request", 1)
				}
				pipelined = reader.Buffered() > 0
				if !write(connection, answer) {
					return
				}
			}
		}, 0, result.PipeliningRefused, 1, result.Measured},
		"keeps nothing": {serve(func(w io.Writer, _ string, _ int) bool {
			return write(w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") && false
		}), 0, "", 0, result.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := nstest.NewLink(t, nstest.LinkOptions{Delay: c.delay})
			listener := link.Listen(t)
			nstest.Serve(t, listener, c.handle)
			limits := budget.Limits{Connections: 30, RequestsPerSecond: 200, Seconds: 12}
			peer := exchange.NewPeer(exchange.Options{
				Remote:  nstest.AddressOf(t, listener),
				Request: &http1.Request{Method: http.MethodGet, Host: "server", Target: "/", UserAgent: "connpolicy-probe/test"},
				Budget:  budget.New(limits),
			})
			var r result.Pipelining
			link.InClient(t, func() { r = pipelining.Measure(t.Context(), peer) })
			if r.Outcome != c.outcome || r.Verdict != c.verdict {
				t.Fatalf("%s %q: %q, want %q", r.Outcome, r.Cause, r.Verdict, c.verdict)
			}
			if c.verdict != "" && (r.Answered == nil || r.Answered.Got != c.answered && c.answered > 0) {
				t.Errorf("answered %+v, want %d", r.Answered, c.answered)
			}
			if spent := peer.Budget.Spent(); spent.Connections > limits.Connections {
				t.Errorf("spent %+v", spent)
			}
		})
	}
}
