package nstest_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

// connect opens a connection from the client's namespace, and says how long it took.
func connect(t *testing.T, pair *nstest.Pair, address string) (*net.TCPConn, time.Duration) {
	t.Helper()
	var connection net.Conn
	var took time.Duration
	var err error
	pair.InClient(t, func() {
		dialer := net.Dialer{Timeout: 30 * time.Second, KeepAlive: -1}
		begin := time.Now()
		connection, err = dialer.DialContext(t.Context(), "tcp", address)
		took = time.Since(begin)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection.(*net.TCPConn), took
}

func infoOf(t *testing.T, connection *net.TCPConn) tcpinfo.Info {
	t.Helper()
	raw, err := connection.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info tcpinfo.Info
	var infoErr error
	if err := raw.Control(func(fd uintptr) { info, infoErr = tcpinfo.Get(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if infoErr != nil {
		t.Fatal(infoErr)
	}
	return info
}

func TestConnectTakesTheRoundTrip(t *testing.T) {
	const delay = 10 * time.Millisecond
	link := nstest.NewLink(t, nstest.LinkOptions{Delay: delay})
	for _, address := range []string{nstest.ServerAddress, nstest.ServerAddressIPv6} {
		listener := link.ListenWith(t, nstest.ListenOptions{Address: address})
		nstest.Hold(t, listener)
		var all []time.Duration
		for range 20 {
			_, took := connect(t, link.Pair, listener.Addr().String())
			all = append(all, took)
		}
		slices.Sort(all)
		// A busy machine may be late with all but one; none can be early.
		if all[0] < 2*delay || all[0] > 2*delay+5*time.Millisecond {
			t.Errorf("connects to %s over a round trip of %v took from %v to %v", address, 2*delay, all[0], all[len(all)-1])
		}
		t.Logf("connects to %s: min %v, median %v, max %v", address, all[0], all[len(all)/2], all[len(all)-1])
	}
}

func TestTheFirstSYNsOfEachConnectionAreDropped(t *testing.T) {
	const dropped = 2
	link := nstest.NewLink(t, nstest.LinkOptions{DropSYNs: dropped})
	listener := link.Listen(t)
	nstest.Hold(t, listener)
	for range 2 {
		connection, took := connect(t, link.Pair, listener.Addr().String())
		if retransmitted := infoOf(t, connection).TotalRetrans; retransmitted == nil || *retransmitted < dropped {
			t.Errorf("tcpi_total_retrans is %v after %d dropped SYNs", retransmitted, dropped)
		}
		// The first repetitions of a SYN are a second apart.
		if took < 1900*time.Millisecond {
			t.Errorf("connect took %v although %d SYNs were dropped", took, dropped)
		}
	}
	if counted := link.Counts(nstest.ToServer).SYNsDropped; counted != 2*dropped {
		t.Errorf("%d SYNs dropped of two connections, want %d of each", counted, dropped)
	}
}
