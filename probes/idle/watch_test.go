package idle

import (
	"net"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/nstest"
)

// On a busy machine the probe looks long after a byte or a close has come. The silence is what lies between the two, not
// between its looks.
func TestLateLooksDoNotCount(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	greeted, closed := make(chan struct{}), make(chan struct{})
	nstest.Serve(t, listener, func(connection net.Conn) {
		_, _ = connection.Write([]byte("220 ready\r\n"))
		close(greeted)
		<-time.After(200 * time.Millisecond)
		_ = connection.Close()
		close(closed)
	})
	peer := exchange.NewPeer(exchange.Options{
		Remote: nstest.AddressOf(t, listener), Budget: budget.New(budget.Limits{Connections: 1, RequestsPerSecond: 10, Seconds: 10}),
	})
	begin := time.Now()
	connection, err := peer.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-greeted
	greeting := time.Now()
	const late = 500 * time.Millisecond
	<-time.After(50 * time.Millisecond)
	s := &silent{Connection: connection, since: silentSince(connection, begin)}
	if s.since.After(greeting.Add(late / 20)) {
		t.Errorf("silent since %v after the greeting", s.since.Sub(greeting))
	}
	<-closed
	closing := time.Now()
	<-time.After(late)
	w := watcher{peer: peer}
	w.conclude(s, fin, time.Now())
	if got, most := w.findings[0].silence, closing.Sub(s.since)+late/5; got <= 0 || got > most {
		t.Errorf("closed after %v of silence, it was %v at most", got, most)
	}
}
