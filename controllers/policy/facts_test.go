package policy

import (
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/history"
	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/probes/result"
)

func TestTheRulesKnowWhatTheClusterTells(t *testing.T) {
	s := &scope{policy: &v1alpha1.ConnectionPolicy{}, now: begin, nodePorts: &ports.Range{First: 30000, Last: 32767}}
	s.source.pods = []corev1.Pod{sourcePod("a", "n1", 1, ""), sourcePod("b", "n2", 1, ""), sourcePod("c", "n2", 1, "-"), sourcePod("d", "n2", 1, "x"), sourcePod("e", "", 1, "")}
	s.observed = []observed{{
		pod:  &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{v1alpha1.AnnotationTuning: "deployment-a.1f"}}},
		seen: sighting{outcome: result.Measured, observation: &result.Observation{}},
	}}
	l := &link{target: target{addresses: []string{"198.19.0.1:80"}, virtual: true, readyEndpoints: new(int32(3))}}
	in, err := auditInput(s, l, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !in.Virtual || in.ReadyEndpoints == nil || *in.ReadyEndpoints != 3 || in.PodsPerNode == nil || *in.PodsPerNode != 2 ||
		in.NodePorts == nil || in.NodePorts.First != 30000 || in.Tuning != nil || in.Observations[0].Stamp != "deployment-a.1f" {
		t.Errorf("%+v", in)
	}
	s.source.pods = nil
	if in, err = auditInput(s, l, nil); err != nil || in.PodsPerNode != nil {
		t.Errorf("pods on a node, of none: %v, %v", in.PodsPerNode, err)
	}
}

// Ingress controllers, sidecars and Cilium leave sockets that name a Service's endpoints; the report goes on to say what the link
// leads to.
func TestSocketsMayNameAServicesEndpoints(t *testing.T) {
	l := &link{target: target{addresses: []string{"198.19.0.1:80"}, endpoints: []string{"198.18.1.1:8080", "198.18.1.2:8080"}, virtual: true, readyEndpoints: new(int32(2))}}
	for name, c := range map[string]struct {
		named   []string
		virtual bool
	}{
		"none":      {nil, true},
		"others":    {[]string{"198.18.7.7:443"}, true},
		"Service":   {[]string{"198.19.0.1:80"}, true},
		"endpoints": {[]string{"198.18.7.7:443", "198.18.1.2:8080"}, false},
		"both":      {[]string{"198.18.1.2:8080", "198.19.0.1:80"}, true},
	} {
		seen := &result.Observation{}
		for _, address := range c.named {
			seen.Destinations = append(seen.Destinations, result.Destination{Address: address, PortsInUse: 3})
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "198.18.5.5"}, {IP: "fd00::5"}}}}
		s := &scope{policy: &v1alpha1.ConnectionPolicy{}, now: begin, observed: []observed{{pod: pod, seen: sighting{outcome: result.Measured, observation: seen}}}}
		in, err := auditInput(s, l, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := l.target.addresses
		if !c.virtual {
			want = l.target.endpoints
		}
		if in.Virtual != c.virtual || !slices.Equal(in.Addresses, want) || !slices.Equal(in.Observations[0].IPs, []string{"198.18.5.5", "fd00::5"}) {
			t.Errorf("%s: %v, virtual %v, of a pod with %v", name, in.Addresses, in.Virtual, in.Observations[0].IPs)
		}
		status, err := reportStatus(s, l, nil, nil)
		if err != nil || !slices.Equal(status.Target.Addresses, l.target.addresses) {
			t.Errorf("%s: %v: the report names %v", name, err, status.Target.Addresses)
		}
	}
}

func TestTheRulesKnowTheHistory(t *testing.T) {
	looks := []history.Look{
		{Time: metav1.NewTime(begin.Add(time.Hour)), KeyFigures: v1alpha1.KeyFigures{PortUtilizationPercent: new(int32(40)), HandshakeP99Microseconds: new(int64(900))}},
		{Time: metav1.NewTime(begin)},
	}
	want := []audit.PastFigures{
		{At: begin.Add(time.Hour), KeyFigures: audit.KeyFigures{PortUtilizationPercent: new(40), HandshakeP99Microseconds: new(int64(900))}},
		{At: begin},
	}
	if got := pastFigures(looks); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestEndpointsThatAreNotReady(t *testing.T) {
	web := corev1.ServicePort{Name: "http", Port: 80}
	both := []discoveryv1.EndpointSlice{
		endpoints("http", 8080, true, "198.18.1.1", "198.18.1.2"), endpoints("http", 8080, false, "198.18.1.3", "198.18.1.2"), endpoints("admin", 9000, false, "198.18.1.4"),
	}
	reference := v1alpha1.Link{Protocol: v1alpha1.ProtocolHTTP, Service: &v1alpha1.ServiceReference{Name: "pay", Port: "http"}}
	headless, _ := serviceTarget(reference, service(corev1.ClusterIPNone, web), both)
	if !slices.Equal(headless.notReady, []string{"198.18.1.3:8080"}) || headless.virtual || len(headless.addresses) != 2 {
		t.Errorf("headless: %+v", headless)
	}
	virtual, _ := serviceTarget(reference, service("198.19.0.1", web), both)
	if !virtual.virtual || virtual.notReady != nil {
		t.Errorf("behind a virtual address: %+v", virtual)
	}
}

func TestSettingsOf(t *testing.T) {
	tuning := func(reason string, change func(*v1alpha1.ConnectionTuning)) *v1alpha1.ConnectionTuning {
		t := &v1alpha1.ConnectionTuning{ObjectMeta: metav1.ObjectMeta{Name: "deployment-a", Generation: 2}}
		t.Status.ObservedGeneration = 2
		t.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionProgressing, Reason: reason, Message: "so it is"}}
		change(t)
		return t
	}
	asIs := func(*v1alpha1.ConnectionTuning) {}
	applied := func(t *v1alpha1.ConnectionTuning) {
		t.Spec.Revision = "1f"
		t.Spec.Knobs = &v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 10000, Last: 65535, Reserved: []string{"30000-32767"}}}
		t.Status.Canaries = []v1alpha1.Canary{{NodeKind: "v1", Outcome: "measured"}, {NodeKind: "v2", Outcome: "failed", Cause: "refused"}}
	}
	values := map[string]string{"net.ipv4.ip_local_port_range": "10000 65535", "net.ipv4.ip_local_reserved_ports": "30000-32767"}
	tried := []audit.Trial{{NodeKind: "v1", Outcome: result.Measured}, {NodeKind: "v2", Outcome: result.Failed, Cause: "refused"}}
	for name, c := range map[string]struct {
		tuning *v1alpha1.ConnectionTuning
		want   *audit.Tuning
	}{
		"none":                     {nil, nil},
		"being taken away":         {tuning(v1alpha1.ReasonUndoing, func(t *v1alpha1.ConnectionTuning) { t.DeletionTimestamp = new(metav1.NewTime(begin)) }), nil},
		"not worked out":           {tuning(v1alpha1.ReasonConflict, func(t *v1alpha1.ConnectionTuning) { t.Generation = 3 }), &audit.Tuning{}},
		"applied":                  {tuning(v1alpha1.ReasonNotCompared, applied), &audit.Tuning{WorkedOut: true, Stamp: "deployment-a.1f", Sysctls: values, Tried: tried}},
		"forbidden":                {tuning(v1alpha1.ReasonForbidden, asIs), &audit.Tuning{WorkedOut: true, Forbidden: "so it is"}},
		"overridden":               {tuning(v1alpha1.ReasonOverridden, asIs), &audit.Tuning{WorkedOut: true, Overridden: "so it is"}},
		"in conflict":              {tuning(v1alpha1.ReasonConflict, asIs), &audit.Tuning{WorkedOut: true, Conflict: "so it is"}},
		"waits for approval":       {tuning(v1alpha1.ReasonAwaitingApproval, asIs), nil},
		"applied, a new one waits": {tuning(v1alpha1.ReasonAwaitingApproval, applied), &audit.Tuning{WorkedOut: true, Stamp: "deployment-a.1f", Sysctls: values, Tried: tried}},
	} {
		if got := settingsOf(c.tuning); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A rule about ports that explains, and could not be judged, keeps no tuning from being weighed.
func TestOnlyTheUseOfPortsDecides(t *testing.T) {
	for rule, judged := range map[string]bool{"CP401": false, "CP403": false, "CP407": true, "CP102": true} {
		list := []v1alpha1.Verdict{{Rule: "CP401", Result: v1alpha1.VerdictPass}, {Rule: rule, Result: v1alpha1.VerdictUnknown}}
		if portsJudged(list) != judged {
			t.Errorf("with %s unknown: %v", rule, !judged)
		}
	}
}

// A name outside of the cluster may lead the workload to any of its addresses, not only to the one that was probed.
func TestAWorkloadsSocketsMayNameAnyAddressOfAName(t *testing.T) {
	s := newScope(&v1alpha1.ConnectionPolicy{Spec: v1alpha1.ConnectionPolicySpec{To: []v1alpha1.Link{{Name: "bank"}}, Observe: v1alpha1.ObserveSpec{Pods: new(int32(0))}}}, begin)
	r := fullResult()
	r.Target.Address, r.Target.Addresses = "198.18.0.1:443", []string{"198.18.0.1", "198.18.0.2", "2001:db8::1", "nonsense"}
	in, err := auditInput(s, s.links[0], []v1alpha1.Vantage{vantageOf(t, "n1", "a", r)})
	want := []string{"198.18.0.1:443", "198.18.0.2:443", "[2001:db8::1]:443"}
	if err != nil || !slices.Equal(in.Addresses, want) {
		t.Errorf("%v: addresses %v, want %v", err, in.Addresses, want)
	}
	if !in.Unobserved {
		t.Error("a policy that asks for no observer is waited for to have one")
	}
	s.links[0].target.addresses = []string{"198.18.9.9:443"}
	if in, err := auditInput(s, s.links[0], []v1alpha1.Vantage{vantageOf(t, "n1", "a", r)}); err != nil || !slices.Equal(in.Addresses, []string{"198.18.9.9:443"}) {
		t.Errorf("%v: a Service's addresses became %v", err, in.Addresses)
	}
}
