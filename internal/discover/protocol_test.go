package discover

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func TestSpokenTo(t *testing.T) {
	for _, c := range []struct {
		name, application string
		number            int32
		want              v1alpha1.Protocol
		tls               bool
		notes             []string // parts of what is said about it; none: nothing is
	}{
		{"http", "", 80, v1alpha1.ProtocolHTTP, false, []string{"HTTP, since the name of its port is http."}},
		{"http-api", "", 80, v1alpha1.ProtocolHTTP, false, []string{"is http-api."}},
		{"http", "", 443, v1alpha1.ProtocolHTTP, false, []string{"In clear text", "port 443", "write HTTPS"}},
		{"http2", "", 80, v1alpha1.ProtocolHTTP2, false, []string{"HTTP2, since"}},
		{"grpc-orders", "", 9000, v1alpha1.ProtocolGRPC, false, []string{"GRPC, since"}},
		{"grpc", "", 8443, v1alpha1.ProtocolGRPC, false, []string{"In clear text", "or tls beside"}},
		{"grpc-web", "", 80, v1alpha1.ProtocolHTTP, false, []string{"is grpc-web."}},
		{"grpc-web-shop", "", 80, v1alpha1.ProtocolHTTP, false, []string{"HTTP, since"}},
		{"https", "", 8080, v1alpha1.ProtocolHTTPS, false, []string{"HTTPS, since", "is for api.shop.svc", "tls.serverName", "tls.caConfigMap"}},
		{"https-web", "", 443, v1alpha1.ProtocolHTTPS, false, []string{"HTTPS, since"}},
		{"tls", "", 443, v1alpha1.ProtocolTCP, false, []string{"the name of its port is tls, which does not say"}},
		{"httpd", "", 80, v1alpha1.ProtocolTCP, false, nil},
		{"", "", 80, v1alpha1.ProtocolTCP, false, nil},
		{"tcp-web", "", 443, v1alpha1.ProtocolTCP, false, nil},
		{"", "", 443, v1alpha1.ProtocolHTTPS, false, []string{"HTTPS is a guess: most servers speak it on port 443", "or TCP, which is true of all", "tls.caConfigMap"}},
		{"api", "", 6443, v1alpha1.ProtocolHTTPS, false, []string{"is a guess"}},
		{"web", "", 8443, v1alpha1.ProtocolHTTPS, false, []string{"is a guess"}},
		{"http", "https", 80, v1alpha1.ProtocolHTTPS, false, []string{"since its appProtocol is https."}},
		{"web", "HTTPS", 80, v1alpha1.ProtocolHTTPS, false, []string{"since its appProtocol is HTTPS."}},
		{"web", "http", 80, v1alpha1.ProtocolHTTP, false, []string{"HTTP, since"}},
		{"web", "grpc", 80, v1alpha1.ProtocolGRPC, false, []string{"GRPC, since"}},
		{"web", "kubernetes.io/h2c", 80, v1alpha1.ProtocolHTTP2, false, []string{"since its appProtocol is kubernetes.io/h2c."}},
		{"web", "kubernetes.io/ws", 80, v1alpha1.ProtocolWebSocket, false, []string{"WebSocket, since"}},
		{"web", "kubernetes.io/wss", 80, v1alpha1.ProtocolWebSocket, true, []string{"WebSocket, since", "tls.caConfigMap"}},
		{"https", "example.com/own", 443, v1alpha1.ProtocolTCP, false, nil},
		{"https", "mysql", 443, v1alpha1.ProtocolTCP, false, nil},
	} {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}}
		port := &corev1.ServicePort{Name: c.name, Port: c.number}
		if c.application != "" {
			port.AppProtocol = &c.application
		}
		got := spokenTo(service, port)
		note := got.note("link", service, port)
		if got.protocol != c.want || (got.tls != nil) != c.tls || (note != "") != (c.notes != nil) {
			t.Errorf("port %q, %d, with the protocol %q: %+v, want %s: %s", c.name, c.number, c.application, got, c.want, note)
		}
		for _, part := range c.notes {
			if !strings.Contains(note, part) {
				t.Errorf("port %q, %d, with the protocol %q: %q is not said: %s", c.name, c.number, c.application, part, note)
			}
		}
	}
}

// The authority of the API server's certificate is known in every namespace.
func TestSpokenToTheAPIServer(t *testing.T) {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}}
	port := &corev1.ServicePort{Name: "https", Port: 443}
	s := spokenTo(service, port)
	if s.protocol != v1alpha1.ProtocolHTTPS || s.tls == nil || s.tls.CAConfigMap == nil || s.tls.CAConfigMap.Name != "kube-root-ca.crt" || s.tls.CAConfigMap.Key != "ca.crt" {
		t.Errorf("%+v", s)
	}
	if note := s.note("kubernetes", service, port); !strings.Contains(note, "in the ConfigMap kube-root-ca.crt of every namespace") || strings.Contains(note, "serverName") {
		t.Error(note)
	}
}
