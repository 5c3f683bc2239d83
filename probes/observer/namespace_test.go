package observer

import (
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

// Known numbers of connections to two destinations, and the metrics say them.
func TestMetricsOfARealNamespace(t *testing.T) {
	pair := nstest.New(t)
	pair.Sysctl(t, "net.ipv4.ip_local_port_range", "40000 40999")
	pair.Sysctl(t, "net.ipv4.ip_local_reserved_ports", "40500-40599")
	// On a busy machine a FIN that is sent again can meet a connection that is gone; the reset that answers it must not end
	// TIME_WAIT early (RFC 1337).
	pair.Sysctl(t, "net.ipv4.tcp_rfc1337", "1")
	first, second := pair.Listen(t), pair.Listen(t)
	nstest.Follow(t, first)
	nstest.Follow(t, second)
	const firstOpen, firstClosed, secondOpen = 30, 120, 15
	pair.InClient(t, func() {
		// The client listens too, and what it accepts holds no port.
		own, err := net.Listen("tcp", nstest.ClientAddress+":8080")
		if err != nil {
			t.Error(err)
			return
		}
		defer own.Close()
		nstest.Follow(t, own)

		log := slog.New(slog.DiscardHandler)
		o, err := New(log, procnet.New("/proc"), 2*time.Second)
		if err != nil {
			t.Error(err)
			return
		}
		o.lookAt(true, false)
		before := o.ledger.censusAt
		open(t, first, firstClosed, true)
		open(t, first, firstOpen, false)
		open(t, second, secondOpen, false)
		// The window of the rate must pass, and closing handshakes may still be under way.
		time.Sleep(2100 * time.Millisecond)
		waitForTimeWait(t, firstClosed)
		o.lookAt(true, false)

		const held = firstClosed + firstOpen
		samples := scrape(t, o)
		check(t, samples, map[string]string{
			of("ports_in_use", first.Addr().String()):                                                 fmt.Sprint(held),
			of("ports_in_use_peak", first.Addr().String()):                                            fmt.Sprint(held),
			of("time_wait", first.Addr().String()):                                                    fmt.Sprint(firstClosed),
			of("ports_in_use", second.Addr().String()):                                                "15",
			of("time_wait", second.Addr().String()):                                                   "0",
			of("destination_opened_total", first.Addr().String()):                                     fmt.Sprint(held),
			of("destination_closed_here_total", first.Addr().String()):                                fmt.Sprint(firstClosed),
			"connpolicy_observer_connections_opened_total":                                            "165",
			"connpolicy_observer_ports_available":                                                     "900",
			`connpolicy_observer_listening{port="8080"}`:                                              "1",
			`connpolicy_observer_sysctl{name="net.ipv4.ip_local_reserved_ports",value="40500-40599"}`: "1",
		})
		betweenCensuses := o.ledger.censusAt.Sub(before).Seconds()
		near(t, samples, of("destination_connections_opened_per_second", first.Addr().String()), float64(held)/betweenCensuses)
		near(t, samples, of("destination_connections_opened_per_second", second.Addr().String()), 15/betweenCensuses)
		readings := o.openings.samples
		betweenReadings := readings[len(readings)-1].at.Sub(readings[0].at).Seconds()
		near(t, samples, "connpolicy_observer_connections_opened_per_second", 165/betweenReadings)
	})
	pair.InServer(t, func() {
		o, err := New(slog.New(slog.DiscardHandler), procnet.New("/proc"), 2*time.Second)
		if err != nil {
			t.Error(err)
			return
		}
		o.lookAt(true, false)
		if len(o.ledger.outgoing) != 0 {
			t.Errorf("the server holds ports: %v", o.ledger.outgoing)
		}
	})
}

// waitForTimeWait waits until the kernel lists so many sockets in TIME_WAIT. Its own count of them, in sockstat, has those in
// FIN_WAIT2 too, whose peers have not closed yet.
func waitForTimeWait(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		listed := 0
		if err := sockdiag.Dump(sockdiag.Query{States: sockdiag.StateSet(sockdiag.TimeWait)}, func(s sockdiag.Socket) {
			if s.State == sockdiag.TimeWait {
				listed++
			}
		}); err != nil {
			t.Error(err)
			return
		}
		switch {
		case listed == want:
			return
		case time.Now().After(deadline):
			t.Errorf("the kernel lists %d in TIME_WAIT, want %d", listed, want)
			return
		}
	}
}

// open opens connections to a listener and closes them at once or when the test ends.
func open(t *testing.T, to net.Listener, number int, closeAtOnce bool) {
	t.Helper()
	for range number {
		connection, err := net.Dial("tcp", to.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		if closeAtOnce {
			connection.Close()
		} else {
			t.Cleanup(func() { connection.Close() })
		}
	}
}

// near checks a rate to one tenth.
func near(t *testing.T, samples map[string]string, name string, want float64) {
	t.Helper()
	var got float64
	if _, err := fmt.Sscanf(samples[name], "%g", &got); err != nil {
		t.Errorf("%s = %q", name, samples[name])
		return
	}
	if got < 0.9*want || got > 1.1*want {
		t.Errorf("%s = %v, want about %.1f", name, got, want)
	}
}
