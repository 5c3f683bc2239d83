// Package discover finds out, from what observers saw in a workload's pods, what the workload connects to, and writes the
// policy that watches over it: nobody should have to know their links beforehand. It is pure.
package discover

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Input is what is known.
type Input struct {
	Namespace string
	// From is the workload. Nil: not known, as with an observation out of a file.
	From *v1alpha1.WorkloadReference
	// Seen is what an observer saw in each pod.
	Seen []Seen
	// Services, Slices, Pods and NodeAddresses name addresses. What the user may not list is empty.
	Services      []corev1.Service
	Slices        []discoveryv1.EndpointSlice
	Pods          []corev1.Pod
	NodeAddresses []string
}

// Seen is what an observer saw in a pod.
type Seen struct {
	Pod         string
	Observation result.Observation
}

// Destination is what the workload connects to: a port of a Service, or an address outside.
type Destination struct {
	// Service and its port, if it is one.
	Service *corev1.Service
	Port    *corev1.ServicePort
	// Direct says that sockets name the Service's endpoints although it has a virtual address.
	Direct bool
	// Host and HostPort are those of an address that is no Service's.
	Host     string
	HostPort int32
	// Pod is the name of the pod behind such an address, if it is one.
	Pod string
	// Addresses that sockets name, sorted.
	Addresses []string
	// Unfit says why no link to it can be probed; empty if one can.
	Unfit string

	// OpensPerSecond is the rate of new connections of the busiest pod. Nil: not known.
	OpensPerSecond *float64
	// Held is the most local ports that one pod held towards one of the addresses in the last five minutes, TimeWait how
	// many of those that it held last were in TIME_WAIT, Available how many that pod has. Available is 0 where it is unknown.
	Held, TimeWait, Available int
	// Pods is the number of pods that use it.
	Pods int
}

// timeWaitSeconds is how long a port is held after its connection was closed by this side (include/net/tcp.h,
// TCP_TIMEWAIT_LEN).
const timeWaitSeconds = 60

// Pressure is the share of a pod's local ports that the destination takes, or would take if the workload closed all its
// connections first: what it held, or the rate of new ones for a minute. It ranks destinations by headroom and churn alike.
func (d Destination) Pressure() float64 {
	if d.Available == 0 {
		return 0
	}
	taken := float64(d.Held)
	if d.OpensPerSecond != nil {
		taken = math.Max(taken, *d.OpensPerSecond*timeWaitSeconds)
	}
	return taken / float64(d.Available)
}

// Destinations are what the workload connects to, the one that takes most of its ports first. What was seen to connect to
// several addresses of one Service is one destination.
func Destinations(in Input) []Destination {
	names := index(in)
	byKey := map[string]*Destination{}
	for _, seen := range in.Seen {
		met := map[string]*use{}
		for _, d := range seen.Observation.Destinations {
			address, err := netip.ParseAddrPort(d.Address)
			if err != nil {
				continue
			}
			key, destination := names.of(address)
			if destination.Pod == in.Namespace+"/"+seen.Pod {
				key, destination.Unfit = key+" itself", "the pod itself"
			}
			if byKey[key] == nil {
				byKey[key] = &destination
			}
			if met[key] == nil {
				met[key] = &use{}
			}
			met[key].add(d)
			if known := byKey[key]; !slices.Contains(known.Addresses, d.Address) {
				known.Addresses = append(known.Addresses, d.Address)
			}
		}
		for key, u := range met {
			byKey[key].take(*u, seen.Observation.PortsAvailable)
		}
	}
	list := make([]Destination, 0, len(byKey))
	for _, d := range byKey {
		slices.Sort(d.Addresses)
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Destination) int {
		return cmp.Or(cmp.Compare(b.Pressure(), a.Pressure()), cmp.Compare(rate(b), rate(a)), cmp.Compare(b.Held, a.Held), cmp.Compare(a.Addresses[0], b.Addresses[0]))
	})
	return list
}

func rate(d Destination) float64 {
	if d.OpensPerSecond == nil {
		return 0
	}
	return *d.OpensPerSecond
}

// use is what one pod has to do with a destination.
type use struct {
	opens          *float64
	held, timeWait int
}

// add counts an address. Ports are counted for each address, since the kernel gives the same port out again for another.
func (u *use) add(d result.Destination) {
	if d.OpensPerSecond != nil {
		sum := *d.OpensPerSecond
		if u.opens != nil {
			sum += *u.opens
		}
		u.opens = &sum
	}
	if held := max(d.PortsInUse, d.PortsInUsePeak); held > u.held {
		u.held, u.timeWait = held, d.TimeWait
	}
}

// take keeps the figures of the pod that they are highest in.
func (d *Destination) take(u use, available *int) {
	d.Pods++
	if u.opens != nil && (d.OpensPerSecond == nil || *u.opens > *d.OpensPerSecond) {
		d.OpensPerSecond = u.opens
	}
	if d.Pods == 1 || u.held > d.Held {
		d.Held, d.TimeWait, d.Available = u.held, u.timeWait, 0
		if available != nil {
			d.Available = *available
		}
	}
}
