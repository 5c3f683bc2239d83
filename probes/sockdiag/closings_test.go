package sockdiag_test

import (
	"net"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

// Every connection that ends is told once, with what it carried, under the cookie that a dump named it by.
func TestClosingsOfARealNamespace(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	nstest.Follow(t, listener)
	const connections = 50
	pair.InClient(t, func() {
		closings, err := sockdiag.ListenClosings()
		if err != nil {
			t.Error(err)
			return
		}
		defer closings.Close()
		cookies := map[uint64]bool{}
		for range connections {
			connection, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			if err := sockdiag.Dump(sockdiag.Query{States: sockdiag.StateSet(sockdiag.Established)}, func(s sockdiag.Socket) {
				if s.Local.String() == connection.LocalAddr().String() {
					cookies[s.Cookie] = true
				}
			}); err != nil {
				t.Error(err)
			}
			connection.Close()
		}
		if len(cookies) != connections {
			t.Errorf("%d cookies of %d connections", len(cookies), connections)
		}
		told := 0
		for deadline := time.Now().Add(20 * time.Second); told < connections && time.Now().Before(deadline); {
			lost, err := closings.Read(func(s sockdiag.Socket) {
				// The sockets by which the net package finds out what the kernel can are never connected.
				if s.Remote.Port() == 0 {
					return
				}
				told++
				if s.State != sockdiag.Close || s.Remote.String() != listener.Addr().String() || !cookies[s.Cookie] {
					t.Errorf("told of %+v", s)
				}
				if s.Info == nil || s.Info.BytesAcked == nil || *s.Info.BytesAcked != 2 {
					t.Errorf("not the tcp_info of a connection that sent SYN and FIN: %+v", s.Info)
				}
				delete(cookies, s.Cookie)
			})
			if lost || err != nil {
				t.Errorf("lost %v, error %v", lost, err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		if told != connections {
			t.Errorf("told of %d ends, want %d", told, connections)
		}
	})
}
