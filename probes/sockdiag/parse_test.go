package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The captures were made in a namespace of its own on Linux 6.18: two connections to 198.18.99.2 that this end closed, two
// that are open, and a listener on [::]:8080 with one connection over loopback.
func TestParseCaptures(t *testing.T) {
	server := netip.MustParseAddr("198.18.99.2")
	var established, timeWait int
	for _, s := range parseCapture(t, "linux-6.18-family-2.bin") {
		if s.Remote.Addr() != server || s.Local.Addr() != netip.MustParseAddr("198.18.99.1") || s.Local.Port() == 0 {
			t.Errorf("addresses %v and %v", s.Local, s.Remote)
		}
		switch s.State {
		case Established:
			established++
			if s.Info == nil || s.Info.RTTMicroseconds == nil || *s.Info.RTTMicroseconds == 0 || *s.Info.TotalRetrans != 0 {
				t.Errorf("tcp_info of an established socket: %+v", s.Info)
			}
			// 280 bytes arrived, so that even the youngest fields are there.
			if s.Info != nil && s.Info.TotalRTOMilliseconds == nil {
				t.Error("the last known field is missing")
			}
			if s.Inode == 0 {
				t.Error("an established socket has an inode")
			}
		case TimeWait:
			timeWait++
			if s.Timer != TimerTimeWait || s.Expires < 59*time.Second || s.Expires > time.Minute || s.Info != nil || s.Inode != 0 {
				t.Errorf("TIME_WAIT: %+v", s)
			}
		default:
			t.Errorf("unexpected state %d", s.State)
		}
	}
	if established != 2 || timeWait != 2 {
		t.Errorf("%d established and %d in TIME_WAIT, want 2 and 2", established, timeWait)
	}

	var states []State
	for _, s := range parseCapture(t, "linux-6.18-family-10.bin") {
		states = append(states, s.State)
		if s.State == Listen && (s.Local != netip.MustParseAddrPort("[::]:8080") || s.SendQueue == 0) {
			t.Errorf("listener %v with the backlog %d", s.Local, s.SendQueue)
		}
		if s.State == Established && s.Remote.Addr() != netip.IPv6Loopback() {
			t.Errorf("connection to %v", s.Remote)
		}
	}
	if len(states) != 3 || states[0] != Listen {
		t.Errorf("states %v, want a listener and both ends of a connection", states)
	}
}

// The capture was made on Linux 6.18 as user 65534: the end of a connection over loopback that sent three times five bytes
// and got them back.
func TestParseClosing(t *testing.T) {
	sockets := parseCapture(t, "linux-6.18-closing.bin")
	if len(sockets) != 1 {
		t.Fatalf("%d sockets", len(sockets))
	}
	s := sockets[0]
	if s.State != Close || s.Remote.Port() != 8080 || s.Cookie == 0 || s.Inode != 0 {
		t.Errorf("%+v", s)
	}
	// SYN and FIN count among the bytes acknowledged, the peer's FIN among those received.
	if s.Info == nil || *s.Info.BytesAcked != 17 || *s.Info.BytesReceived != 16 || *s.Info.BytesSent != 15 {
		t.Errorf("tcp_info %+v", s.Info)
	}
}

// The captures were made on Linux 6.18: connections that ended without a FIN of this side, told with what was left in their
// queues.
func TestParseClosingsWithoutFIN(t *testing.T) {
	for _, c := range []struct {
		capture                string
		received, sent, acked  uint64
		unread, unacknowledged uint32
	}{
		// Reset by the peer while a request of seven bytes was under way: its place in the sequence is remembered.
		{"linux-6.18-closing-reset.bin", 0, 7, 1, 0, 7},
		// Closed here with an answer of six bytes unread.
		{"linux-6.18-closing-unread.bin", 6, 0, 1, 6, 0},
	} {
		sockets := parseCapture(t, c.capture)
		if len(sockets) != 1 {
			t.Fatalf("%s: %d sockets", c.capture, len(sockets))
		}
		s := sockets[0]
		if s.State != Close || s.Remote.Port() == 0 || s.ReceiveQueue != c.unread || s.SendQueue != c.unacknowledged {
			t.Errorf("%s: %+v", c.capture, s)
		}
		if i := s.Info; i == nil || *i.BytesReceived != c.received || *i.BytesSent != c.sent || *i.BytesAcked != c.acked || *i.Unacked != 0 {
			t.Errorf("%s: tcp_info %+v", c.capture, i)
		}
	}
	// Closed here with SO_LINGER 0: all is forgotten but the cookie and the peer's address.
	sockets := parseCapture(t, "linux-6.18-closing-linger.bin")
	if len(sockets) != 1 {
		t.Fatalf("%d sockets", len(sockets))
	}
	s := sockets[0]
	if s.State != Close || s.Cookie == 0 || s.Remote != netip.MustParseAddrPort("198.18.99.2:0") || s.Local.Addr() != netip.IPv4Unspecified() {
		t.Errorf("%+v", s)
	}
	if i := s.Info; i == nil || *i.BytesSent != 0 || *i.BytesAcked != 0 || *i.RTTMicroseconds != 0 {
		t.Errorf("tcp_info %+v", i)
	}
}

func parseCapture(t *testing.T, name string) []Socket {
	t.Helper()
	var sockets []Socket
	done, err := parseDatagram(read(t, name), func(s Socket) { sockets = append(sockets, s) })
	if done || err != nil {
		t.Fatalf("done %v, error %v", done, err)
	}
	return sockets
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEndOfDump(t *testing.T) {
	done, err := parseDatagram(read(t, "linux-6.18-family-2-end.bin"), func(Socket) { t.Error("the end has no socket") })
	if !done || err != nil {
		t.Errorf("done %v, error %v", done, err)
	}
}

func TestBrokenDumpsAreErrors(t *testing.T) {
	capture := read(t, "linux-6.18-family-2.bin")
	interrupted := append([]byte(nil), capture...)
	interrupted[6] |= unix.NLM_F_DUMP_INTR
	if _, err := parseDatagram(interrupted, func(Socket) {}); !errors.Is(err, errInterrupted) {
		t.Errorf("an interrupted dump: %v", err)
	}
	for _, length := range []int{1, 15, 17, 80, len(capture) - 1} {
		if _, err := parseDatagram(capture[:length], func(Socket) {}); err == nil {
			t.Errorf("no error although the datagram was cut to %d bytes", length)
		}
	}
	refused := make([]byte, 36)
	binary.NativeEndian.PutUint32(refused[0:], 36)
	binary.NativeEndian.PutUint16(refused[4:], unix.NLMSG_ERROR)
	binary.NativeEndian.PutUint32(refused[16:], ^uint32(unix.EPERM)+1)
	if done, err := parseDatagram(refused, func(Socket) {}); !done || !errors.Is(err, unix.EPERM) {
		t.Errorf("a refused request: done %v, error %v", done, err)
	}
	cut := make([]byte, 18)
	binary.NativeEndian.PutUint32(cut[0:], 18)
	binary.NativeEndian.PutUint16(cut[4:], unix.NLMSG_ERROR)
	if _, err := parseDatagram(cut, func(Socket) {}); err == nil {
		t.Error("a failure without its errno is no error")
	}
	unknown := make([]byte, 16)
	binary.NativeEndian.PutUint32(unknown[0:], 16)
	binary.NativeEndian.PutUint16(unknown[4:], 99)
	if _, err := parseDatagram(unknown, func(Socket) {}); err == nil {
		t.Error("a message of an unknown type is no error")
	}
}

func TestAllStatesLeavesNoneOut(t *testing.T) {
	set := StateSet(Established, SynSent, SynReceived, FinWait1, FinWait2, TimeWait, Close, CloseWait, LastAck, Listen, Closing, NewSynReceived)
	if set != AllStates {
		t.Errorf("AllStates = %b, want %b", AllStates, set)
	}
	if TimeWait != 6 || Listen != 10 || NewSynReceived != 12 {
		t.Errorf("TIME_WAIT %d, LISTEN %d, NEW_SYN_RECV %d: not the kernel's numbers", TimeWait, Listen, NewSynReceived)
	}
}

func FuzzParseDatagram(f *testing.F) {
	for _, name := range []string{
		"linux-6.18-family-2.bin", "linux-6.18-family-10.bin", "linux-6.18-family-2-end.bin", "linux-6.18-closing.bin",
		"linux-6.18-closing-reset.bin", "linux-6.18-closing-unread.bin", "linux-6.18-closing-linger.bin",
	} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		visited := 0
		if _, err := parseDatagram(data, func(s Socket) {
			visited++
			if !s.Local.Addr().IsValid() || !s.Remote.Addr().IsValid() {
				t.Errorf("a socket without addresses: %+v", s)
			}
		}); err != nil {
			return
		}
		if visited*(unix.SizeofNlMsghdr+messageBytes) > len(data) {
			t.Errorf("%d sockets from %d bytes", visited, len(data))
		}
	})
}
