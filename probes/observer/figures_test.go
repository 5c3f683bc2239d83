package observer

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
)

// inside makes an observer in the namespace of the calling thread. Its first look is over.
func inside(t *testing.T) *Observer {
	o, err := New(slog.New(slog.DiscardHandler), procnet.New("/proc"), 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	o.ends.follow(0, false)
	if !o.ends.told() {
		t.Error("the kernel does not tell the ends of connections")
	}
	o.lookAt(true, false)
	return o
}

// finish looks a last time and returns what was seen.
func finish(t *testing.T, o *Observer) result.Observation {
	t.Helper()
	o.lookLast()
	seen, err := o.Observe()
	if err != nil {
		t.Error(err)
	}
	return seen
}

// towards returns the connections to one destination.
func towards(t *testing.T, seen result.Observation, address string) result.Connections {
	t.Helper()
	for _, d := range seen.Destinations {
		if d.Address == address {
			return *d.Connections
		}
	}
	t.Errorf("no destination %s among %+v", address, seen.Destinations)
	return result.Connections{}
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	dialer := net.Dialer{KeepAlive: -1}
	connection, err := dialer.Dial("tcp", address)
	if err != nil {
		t.Errorf("connect to %s: %v", address, err)
		return nil
	}
	return connection.(*net.TCPConn)
}

// echo answers each byte, until the client closes; hangUp makes it close first, after so many bytes.
func echo(listener net.Listener, hangUp int) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			buffer := make([]byte, 1)
			for i := 0; hangUp == 0 || i < hangUp; i++ {
				if _, err := io.ReadFull(connection, buffer); err != nil {
					return
				}
				if _, err := connection.Write(buffer); err != nil {
					return
				}
			}
		}()
	}
}

func exchange(t *testing.T, connection net.Conn, times int) {
	t.Helper()
	for range times {
		if _, err := connection.Write([]byte("x")); err != nil {
			t.Error(err)
			return
		}
		if _, err := io.ReadFull(connection, make([]byte, 1)); err != nil {
			t.Error(err)
			return
		}
	}
}

// No look sees any of these connections, and the other side closes half of them, so that they leave no TIME_WAIT here.
func TestConnectionsShorterThanAStep(t *testing.T) {
	pair := nstest.New(t)
	pair.Sysctl(t, "net.ipv4.tcp_rfc1337", "1")
	polite, abrupt := pair.Listen(t), pair.Listen(t)
	go echo(polite, 0)
	go echo(abrupt, 1)
	const each = 60
	pair.InClient(t, func() {
		o := inside(t)
		for range each {
			connection := dial(t, polite.Addr().String())
			exchange(t, connection, 3)
			connection.Close()

			connection = dial(t, abrupt.Addr().String())
			exchange(t, connection, 1)
			if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the server did not close: %v", err)
			}
			connection.Close()
		}
		for range 3 {
			if connection, err := net.Dial("tcp", nstest.ServerAddress+":9"); err == nil {
				t.Error("connected to nothing")
				connection.Close()
			}
		}
		waitForTimeWait(t, each)
		seen := finish(t, o)
		if seen.Opened == nil || *seen.Opened != 2*each+3 {
			t.Errorf("opened %v, want %d", seen.Opened, 2*each+3)
		}
		first, second := towards(t, seen, polite.Addr().String()), towards(t, seen, abrupt.Addr().String())
		if first.Opened != each || first.Closed != each || first.ClosedHere != each || *first.OpenBefore != 0 || first.Open != 0 {
			t.Errorf("closed by this side: %+v", first)
		}
		if second.Opened != each || second.Closed != each || second.ClosedHere != 0 || second.Open != 0 {
			t.Errorf("closed by the other side: %+v", second)
		}
		if q := first.BytesSent; q == nil || q.P50 != 3 || *q.Max != 3 || *q.Samples != each {
			t.Errorf("bytes sent %+v", q)
		}
		if q := first.BytesReceived; q == nil || q.P50 < 3 || q.P50 > 4 {
			t.Errorf("bytes received %+v", q)
		}
		if q := first.ExchangesAtMost; q == nil || q.P50 != 3 || *first.SingleExchange != 0 || *second.SingleExchange != each {
			t.Errorf("exchanges %+v, single %d and %d", q, *first.SingleExchange, *second.SingleExchange)
		}
		if q := first.LifetimeSecondsAtMost; q == nil || *q.Samples != each || *q.Max > seen.UptimeSeconds {
			t.Errorf("lifetimes %+v", q)
		}
	})
}

// Without the kernel's word on ends, what this side closed is still counted, once.
func TestShortConnectionsWithoutTheKernelsWord(t *testing.T) {
	pair := nstest.New(t)
	pair.Sysctl(t, "net.ipv4.tcp_rfc1337", "1")
	listener := pair.Listen(t)
	go echo(listener, 0)
	pair.InClient(t, func() {
		o, err := New(slog.New(slog.DiscardHandler), procnet.New("/proc"), 2*time.Second)
		if err != nil {
			t.Error(err)
			return
		}
		o.lookAt(true, false)
		const perCensus, censuses = 40, 5
		for i := range censuses {
			for range perCensus {
				dial(t, listener.Addr().String()).Close()
			}
			if i == 2 {
				waitForTimeWait(t, 3*perCensus)
			}
			o.lookAt(true, false)
		}
		waitForTimeWait(t, perCensus*censuses)
		o.lookAt(true, false)
		seen := finish(t, o)
		if c := towards(t, seen, listener.Addr().String()); c.Opened != perCensus*censuses || c.ClosedHere != perCensus*censuses {
			t.Errorf("%+v", c)
		}
		if seen.Cost.ExactSeconds != 0 || seen.OpenedUnseen == nil || *seen.OpenedUnseen != 0 {
			t.Errorf("cost %+v, unseen %v", seen.Cost, seen.OpenedUnseen)
		}
	})
}

// Keepalive, idle times, connections in use and CLOSE_WAIT of sockets that are open.
func TestFiguresOfOpenConnections(t *testing.T) {
	pair := nstest.New(t)
	quiet, talking, closing := pair.Listen(t), pair.Listen(t), pair.Listen(t)
	go echo(quiet, 0)
	go echo(talking, 0)
	go echo(closing, 1)
	pair.InClient(t, func() {
		for i := range 6 {
			connection := dial(t, quiet.Addr().String())
			t.Cleanup(func() { connection.Close() })
			if i < 2 {
				if err := connection.SetKeepAlive(true); err != nil {
					t.Error(err)
				}
			}
		}
		for range 3 {
			connection := dial(t, closing.Addr().String())
			exchange(t, connection, 1) // the server closes, this side does not
			t.Cleanup(func() { connection.Close() })
		}
		busy := dial(t, talking.Addr().String())
		t.Cleanup(func() { busy.Close() })
		time.Sleep(1200 * time.Millisecond)
		exchange(t, busy, 1)
		o := inside(t)
		time.Sleep(300 * time.Millisecond)
		seen := finish(t, o)

		idle := towards(t, seen, quiet.Addr().String())
		if idle.Open != 6 || idle.Keepalive != (result.Keepalive{Armed: 2, NotArmed: 4}) || idle.Opened != 0 {
			t.Errorf("idle ones: %+v", idle)
		}
		if q := idle.IdleSeconds; q == nil || *q.Samples != 6 || q.P50 < 1.2 || q.P50 > seen.UptimeSeconds+60 || *idle.BusyPeak != 0 {
			t.Errorf("idle for %+v, busy %v", q, *idle.BusyPeak)
		}
		left := towards(t, seen, closing.Addr().String())
		if left.CloseWait != 3 || left.CloseWaitOldestSeconds == nil || *left.CloseWaitOldestSeconds < 1.2 || *left.CloseWaitOldestSeconds > 60 {
			t.Errorf("CLOSE_WAIT: %+v", left)
		}
		if used := towards(t, seen, talking.Addr().String()); used.Open != 1 || used.CloseWait != 0 {
			t.Errorf("the one in use: %+v", used)
		}
	})
}

// A client that writes twice without TCP_NODELAY waits for the acknowledgement of the first write, which the server delays.
func TestNagleOfTheClient(t *testing.T) {
	pair := nstest.New(t)
	held, free := pair.Listen(t), pair.Listen(t)
	nstest.Hold(t, held)
	nstest.Hold(t, free)
	pair.InClient(t, func() {
		o := inside(t)
		withNagle, without := dial(t, held.Addr().String()), dial(t, free.Addr().String())
		defer withNagle.Close()
		defer without.Close()
		if err := withNagle.SetNoDelay(false); err != nil {
			t.Error(err)
		}
		for range 60 {
			for _, connection := range []net.Conn{withNagle, without} {
				for range 2 {
					if _, err := connection.Write([]byte("0123456789")); err != nil {
						t.Error(err)
					}
				}
			}
			o.infoDue = time.Time{}
			o.lookAt(false, false)
		}
		seen := finish(t, o)
		first, second := towards(t, seen, held.Addr().String()), towards(t, seen, free.Addr().String())
		if first.NagleSamples < 10 || first.NagleSamples > first.InFlightSamples {
			t.Errorf("with Nagle's algorithm %d of %d samples", first.NagleSamples, first.InFlightSamples)
		}
		if second.NagleSamples != 0 || second.InFlightSamples == 0 {
			t.Errorf("with TCP_NODELAY %d of %d samples", second.NagleSamples, second.InFlightSamples)
		}
	})
}

// A peer that does not read closes its window, and what is written waits.
func TestZeroWindow(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	nstest.Hold(t, listener)
	pair.InClient(t, func() {
		o := inside(t)
		connection := dial(t, listener.Addr().String())
		defer connection.Close()
		if err := connection.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
			t.Error(err)
		}
		for written := 0; written < 256<<20; written += 1 << 20 {
			if _, err := connection.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			o.lookAt(false, false)
			if g := o.ledger.outgoing[nstest.AddressOf(t, listener)]; g != nil && g.total.zeroWindow > 0 {
				break
			}
		}
		c := towards(t, finish(t, o), listener.Addr().String())
		if c.ZeroWindowSamples == 0 || c.ZeroWindowSamples > c.Samples {
			t.Errorf("%d of %d samples", c.ZeroWindowSamples, c.Samples)
		}
	})
}

// Connections that nobody accepts fill the queue, and what comes on top is counted as an overflow.
func TestListenQueue(t *testing.T) {
	pair := nstest.New(t)
	pair.InServer(t, func() {
		o := inside(t)
		listener, limit := listenShort(t)
		address := nstest.AddressOf(t, listener).String()
		pair.InClient(t, func() {
			for range limit + 1 {
				connection := dial(t, address)
				t.Cleanup(func() { connection.Close() })
			}
			dialer := net.Dialer{Timeout: 300 * time.Millisecond}
			if connection, err := dialer.Dial("tcp", address); err == nil {
				// The client may think that it is connected; the server has dropped its acknowledgement.
				t.Cleanup(func() { connection.Close() })
			}
		})
		seen := finish(t, o)
		if len(seen.Listeners) != 1 {
			t.Errorf("listeners %+v", seen.Listeners)
			return
		}
		if l := seen.Listeners[0]; l.Address != address || l.Queue != limit+1 || l.QueuePeak != limit+1 || l.QueueLimit != limit ||
			l.Accepted == nil || l.Accepted.Open != limit+1 || l.Accepted.Opened != int64(limit+1) {
			t.Errorf("%+v with %+v, want %d in a queue for %d", l, l.Accepted, limit+1, limit)
		}
		if seen.CounterChanges["TcpExt.ListenOverflows"] == 0 {
			t.Errorf("no overflow: %v", seen.CounterChanges)
		}
		if len(seen.Destinations) != 0 {
			t.Errorf("what was accepted counts as opened here: %+v", seen.Destinations)
		}
	})
}

// What a listener accepted that is closed since was not opened here: neither what is open nor what is in TIME_WAIT.
func TestListenerThatClosedSince(t *testing.T) {
	pair := nstest.New(t)
	pair.Sysctl(t, "net.ipv4.tcp_rfc1337", "1")
	var accepted []net.Conn
	pair.InServer(t, func() {
		var config net.ListenConfig
		listener, err := config.Listen(t.Context(), "tcp", nstest.ServerAddress+":0")
		if err != nil {
			t.Error(err)
			return
		}
		pair.InClient(t, func() {
			for range 20 {
				connection := dial(t, listener.Addr().String())
				t.Cleanup(func() { connection.Close() })
			}
		})
		for range 20 {
			connection, err := listener.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			accepted = append(accepted, connection)
			t.Cleanup(func() { connection.Close() })
		}
		listener.Close()
		// The observer comes when the listener is gone already.
		o := inside(t)
		seen := finish(t, o)
		if len(seen.Destinations) != 0 {
			t.Errorf("open: %+v", seen.Destinations)
		}
		// The clients do not close, so that these stay in FIN_WAIT2.
		for _, connection := range accepted[:10] {
			connection.Close()
		}
		o.lookAt(true, false)
		if seen := finish(t, o); len(seen.Destinations) != 0 || seen.TimeWaitUnknown != 0 {
			t.Errorf("closed here: %+v, %d unknown", seen.Destinations, seen.TimeWaitUnknown)
		}
	})
}
