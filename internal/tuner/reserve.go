package tuner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/probes/result"
)

// reservedItems is how many items a ConnectionTuning may hold in reserved.
const reservedItems = 64

// reservation is a range of ports that connect() must leave free, and why. An outgoing connection on a port, even one in
// TIME_WAIT, keeps a listener from binding it, and the network namespace outlives a restarted container.
type reservation struct {
	ports  PortRange
	reason string
}

// meshReservations are the ports that sidecars listen on in the pod's own network namespace.
// Istio: https://istio.io/latest/docs/ops/deployment/application-requirements/ (15000-15090).
// Linkerd: outbound, inbound, control and admin port of linkerd2-proxy, the defaults of its Helm chart.
func meshReservations() []reservation {
	return []reservation{
		{PortRange{First: 15000, Last: 15090}, "Istio sidecar"},
		{PortRange{First: 4140, Last: 4140}, "Linkerd sidecar"},
		{PortRange{First: 4143, Last: 4143}, "Linkerd sidecar"},
		{PortRange{First: 4190, Last: 4191}, "Linkerd sidecar"},
	}
}

// lastingReservations are those that do not change from one reading to the next, so that a plan may be made anew for
// them. Listeners inside of a pod's own range may have been given any free port by the kernel; those are not among them.
func lastingReservations(w Workload, links []LinkDemand) []reservation {
	list := declaredReservations(w)
	list = append(list, reservation{PortRange{First: result.DefaultObserverPort, Last: result.DefaultObserverPort}, "connpolicy observer"})
	list = append(list, reservation{w.NodePorts, "NodePorts"})
	list = append(list, meshReservations()...)
	for _, pod := range untunedPods(links) {
		current := rangeOf(pod.Sysctls)
		for _, port := range pod.ListeningPorts {
			if !current.Contains(port) {
				list = append(list, reservation{PortRange{First: port, Last: port}, "listening"})
			}
		}
		for _, already := range reservedOf(pod.Sysctls) {
			list = append(list, reservation{already, "reserved in the pods already"})
		}
	}
	return list
}

// declaredReservations are the ports that the pod template declares.
func declaredReservations(w Workload) []reservation {
	list := make([]reservation, 0, len(w.ContainerPorts))
	for _, port := range w.ContainerPorts {
		list = append(list, reservation{PortRange{First: port, Last: port}, "declared by the pods"})
	}
	return list
}

// allReservations are the lasting ones, every listener seen, and those of the values in force.
func allReservations(w Workload, links []LinkDemand) []reservation {
	list := lastingReservations(w, links)
	for _, link := range links {
		for _, pod := range link.Pods {
			for _, port := range pod.ListeningPorts {
				list = append(list, reservation{PortRange{First: port, Last: port}, "listening"})
			}
		}
	}
	if w.Applied != nil {
		for _, already := range valueReserved(*w.Applied) {
			list = append(list, reservation{already, "reserved before"})
		}
	}
	return list
}

// within returns the set of the reservations that lie in r.
func within(r PortRange, list []reservation) ports.Set {
	ranges := make([]ports.Range, 0, len(list))
	for _, reserved := range list {
		ranges = append(ranges, reserved.ports.Intersect(r))
	}
	return ports.NewSet(ranges...)
}

// reasonsListed is how many reserved ranges the reasons are given of.
const reasonsListed = 16

// reasons says why ports of r are reserved: "8080 listening, 30000-32767 NodePorts". A range with several reasons is
// named with the first.
func reasons(r PortRange, list []reservation) string {
	inRange := slices.DeleteFunc(slices.Clone(list), func(v reservation) bool { return v.ports.Intersect(r).Count() == 0 })
	slices.SortStableFunc(inRange, func(a, b reservation) int { return cmp.Compare(a.ports.First, b.ports.First) })
	var words []string
	var named ports.Set
	for _, v := range inRange {
		part := ports.NewSet(v.ports.Intersect(r))
		if named.Union(part).Count() == named.Count() {
			continue
		}
		named = named.Union(part)
		words = append(words, fmt.Sprintf("%s %s", part, v.reason))
	}
	if more := len(words) - reasonsListed; more > 0 {
		words = append(words[:reasonsListed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

func untunedPods(links []LinkDemand) []PodPorts {
	var pods []PodPorts
	for _, link := range links {
		for _, pod := range link.Pods {
			if !pod.Tuned {
				pods = append(pods, pod)
			}
		}
	}
	return pods
}
