package nstest

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Reached counts what reaches a server.
type Reached struct{ Connections, Requests atomic.Int64 }

// AnswerCounted does as Answer, and counts.
func AnswerCounted(t *testing.T, listener net.Listener, respond func(connection net.Conn, number int) (goOn bool)) *Reached {
	t.Helper()
	reached := &Reached{}
	Serve(t, listener, func(connection net.Conn) {
		reached.Connections.Add(1)
		answer(connection, func(connection net.Conn, number int) bool {
			reached.Requests.Add(1)
			return respond(connection, number)
		})
	})
	return reached
}

// Failing are servers, for Answer, that send no whole response, by what they do instead.
func Failing() map[string]func(connection net.Conn, number int) (goOn bool) {
	const slow = 100 * time.Millisecond
	return map[string]func(net.Conn, int) bool{
		"streams for ever":     forEver("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 1<<16), 0),
		"a header without end": forEver("HTTP/1.1 200 OK\r\n", "X-Again: "+strings.Repeat("y", 1<<10)+"\r\n", 0),
		"a byte at a time":     forEver("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "x", slow),
		"garbage":              forEver("\x16\x03\x01 what is this\r\n", "?", slow),
		"silence":              forEver("", "", slow),
		"closes at once":       func(net.Conn, int) bool { return false },
		"stops in the response": func(c net.Conn, _ int) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nx")
			return false
		},
		"resets": func(c net.Conn, _ int) bool {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			return false
		},
	}
}

// forEver sends the same again and again, with pauses, until the connection ends.
func forEver(head, again string, pause time.Duration) func(net.Conn, int) bool {
	return func(connection net.Conn, _ int) bool {
		_, err := io.WriteString(connection, head)
		for err == nil {
			<-time.After(pause)
			_, err = io.WriteString(connection, again)
		}
		return false
	}
}
