package runner_test

import (
	"bufio"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

// answer is what a server sends for the number-th request of a connection, and whether it closes afterwards.
type answer func(connection net.Conn, number int) (closeAfter bool)

// countingServer is a server of known behaviour that counts what reaches it.
type countingServer struct {
	address               netip.AddrPort
	connections, requests atomic.Int64
	received              atomic.Int64
}

// serve starts a server in the pair's server namespace.
func serve(t *testing.T, pair *nstest.Pair, respond answer) *countingServer {
	t.Helper()
	listener := pair.Listen(t)
	s := &countingServer{address: nstest.AddressOf(t, listener)}
	nstest.Serve(t, listener, func(connection net.Conn) {
		s.connections.Add(1)
		s.handle(connection, respond)
	})
	return s
}

func (s *countingServer) handle(connection net.Conn, respond answer) {
	lines := bufio.NewReader(connection)
	closing := false
	for number := 1; ; number++ {
		for {
			line, err := lines.ReadString('\n')
			s.received.Add(int64(len(line)))
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
		}
		s.requests.Add(1)
		if closing {
			continue
		}
		if closing = respond(connection, number); closing {
			closeSide(connection)
		}
	}
}

// closeSide closes as a careful server does: it stops sending, and goes on reading so that a request under way does not
// turn the close into a reset (RFC 9112 section 9.6).
func closeSide(connection net.Conn) {
	if tcp, ok := connection.(*net.TCPConn); ok {
		// The connection may be closed or reset already.
		_ = tcp.CloseWrite()
	}
}

// send returns an answer that is always the same text.
func send(text string, closeAfter bool) answer {
	return func(connection net.Conn, _ int) bool {
		if _, err := connection.Write([]byte(text)); err != nil {
			return true
		}
		return closeAfter
	}
}

// Responses as servers send them.
const (
	kept      = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
	announced = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
)
