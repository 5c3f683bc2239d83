package observer

import (
	"github.com/connpolicy/connpolicy/probes/exposition"
	"github.com/connpolicy/connpolicy/probes/result"
)

// destinationMetric is one figure of each destination; value is nil where it is unknown.
type destinationMetric struct {
	name  string
	kind  exposition.Kind
	help  string
	value func(result.Destination) *float64
}

// destinationMetrics are those of one figure; counter is the kind of those that count.
func destinationMetrics(counter exposition.Kind) []destinationMetric {
	const gauge = exposition.Gauge
	return []destinationMetric{
		{result.MetricPortsInUse, gauge, "Local ports held towards a destination, TIME_WAIT included.",
			func(d result.Destination) *float64 { return asFloat(&d.PortsInUse) }},
		{result.MetricPortsInUsePeak, gauge, "The most local ports held towards a destination in the last five minutes.",
			func(d result.Destination) *float64 { return asFloat(&d.PortsInUsePeak) }},
		{result.MetricTimeWait, gauge, "Local ports held towards a destination in TIME_WAIT.",
			func(d result.Destination) *float64 { return asFloat(&d.TimeWait) }},
		{result.MetricPortsOfOtherParity, gauge, "Local ports held towards a destination that connect() would take last: most come from a bind() before it.",
			func(d result.Destination) *float64 { return asFloat(d.PortsOfOtherParity) }},
		{result.MetricDestinationOpensPerSecond, gauge, "Connections opened to a destination per second over the last window.",
			func(d result.Destination) *float64 { return d.OpensPerSecond }},
		ofConnections(result.MetricOpen, gauge, "Connections established now, or closed by the peer alone.",
			func(c *result.Connections) *float64 { return asFloat(&c.Open) }),
		ofConnections(result.MetricOpenPeak, gauge, "The most connections open at a look.",
			func(c *result.Connections) *float64 { return asFloat(&c.OpenPeak) }),
		ofConnections(result.MetricBusyPeak, gauge, "The most connections that had carried data within a second.",
			func(c *result.Connections) *float64 { return asFloat(c.BusyPeak) }),
		ofConnections(result.MetricOpened, counter, "Connections that began, failed ones included.",
			func(c *result.Connections) *float64 { return asFloat(&c.Opened) }),
		ofConnections(result.MetricFailed, counter, "Connections that were never established.",
			func(c *result.Connections) *float64 { return asFloat(&c.Failed) }),
		ofConnections(result.MetricClosed, counter, "Connections that ended.",
			func(c *result.Connections) *float64 { return asFloat(&c.Closed) }),
		ofConnections(result.MetricClosedHere, counter, "Connections that this side closed first.",
			func(c *result.Connections) *float64 { return asFloat(&c.ClosedHere) }),
		ofConnections(result.MetricMeanLifetimeSeconds, gauge, "Mean lifetime of connections, estimated by Little's law.",
			func(c *result.Connections) *float64 { return c.MeanLifetimeSeconds }),
		ofConnections(result.MetricSingleExchange, counter, "Ended connections that carried one request and answer at most.",
			func(c *result.Connections) *float64 { return asFloat(c.SingleExchange) }),
		ofConnections(result.MetricSamples, counter, "Looks at open connections, each counted at each look.",
			func(c *result.Connections) *float64 { return asFloat(&c.Samples) }),
		ofConnections(result.MetricInFlightSamples, counter, "Looks at connections with data under way.",
			func(c *result.Connections) *float64 { return asFloat(&c.InFlightSamples) }),
		ofConnections(result.MetricNagleSamples, counter, "Those of them where Nagle's algorithm held a small segment back.",
			func(c *result.Connections) *float64 { return asFloat(&c.NagleSamples) }),
		ofConnections(result.MetricZeroWindowSamples, counter, "Looks at connections whose peer had closed its window.",
			func(c *result.Connections) *float64 { return asFloat(&c.ZeroWindowSamples) }),
		ofConnections(result.MetricCloseWait, gauge, "Connections that the peer has closed and the application has not.",
			func(c *result.Connections) *float64 { return asFloat(&c.CloseWait) }),
		ofConnections(result.MetricCloseWaitOldestSeconds, gauge, "How long the oldest of them has waited, at least.",
			func(c *result.Connections) *float64 { return c.CloseWaitOldestSeconds }),
		ofConnections(result.MetricRetransmittedSegments, counter, "Segments sent again.",
			func(c *result.Connections) *float64 { return asFloat(&c.RetransmittedSegments) }),
	}
}

func ofConnections(name string, kind exposition.Kind, help string, value func(*result.Connections) *float64) destinationMetric {
	return destinationMetric{name, kind, help, func(d result.Destination) *float64 {
		if d.Connections == nil {
			return nil
		}
		return value(d.Connections)
	}}
}

// destinationQuantiles are served for the median and the 99th percentile.
func destinationQuantiles() []struct {
	name, help string
	value      func(*result.Connections) *result.Quantiles
} {
	return []struct {
		name, help string
		value      func(*result.Connections) *result.Quantiles
	}{
		{result.MetricLifetimeSeconds, "How long connections lived that ended, at most.",
			func(c *result.Connections) *result.Quantiles { return c.LifetimeSecondsAtMost }},
		{result.MetricBytesSent, "Bytes sent on connections that ended.",
			func(c *result.Connections) *result.Quantiles { return c.BytesSent }},
		{result.MetricBytesReceived, "Bytes received on connections that ended.",
			func(c *result.Connections) *result.Quantiles { return c.BytesReceived }},
		{result.MetricExchanges, "Requests with an answer on connections that ended, at most; estimated from segments.",
			func(c *result.Connections) *result.Quantiles { return c.ExchangesAtMost }},
		{result.MetricIdleSeconds, "How long connections that are open now have carried no data.",
			func(c *result.Connections) *result.Quantiles { return c.IdleSeconds }},
	}
}

func writeDestinations(w *exposition.Writer, destinations []result.Destination, counter exposition.Kind) {
	for _, m := range destinationMetrics(counter) {
		w.Metric(m.name, m.kind, m.help)
		for _, d := range destinations {
			if value := m.value(d); value != nil {
				w.Sample(m.name, *value, exposition.Label{Name: "destination", Value: d.Address})
			}
		}
	}
	w.Metric(result.MetricKeepalive, exposition.Gauge, "Connections open now by whether a silent peer would be probed.")
	for _, d := range destinations {
		if d.Connections == nil {
			continue
		}
		write := func(state string, count int) {
			w.Sample(result.MetricKeepalive, float64(count),
				exposition.Label{Name: "destination", Value: d.Address}, exposition.Label{Name: "state", Value: state})
		}
		write("armed", d.Connections.Keepalive.Armed)
		write("notArmed", d.Connections.Keepalive.NotArmed)
		write("unknown", d.Connections.Keepalive.Unknown)
	}
	writeEnds(w, destinations, counter)
	for _, m := range destinationQuantiles() {
		w.Metric(m.name, exposition.Gauge, m.help)
		for _, d := range destinations {
			if d.Connections == nil {
				continue
			}
			if q := m.value(d.Connections); q != nil {
				address := exposition.Label{Name: "destination", Value: d.Address}
				w.Sample(m.name, q.P50, address, exposition.Label{Name: "quantile", Value: "0.5"})
				w.Sample(m.name, q.P99, address, exposition.Label{Name: "quantile", Value: "0.99"})
			}
		}
	}
}

// writeEnds serves all manners of a destination once one is known, so that none and unknown can be told apart.
func writeEnds(w *exposition.Writer, destinations []result.Destination, counter exposition.Kind) {
	w.Metric(result.MetricEnds, counter, "Ended connections by how they ended, as far as the kernel told; those unanswered are among the orderly.")
	for _, d := range destinations {
		if d.Connections == nil || d.Connections.Ends == nil {
			continue
		}
		for _, m := range d.Connections.Ends.Manners() {
			w.Sample(result.MetricEnds, float64(*m.Count),
				exposition.Label{Name: "destination", Value: d.Address}, exposition.Label{Name: "manner", Value: m.Name})
		}
	}
}
