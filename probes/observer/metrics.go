package observer

import (
	"cmp"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/probes/exposition"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Metrics serves what the observer saw, with a new census if the last one is too old.
func (o *Observer) Metrics() http.Handler {
	return exposition.Handler(func(w *exposition.Writer) {
		o.takeCensus(scrapeAge)
		o.write(w)
	})
}

func (o *Observer) write(w *exposition.Writer) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	w.Metric(result.MetricObserverInfo, exposition.Gauge, "The version of these metrics and the running kernel.")
	w.Sample(result.MetricObserverInfo, 1,
		exposition.Label{Name: "version", Value: result.Version}, exposition.Label{Name: "kernel", Value: o.kernel})
	w.Metric(result.MetricUptimeSeconds, exposition.Gauge, "How long the observer has looked.")
	w.Sample(result.MetricUptimeSeconds, time.Since(o.started).Seconds())
	w.Metric(result.MetricDumpErrors, exposition.Counter, "Lists of sockets that failed; the last good figures stay for a minute.")
	w.Sample(result.MetricDumpErrors, float64(o.dumpErrors))
	o.writeOpenings(w)
	o.writeSettings(w)
	if o.latest != nil && time.Since(o.latest.at) <= staleAge {
		o.writeDestinations(w)
		o.writeListening(w)
	}
}

func (o *Observer) writeOpenings(w *exposition.Writer) {
	if count, ok := o.openings.last(); ok {
		w.Metric(result.MetricActiveOpens, exposition.Counter, "Connections opened by this namespace (TCP ActiveOpens).")
		w.Sample(result.MetricActiveOpens, float64(count))
	}
	if rate, ok := o.openings.perSecond(); ok {
		w.Metric(result.MetricOpensPerSecond, exposition.Gauge, "Connections opened per second over the last window.")
		w.Sample(result.MetricOpensPerSecond, rate)
	}
}

func (o *Observer) writeSettings(w *exposition.Writer) {
	if ports, err := o.proc.AvailablePorts(); err == nil {
		w.Metric(result.MetricPortsAvailable, exposition.Gauge, "Local ports that the kernel may choose: ip_local_port_range without ip_local_reserved_ports.")
		w.Sample(result.MetricPortsAvailable, float64(ports))
	}
	w.Metric(result.MetricSysctl, exposition.Gauge, "A setting in force in this namespace.")
	values := o.proc.Sysctls(procnet.ConnectionSysctls())
	for _, name := range slices.Sorted(maps.Keys(values)) {
		w.Sample(result.MetricSysctl, 1,
			exposition.Label{Name: "name", Value: name}, exposition.Label{Name: "value", Value: values[name]})
	}
}

// writeDestinations writes one series a destination and metric, for those that hold or lately held the most ports.
func (o *Observer) writeDestinations(w *exposition.Writer) {
	destinations := slices.SortedFunc(maps.Keys(o.peaks), func(a, b netip.AddrPort) int {
		return cmp.Or(cmp.Compare(o.peaks.of(b), o.peaks.of(a)), a.Compare(b))
	})
	destinations = destinations[:min(maximumDestinations, len(destinations))]
	each := func(name, help string, value func(netip.AddrPort) float64) {
		w.Metric(name, exposition.Gauge, help)
		for _, destination := range destinations {
			w.Sample(name, value(destination), exposition.Label{Name: "destination", Value: destination.String()})
		}
	}
	each(result.MetricPortsInUse, "Local ports held towards a destination, TIME_WAIT included.",
		func(d netip.AddrPort) float64 { return float64(o.latest.destinations[d].ports) })
	each(result.MetricPortsInUsePeak, "The most local ports held towards a destination in the last five minutes.",
		func(d netip.AddrPort) float64 { return float64(o.peaks.of(d)) })
	each(result.MetricTimeWait, "Local ports held towards a destination in TIME_WAIT.",
		func(d netip.AddrPort) float64 { return float64(o.latest.destinations[d].timeWait) })
	if o.before != nil {
		w.Metric(result.MetricDestinationOpensPerSecond, exposition.Gauge, "Connections opened to a destination per second, estimated from its sockets.")
		for _, d := range destinations {
			if rate, ok := opensPerSecond(*o.before, *o.latest, d); ok {
				w.Sample(result.MetricDestinationOpensPerSecond, rate, exposition.Label{Name: "destination", Value: d.String()})
			}
		}
	}
}

func (o *Observer) writeListening(w *exposition.Writer) {
	w.Metric(result.MetricListening, exposition.Gauge, "TCP ports that something listens on.")
	ports := slices.Sorted(maps.Keys(o.latest.listening))
	for _, port := range ports[:min(maximumListening, len(ports))] {
		w.Sample(result.MetricListening, 1, exposition.Label{Name: "port", Value: strconv.Itoa(int(port))})
	}
}
