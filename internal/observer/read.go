package observer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/connpolicy/connpolicy/probes/result"
)

// maximumBytes bounds what is read from an observer: a pod's own containers could answer in its place.
const maximumBytes = 1 << 20

// Read reads the metrics of the observer at podIP and port. It fails if nothing answers, or not an observer.
func Read(ctx context.Context, client *http.Client, podIP string, port int) (result.Observation, error) {
	url := "http://" + net.JoinHostPort(podIP, strconv.Itoa(port)) + "/metrics"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return result.Observation{}, fmt.Errorf("ask the observer: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return result.Observation{}, fmt.Errorf("reach the observer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return result.Observation{}, fmt.Errorf("the observer at %s answered %s", url, response.Status)
	}
	observation, err := Parse(io.LimitReader(response.Body, maximumBytes))
	if err != nil {
		return result.Observation{}, fmt.Errorf("read the observer at %s: %w", url, err)
	}
	observation.At = time.Now()
	return observation, nil
}

// Parse reads an observer's metrics in the Prometheus text format. It fails if they are not an observer's.
func Parse(text io.Reader) (result.Observation, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return result.Observation{}, fmt.Errorf("parse the metrics: %w", err)
	}
	info := families[result.MetricObserverInfo].GetMetric()
	if len(info) == 0 {
		return result.Observation{}, fmt.Errorf("no metric %s: something else answers on the observer's port", result.MetricObserverInfo)
	}
	version := label(info[0], "version")
	if version != result.Version {
		return result.Observation{}, fmt.Errorf("the observer speaks %q, this operator %q: replace the pod to get a new observer", version, result.Version)
	}
	observation := result.Observation{
		Version:        version,
		Kernel:         label(info[0], "kernel"),
		OpensPerSecond: single(families[result.MetricOpensPerSecond]),
		Destinations:   destinations(families),
		Sysctls:        map[string]string{},
	}
	if uptime := single(families[result.MetricUptimeSeconds]); uptime != nil {
		observation.UptimeSeconds = *uptime
	}
	if available := single(families[result.MetricPortsAvailable]); available != nil {
		observation.PortsAvailable = new(int(*available))
	}
	// The observer listens itself, so that no listener at all means that its list of the sockets failed, not that there are
	// none.
	listening := families[result.MetricListening].GetMetric()
	if len(listening) == 0 {
		return result.Observation{}, errors.New("the observer could not list the pod's sockets; its log says why")
	}
	for _, metric := range listening {
		port, err := strconv.Atoi(label(metric, "port"))
		if err != nil {
			return result.Observation{}, fmt.Errorf("metric %s: %w", result.MetricListening, err)
		}
		observation.ListeningPorts = append(observation.ListeningPorts, port)
	}
	slices.Sort(observation.ListeningPorts)
	for _, metric := range families[result.MetricSysctl].GetMetric() {
		observation.Sysctls[label(metric, "name")] = label(metric, "value")
	}
	return observation, nil
}

// destinations joins the metrics of each destination, the fullest first.
func destinations(families map[string]*dto.MetricFamily) []result.Destination {
	byAddress := map[string]*result.Destination{}
	each := func(name string, set func(*result.Destination, float64)) {
		for _, metric := range families[name].GetMetric() {
			address := label(metric, "destination")
			if byAddress[address] == nil {
				byAddress[address] = &result.Destination{Address: address}
			}
			set(byAddress[address], value(metric))
		}
	}
	each(result.MetricPortsInUse, func(d *result.Destination, v float64) { d.PortsInUse = int(v) })
	each(result.MetricPortsInUsePeak, func(d *result.Destination, v float64) { d.PortsInUsePeak = int(v) })
	each(result.MetricTimeWait, func(d *result.Destination, v float64) { d.TimeWait = int(v) })
	each(result.MetricDestinationOpensPerSecond, func(d *result.Destination, v float64) { d.OpensPerSecond = &v })

	list := make([]result.Destination, 0, len(byAddress))
	for _, destination := range byAddress {
		list = append(list, *destination)
	}
	slices.SortFunc(list, func(a, b result.Destination) int {
		return cmp.Or(cmp.Compare(b.PortsInUse, a.PortsInUse), cmp.Compare(a.Address, b.Address))
	})
	return list
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// single is the value of a family with one metric; nil if there is none: not known yet.
func single(family *dto.MetricFamily) *float64 {
	metrics := family.GetMetric()
	if len(metrics) == 0 {
		return nil
	}
	return new(value(metrics[0]))
}

func value(metric *dto.Metric) float64 {
	switch {
	case metric.Gauge != nil:
		return metric.GetGauge().GetValue()
	case metric.Counter != nil:
		return metric.GetCounter().GetValue()
	default:
		return metric.GetUntyped().GetValue()
	}
}
