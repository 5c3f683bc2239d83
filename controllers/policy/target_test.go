package policy

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func service(clusterIP string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay"},
		Spec:       corev1.ServiceSpec{ClusterIP: clusterIP, Ports: ports},
	}
}

func endpoints(port string, number int32, ready bool, addresses ...string) discoveryv1.EndpointSlice {
	slice := discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{Name: &port, Port: &number}}}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	return slice
}

func TestServiceTarget(t *testing.T) {
	web, admin := corev1.ServicePort{Name: "http", Port: 80}, corev1.ServicePort{Name: "admin", Port: 8081}
	dns := corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}
	external := service("")
	external.Spec.Type, external.Spec.ExternalName = corev1.ServiceTypeExternalName, "Bank.Example"
	dual := service("198.19.0.1", web)
	dual.Spec.ClusterIPs = []string{"198.19.0.1", "fd00::1"}

	for _, test := range []struct {
		name    string
		service *corev1.Service
		slices  []discoveryv1.EndpointSlice
		port    string
		// wanted
		reason, words, url, key string
		addresses               []string
		ready                   int32
	}{
		{name: "by name", service: service("198.19.0.1", web, admin), port: "http", slices: []discoveryv1.EndpointSlice{endpoints("http", 8080, true, "198.18.1.1", "198.18.1.2"), endpoints("http", 8080, true, "198.18.1.1")},
			url: "http://pay.shop.svc:80/", key: "198.19.0.1:80", addresses: []string{"198.19.0.1:80"}, ready: 2},
		{name: "by number", service: service("198.19.0.1", web, admin), port: "8081", slices: []discoveryv1.EndpointSlice{endpoints("admin", 9000, true, "198.18.1.1")},
			url: "http://pay.shop.svc:8081/", key: "198.19.0.1:8081", addresses: []string{"198.19.0.1:8081"}, ready: 1},
		{name: "the only TCP port", service: service("198.19.0.1", dns, web), slices: []discoveryv1.EndpointSlice{endpoints("http", 8080, true, "198.18.1.1")},
			url: "http://pay.shop.svc:80/", key: "198.19.0.1:80", addresses: []string{"198.19.0.1:80"}, ready: 1},
		{name: "two families", service: dual, slices: []discoveryv1.EndpointSlice{endpoints("http", 8080, true, "198.18.1.1")},
			url: "http://pay.shop.svc:80/", key: "198.19.0.1:80", addresses: []string{"198.19.0.1:80", "[fd00::1]:80"}, ready: 1},
		{name: "headless", service: service(corev1.ClusterIPNone, web), slices: []discoveryv1.EndpointSlice{endpoints("http", 8080, true, "198.18.1.2", "198.18.1.1")},
			url: "http://pay.shop.svc:8080/", key: "pay.shop.svc:8080", addresses: []string{"198.18.1.1:8080", "198.18.1.2:8080"}, ready: 2},
		{name: "outside", service: external, port: "443", url: "http://pay.shop.svc:443/", key: "bank.example:443"},
		{name: "several ports", service: service("198.19.0.1", web, admin), reason: v1alpha1.ReasonPortNotFound, words: "name one in service.port: http (80), admin (8081)"},
		{name: "no such port", service: service("198.19.0.1", web), port: "grpc", reason: v1alpha1.ReasonPortNotFound, words: "no port grpc; it has http (80)"},
		{name: "UDP alone", service: service("198.19.0.1", dns), reason: v1alpha1.ReasonPortNotFound, words: "no TCP port"},
		{name: "no endpoints", service: service("198.19.0.1", web), reason: v1alpha1.ReasonNoEndpoints, words: "no ready endpoint"},
		{name: "none ready", service: service("198.19.0.1", web), slices: []discoveryv1.EndpointSlice{endpoints("http", 8080, false, "198.18.1.1")}, reason: v1alpha1.ReasonNoEndpoints, words: "no ready endpoint"},
		{name: "endpoints of another port", service: service("198.19.0.1", web), slices: []discoveryv1.EndpointSlice{endpoints("admin", 8080, true, "198.18.1.1")}, reason: v1alpha1.ReasonNoEndpoints, words: "no ready endpoint"},
	} {
		t.Run(test.name, func(t *testing.T) {
			link := v1alpha1.Link{Protocol: v1alpha1.ProtocolHTTP, Service: &v1alpha1.ServiceReference{Name: "pay", Port: test.port}}
			got, found := serviceTarget(link, test.service, test.slices)
			if found.reason != test.reason || !strings.Contains(found.message, test.words) {
				t.Fatalf("trouble %+v, want %s with %q", found, test.reason, test.words)
			}
			if found.any() {
				return
			}
			if got.url != test.url || targetKey(got.host, got.port) != test.key || !slices.Equal(got.addresses, test.addresses) {
				t.Errorf("got %+v", got)
			}
			if test.ready > 0 && (got.readyEndpoints == nil || *got.readyEndpoints != test.ready) {
				t.Errorf("ready endpoints %v, want %d", got.readyEndpoints, test.ready)
			}
		})
	}
}

func TestEndpointTarget(t *testing.T) {
	for host, want := range map[string]target{
		"Bank.Example": {name: "Bank.Example:443", url: "tcp://Bank.Example:443", host: "Bank.Example", port: "443"},
		"198.18.0.9":   {name: "198.18.0.9:443", url: "tcp://198.18.0.9:443", host: "198.18.0.9", port: "443", addresses: []string{"198.18.0.9:443"}},
		"fd00::9":      {name: "[fd00::9]:443", url: "tcp://[fd00::9]:443", host: "fd00::9", port: "443", addresses: []string{"[fd00::9]:443"}},
	} {
		got := endpointTarget(v1alpha1.Link{Protocol: v1alpha1.ProtocolTCP, Endpoint: &v1alpha1.Endpoint{Host: host, Port: 443}})
		if got.name != want.name || got.url != want.url || got.host != want.host || got.port != want.port || !slices.Equal(got.addresses, want.addresses) {
			t.Errorf("%s: %+v, want %+v", host, got, want)
		}
	}
}

func TestWorkloadOf(t *testing.T) {
	owned := func(kind, name, hash string) *corev1.Pod {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: kind, Name: name, Controller: new(true)}}}}
		if hash != "" {
			pod.Labels = map[string]string{"pod-template-hash": hash}
		}
		return pod
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"Deployment":                      {owned("ReplicaSet", "a-b-5f", "5f"), "Deployment/a-b"},
		"StatefulSet":                     {owned("StatefulSet", "db", ""), "StatefulSet/db"},
		"DaemonSet":                       {owned("DaemonSet", "agent", ""), "DaemonSet/agent"},
		"ReplicaSet of nobody":            {owned("ReplicaSet", "a-b", ""), "/"},
		"ReplicaSet whose hash is not so": {owned("ReplicaSet", "a-b", "5f"), "/"},
		"bare":                            {&corev1.Pod{}, "/"},
	} {
		if got := workloadOf(test.pod); got.Kind+"/"+got.Name != test.want {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
	}
}

// HTTP/2, gRPC and WebSocket are spoken over TLS where the link says so.
func TestURLs(t *testing.T) {
	tls, path := &v1alpha1.TLSClient{}, &v1alpha1.HTTPRequest{Path: "/live"}
	for _, test := range []struct {
		link v1alpha1.Link
		want string
	}{
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolTCP}, "tcp://h:1"},
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolHTTP, HTTP: path}, "http://h:1/live"},
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolHTTPS}, "https://h:1/"},
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolHTTPS, TLS: tls}, "https://h:1/"},
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolHTTP2}, "http://h:1/"},
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolHTTP2, TLS: tls}, "https://h:1/"},
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolGRPC, TLS: tls}, "https://h:1/"},
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolWebSocket, HTTP: path}, "ws://h:1/live"},
		{v1alpha1.Link{Protocol: v1alpha1.ProtocolWebSocket, TLS: tls}, "wss://h:1/"},
	} {
		if got := url(test.link, "h:1"); got != test.want {
			t.Errorf("%+v: %s, want %s", test.link, got, test.want)
		}
	}
}

// A Service tells which of its endpoints stay and which it lists, also where none is ready, and of those that publish what is
// not ready too.
func TestServiceTargetListsEndpoints(t *testing.T) {
	web := corev1.ServicePort{Name: "http", Port: 80}
	published := endpoints("http", 8080, true, "198.18.1.1", "198.18.1.2")
	published.Endpoints[1].Conditions.Terminating = new(true)
	for name, test := range map[string]struct {
		slices          []discoveryv1.EndpointSlice
		staying, listed []string
	}{
		"all ready":       {[]discoveryv1.EndpointSlice{endpoints("http", 8080, true, "198.18.1.1")}, []string{"198.18.1.1:8080"}, []string{"198.18.1.1:8080"}},
		"one not ready":   {[]discoveryv1.EndpointSlice{endpoints("http", 8080, true, "198.18.1.1"), endpoints("http", 8080, false, "198.18.1.2")}, []string{"198.18.1.1:8080"}, []string{"198.18.1.1:8080", "198.18.1.2:8080"}},
		"none ready":      {[]discoveryv1.EndpointSlice{endpoints("http", 8080, false, "198.18.1.1")}, nil, []string{"198.18.1.1:8080"}},
		"published":       {[]discoveryv1.EndpointSlice{published}, []string{"198.18.1.1:8080"}, []string{"198.18.1.1:8080", "198.18.1.2:8080"}},
		"of another port": {[]discoveryv1.EndpointSlice{endpoints("admin", 8080, true, "198.18.1.1")}, nil, nil},
	} {
		for _, clusterIP := range []string{"198.19.0.1", corev1.ClusterIPNone} {
			link := v1alpha1.Link{Protocol: v1alpha1.ProtocolHTTP, Service: &v1alpha1.ServiceReference{Name: "pay"}}
			got, _ := serviceTarget(link, service(clusterIP, web), test.slices)
			if !slices.Equal(got.staying, test.staying) || !slices.Equal(got.listed, test.listed) || got.virtual != (clusterIP != corev1.ClusterIPNone) || got.name != "shop/pay:80" {
				t.Errorf("%s, %s: %+v", name, clusterIP, got)
			}
		}
	}
}

// Of a Service that publishes what is not ready too, an endpoint that is on its way out is news as well.
func TestEndpointsMatter(t *testing.T) {
	before, terminating, unready, same := endpoints("http", 8080, true, "198.18.1.1"), endpoints("http", 8080, true, "198.18.1.1"), endpoints("http", 8080, false, "198.18.1.1"), endpoints("http", 8080, true, "198.18.1.1")
	terminating.Endpoints[0].Conditions.Terminating = new(true)
	same.Endpoints[0].Zone = new("a")
	for name, test := range map[string]struct {
		after discoveryv1.EndpointSlice
		want  bool
	}{"on its way out": {terminating, true}, "not ready": {unready, true}, "in a zone": {same, false}} {
		if got := endpointsMatter().Update(event.UpdateEvent{ObjectOld: &before, ObjectNew: &test.after}); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
