package nstest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

func TestAFullAcceptQueueDropsSYNs(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.ListenWith(t, nstest.ListenOptions{Backlog: new(0)})
	connect(t, pair, listener.Addr().String())
	pair.InClient(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
		if err == nil {
			_ = connection.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("with the queue full: %v, want no answer", err)
		}
	})
	accept := time.AfterFunc(300*time.Millisecond, func() { nstest.Hold(t, listener) })
	defer accept.Stop()
	connection, took := connect(t, pair, listener.Addr().String())
	if retransmitted := infoOf(t, connection).TotalRetrans; *retransmitted < 1 || took < 900*time.Millisecond {
		t.Errorf("connected after %v with %d repetitions", took, *retransmitted)
	}
}

func TestBothNamespacesHaveIPv6(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.ListenWith(t, nstest.ListenOptions{Address: nstest.ServerAddressIPv6, Port: 8080})
	nstest.Follow(t, listener)
	connection, _ := connect(t, pair, net.JoinHostPort(nstest.ServerAddressIPv6, "8080"))
	if from := connection.LocalAddr().(*net.TCPAddr).IP.String(); from != nstest.ClientAddressIPv6 {
		t.Errorf("connected from %s", from)
	}
	if err := connection.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	isClosed(t, connection)
}

// The sender decides whether its window is lost after idling (METHODS.md 11): seen here as the first flight of a response,
// what arrives at the link within half a round trip of its first packet.
func TestTheServersSysctlsDecideItsFirstFlight(t *testing.T) {
	const delay, responseBytes, initialWindowSegments = 20 * time.Millisecond, 200_000, 10
	for _, test := range []struct {
		name, slowStartAfterIdle string
		check                    func(segments int) bool
	}{
		{"window lost", "1", func(segments int) bool { return segments <= initialWindowSegments }},
		{"window kept", "0", func(segments int) bool { return segments > 4*initialWindowSegments }},
	} {
		t.Run(test.name, func(t *testing.T) {
			link := nstest.NewLink(t, nstest.LinkOptions{Delay: delay})
			link.SysctlServer(t, "net.ipv4.tcp_congestion_control", "reno")
			link.SysctlServer(t, "net.ipv4.tcp_slow_start_after_idle", test.slowStartAfterIdle)
			listener := link.Listen(t)
			response := make([]byte, responseBytes)
			nstest.Answer(t, listener, func(connection net.Conn, _ int) bool {
				_, err := connection.Write(response)
				return err == nil
			})
			connection, _ := connect(t, link.Pair, listener.Addr().String())
			get := func() {
				if _, err := connection.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
					t.Fatal(err)
				}
				readAll(t, connection, responseBytes)
			}
			for range 3 {
				get()
			}
			time.Sleep(2 * time.Second)
			segments := 0
			var first time.Time
			link.Change(func(o *nstest.LinkOptions) {
				o.Drop = func(p nstest.Packet) bool {
					if p.Direction == nstest.ToClient && p.PayloadBytes > 0 {
						if first.IsZero() {
							first = time.Now()
						}
						if time.Since(first) < delay {
							segments++
						}
					}
					return false
				}
			})
			get()
			link.Change(func(o *nstest.LinkOptions) { o.Drop = nil })
			t.Logf("first flight of %d segments", segments)
			if !test.check(segments) {
				t.Errorf("the first flight has %d segments", segments)
			}
		})
	}
}
