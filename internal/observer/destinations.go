package observer

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/connpolicy/connpolicy/probes/result"
)

// destinations joins the metrics of each destination, the fullest first, and returns the sum of the others apart, nil if
// there is none.
func (r *reader) destinations() ([]result.Destination, *result.Destination) {
	byAddress := map[string]*result.Destination{}
	r.ports(byAddress)
	r.connectionCounts(byAddress)
	r.ends(byAddress)
	r.quantiles(byAddress)
	if len(byAddress) > maximumDestinations+1 {
		r.fail(result.MetricPortsInUse, fmt.Errorf("%d destinations, an observer serves %d at the most", len(byAddress), maximumDestinations))
		return nil, nil
	}
	others := byAddress[result.OtherDestinations]
	delete(byAddress, result.OtherDestinations)
	list := make([]result.Destination, 0, len(byAddress))
	for _, destination := range byAddress {
		list = append(list, *destination)
	}
	slices.SortFunc(list, func(a, b result.Destination) int {
		return cmp.Or(cmp.Compare(b.PortsInUse, a.PortsInUse), cmp.Compare(a.Address, b.Address))
	})
	return list, others
}

// eachDestination gives each value of a metric with its destination to set. The second label, if it is asked for, tells
// apart what one destination has several of.
func (r *reader) eachDestination(byAddress map[string]*result.Destination, name, second string, set func(*result.Destination, string, float64)) {
	series := len(new(result.Ends).Manners()) // no metric has more of one destination
	for _, metric := range r.bounded(name, series*(maximumDestinations+1)) {
		address := label(metric, "destination")
		if _, err := netip.ParseAddrPort(address); err != nil && address != result.OtherDestinations {
			r.fail(name, fmt.Errorf("%.64q is no address and port", address))
			return
		}
		if byAddress[address] == nil {
			byAddress[address] = &result.Destination{Address: address}
		}
		set(byAddress[address], label(metric, second), r.value(name, metric))
	}
}

func (r *reader) ports(byAddress map[string]*result.Destination) {
	count := func(name string, field func(*result.Destination) *int) {
		r.eachDestination(byAddress, name, "", func(d *result.Destination, _ string, v float64) {
			*field(d) = int(r.whole(name, v))
		})
	}
	count(result.MetricPortsInUse, func(d *result.Destination) *int { return &d.PortsInUse })
	count(result.MetricPortsInUsePeak, func(d *result.Destination) *int { return &d.PortsInUsePeak })
	count(result.MetricTimeWait, func(d *result.Destination) *int { return &d.TimeWait })
	r.eachDestination(byAddress, result.MetricPortsOfOtherParity, "", func(d *result.Destination, _ string, v float64) {
		other := int(r.whole(result.MetricPortsOfOtherParity, v))
		if other > d.PortsInUse {
			r.fail(result.MetricPortsOfOtherParity, fmt.Errorf("%d of %d ports", other, d.PortsInUse))
			return
		}
		d.PortsOfOtherParity = &other
	})
	r.eachDestination(byAddress, result.MetricDestinationOpensPerSecond, "",
		func(d *result.Destination, _ string, v float64) { d.OpensPerSecond = &v })
}

// connectionsOf is what a destination tells about its connections, which observers of before do not.
func connectionsOf(d *result.Destination) *result.Connections {
	if d.Connections == nil {
		d.Connections = &result.Connections{}
	}
	return d.Connections
}

func (r *reader) connectionCounts(byAddress map[string]*result.Destination) {
	each := func(name string, set func(*result.Connections, int64)) {
		r.eachDestination(byAddress, name, "", func(d *result.Destination, _ string, v float64) {
			set(connectionsOf(d), r.whole(name, v))
		})
	}
	each(result.MetricOpen, func(c *result.Connections, v int64) { c.Open = int(v) })
	each(result.MetricOpenPeak, func(c *result.Connections, v int64) { c.OpenPeak = int(v) })
	each(result.MetricBusyPeak, func(c *result.Connections, v int64) { c.BusyPeak = new(int(v)) })
	each(result.MetricOpened, func(c *result.Connections, v int64) { c.Opened = v })
	each(result.MetricFailed, func(c *result.Connections, v int64) { c.Failed = v })
	each(result.MetricClosed, func(c *result.Connections, v int64) { c.Closed = v })
	each(result.MetricClosedHere, func(c *result.Connections, v int64) { c.ClosedHere = v })
	each(result.MetricSingleExchange, func(c *result.Connections, v int64) { c.SingleExchange = &v })
	each(result.MetricSamples, func(c *result.Connections, v int64) { c.Samples = v })
	each(result.MetricInFlightSamples, func(c *result.Connections, v int64) { c.InFlightSamples = v })
	each(result.MetricNagleSamples, func(c *result.Connections, v int64) { c.NagleSamples = v })
	each(result.MetricZeroWindowSamples, func(c *result.Connections, v int64) { c.ZeroWindowSamples = v })
	each(result.MetricCloseWait, func(c *result.Connections, v int64) { c.CloseWait = int(v) })
	each(result.MetricRetransmittedSegments, func(c *result.Connections, v int64) { c.RetransmittedSegments = v })

	r.eachDestination(byAddress, result.MetricMeanLifetimeSeconds, "", func(d *result.Destination, _ string, v float64) {
		connectionsOf(d).MeanLifetimeSeconds = &v
	})
	r.eachDestination(byAddress, result.MetricCloseWaitOldestSeconds, "", func(d *result.Destination, _ string, v float64) {
		connectionsOf(d).CloseWaitOldestSeconds = &v
	})
	r.eachDestination(byAddress, result.MetricKeepalive, "state", func(d *result.Destination, state string, v float64) {
		k := &connectionsOf(d).Keepalive
		field := map[string]*int{"armed": &k.Armed, "notArmed": &k.NotArmed, "unknown": &k.Unknown}[state]
		if field == nil {
			r.fail(result.MetricKeepalive, fmt.Errorf("%.32q is no state of keepalive", state))
			return
		}
		*field = int(r.whole(result.MetricKeepalive, v))
	})
}

// ends come in all manners; without one of them it would be taken for zero.
func (r *reader) ends(byAddress map[string]*result.Destination) {
	manners := map[string]map[string]int64{}
	r.eachDestination(byAddress, result.MetricEnds, "manner", func(d *result.Destination, manner string, v float64) {
		if manners[d.Address] == nil {
			manners[d.Address] = map[string]int64{}
		}
		manners[d.Address][manner] = r.whole(result.MetricEnds, v)
	})
	for address, counts := range manners {
		ends := &result.Ends{}
		all := ends.Manners()
		for _, m := range all {
			count, known := counts[m.Name]
			if !known || len(counts) != len(all) {
				r.fail(result.MetricEnds, errors.New("not all manners of ending, and no others"))
				return
			}
			*m.Count = count
		}
		if ends.Unanswered > ends.Orderly {
			r.fail(result.MetricEnds, fmt.Errorf("%d unanswered of %d orderly ends", ends.Unanswered, ends.Orderly))
			return
		}
		connectionsOf(byAddress[address]).Ends = ends
	}
}

// quantiles come in pairs; one alone would leave the other at zero.
func (r *reader) quantiles(byAddress map[string]*result.Destination) {
	each := func(name string, field func(*result.Connections) **result.Quantiles) {
		halves := map[string]map[string]float64{}
		r.eachDestination(byAddress, name, "quantile", func(d *result.Destination, quantile string, v float64) {
			if halves[d.Address] == nil {
				halves[d.Address] = map[string]float64{}
			}
			halves[d.Address][quantile] = v
		})
		for address, values := range halves {
			median, known := values["0.5"]
			high, knownToo := values["0.99"]
			if !known || !knownToo || len(values) != 2 || median > high {
				r.fail(name, errors.New("not the quantiles 0.5 and 0.99"))
				return
			}
			*field(connectionsOf(byAddress[address])) = &result.Quantiles{P50: median, P99: high}
		}
	}
	each(result.MetricLifetimeSeconds, func(c *result.Connections) **result.Quantiles { return &c.LifetimeSecondsAtMost })
	each(result.MetricBytesSent, func(c *result.Connections) **result.Quantiles { return &c.BytesSent })
	each(result.MetricBytesReceived, func(c *result.Connections) **result.Quantiles { return &c.BytesReceived })
	each(result.MetricExchanges, func(c *result.Connections) **result.Quantiles { return &c.ExchangesAtMost })
	each(result.MetricIdleSeconds, func(c *result.Connections) **result.Quantiles { return &c.IdleSeconds })
}
