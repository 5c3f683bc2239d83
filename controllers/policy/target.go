package policy

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// maximumAddresses bounds the addresses of a target in a report.
const maximumAddresses = 16

// target is what a link leads to.
type target struct {
	// name for people: <namespace>/<service>:<port>, or host:port.
	name string
	// url for the probe.
	url string
	// host and port that stand for the target: those that the link names, or those of its Service.
	host, port string
	// key names the target to the limits: its address and port, or its name and port where that has several addresses.
	// It is the same for all links to the target.
	key string
	// addresses that sockets to the target name, as far as the cluster knows them.
	addresses []string
	// virtual says that addresses are a Service's virtual ones.
	virtual bool
	// endpoints are the ready endpoints behind a Service, as sockets name them that do not go to its virtual address.
	endpoints []string
	// notReady are the endpoints of a headless Service that are not ready, as sockets name them.
	notReady []string
	// staying are the endpoints behind a Service that are ready and not on their way out, listed are all that it lists: their
	// own ip:port, also where none is ready.
	staying, listed []string
	// readyEndpoints behind a Service. Nil: not a Service, or the cluster does not know its endpoints.
	readyEndpoints *int32
}

// trouble is what stands in the way of a policy or a link: a condition's reason and message. The zero value is none.
type trouble struct {
	reason, message string
}

func (t trouble) any() bool { return t.reason != "" }

// endpointTarget is the target of a link to a host and port.
func endpointTarget(link v1alpha1.Link) target {
	t := target{host: link.Endpoint.Host, port: strconv.Itoa(int(link.Endpoint.Port))}
	hostPort := net.JoinHostPort(t.host, t.port)
	t.name, t.url = hostPort, url(link, hostPort)
	if net.ParseIP(link.Endpoint.Host) != nil {
		t.addresses = []string{hostPort}
	}
	return t
}

// serviceTarget is the target of a link to a Service. Sockets to a Service name its virtual address; sockets to a
// headless one name the endpoints' own.
func serviceTarget(link v1alpha1.Link, service *corev1.Service, slicesOfService []discoveryv1.EndpointSlice) (target, trouble) {
	name := service.Namespace + "/" + service.Name
	port, found := servicePort(service, link.Service.Port)
	if found.any() {
		return target{}, found
	}
	t := target{host: hostOf(service), port: strconv.Itoa(int(port.Port))}
	t.name = name + ":" + t.port

	if service.Spec.Type == corev1.ServiceTypeExternalName {
		t.url = url(link, net.JoinHostPort(nameOfService(service), t.port))
		return t, trouble{}
	}
	ready := readyEndpoints(port.Name, slicesOfService)
	t.readyEndpoints, t.endpoints = new(int32(len(ready))), ready
	t.staying, t.listed = endpointsThat(stays, port.Name, slicesOfService), endpointsThat(areListed, port.Name, slicesOfService)
	if service.Spec.ClusterIP != corev1.ClusterIPNone {
		t.virtual = true
		for _, ip := range clusterIPs(service) {
			t.addresses = append(t.addresses, net.JoinHostPort(ip, t.port))
		}
	}
	if len(ready) == 0 {
		return t, trouble{v1alpha1.ReasonNoEndpoints, fmt.Sprintf("Service %s has no ready endpoint for port %d", name, port.Port)}
	}
	if !t.virtual {
		// The name of a headless Service leads to the pods themselves, on the port that they listen on.
		_, t.port, _ = net.SplitHostPort(ready[0])
		t.addresses = ready[:min(len(ready), maximumAddresses)]
		t.notReady = leavingEndpoints(port.Name, slicesOfService, ready)
	}
	t.url = url(link, net.JoinHostPort(nameOfService(service), t.port))
	return t, trouble{}
}

// servicePort finds the port that a link names: by name, by number, or the only one.
func servicePort(service *corev1.Service, wanted string) (corev1.ServicePort, trouble) {
	var offered []string
	var tcp []corev1.ServicePort
	for _, port := range service.Spec.Ports {
		if port.Protocol != corev1.ProtocolTCP && port.Protocol != "" {
			continue
		}
		number := strconv.Itoa(int(port.Port))
		if wanted != "" && (wanted == port.Name || wanted == number) {
			return port, trouble{}
		}
		tcp = append(tcp, port)
		if port.Name != "" {
			number = port.Name + " (" + number + ")"
		}
		offered = append(offered, number)
	}
	name := service.Namespace + "/" + service.Name
	number, err := strconv.ParseUint(wanted, 10, 16)
	switch {
	case wanted == "" && len(tcp) == 1:
		return tcp[0], trouble{}
	case len(tcp) == 0 && service.Spec.Type == corev1.ServiceTypeExternalName && err == nil:
		return corev1.ServicePort{Port: int32(number)}, trouble{}
	case len(tcp) == 0:
		return corev1.ServicePort{}, trouble{v1alpha1.ReasonPortNotFound, fmt.Sprintf("Service %s has no TCP port", name)}
	case wanted == "":
		return corev1.ServicePort{}, trouble{v1alpha1.ReasonPortNotFound,
			fmt.Sprintf("Service %s has several ports; name one in service.port: %s", name, strings.Join(offered, ", "))}
	default:
		return corev1.ServicePort{}, trouble{v1alpha1.ReasonPortNotFound,
			fmt.Sprintf("Service %s has no port %s; it has %s", name, wanted, strings.Join(offered, ", "))}
	}
}

// readyEndpoints lists the addresses and ports of the ready endpoints of a Service's port, sorted, each once.
func readyEndpoints(portName string, slicesOfService []discoveryv1.EndpointSlice) []string {
	return endpointsThat(isReady, portName, slicesOfService)
}

// leavingEndpoints lists those that are not ready in the same way: on their way out, or not in yet.
func leavingEndpoints(portName string, slicesOfService []discoveryv1.EndpointSlice, ready []string) []string {
	notReady := endpointsThat(func(endpoint discoveryv1.Endpoint) bool { return !isReady(endpoint) }, portName, slicesOfService)
	// While an endpoint moves from one slice to another both may tell of it.
	return slices.DeleteFunc(notReady, func(address string) bool { return slices.Contains(ready, address) })
}

func isReady(endpoint discoveryv1.Endpoint) bool {
	return endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
}

// stays: an endpoint is ready and not on its way out. Where a Service publishes what is not ready, all are called ready to
// the end.
func stays(endpoint discoveryv1.Endpoint) bool {
	return isReady(endpoint) && (endpoint.Conditions.Terminating == nil || !*endpoint.Conditions.Terminating)
}

func areListed(discoveryv1.Endpoint) bool { return true }

func endpointsThat(are func(discoveryv1.Endpoint) bool, portName string, slicesOfService []discoveryv1.EndpointSlice) []string {
	var chosen []string
	for _, slice := range slicesOfService {
		for _, port := range slice.Ports {
			if port.Port == nil || nameOf(port) != portName {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				// All addresses of an endpoint are the same endpoint's; consumers use the first.
				if are(endpoint) && len(endpoint.Addresses) > 0 {
					chosen = append(chosen, net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(*port.Port))))
				}
			}
		}
	}
	slices.Sort(chosen)
	return slices.Compact(chosen)
}

func nameOf(port discoveryv1.EndpointPort) string {
	if port.Name == nil {
		return ""
	}
	return *port.Name
}

// nameOfService is the name of a Service in every pod, whatever the cluster's domain.
func nameOfService(service *corev1.Service) string {
	return service.Name + "." + service.Namespace + ".svc"
}

func clusterIPs(service *corev1.Service) []string {
	if len(service.Spec.ClusterIPs) > 0 {
		return service.Spec.ClusterIPs
	}
	return []string{service.Spec.ClusterIP}
}

// url is what the probe is given. The protocols that are spoken with TLS or without it have it where the link says so.
func url(link v1alpha1.Link, hostPort string) string {
	if link.Protocol == v1alpha1.ProtocolTCP {
		return "tcp://" + hostPort
	}
	scheme := "http"
	if link.Protocol == v1alpha1.ProtocolWebSocket {
		scheme = "ws"
	}
	if link.TLS != nil || link.Protocol == v1alpha1.ProtocolHTTPS {
		scheme += "s"
	}
	path := "/"
	if link.HTTP != nil && link.HTTP.Path != "" {
		path = link.HTTP.Path
	}
	return scheme + "://" + hostPort + path
}
