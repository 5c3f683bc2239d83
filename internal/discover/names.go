package discover

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// names tell what an address is.
type names struct {
	services []corev1.Service
	slices   []discoveryv1.EndpointSlice
	pods     map[netip.Addr]string
	nodes    map[netip.Addr]bool
}

func index(in Input) names {
	n := names{services: in.Services, slices: in.Slices, pods: map[netip.Addr]string{}, nodes: map[netip.Addr]bool{}}
	for _, text := range in.NodeAddresses {
		if address, err := netip.ParseAddr(text); err == nil {
			n.nodes[address.Unmap()] = true
		}
	}
	for _, pod := range in.Pods {
		for _, ip := range pod.Status.PodIPs {
			if address, err := netip.ParseAddr(ip.IP); err == nil && !pod.Spec.HostNetwork {
				n.pods[address.Unmap()] = pod.Namespace + "/" + pod.Name
			}
		}
	}
	return n
}

// of returns what an address is, and a key that all addresses of the same thing share.
func (n names) of(address netip.AddrPort) (string, Destination) {
	ip, port := address.Addr().Unmap(), int32(address.Port())
	if service, servicePort := n.virtual(ip, port); service != nil {
		return keyOf(service, servicePort), Destination{Service: service, Port: servicePort}
	}
	if service, servicePort := n.endpoint(ip, port); service != nil {
		key, direct := keyOf(service, servicePort), service.Spec.ClusterIP != corev1.ClusterIPNone
		if direct {
			key += " direct" // other tuples than those of the virtual address
		}
		return key, Destination{Service: service, Port: servicePort, Direct: direct}
	}
	d := Destination{Host: ip.String(), HostPort: port, Pod: n.pods[ip]}
	switch {
	case ip.IsLoopback():
		d.Unfit = "loopback: something in the same pod, such as a sidecar"
	case ip.IsLinkLocalUnicast():
		d.Unfit = "link-local: the node's own services, such as metadata or a name server"
	case n.nodes[ip]:
		d.Unfit = "a node's own address, which probes refuse"
	}
	return address.String(), d
}

func keyOf(service *corev1.Service, port *corev1.ServicePort) string {
	return service.Namespace + "/" + service.Name + ":" + port.Name + "/" + port.TargetPort.String()
}

// virtual finds the Service that has an address: its ClusterIPs, and those by which it is reached from outside, which the
// cluster routes to it as well.
func (n names) virtual(ip netip.Addr, port int32) (*corev1.Service, *corev1.ServicePort) {
	for i := range n.services {
		service := &n.services[i]
		addresses := slices.Concat([]string{service.Spec.ClusterIP}, service.Spec.ClusterIPs, service.Spec.ExternalIPs)
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			addresses = append(addresses, ingress.IP)
		}
		if !slices.ContainsFunc(addresses, func(text string) bool { return same(text, ip) }) {
			continue
		}
		for j := range service.Spec.Ports {
			if p := &service.Spec.Ports[j]; p.Port == port && tcp(p.Protocol) {
				return service, p
			}
		}
	}
	return nil, nil
}

// endpoint finds the Service that an address is an endpoint of: a headless one before others, whose name leads elsewhere.
func (n names) endpoint(ip netip.Addr, port int32) (best *corev1.Service, bestPort *corev1.ServicePort) {
	for _, slice := range n.slices {
		if !slices.ContainsFunc(slice.Endpoints, func(e discoveryv1.Endpoint) bool {
			return slices.ContainsFunc(e.Addresses, func(text string) bool { return same(text, ip) })
		}) {
			continue
		}
		for _, p := range slice.Ports {
			if p.Port == nil || *p.Port != port {
				continue
			}
			name := ""
			if p.Name != nil {
				name = *p.Name
			}
			service, servicePort := n.named(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName], name)
			if service == nil || best != nil && !better(service, best) {
				continue
			}
			best, bestPort = service, servicePort
		}
	}
	return best, bestPort
}

func better(a, b *corev1.Service) bool {
	headless := func(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }
	if headless(a) != headless(b) {
		return headless(a)
	}
	return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) < 0
}

func (n names) named(namespace, name, port string) (*corev1.Service, *corev1.ServicePort) {
	for i := range n.services {
		service := &n.services[i]
		if service.Namespace != namespace || service.Name != name {
			continue
		}
		for j := range service.Spec.Ports {
			if p := &service.Spec.Ports[j]; p.Name == port && tcp(p.Protocol) {
				return service, p
			}
		}
	}
	return nil, nil
}

func tcp(protocol corev1.Protocol) bool { return protocol == "" || protocol == corev1.ProtocolTCP }

func same(text string, ip netip.Addr) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && address.Unmap() == ip
}
