package backlog_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/backlog"
	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

func measure(t *testing.T, remote netip.AddrPort, seconds int) result.Backlog {
	t.Helper()
	b := budget.New(budget.Limits{Connections: 1, RequestsPerSecond: 1, Seconds: seconds})
	return backlog.Measure(t.Context(), exchange.NewPeer(exchange.Options{Remote: remote, Budget: b}), procnet.New("/proc"))
}

// A listener with room for two connections that nobody accepts gets more than fit.
func TestFullQueue(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.ListenWith(t, nstest.ListenOptions{Backlog: new(2)})
	address := nstest.AddressOf(t, listener)
	knocked := make(chan struct{})
	go func() {
		defer close(knocked)
		pair.InClient(t, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			for range 6 {
				// Those behind the third get no answer, or one that the listener takes back.
				if c, _, err := (tcpconn.Dialer{}).Connect(ctx, address); err == nil {
					defer c.Close()
				}
			}
		})
	}()
	var r result.Backlog
	pair.InServer(t, func() { r = measure(t, address, 6) })
	_ = listener.Close()
	<-knocked
	if r.Outcome != result.Measured || r.Cap == nil || *r.Cap != 2 || r.Somaxconn == nil || *r.Somaxconn <= 2 {
		t.Fatalf("%+v", r)
	}
	// The kernel lets one more in than the limit says (include/net/sock.h, sk_acceptq_is_full).
	if r.InUsePeak == nil || *r.InUsePeak != 3 {
		t.Errorf("at most %v waited, want 3", r.InUsePeak)
	}
	if r.Overflows == nil || *r.Overflows == 0 || r.Drops == nil || *r.Drops < *r.Overflows || *r.OverflowsTotal < *r.Overflows {
		t.Errorf("overflows %v of %v, drops %v", r.Overflows, r.OverflowsTotal, r.Drops)
	}
}

func TestQueueWithRoom(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	nstest.Hold(t, listener)
	var r result.Backlog
	pair.InServer(t, func() { r = measure(t, nstest.AddressOf(t, listener), 1) })
	if r.Outcome != result.Measured || r.Samples < 2 || *r.InUsePeak != 0 || *r.Overflows != 0 || *r.Drops != 0 || *r.SynCookies != 0 {
		t.Errorf("%+v", r)
	}
}

func TestListenerElsewhere(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	var r result.Backlog
	begin := time.Now()
	pair.InClient(t, func() { r = measure(t, nstest.AddressOf(t, listener), 6) })
	if r.Outcome != result.Unsupported || r.Cause == "" || r.Port != nil || r.Overflows != nil || time.Since(begin) > 2*time.Second {
		t.Errorf("after %v: %+v", time.Since(begin), r)
	}
}
