package discover_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/discover"
	"github.com/connpolicy/connpolicy/internal/lint"
	"github.com/connpolicy/connpolicy/internal/manifest"
	"github.com/connpolicy/connpolicy/probes/result"
)

// update rewrites the golden files: go test ./internal/discover -update.
var update = flag.Bool("update", false, "rewrite the golden files")

func service(namespace, name, clusterIP string, ports ...corev1.ServicePort) corev1.Service {
	return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: clusterIP, Ports: ports}}
}

func port(name string, number int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, TargetPort: intstr.FromInt32(number)}
}

func slice(namespace, service, portName string, number int32, addresses ...string) discoveryv1.EndpointSlice {
	s := discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Ports:      []discoveryv1.EndpointPort{{Name: &portName, Port: &number}},
	}
	for _, address := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return s
}

// shop is a workload of two pods that connects to all kinds of things.
func shop() discover.Input {
	seen := func(pod string, uptime float64, destinations ...result.Destination) discover.Seen {
		return discover.Seen{Pod: pod, Observation: result.Observation{PortsAvailable: new(28232), UptimeSeconds: uptime, Destinations: destinations}}
	}
	h2c := port("grpc", 9000)
	h2c.AppProtocol = new("kubernetes.io/h2c")
	wss := port("stream", 8443)
	wss.AppProtocol = new("kubernetes.io/wss")
	in := discover.Input{
		Namespace: "shop",
		From:      &v1alpha1.WorkloadReference{Group: "apps", Kind: "Deployment", Name: "checkout"},
		Services: []corev1.Service{
			service("shop", "payments", "10.96.0.10", port("http", 80), port("metrics", 9100)),
			service("shop", "redis", "10.96.0.11", port("", 6379)),
			service("shop", "db", corev1.ClusterIPNone, port("postgres", 5432)),
			service("search", "index", "10.96.0.12", h2c),
			service("shop", "news", "10.96.0.13", wss),
			service("shop", "stock", "10.96.0.14", port("https", 443)),
			service("shop", "legacy", "10.96.0.15", port("", 8443)),
			service("default", "kubernetes", "10.96.0.1", port("https", 443)),
		},
		Slices: []discoveryv1.EndpointSlice{
			slice("shop", "db", "postgres", 5432, "10.244.1.5", "10.244.2.6"),
			slice("shop", "redis", "", 6379, "10.244.1.9"),
		},
		Pods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "worker-0"},
			Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.244.3.3"}}}}},
		NodeAddresses: []string{"192.0.2.1"},
		Seen: []discover.Seen{
			seen("checkout-a", 900,
				result.Destination{Address: "10.96.0.10:80", PortsInUse: 9000, PortsInUsePeak: 9100, TimeWait: 8990, OpensPerSecond: new(150.0)},
				result.Destination{Address: "10.244.1.5:5432", PortsInUse: 20, PortsInUsePeak: 20, OpensPerSecond: new(0.5)},
				result.Destination{Address: "10.244.2.6:5432", PortsInUse: 22, PortsInUsePeak: 25, OpensPerSecond: new(0.25)},
				result.Destination{Address: "10.244.1.9:6379", PortsInUse: 4, PortsInUsePeak: 4},
				result.Destination{Address: "127.0.0.1:15001", PortsInUse: 100, PortsInUsePeak: 100, OpensPerSecond: new(2.0)},
				result.Destination{Address: "192.0.2.1:6443", PortsInUse: 1, PortsInUsePeak: 1},
				result.Destination{Address: "10.96.0.13:8443", PortsInUse: 14, PortsInUsePeak: 14},
				result.Destination{Address: "10.96.0.14:443", PortsInUse: 13, PortsInUsePeak: 13},
				result.Destination{Address: "10.96.0.15:8443", PortsInUse: 12, PortsInUsePeak: 12},
				result.Destination{Address: "10.96.0.1:443", PortsInUse: 11, PortsInUsePeak: 11}),
			seen("checkout-b", 30,
				result.Destination{Address: "10.96.0.10:80", PortsInUse: 8000, PortsInUsePeak: 8000, TimeWait: 7900, OpensPerSecond: new(160.0)},
				// Its servers close first: hardly any port is held, for all the churn.
				result.Destination{Address: "203.0.113.7:443", PortsInUse: 2, PortsInUsePeak: 3, OpensPerSecond: new(80.0)},
				result.Destination{Address: "[::ffff:10.96.0.12]:9000", PortsInUse: 6, PortsInUsePeak: 6, OpensPerSecond: new(0.0)},
				result.Destination{Address: "10.244.3.3:7000", PortsInUse: 1, PortsInUsePeak: 2}),
		},
	}
	in.Seen[0].Observation.OtherDestinations = &result.Destination{Address: result.OtherDestinations, PortsInUse: 12}
	return in
}

func TestGolden(t *testing.T) {
	in := shop()
	found := discover.Find(in)
	text, err := found.YAML("What it connects to.", found.Notes(in))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "shop.yaml")
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	mustPass(t, text)
}

// mustPass fails the test unless the policy is one that an API server admits.
func mustPass(t *testing.T, text string) {
	t.Helper()
	documents, faults := manifest.Read("discovered", strings.NewReader(text))
	if len(faults) > 0 || len(documents) != 1 {
		t.Fatalf("%d documents, %v", len(documents), faults)
	}
	linter, err := lint.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range linter.Check(t.Context(), documents[0]) {
		t.Error(message)
	}
}

func TestRanking(t *testing.T) {
	var order []string
	for _, d := range discover.Destinations(shop()) {
		order = append(order, d.String())
	}
	got := strings.Join(order, "; ")
	// Churn that this side may come to hold ports by counts as if it did.
	want := "Service shop/payments:80; 203.0.113.7:443; 127.0.0.1:15001; Service shop/db:5432; Service shop/news:8443; Service shop/stock:443; Service shop/legacy:8443; Service default/kubernetes:443; Service search/index:9000; Service shop/redis:6379, at its endpoints; 10.244.3.3:7000, pod shop/worker-0; 192.0.2.1:6443"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestUnknownIsNotZero(t *testing.T) {
	in := discover.Input{Namespace: "a", Seen: []discover.Seen{{Pod: "p", Observation: result.Observation{
		UptimeSeconds: 100, Destinations: []result.Destination{{Address: "198.18.0.7:80", PortsInUse: 3}}}}}}
	found := discover.Find(in)
	d := found.Destinations[0]
	if d.OpensPerSecond != nil || d.Available != 0 || d.Pressure() != 0 || d.Held != 3 {
		t.Errorf("%+v", d)
	}
	text, err := found.YAML("What it connects to.", nil)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(text, "unknown") != 2 {
		t.Errorf("unknown figures are not named:\n%s", text)
	}
	mustPass(t, text)
}

// A pod's connections to itself are no link, those to another pod of the same workload are.
func TestPodItself(t *testing.T) {
	in := discover.Input{Namespace: "a",
		Pods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}, Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "198.18.0.1"}}}}}}
	for _, pod := range []string{"p", "q"} {
		in.Seen = append(in.Seen, discover.Seen{Pod: pod, Observation: result.Observation{Destinations: []result.Destination{{Address: "198.18.0.1:80", PortsInUse: 1}}}})
	}
	found := discover.Find(in)
	if len(found.Destinations) != 2 || len(found.Policy.Spec.To) != 1 {
		t.Fatalf("%+v", found)
	}
	for i, d := range found.Destinations {
		if (d.Unfit == "") != (found.Links[i] != "") || d.Unfit != "" && d.Unfit != "the pod itself" {
			t.Errorf("%+v has the link %q", d, found.Links[i])
		}
	}
}

func TestNothingSeen(t *testing.T) {
	found := discover.Find(discover.Input{Namespace: "a"})
	if found.Policy != nil || len(found.Destinations) != 0 {
		t.Errorf("%+v", found)
	}
}

// However many and however long-named, the links keep to the bounds of the API and each has a name of its own.
func TestManyLinks(t *testing.T) {
	in := discover.Input{Namespace: "a", From: &v1alpha1.WorkloadReference{Kind: "StatefulSet", Name: strings.Repeat("long.name-", 10) + "x"}}
	var destinations []result.Destination
	for i := range 20 {
		ip := "10.96.1." + string(rune('0'+i/10)) + string(rune('0'+i%10))
		ip = strings.Replace(ip, ".0", ".", 1)
		in.Services = append(in.Services, service("a", strings.Repeat("same-long-name-", 3)+string(rune('a'+i)), ip, port("http-web", 80)))
		destinations = append(destinations, result.Destination{Address: ip + ":80", PortsInUse: i + 1})
	}
	in.Seen = []discover.Seen{{Pod: "p", Observation: result.Observation{Destinations: destinations, PortsAvailable: new(100), UptimeSeconds: 100}}}
	found := discover.Find(in)
	if len(found.Policy.Spec.To) != 16 {
		t.Errorf("%d links", len(found.Policy.Spec.To))
	}
	text, err := found.YAML("What it connects to.", found.Notes(in))
	if err != nil {
		t.Fatal(err)
	}
	mustPass(t, text)
	if strings.Count(text, "none: a policy has 16 at the most") != 4 {
		t.Errorf("the rest is not named:\n%s", text)
	}
}
