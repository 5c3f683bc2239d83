package nstest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

// staysSilent reads nothing for a while, neither bytes nor an end.
func staysSilent(t *testing.T, connection net.Conn) {
	t.Helper()
	if n, err := readFor(t, connection, 400*time.Millisecond); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes and %v, want silence", n, err)
	}
}

func isReset(t *testing.T, connection net.Conn) {
	t.Helper()
	if _, err := readFor(t, connection, 10*time.Second); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("read %v, want a reset", err)
	}
}

func isClosed(t *testing.T, connection net.Conn) {
	t.Helper()
	if _, err := readFor(t, connection, 10*time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("read %v, want the end", err)
	}
}

func readFor(t *testing.T, connection net.Conn, timeout time.Duration) (int, error) {
	t.Helper()
	if err := connection.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	return connection.Read(make([]byte, 1))
}

func send(t *testing.T, connection net.Conn) {
	t.Helper()
	if _, err := connection.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
}

// cannotSend sends until the kernel knows of the reset that answers it. After an end that was read, the error of a reset is
// EPIPE (net/ipv4/tcp_input.c, tcp_reset).
func cannotSend(t *testing.T, connection net.Conn) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		_, err = connection.Write([]byte{'x'})
	}
	if !errors.Is(err, unix.EPIPE) {
		t.Errorf("sent with %v, want a broken pipe", err)
	}
}

// arrives reads one byte.
func arrives(t *testing.T, connection net.Conn) {
	t.Helper()
	if n, err := readFor(t, connection, 10*time.Second); n != 1 {
		t.Errorf("nothing arrives: %v", err)
	}
}

// bothEnds connects over a link and gives both ends of the connection.
func bothEnds(t *testing.T, link *nstest.Link, address string) (client, server *net.TCPConn) {
	t.Helper()
	listener := link.ListenWith(t, nstest.ListenOptions{Address: address})
	client, _ = connect(t, link.Pair, listener.Addr().String())
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	send(t, client)
	arrives(t, accepted)
	return client, accepted.(*net.TCPConn)
}

// waitUntilForgotten waits for the middlebox, not for a time.
func waitUntilForgotten(t *testing.T, link *nstest.Link, flows int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); link.Forgotten() < flows; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d flows are forgotten, want %d", link.Forgotten(), flows)
		}
	}
}

func TestAFlowIsForgotten(t *testing.T) {
	for _, test := range []struct {
		name    string
		forgets nstest.Forgetting
		then    func(t *testing.T, client, server *net.TCPConn)
	}{
		{"dropped silently", nstest.DropSilently, func(t *testing.T, client, server *net.TCPConn) {
			send(t, client)
			staysSilent(t, server)
			send(t, server)
			staysSilent(t, client)
		}},
		{"reset later, the client first", nstest.ResetLater, func(t *testing.T, client, server *net.TCPConn) {
			staysSilent(t, client)
			send(t, client)
			isReset(t, client)
			staysSilent(t, server)
		}},
		{"reset later, the server first", nstest.ResetLater, func(t *testing.T, client, server *net.TCPConn) {
			send(t, server)
			isReset(t, server)
			staysSilent(t, client)
		}},
		{"loose, the client first", nstest.Loose, func(t *testing.T, client, server *net.TCPConn) {
			send(t, client)
			arrives(t, server)
			send(t, server)
			arrives(t, client)
		}},
		{"loose, the server first", nstest.Loose, func(t *testing.T, client, server *net.TCPConn) {
			send(t, server)
			staysSilent(t, client)
			send(t, client)
			arrives(t, server)
			// The server repeats what was dropped.
			arrives(t, client)
		}},
		{"reset at once", nstest.ResetAtOnce, func(t *testing.T, client, server *net.TCPConn) {
			isReset(t, client)
			isReset(t, server)
		}},
		{"closed at once", nstest.CloseAtOnce, func(t *testing.T, client, server *net.TCPConn) {
			isClosed(t, client)
			isClosed(t, server)
			cannotSend(t, client)
			cannotSend(t, server)
		}},
	} {
		for _, address := range []string{nstest.ServerAddress, nstest.ServerAddressIPv6} {
			t.Run(test.name+" "+address, func(t *testing.T) {
				t.Parallel()
				link := nstest.NewLink(t, nstest.LinkOptions{Delay: time.Millisecond})
				client, server := bothEnds(t, link, address)
				begin := time.Now()
				link.Change(func(o *nstest.LinkOptions) {
					o.Middlebox = nstest.Middlebox{IdleTimeout: 200 * time.Millisecond, Forgets: test.forgets}
				})
				waitUntilForgotten(t, link, 1)
				// What is opened anew stays: the kernel's repetitions are further apart than the timeout.
				link.Change(func(o *nstest.LinkOptions) { o.Middlebox.IdleTimeout = 0 })
				// It was idle for some of the time already.
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("forgotten after %v", took)
				}
				test.then(t, client, server)
			})
		}
	}
}

func TestAClosedFlowIsAcknowledgedToItsEnd(t *testing.T) {
	link := nstest.NewLink(t, nstest.LinkOptions{Middlebox: nstest.Middlebox{IdleTimeout: 100 * time.Millisecond, Forgets: nstest.CloseAtOnce}})
	client, _ := bothEnds(t, link, nstest.ServerAddress)
	isClosed(t, client)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	// The socket leaves LAST_ACK when its FIN is acknowledged, and its state is then TCP_CLOSE, 7.
	const closed = 7
	state := infoOf(t, client).State
	for deadline := time.Now().Add(10 * time.Second); *state != closed && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
		state = infoOf(t, client).State
	}
	if *state != closed {
		t.Errorf("the client's socket is in state %d", *state)
	}
}

func TestAFlowMeetsOneOfSeveralEndpointsAgain(t *testing.T) {
	const connections = 40
	link := nstest.NewLink(t, nstest.LinkOptions{Middlebox: nstest.Middlebox{Forgets: nstest.Loose, Endpoints: 2}})
	listener := link.Listen(t)
	nstest.Serve(t, listener, func(connection net.Conn) { _, _ = io.Copy(connection, connection) })
	var clients []*net.TCPConn
	for range connections {
		client, _ := connect(t, link.Pair, listener.Addr().String())
		exchange(t, client, 1)
		clients = append(clients, client)
	}
	if forgotten := link.Forget(0); forgotten != connections {
		t.Errorf("%d flows forgotten of %d", forgotten, connections)
	}
	var survived, reset int
	for _, client := range clients {
		send(t, client)
		switch n, err := readFor(t, client, 10*time.Second); {
		case n == 1:
			survived++
		case errors.Is(err, unix.ECONNRESET):
			reset++
		}
	}
	// Either outcome has a chance of a half: fewer than 8 of 40 is one in 100,000.
	if survived+reset != connections || survived < 8 || reset < 8 {
		t.Errorf("of %d connections %d survived and %d were reset", connections, survived, reset)
	}
}

func TestOnlyIdleFlowsAreForgotten(t *testing.T) {
	link := nstest.NewLink(t, nstest.LinkOptions{})
	idle, _ := bothEnds(t, link, nstest.ServerAddress)
	active, atServer := bothEnds(t, link, nstest.ServerAddress)
	time.Sleep(time.Second)
	send(t, active)
	arrives(t, atServer)
	if forgotten := link.Forget(700 * time.Millisecond); forgotten != 1 {
		t.Errorf("%d flows forgotten", forgotten)
	}
	send(t, active)
	arrives(t, atServer)
	send(t, idle)
	staysSilent(t, idle)
}

func TestKeepaliveKeepsAFlowButForWhatLooksAtPayload(t *testing.T) {
	for _, test := range []struct {
		name        string
		payloadOnly bool
	}{{"packets count", false}, {"payload counts", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			link := nstest.NewLink(t, nstest.LinkOptions{Middlebox: nstest.Middlebox{
				IdleTimeout: 3 * time.Second, PayloadOnly: test.payloadOnly, Forgets: nstest.ResetAtOnce,
			}})
			client, _ := bothEnds(t, link, nstest.ServerAddress)
			if err := client.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}); err != nil {
				t.Fatal(err)
			}
			_, err := readFor(t, client, 5*time.Second)
			if test.payloadOnly && !errors.Is(err, unix.ECONNRESET) || !test.payloadOnly && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read %v", err)
			}
		})
	}
}

func TestABlackHoleSwallowsOneWayOrBoth(t *testing.T) {
	link := nstest.NewLink(t, nstest.LinkOptions{})
	client, server := bothEnds(t, link, nstest.ServerAddress)
	link.BlackHole(nstest.ToClient)
	send(t, client)
	arrives(t, server)
	send(t, server)
	staysSilent(t, client)
	link.BlackHole(nstest.BothWays)
	send(t, client)
	for deadline := time.Now().Add(10 * time.Second); link.Counts(nstest.ToServer).BlackHoled == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	link.BlackHole(0)
	// What was swallowed is sent again.
	arrives(t, client)
	arrives(t, server)
	for _, direction := range []nstest.Direction{nstest.ToServer, nstest.ToClient} {
		if counts := link.Counts(direction); counts.BlackHoled == 0 {
			t.Errorf("direction %d: %+v", direction, counts)
		}
	}
	link.BlackHoleAfter(t, 10*time.Millisecond, nstest.BothWays)
	time.Sleep(20 * time.Millisecond)
	send(t, client)
	staysSilent(t, server)
}

func TestDropSeesWhatAPacketIs(t *testing.T) {
	// The server's answer to the first SYN is lost.
	answers := 0
	link := nstest.NewLink(t, nstest.LinkOptions{Drop: func(p nstest.Packet) bool {
		if p.Direction == nstest.ToClient && p.Has(nstest.SYN|nstest.ACK) {
			answers++
			return answers <= 1
		}
		return false
	}})
	listener := link.Listen(t)
	nstest.Hold(t, listener)
	if _, took := connect(t, link.Pair, listener.Addr().String()); took < 900*time.Millisecond {
		t.Errorf("connect took %v although the first SYN-ACK was dropped", took)
	}
	if counts := link.Counts(nstest.ToClient); counts.Dropped != 1 {
		t.Errorf("counted %+v", counts)
	}
}
