package closing_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/closing"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"

// server answers requests until one asks for the close, and then ends the connection in its way.
func server(end func(*net.TCPConn, *bufio.Reader)) func(net.Conn) {
	return func(connection net.Conn) {
		reader := bufio.NewReader(connection)
		for {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			if _, err := io.WriteString(connection, ok); err != nil {
				return
			}
			if tcp, is := connection.(*net.TCPConn); is && request.Close {
				end(tcp, reader)
				return
			}
		}
	}
}

func TestServersOfKnownBehaviour(t *testing.T) {
	for name, c := range map[string]struct {
		handle          func(net.Conn)
		halfClose, lost bool
		truncated       bool
		least, most     float64 // seconds of lingering
	}{
		"careful: lingers for a second": {
			server(func(connection *net.TCPConn, _ *bufio.Reader) {
				_ = connection.CloseWrite()
				_ = connection.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = io.Copy(io.Discard, connection)
			}), true, false, false, 0.7, 2.5,
		},
		"closes at once": {
			server(func(*net.TCPConn, *bufio.Reader) {}), true, false, false, 0, 0.4,
		},
		"ignores those who have closed their side": {
			func(connection net.Conn) {
				reader := bufio.NewReader(connection)
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				// Reads on, to see whether the client is still there, before it answers.
				_ = connection.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				if _, err := reader.Peek(1); err == io.EOF {
					return
				}
				_, _ = io.WriteString(connection, ok)
				if tcp, is := connection.(*net.TCPConn); is && request.Close {
					_ = tcp.CloseWrite()
					_ = tcp.SetReadDeadline(time.Now().Add(5 * time.Second))
					_, _ = io.Copy(io.Discard, tcp)
				}
			}, false, false, false, 2, 4,
		},
		"destroys its response": {
			func(connection net.Conn) {
				reader := bufio.NewReader(connection)
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				_, _ = io.WriteString(connection, ok[:len(ok)-3])
				if request.Close {
					// What is unread when it closes makes the kernel drop the rest and reset.
					_ = connection.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
					if _, err := reader.Peek(1); err == nil {
						if tcp, is := connection.(*net.TCPConn); is {
							_ = tcp.SetLinger(0)
						}
						return
					}
				}
				_, _ = io.WriteString(connection, ok[len(ok)-3:])
			}, true, true, false, 0, 0.4,
		},
		"cuts its responses short": {
			func(connection net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(connection)); err == nil {
					_, _ = io.WriteString(connection, ok[:len(ok)-2])
				}
			}, false, true, true, -1, -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			listener := pair.Listen(t)
			nstest.Serve(t, listener, c.handle)
			peer := exchange.NewPeer(exchange.Options{
				Remote:  nstest.AddressOf(t, listener),
				Request: &http1.Request{Method: http.MethodGet, Host: "server", Target: "/", UserAgent: "connpolicy-probe/test"},
				Budget:  budget.New(budget.Limits{Connections: 20, RequestsPerSecond: 100, Seconds: 12}),
			})
			var r result.Closing
			pair.InClient(t, func() { r = closing.Measure(t.Context(), peer) })
			if r.HalfClose == nil || *r.HalfClose != c.halfClose || r.UnreadDataLost == nil || *r.UnreadDataLost != c.lost {
				t.Errorf("%s %q: half-close answered: %s, response lost: %s", r.Outcome, r.Cause, show(r.HalfClose), show(r.UnreadDataLost))
			}
			if (r.Truncated != nil && *r.Truncated) != c.truncated {
				t.Errorf("truncated: %s", show(r.Truncated))
			}
			if c.least >= 0 && (r.LingerSeconds == nil || *r.LingerSeconds < c.least || *r.LingerSeconds > c.most) {
				t.Errorf("lingers for %v s, want %g to %g", r.LingerSeconds, c.least, c.most)
			}
		})
	}
}

func show(b *bool) string {
	switch {
	case b == nil:
		return "unknown"
	case *b:
		return "yes"
	}
	return "no"
}
