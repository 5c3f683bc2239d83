package discover

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func TestProtocolOfAPort(t *testing.T) {
	for _, c := range []struct {
		name, application string
		want              v1alpha1.Protocol
	}{
		{"http", "", v1alpha1.ProtocolHTTP},
		{"http-api", "", v1alpha1.ProtocolHTTP},
		{"http2", "", v1alpha1.ProtocolHTTP2},
		{"grpc-orders", "", v1alpha1.ProtocolGRPC},
		{"httpd", "", v1alpha1.ProtocolTCP},
		{"", "", v1alpha1.ProtocolTCP},
		{"https", "", v1alpha1.ProtocolTCP},
		{"http", "https", v1alpha1.ProtocolTCP},
		{"web", "http", v1alpha1.ProtocolHTTP},
		{"web", "kubernetes.io/h2c", v1alpha1.ProtocolHTTP2},
		{"web", "kubernetes.io/ws", v1alpha1.ProtocolWebSocket},
		{"web", "kubernetes.io/wss", v1alpha1.ProtocolTCP},
	} {
		port := &corev1.ServicePort{Name: c.name}
		if c.application != "" {
			port.AppProtocol = &c.application
		}
		if got := protocolOf(port); got != c.want {
			t.Errorf("%q with the protocol %q is %s, want %s", c.name, c.application, got, c.want)
		}
	}
}
