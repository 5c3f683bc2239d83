package observer

import (
	"fmt"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Bounds above which something is worth a sentence. Half the ports is where connect() begins to search long, for it tries
// those of one parity first (net/ipv4/inet_hashtables.c, __inet_hash_connect).
const (
	portsPercent     = 50
	churnPerSecond   = 1
	singlePercent    = 90
	closeWaitSeconds = 60
	naglePercent     = 10
	brokenPercent    = 1
)

// meanings says in words what in an observation is likely to cost the workload something.
func meanings(o result.Observation) []string {
	var said []string
	say := func(format string, values ...any) { said = append(said, fmt.Sprintf(format, values...)) }
	for _, d := range o.Destinations {
		if o.PortsAvailable != nil && *o.PortsAvailable > 0 {
			if share := percent(float64(d.PortsInUsePeak), float64(*o.PortsAvailable)); share > portsPercent {
				say("%.0f %% of the local ports towards %s were held: above half each connect takes longer, and at the end it fails."+
					" Reuse connections.", share, d.Address)
			}
		}
		if d.Connections != nil {
			said = append(said, meaningsOf(d.Address, *d.Connections, o.UptimeSeconds)...)
		}
	}
	for _, l := range o.Listeners {
		if l.QueueLimit > 0 && l.QueuePeak >= l.QueueLimit {
			say("The accept queue of %s was full (%d): the application accepts too slowly, and what knocks waits a second or more.",
				l.Address, l.QueueLimit)
		}
	}
	if n := o.CounterChanges["TcpExt.ListenOverflows"]; n > 0 {
		say("%d connections found an accept queue full; each waits a second or more, or fails.", n)
	}
	return said
}

func meaningsOf(address string, c result.Connections, elapsed float64) []string {
	var said []string
	say := func(format string, values ...any) { said = append(said, fmt.Sprintf(format, values...)) }
	if c.SingleExchange != nil && float64(c.Opened) >= churnPerSecond*elapsed &&
		percent(float64(*c.SingleExchange), float64(c.Closed)) >= singlePercent {
		say("Connections to %s are not reused: %d of %d carried one request at most. Keep them open in a pool.",
			address, *c.SingleExchange, c.Closed)
	}
	if e := c.Ends; e != nil {
		told := e.Told()
		often := func(count int64) bool { return count > 0 && percent(float64(count), float64(told)) >= brokenPercent }
		if often(e.Reset) {
			say("%d of %d connections to %s were reset by it or by a hop: whatever was under way on them was lost.", e.Reset, told, address)
		}
		if often(e.Silent) {
			say("%d of %d connections to %s ended because it answered no more: it is gone, or a hop drops what comes.", e.Silent, told, address)
		}
		if often(e.ResetHere) {
			say("%d of %d connections to %s were reset by this side: it closes them with data unread, or with SO_LINGER 0.",
				e.ResetHere, told, address)
		}
	}
	if c.CloseWaitOldestSeconds != nil && *c.CloseWaitOldestSeconds >= closeWaitSeconds {
		say("%d connections to %s were closed by the peer long ago and not by the application here: it leaks them, or its pool"+
			" holds dead ones.", c.CloseWait, address)
	}
	if c.InFlightSamples > 0 && percent(float64(c.NagleSamples), float64(c.InFlightSamples)) >= naglePercent {
		say("Small writes to %s wait for acknowledgements (Nagle's algorithm), up to 40 ms each. Set TCP_NODELAY in the"+
			" application, or write each request at once.", address)
	}
	if c.ZeroWindowSamples > 0 {
		say("%s did not take data at times, because its application did not read.", address)
	}
	return said
}
