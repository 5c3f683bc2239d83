package discover

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// rootCAConfigMap is in every namespace, and holds the authority of the API server's certificate.
const rootCAConfigMap = "kube-root-ca.crt"

// spoken is what goes over the connections to a port of a Service, as far as the cluster tells.
type spoken struct {
	protocol v1alpha1.Protocol
	// tls is set where the protocol alone does not say that it is spoken over TLS, or where the authority is known.
	tls *v1alpha1.TLSClient
	// why is where that is from; empty: nobody says anything, and TCP is true of all.
	why string
	// guessed: it is what most do on the port's number.
	guessed bool
}

// spokenTo is what a Service says about its port: by appProtocol, or else by the part of its name before the first '-', as
// meshes read it. Where neither speaks of a protocol, the number of the port suggests HTTPS.
func spokenTo(service *corev1.Service, port *corev1.ServicePort) spoken {
	said, why := strings.ToLower(port.Name), "the name of its port is "+port.Name
	if said != "grpc-web" && !strings.HasPrefix(said, "grpc-web-") {
		said, _, _ = strings.Cut(said, "-")
	}
	if port.AppProtocol != nil {
		said, why = strings.TrimPrefix(strings.ToLower(*port.AppProtocol), "kubernetes.io/"), "its appProtocol is "+*port.AppProtocol
	}
	var s spoken
	switch {
	case said == "http", strings.HasPrefix(said, "grpc-web"): // gRPC-Web is made for HTTP/1.1
		s = spoken{protocol: v1alpha1.ProtocolHTTP, why: why}
	case said == "https":
		s = spoken{protocol: v1alpha1.ProtocolHTTPS, why: why}
	case said == "h2c", said == "http2":
		s = spoken{protocol: v1alpha1.ProtocolHTTP2, why: why}
	case said == "grpc":
		s = spoken{protocol: v1alpha1.ProtocolGRPC, why: why}
	case said == "ws":
		s = spoken{protocol: v1alpha1.ProtocolWebSocket, why: why}
	case said == "wss":
		s = spoken{protocol: v1alpha1.ProtocolWebSocket, tls: &v1alpha1.TLSClient{}, why: why}
	case said == "tls":
		s = spoken{protocol: v1alpha1.ProtocolTCP, why: why}
	case port.AppProtocol == nil && said != "tcp" && usuallyTLS(port.Port):
		s = spoken{protocol: v1alpha1.ProtocolHTTPS, why: fmt.Sprintf("most servers speak it on port %d", port.Port), guessed: true}
	default:
		return spoken{protocol: v1alpha1.ProtocolTCP}
	}
	if s.protocol == v1alpha1.ProtocolHTTPS && service.Namespace == metav1.NamespaceDefault && service.Name == "kubernetes" {
		s.tls = &v1alpha1.TLSClient{CAConfigMap: &v1alpha1.ConfigMapKey{Name: rootCAConfigMap, Key: corev1.ServiceAccountRootCAKey}}
	}
	return s
}

// usuallyTLS says whether most servers that listen on a port speak HTTP over TLS there.
func usuallyTLS(port int32) bool { return slices.Contains([]int32{443, 6443, 8443}, port) }

// note says where a link's protocol is from, and what is to be checked; empty: nothing.
func (s spoken) note(link string, service *corev1.Service, port *corev1.ServicePort) string {
	switch {
	case s.why == "":
		return ""
	case s.protocol == v1alpha1.ProtocolTCP:
		return fmt.Sprintf("Link %s: %s, which does not say what is spoken over TLS. Probes connect and say nothing, unless you write the protocol.", link, s.why)
	}
	text := fmt.Sprintf("Link %s: %s, since %s.", link, s.protocol, s.why)
	if s.guessed {
		text = fmt.Sprintf("Link %s: %s is a guess: %s, and nothing in the cluster says what this one does. Write the protocol that it speaks, or TCP, which is true of all.", link, s.protocol, s.why)
	}
	switch overTLS := s.tls != nil || s.protocol == v1alpha1.ProtocolHTTPS; {
	case s.tls != nil && s.tls.CAConfigMap != nil:
		text += fmt.Sprintf(" The authority of its certificate is in the ConfigMap %s of every namespace.", s.tls.CAConfigMap.Name)
	case overTLS:
		text += fmt.Sprintf(" Check that the server's certificate is for %s.%s.svc, or write the name that it is for in tls.serverName; and name the authority that signed it in tls.caConfigMap, unless that is a public one.", service.Name, service.Namespace)
	case usuallyTLS(port.Port):
		text += fmt.Sprintf(" In clear text, although most servers speak TLS on port %d: if this one does, write HTTPS, or tls beside another protocol.", port.Port)
	}
	return text
}
