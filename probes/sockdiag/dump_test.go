package sockdiag_test

import (
	"net"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

func TestDumpCountsWhatIsThere(t *testing.T) {
	pair := nstest.New(t)
	// On a busy machine a FIN that is sent again can meet a connection that is gone; the reset that answers it must not end
	// TIME_WAIT early (RFC 1337).
	pair.Sysctl(t, "net.ipv4.tcp_rfc1337", "1")
	listener := pair.Listen(t)
	nstest.Follow(t, listener)
	const open, closed = 40, 300
	pair.InClient(t, func() {
		for i := range open + closed {
			connection, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			if i < closed {
				connection.Close()
			} else {
				defer connection.Close()
			}
		}
		// The last closing handshakes may still be under way.
		counts := count(t, sockdiag.AllStates)
		for deadline := time.Now().Add(10 * time.Second); len(counts) != 2 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
			counts = count(t, sockdiag.AllStates)
		}
		kernel, err := procnet.New("/proc").Sockstat()
		if err != nil {
			t.Error(err)
		}
		inTimeWait := counts[sockdiag.TimeWait]
		if len(counts) != 2 || counts[sockdiag.Established] != open || inTimeWait != closed || int64(inTimeWait) != kernel["TCP.tw"] {
			t.Errorf("states %v, want %d established and %d in TIME_WAIT, of which the kernel counts %d", counts, open, closed, kernel["TCP.tw"])
		}
		some := count(t, sockdiag.StateSet(sockdiag.Established))
		if len(some) != 1 || some[sockdiag.Established] != open {
			t.Errorf("established alone: %v", some)
		}
	})
	pair.InServer(t, func() {
		if counts := count(t, sockdiag.StateSet(sockdiag.Listen)); counts[sockdiag.Listen] != 1 {
			t.Errorf("the server's listeners: %v", counts)
		}
	})
}

func count(t *testing.T, states sockdiag.States) map[sockdiag.State]int {
	t.Helper()
	counts := map[sockdiag.State]int{}
	if err := sockdiag.Dump(sockdiag.Query{States: states, WithInfo: true}, func(s sockdiag.Socket) {
		counts[s.State]++
		if s.State == sockdiag.Established && (s.Info == nil || s.Info.RTTMicroseconds == nil) {
			t.Errorf("no tcp_info of %v", s.Local)
		}
	}); err != nil {
		t.Error(err)
	}
	return counts
}

func TestDumpListsBothFamilies(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		found := 0
		query := sockdiag.Query{States: sockdiag.StateSet(sockdiag.Listen)}
		if err := sockdiag.Dump(query, func(s sockdiag.Socket) {
			if s.Local == nstest.AddressOf(t, listener) {
				found++
			}
		}); err != nil {
			t.Fatal(err)
		}
		if found != 1 {
			t.Errorf("%v was listed %d times", listener.Addr(), found)
		}
	}
}
