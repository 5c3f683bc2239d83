package observer

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
)

// observe writes what the sockets showed into an observation, with what was counted since a mark.
func (l *ledger) observe(o *result.Observation, at time.Time, from mark) {
	idle := l.idleTimes(at)
	o.Destinations, o.OtherDestinations = l.destinations(idle, from)
	o.TimeWaitUnknown = l.timeWaitUnknown
	ports := slices.Sorted(maps.Keys(l.listening))
	for _, port := range ports[:min(result.MaximumListeningPorts, len(ports))] {
		o.ListeningPorts = append(o.ListeningPorts, int(port))
	}
	o.Listeners = l.listeners(idle, from)
}

// idleTimes returns for how many seconds each open connection has been idle, by group.
func (l *ledger) idleTimes(at time.Time) map[*group][]float64 {
	times := map[*group][]float64{}
	for _, c := range l.connections {
		if c.look == l.looks && c.idle != unknown {
			times[c.group] = append(times[c.group], (c.idle + at.Sub(c.told)).Seconds())
		}
	}
	return times
}

// destinations returns the fullest, and the sum of the others, nil if there is none.
func (l *ledger) destinations(idle map[*group][]float64, from mark) ([]result.Destination, *result.Destination) {
	var addresses []netip.AddrPort
	for address := range l.outgoing {
		if address.IsValid() {
			addresses = append(addresses, address)
		}
	}
	slices.SortFunc(addresses, func(a, b netip.AddrPort) int {
		return cmp.Or(cmp.Compare(l.outgoing[b].ports.peak(), l.outgoing[a].ports.peak()), a.Compare(b))
	})
	list := []result.Destination{}
	others := &group{}
	for i, address := range addresses {
		g := l.outgoing[address]
		if i < result.MaximumDestinations {
			list = append(list, l.destination(address.String(), g.counted(from), from, idle[g]))
			continue
		}
		l.sum(others, g, idle, from)
	}
	if g := l.outgoing[netip.AddrPort{}]; g != nil {
		l.sum(others, g, idle, from)
	} else if len(addresses) <= result.MaximumDestinations {
		return list, nil
	}
	return list, new(l.destination(result.OtherDestinations, others, from, idle[others]))
}

func (l *ledger) sum(others, g *group, idle map[*group][]float64, from mark) {
	others.merge(g.counted(from))
	idle[others] = append(idle[others], idle[g]...)
}

func (l *ledger) destination(address string, g *group, from mark, idle []float64) result.Destination {
	d := result.Destination{
		Address: address, PortsInUse: g.ports.held, PortsInUsePeak: g.ports.peak(), TimeWait: g.ports.timeWait,
		Connections: l.summary(g, from, idle),
	}
	if g.ports.tells() {
		d.PortsOfOtherParity = new(g.ports.otherParity)
	}
	if g.opens.known {
		d.OpensPerSecond = &g.opens.perSecond
	}
	return d
}

// listeners returns the fullest queues.
func (l *ledger) listeners(idle map[*group][]float64, from mark) []result.Listener {
	var list []result.Listener
	for address, q := range l.queues {
		listener := result.Listener{
			Address: address.String(), Queue: q.length, QueuePeak: max(q.length, l.peaks[address]), QueueLimit: q.limit,
		}
		if g := l.accepted[address.Port()]; g != nil {
			listener.Accepted = l.summary(g.counted(from), from, idle[g])
		}
		list = append(list, listener)
	}
	slices.SortFunc(list, func(a, b result.Listener) int {
		return cmp.Or(cmp.Compare(b.QueuePeak, a.QueuePeak), cmp.Compare(a.Address, b.Address))
	})
	return list[:min(result.MaximumListeners, len(list))]
}

// summary is how the connections of a group are used that has counted since a mark.
func (l *ledger) summary(g *group, from mark, idle []float64) *result.Connections {
	c := &result.Connections{
		Open: g.now.open, OpenPeak: g.openPeak,
		Opened: g.total.opened, Failed: g.total.failed,
		Closed: g.total.closed, ClosedHere: g.total.closedHere, OpenBefore: new(g.total.openBefore),
		IdleSeconds:           quantiles(idle),
		Keepalive:             g.now.keepalive,
		Samples:               g.total.samples,
		InFlightSamples:       g.total.inFlight,
		NagleSamples:          g.total.held,
		ZeroWindowSamples:     g.total.zeroWindow,
		CloseWait:             g.now.closeWait,
		RetransmittedSegments: g.total.retransmitted,
	}
	if g.total.ends != (result.Ends{}) {
		c.Ends = new(g.total.ends)
	}
	if l.infoLook > 0 {
		c.BusyPeak = new(g.busyPeak)
	}
	if g.now.closeWait > 0 {
		c.CloseWaitOldestSeconds = new(g.now.closeWaitOldest.Seconds())
	}
	if looks := l.looks - from.looks; looks > 0 {
		mean := float64(g.total.open) / float64(looks)
		c.OpenMean = &mean
		if elapsed := l.lookedAt.Sub(from.at).Seconds(); elapsed > 0 && g.total.opened > 0 && g.total.open > 0 {
			c.MeanLifetimeSeconds = new(mean / (float64(g.total.opened) / elapsed))
		}
	}
	g.records.summarise(c)
	if c.ExchangesAtMost != nil {
		c.SingleExchange = new(g.total.singleExchange)
	}
	return c
}

// summarise writes the distributions over the connections that ended.
func (r ring) summarise(c *result.Connections) {
	var lifetimes, sent, received, exchanges []float64
	for _, ended := range r.records {
		if lifetime, known := ended.lifetimeAtMost(); known {
			lifetimes = append(lifetimes, lifetime.Seconds())
		}
		if ended.sent != unknown {
			sent = append(sent, float64(ended.sent))
		}
		if ended.received != unknown {
			received = append(received, float64(ended.received))
		}
		if ended.exchanges != unknown {
			exchanges = append(exchanges, float64(ended.exchanges))
		}
	}
	c.LifetimeSecondsAtMost = quantiles(lifetimes)
	c.BytesSent, c.BytesReceived = quantiles(sent), quantiles(received)
	c.ExchangesAtMost = quantiles(exchanges)
}

// quantiles returns nil for no samples. It sorts them.
func quantiles(samples []float64) *result.Quantiles {
	if len(samples) == 0 {
		return nil
	}
	slices.Sort(samples)
	return &result.Quantiles{
		P50: stats.Quantile(samples, 0.5), P90: new(stats.Quantile(samples, 0.9)), P99: stats.Quantile(samples, 0.99),
		Max: new(samples[len(samples)-1]), Samples: new(len(samples)),
	}
}

// logged returns a record for the log.
func logged(ends tuple, accepted bool, r record) result.ConnectionRecord {
	c := result.ConnectionRecord{
		Accepted: accepted, Remote: ends.remoteAddress().String(), Local: ends.localAddress().String(), OpenedAt: r.opened,
	}
	if r.earlier != unknown {
		c.OpenedUpToSecondsEarlier = new(r.earlier.Seconds())
	}
	if !r.closed.IsZero() {
		c.ClosedAt = new(r.closed)
	}
	c.BytesSent, c.BytesReceived, c.ExchangesAtMost = known(r.sent), known(r.received), known(r.exchanges)
	return c
}

func known(figure int64) *int64 {
	if figure == unknown {
		return nil
	}
	return &figure
}

// logOpen gives those that are still open to the log.
func (l *ledger) logOpen(log func(result.ConnectionRecord)) {
	for _, c := range l.connections {
		if c.look == l.looks && c.established {
			log(logged(c.tuple, c.accepted, record{
				opened: c.opened, earlier: c.earlier, sent: c.sent, received: c.received, exchanges: c.exchanges,
			}))
		}
	}
}

// opened counts what was opened here since the observer began.
func (l *ledger) opened() int64 {
	opened := l.openedForgotten
	for _, g := range l.outgoing {
		opened += g.total.opened
	}
	return opened
}
