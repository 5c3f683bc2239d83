// Package vantage carries what a probe pod found into a ConnectionReport and out of it again, so that rules, plans and
// what people read stand on exactly what the probe wrote, after a restart of the operator and in a saved report too. It is
// pure.
package vantage

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Bounds of what a vantage holds, those of the API. A probe's message keeps to them by far, but it comes from a pod, and
// what the API server refuses would keep the whole report from being written.
const (
	// MaximumBytes bounds the measurements of a vantage: a termination message has no room for more.
	MaximumBytes = 4096
	// maximumSysctlBytes bounds the settings of a vantage; a list of reserved ports can be longer than all else.
	maximumSysctlBytes = 1024

	maximumAddresses    = 16
	maximumStatuses     = 16
	maximumSysctls      = 32
	maximumDropped      = 24
	maximumKernelBytes  = 128
	maximumAddressBytes = 64
	maximumNameBytes    = 32
)

// droppedSysctls is how Dropped names the settings.
const droppedSysctls = "sysctls"

// Of renders the result of a probe pod that stood on node.
func Of(node, pod string, r result.Result, at metav1.Time) (v1alpha1.Vantage, error) {
	v := v1alpha1.Vantage{
		Time: at, Node: node, Pod: pod, Outcome: string(result.Measured),
		Version: result.Version,
		Kernel:  clip.To(r.Host.Kernel, maximumKernelBytes),
		Address: clip.To(r.Target.Address, maximumAddressBytes),
		Spent: &v1alpha1.ProbeCost{
			Connections: bounded(r.Spent.Connections), Requests: bounded(r.Spent.Requests),
			BytesSent: r.Spent.BytesSent, BytesReceived: r.Spent.BytesReceived,
		},
		Statuses: statuses(r.Statuses),
		Sysctls:  r.Host.Sysctls,
	}
	for _, address := range r.Target.Addresses[:min(len(r.Target.Addresses), maximumAddresses)] {
		v.Addresses = append(v.Addresses, clip.To(address, maximumAddressBytes))
	}
	for _, name := range r.Dropped {
		dropped(&v, clip.To(name, maximumNameBytes))
	}
	if settings, err := json.Marshal(v.Sysctls); err != nil || len(settings) > maximumSysctlBytes || len(v.Sysctls) > maximumSysctls {
		DropSysctls(&v)
	}
	return v, put(&v, r.Measurements, MaximumBytes)
}

// Result is what a probe found, out of the report that it stands in; see Whole. It fails with what no reader of today
// understands: another version of the contract, or something that is not of it.
func Result(v v1alpha1.Vantage, target *v1alpha1.ReportTarget) (result.Result, error) {
	if v.Like != "" {
		return result.Result{}, fmt.Errorf("the measurements of pod %s are told as what differs from those of pod %s, which do not stand beside them", v.Pod, v.Like)
	}
	if v.Version != result.Version {
		return result.Result{}, fmt.Errorf("the measurements of pod %s keep the contract %q, this reader knows %q", v.Pod, v.Version, result.Version)
	}
	r := result.Result{
		Version: v.Version,
		Target:  result.Target{Address: v.Address, Addresses: v.Addresses},
		Host:    result.Host{Kernel: v.Kernel, Sysctls: v.Sysctls},
		Dropped: v.Dropped,
	}
	if target != nil {
		r.Target.URL, r.Target.Protocol = target.URL, string(target.Protocol)
	}
	if v.Spent != nil {
		r.Spent = result.Spent{
			Connections: int(v.Spent.Connections), Requests: int(v.Spent.Requests),
			BytesSent: v.Spent.BytesSent, BytesReceived: v.Spent.BytesReceived,
		}
	}
	for _, status := range v.Statuses {
		if r.Statuses == nil {
			r.Statuses = map[string]int{}
		}
		r.Statuses[strconv.Itoa(int(status.Code))] = int(status.Count)
	}
	var err error
	r.Measurements, err = measurements(v)
	return r, err
}

// Readable says whether Result can read a vantage.
func Readable(v v1alpha1.Vantage) bool {
	_, err := Result(v, nil)
	return err == nil
}

// DropSysctls takes the settings out of a vantage, and says so in it.
func DropSysctls(v *v1alpha1.Vantage) {
	if v.Sysctls != nil {
		v.Sysctls = nil
		dropped(v, droppedSysctls)
	}
}

// DropMeasurement takes the measurement out that explains least, says so in the vantage, and returns whether there was one.
func DropMeasurement(v *v1alpha1.Vantage) bool {
	if v.Measurements == nil {
		return false
	}
	m, err := measurements(*v)
	if err != nil {
		v.Measurements = nil
		return true
	}
	return put(v, m, len(v.Measurements.Raw)-1) == nil
}

// put sets the measurements. Those for which limit has no room are dropped whole and named, in the order of the contract.
func put(v *v1alpha1.Vantage, m result.Measurements, limit int) error {
	fields := result.Fields()
	for {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false) // which makes six bytes of one
		if err := encoder.Encode(m); err != nil {
			return fmt.Errorf("write the measurements of pod %s: %w", v.Pod, err)
		}
		raw := bytes.TrimSpace(text.Bytes())
		if len(raw) <= limit {
			v.Measurements = &runtime.RawExtension{Raw: raw}
			return nil
		}
		for gone := false; !gone; fields = fields[1:] {
			if len(fields) == 0 {
				v.Measurements = nil
				return nil
			}
			if gone = fields[0].Drop(&m); gone {
				dropped(v, fields[0].Name)
			}
		}
	}
}

func measurements(v v1alpha1.Vantage) (result.Measurements, error) {
	var m result.Measurements
	if v.Measurements == nil {
		return m, nil
	}
	if err := json.Unmarshal(v.Measurements.Raw, &m); err != nil {
		return result.Measurements{}, fmt.Errorf("read the measurements of pod %s: %w", v.Pod, err)
	}
	return m, nil
}

// bounded is a count as the API holds it.
func bounded(count int) int32 { return int32(max(0, min(count, math.MaxInt32))) }

func dropped(v *v1alpha1.Vantage, name string) {
	if len(v.Dropped) < maximumDropped && !slices.Contains(v.Dropped, name) {
		v.Dropped = append(v.Dropped, name)
	}
}

// statuses are the most frequent ones by their code. Whatever is not a status code is none.
func statuses(counts map[string]int) []v1alpha1.StatusCount {
	var list []v1alpha1.StatusCount
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		if code, err := strconv.Atoi(text); err == nil && code >= 100 && code <= 999 {
			list = append(list, v1alpha1.StatusCount{Code: bounded(code), Count: bounded(counts[text])})
		}
	}
	slices.SortStableFunc(list, func(a, b v1alpha1.StatusCount) int { return cmp.Compare(b.Count, a.Count) })
	list = list[:min(len(list), maximumStatuses)]
	slices.SortFunc(list, func(a, b v1alpha1.StatusCount) int { return cmp.Compare(a.Code, b.Code) })
	return slices.CompactFunc(list, func(a, b v1alpha1.StatusCount) bool { return a.Code == b.Code })
}
