package observer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Bounds of what is taken from an observer: a pod's own containers could answer in its place. Observers of before serve up
// to 50 destinations.
const (
	maximumDestinations = 50
	maximumSysctls      = 64
	maximumCounters     = 64
	maximumLabelBytes   = 128
)

// Parse reads an observer's metrics in the Prometheus text format, of at most result.MaximumMetricsBytes. It fails if they
// are not an observer's, or if one of its figures is malformed: half an observation would be taken for a whole one.
func Parse(text io.Reader) (result.Observation, error) {
	data, err := io.ReadAll(io.LimitReader(text, result.MaximumMetricsBytes+1))
	if err != nil {
		return result.Observation{}, fmt.Errorf("read the metrics: %w", err)
	}
	if len(data) > result.MaximumMetricsBytes {
		return result.Observation{}, fmt.Errorf("the metrics are longer than the %d bytes that an observer serves", result.MaximumMetricsBytes)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(data))
	if err != nil {
		return result.Observation{}, fmt.Errorf("parse the metrics: %w", err)
	}
	info := families[result.MetricObserverInfo].GetMetric()
	if len(info) == 0 {
		return result.Observation{}, fmt.Errorf("no metric %s: something else answers on the observer's port", result.MetricObserverInfo)
	}
	version := label(info[0], "version")
	if version != result.Version {
		return result.Observation{}, fmt.Errorf("the observer speaks %.128q, this operator %q: replace the pod to get a new observer",
			version, result.Version)
	}
	return observation(&reader{families: families}, label(info[0], "kernel"))
}

func observation(r *reader, kernel string) (result.Observation, error) {
	o := result.Observation{
		Version:        result.Version,
		Kernel:         kernel,
		OpensPerSecond: r.figure(result.MetricOpensPerSecond),
		OpenedUnseen:   r.count(result.MetricOpenedUnseen),
		Counters:       r.counters(result.MetricCounter),
		Sysctls:        r.sysctls(),
		ListeningPorts: r.listeningPorts(),
		Listeners:      r.listeners(),
	}
	if len(kernel) > maximumLabelBytes {
		r.fail(result.MetricObserverInfo, errors.New("the kernel's release is too long"))
	}
	if uptime := r.figure(result.MetricUptimeSeconds); uptime != nil {
		o.UptimeSeconds = *uptime
	}
	if period := r.figure(result.MetricPeriodSeconds); period != nil {
		if *period > o.UptimeSeconds {
			r.fail(result.MetricPeriodSeconds, fmt.Errorf("%v s of %v s that the observer has looked", *period, o.UptimeSeconds))
		}
		o.PeriodSeconds, o.CounterChanges = period, r.counters(result.MetricCounterChange)
	}
	if used := r.figure(result.MetricCPUSeconds); used != nil {
		o.Cost.CPUSeconds = *used
	}
	if failed := r.count(result.MetricDumpErrors); failed != nil {
		o.Cost.Errors = *failed
	}
	if ports := r.count(result.MetricPortsAvailable); ports != nil {
		o.PortsAvailable = new(int(*ports))
	}
	if unknown := r.count(result.MetricTimeWaitUnknown); unknown != nil {
		o.TimeWaitUnknown = int(*unknown)
	}
	o.Destinations, o.OtherDestinations = r.destinations()
	if r.err != nil {
		return result.Observation{}, r.err
	}
	// The observer listens itself, so that no listener at all means that its list of the sockets failed, not that there are
	// none.
	if len(o.ListeningPorts) == 0 {
		return result.Observation{}, errors.New("the observer could not list the pod's sockets; its log says why")
	}
	return o, nil
}

// reader takes figures out of metrics, and keeps the first error.
type reader struct {
	families map[string]*dto.MetricFamily
	err      error
}

func (r *reader) fail(metric string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("metric %s: %w", metric, err)
	}
}

// figure is the value of a metric without labels; nil if there is none: not known yet.
func (r *reader) figure(name string) *float64 {
	metrics := r.families[name].GetMetric()
	switch len(metrics) {
	case 0:
		return nil
	case 1:
		return new(r.value(name, metrics[0]))
	default:
		r.fail(name, errors.New("more than one value"))
		return nil
	}
}

// count is the same for whole numbers.
func (r *reader) count(name string) *int64 {
	metrics := r.families[name].GetMetric()
	if len(metrics) == 0 {
		return nil
	}
	figure := r.figure(name)
	if figure == nil {
		return nil
	}
	return new(r.whole(name, *figure))
}

// value is what every figure of an observer is: a number that is not negative.
func (r *reader) value(name string, metric *dto.Metric) float64 {
	var v float64
	switch {
	case metric.Gauge != nil:
		v = metric.GetGauge().GetValue()
	case metric.Counter != nil:
		v = metric.GetCounter().GetValue()
	case metric.Untyped != nil:
		v = metric.GetUntyped().GetValue()
	default:
		r.fail(name, errors.New("not a counter or gauge"))
	}
	if !(v >= 0) || math.IsInf(v, 0) {
		r.fail(name, fmt.Errorf("%v is no count and no time", v))
		return 0
	}
	return v
}

// whole takes a count. Above 2^53 a float64 is none.
func (r *reader) whole(name string, v float64) int64 {
	const most = 1 << 53
	if v > most || v != math.Trunc(v) {
		r.fail(name, fmt.Errorf("%v is no count", v))
		return 0
	}
	return int64(v)
}

// counters takes a metric of the kernel's counters by their names.
func (r *reader) counters(metric string) map[string]int64 {
	metrics := r.bounded(metric, maximumCounters)
	counters := make(map[string]int64, len(metrics))
	for _, counter := range metrics {
		name := label(counter, "name")
		if name == "" || len(name) > maximumLabelBytes {
			r.fail(metric, errors.New("a counter without a name, or with a long one"))
			continue
		}
		counters[name] = r.whole(metric, r.value(metric, counter))
	}
	return counters
}

// sysctls leaves long values out, as if they could not be read.
func (r *reader) sysctls() map[string]string {
	sysctls := map[string]string{}
	for _, metric := range r.bounded(result.MetricSysctl, maximumSysctls) {
		name, value := label(metric, "name"), label(metric, "value")
		if name == "" || len(name) > maximumLabelBytes {
			r.fail(result.MetricSysctl, errors.New("a setting without a name, or with a long one"))
			continue
		}
		if len(value) <= result.MaximumSysctlBytes {
			sysctls[name] = value
		}
	}
	return sysctls
}

func (r *reader) listeningPorts() []int {
	var ports []int
	for _, metric := range r.bounded(result.MetricListening, result.MaximumListeningPorts) {
		port, err := strconv.ParseUint(label(metric, "port"), 10, 16)
		if err != nil || port == 0 {
			r.fail(result.MetricListening, fmt.Errorf("%.32q is no port", label(metric, "port")))
			continue
		}
		ports = append(ports, int(port))
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func (r *reader) listeners() []result.Listener {
	byAddress := map[string]*result.Listener{}
	each := func(name string, set func(*result.Listener, int)) {
		for _, metric := range r.bounded(name, result.MaximumListeners) {
			address := label(metric, "address")
			if _, err := netip.ParseAddrPort(address); err != nil {
				r.fail(name, fmt.Errorf("%.64q is no address and port", address))
				continue
			}
			if byAddress[address] == nil {
				byAddress[address] = &result.Listener{Address: address}
			}
			set(byAddress[address], int(r.whole(name, r.value(name, metric))))
		}
	}
	each(result.MetricListenQueue, func(l *result.Listener, v int) { l.Queue = v })
	each(result.MetricListenQueuePeak, func(l *result.Listener, v int) { l.QueuePeak = v })
	each(result.MetricListenQueueLimit, func(l *result.Listener, v int) { l.QueueLimit = v })
	var list []result.Listener
	for _, listener := range byAddress {
		list = append(list, *listener)
	}
	slices.SortFunc(list, func(a, b result.Listener) int {
		return cmp.Or(cmp.Compare(b.QueuePeak, a.QueuePeak), cmp.Compare(a.Address, b.Address))
	})
	return list[:min(result.MaximumListeners, len(list))]
}

// bounded returns the metrics of a family, none if there are more than an observer serves.
func (r *reader) bounded(name string, most int) []*dto.Metric {
	metrics := r.families[name].GetMetric()
	if len(metrics) > most {
		r.fail(name, fmt.Errorf("%d series, an observer serves %d at the most", len(metrics), most))
		return nil
	}
	return metrics
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}
