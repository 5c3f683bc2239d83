package observer

import (
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/probes/exposition"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Metrics serves what the observer saw, with a new census if the last one is too old.
func (o *Observer) Metrics() http.Handler {
	return exposition.Handler(func(w *exposition.Writer) {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.refresh(scrapeAge)
		writeMetrics(w, o.observation())
	})
}

// Recent serves the same with the counts of about the last hour instead of totals, which hide what happens now behind what
// happened in weeks.
func (o *Observer) Recent() http.Handler {
	return exposition.Handler(func(w *exposition.Writer) {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.refresh(scrapeAge)
		writeMetrics(w, o.recent())
	})
}

func writeMetrics(w *exposition.Writer, o result.Observation) {
	writeObserver(w, o)
	if count, ok := o.Counters["Tcp.ActiveOpens"]; ok {
		w.Metric(result.MetricActiveOpens, exposition.Counter, "Connections opened by this namespace (TCP ActiveOpens).")
		w.Sample(result.MetricActiveOpens, float64(count))
	}
	writeOne(w, result.MetricOpensPerSecond, exposition.Gauge, "Connections opened per second over the last window.", o.OpensPerSecond)
	writeOne(w, result.MetricOpenedUnseen, countOf(o),
		"Connections opened that no destination counts, for no socket of them was seen.", asFloat(o.OpenedUnseen))
	writeOne(w, result.MetricPortsAvailable, exposition.Gauge,
		"Local ports that the kernel may choose: ip_local_port_range without ip_local_reserved_ports.", asFloat(o.PortsAvailable))
	writeNamed(w, result.MetricCounter, exposition.Counter, "A counter of the kernel since the namespace was made.", o.Counters)
	if o.PeriodSeconds != nil {
		writeNamed(w, result.MetricCounterChange, exposition.Gauge, "By how much a counter of the kernel grew in the period.", o.CounterChanges)
	}
	w.Metric(result.MetricSysctl, exposition.Gauge, "A setting in force in this namespace.")
	for _, name := range slices.Sorted(maps.Keys(o.Sysctls)) {
		w.Sample(result.MetricSysctl, 1,
			exposition.Label{Name: "name", Value: name}, exposition.Label{Name: "value", Value: o.Sysctls[name]})
	}
	if o.Destinations == nil {
		return
	}
	destinations := o.Destinations
	if o.OtherDestinations != nil {
		destinations = append(slices.Clone(destinations), *o.OtherDestinations)
	}
	writeDestinations(w, destinations, countOf(o))
	w.Metric(result.MetricTimeWaitUnknown, exposition.Gauge, "Sockets in TIME_WAIT that may have been opened here or accepted.")
	w.Sample(result.MetricTimeWaitUnknown, float64(o.TimeWaitUnknown))
	writeListening(w, o)
}

// countOf is what a count of connections is: what was counted in a period that moves on also falls.
func countOf(o result.Observation) exposition.Kind {
	if o.PeriodSeconds != nil {
		return exposition.Gauge
	}
	return exposition.Counter
}

func writeObserver(w *exposition.Writer, o result.Observation) {
	w.Metric(result.MetricObserverInfo, exposition.Gauge, "The version of these metrics and the running kernel.")
	w.Sample(result.MetricObserverInfo, 1,
		exposition.Label{Name: "version", Value: o.Version}, exposition.Label{Name: "kernel", Value: o.Kernel})
	w.Metric(result.MetricUptimeSeconds, exposition.Gauge, "How long the observer has looked.")
	w.Sample(result.MetricUptimeSeconds, o.UptimeSeconds)
	writeOne(w, result.MetricPeriodSeconds, exposition.Gauge, "For how long connections were counted.", o.PeriodSeconds)
	w.Metric(result.MetricCPUSeconds, exposition.Counter, "Processor time that the observer has used.")
	w.Sample(result.MetricCPUSeconds, o.Cost.CPUSeconds)
	w.Metric(result.MetricDumpErrors, exposition.Counter, "Lists of sockets that failed; the last good figures stay for a minute.")
	w.Sample(result.MetricDumpErrors, float64(o.Cost.Errors))
}

func writeListening(w *exposition.Writer, o result.Observation) {
	w.Metric(result.MetricListening, exposition.Gauge, "TCP ports that something listens on.")
	for _, port := range o.ListeningPorts {
		w.Sample(result.MetricListening, 1, exposition.Label{Name: "port", Value: strconv.Itoa(port)})
	}
	for _, m := range []struct {
		name, help string
		value      func(result.Listener) int
	}{
		{result.MetricListenQueue, "Connections that wait to be accepted.", func(l result.Listener) int { return l.Queue }},
		{result.MetricListenQueuePeak, "The most connections seen to wait.", func(l result.Listener) int { return l.QueuePeak }},
		{result.MetricListenQueueLimit, "How many connections may wait.", func(l result.Listener) int { return l.QueueLimit }},
	} {
		w.Metric(m.name, exposition.Gauge, m.help)
		for _, listener := range o.Listeners {
			w.Sample(m.name, float64(m.value(listener)), exposition.Label{Name: "address", Value: listener.Address})
		}
	}
}

func writeOne(w *exposition.Writer, name string, kind exposition.Kind, help string, value *float64) {
	if value != nil {
		w.Metric(name, kind, help)
		w.Sample(name, *value)
	}
}

func writeNamed(w *exposition.Writer, name string, kind exposition.Kind, help string, values map[string]int64) {
	w.Metric(name, kind, help)
	for _, label := range slices.Sorted(maps.Keys(values)) {
		w.Sample(name, float64(values[label]), exposition.Label{Name: "name", Value: label})
	}
}

// asFloat keeps what is unknown unknown.
func asFloat[N int | int64](value *N) *float64 {
	if value == nil {
		return nil
	}
	return new(float64(*value))
}
