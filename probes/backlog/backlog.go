// Package backlog looks at the queue of a listening port: how many connections wait in it to be accepted, how many fit, what
// sets the limit, and how many found no room.
//
// All of this the kernel tells only inside the listener's own network namespace.
package backlog

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

const (
	// lookEvery is the pause between two looks at the queue, which is emptied by each accept().
	lookEvery = 50 * time.Millisecond
	// look is how long it looks.
	look = 3 * time.Second

	somaxconn = "net.core.somaxconn"
)

// Names of the kernel's counters, of the whole namespace.
const (
	overflows  = "TcpExt.ListenOverflows"
	drops      = "TcpExt.ListenDrops"
	synCookies = "TcpExt.SyncookiesSent"
)

// Measure watches the listener of the target's address in this namespace. It sends nothing.
func Measure(ctx context.Context, peer *exchange.Peer, proc procnet.FS) result.Backlog {
	course := exchange.Course{Began: time.Now()}
	r, err := watch(ctx, peer, proc, &course)
	course.Failed(err)
	r.Meta = course.Conclude()
	if err == nil && r.Port == nil {
		r.Outcome, r.Cause = result.Unsupported, fmt.Sprintf("nothing listens on %s in this network namespace; run it beside the server, with its address as the target", peer.Remote())
	}
	return r
}

func watch(ctx context.Context, peer *exchange.Peer, proc procnet.FS, course *exchange.Course) (result.Backlog, error) {
	var r result.Backlog
	before, err := proc.Netstat()
	if err != nil {
		return r, err
	}
	for end := time.Now().Add(look); ; {
		inUse, limit, found, err := queue(peer.Remote())
		if err != nil || !found && r.Port == nil {
			return r, err
		}
		if found {
			course.Samples++
			r.Port, r.InUse, r.Cap = new(int(peer.Remote().Port())), &inUse, &limit
			if r.InUsePeak == nil || inUse > *r.InUsePeak {
				r.InUsePeak = &inUse
			}
		}
		if !time.Now().Before(end) {
			break
		}
		if err := peer.Pause(ctx, lookEvery); err != nil {
			if ctx.Err() != nil {
				course.Stop = err
			}
			break
		}
	}
	after, err := proc.Netstat()
	if err != nil {
		return r, err
	}
	r.Overflows, r.OverflowsTotal = moved(before, after, overflows)
	r.Drops, r.DropsTotal = moved(before, after, drops)
	r.SynCookies, _ = moved(before, after, synCookies)
	if text, err := proc.Sysctl(somaxconn); err == nil {
		if value, err := strconv.Atoi(text); err == nil {
			r.Somaxconn = &value
		}
	}
	return r, nil
}

// queue finds the listener of an address: one of the address itself before one of all addresses, as the kernel does
// (net/ipv4/inet_hashtables.c, __inet_lookup_listener).
func queue(address netip.AddrPort) (inUse, limit int, found bool, err error) {
	exact := false
	err = sockdiag.Dump(sockdiag.Query{States: sockdiag.StateSet(sockdiag.Listen)}, func(s sockdiag.Socket) {
		if s.Local.Port() != address.Port() {
			return
		}
		own := s.Local.Addr() == address.Addr().WithZone("")
		if !own && (exact || !s.Local.Addr().IsUnspecified()) {
			return
		}
		if own && !exact || !found {
			inUse, limit = 0, 0
		}
		// Listeners that share the port (SO_REUSEPORT) have a queue each.
		inUse += int(s.ReceiveQueue)
		limit += int(s.SendQueue)
		found, exact = true, exact || own
	})
	return inUse, limit, found, err
}

// moved is by how much a counter grew, and its value. Nil if the kernel does not have it.
func moved(before, after procnet.Counters, name string) (by, total *int64) {
	last, has := after[name]
	if !has {
		return nil, nil
	}
	return new(last - before[name]), &last
}
