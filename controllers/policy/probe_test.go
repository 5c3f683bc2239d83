package policy

import (
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// An objective on handshakes takes more samples, and a run without them does not answer for it.
func TestObjectiveAsksForHandshakeSamples(t *testing.T) {
	build := func(objectives *v1alpha1.Objectives) (fingerprint, arguments string) {
		policy := &v1alpha1.ConnectionPolicy{Spec: v1alpha1.ConnectionPolicySpec{
			To: []v1alpha1.Link{{Name: "l", Protocol: v1alpha1.ProtocolTCP}}, Objectives: objectives,
		}}
		s := newScope(policy, begin)
		r := &Reconciler{}
		in, err := r.runInput(t.Context(), s, s.links[0], "")
		if err != nil {
			t.Fatal(err)
		}
		step := advance(in)
		if step.create == nil {
			t.Fatal("no pod is to be created")
		}
		return in.fingerprint, strings.Join(r.buildPod(s, s.links[0], &step).Spec.Containers[0].Args, " ")
	}
	bare, without := build(nil)
	for name, c := range map[string]struct {
		objectives *v1alpha1.Objectives
		asks       string
	}{
		"another objective":     {&v1alpha1.Objectives{SetupSharePercent: new(int32(50))}, ""},
		"the 99th percentile":   {&v1alpha1.Objectives{HandshakeP99Microseconds: new(int64(5000))}, "--handshake-samples 299 --count-connects-above 5000"},
		"another bound of that": {&v1alpha1.Objectives{HandshakeP99Microseconds: new(int64(900))}, "--handshake-samples 299 --count-connects-above 900"},
	} {
		fingerprint, arguments := build(c.objectives)
		if !strings.Contains(arguments, c.asks) || (fingerprint != bare) != (c.asks != "") {
			t.Errorf("%s: fingerprint %s, without %s; asks %s", name, fingerprint, bare, arguments)
		}
	}
	if strings.Contains(without, "--handshake-samples") {
		t.Errorf("asked for without an objective: %s", without)
	}
}

// What a run measures, and that it is another run when that changes; idle has a pod of its own and changes no run.
func TestRunMeasuresAllButIdle(t *testing.T) {
	build := func(change func(*v1alpha1.ConnectionPolicySpec)) (fingerprint, arguments string) {
		spec := v1alpha1.ConnectionPolicySpec{To: []v1alpha1.Link{{Name: "l", Protocol: v1alpha1.ProtocolHTTPS}}}
		change(&spec)
		s := newScope(&v1alpha1.ConnectionPolicy{Spec: spec}, begin)
		r := &Reconciler{}
		in, err := r.runInput(t.Context(), s, s.links[0], "")
		if err != nil {
			t.Fatal(err)
		}
		step := advance(in)
		return in.fingerprint, strings.Join(r.buildPod(s, s.links[0], &step).Spec.Containers[0].Args, " ")
	}
	const handshake, idle = v1alpha1.MeasurementHandshake, v1alpha1.MeasurementIdle
	bare, _ := build(func(*v1alpha1.ConnectionPolicySpec) {})
	for _, test := range []struct {
		name    string
		change  func(*v1alpha1.ConnectionPolicySpec)
		asks    string
		another bool
	}{
		{"nothing named", func(*v1alpha1.ConnectionPolicySpec) {}, "--except idle", false},
		{"another time for idle", func(spec *v1alpha1.ConnectionPolicySpec) { spec.Probe.Limits.IdleSeconds = new(int32(60)) }, "--except idle", false},
		{"two named", func(spec *v1alpha1.ConnectionPolicySpec) {
			spec.Probe.Measurements = []v1alpha1.MeasurementName{handshake, idle}
		}, "--measure handshake", true},
		{"idle alone", func(spec *v1alpha1.ConnectionPolicySpec) {
			spec.Probe.Measurements = []v1alpha1.MeasurementName{idle}
		}, "--measure handshake", true},
		{"another name of the server", func(spec *v1alpha1.ConnectionPolicySpec) {
			spec.To[0].TLS = &v1alpha1.TLSClient{ServerName: "bank.example"}
		}, "--tls-server-name bank.example --except idle", true},
	} {
		fingerprint, arguments := build(test.change)
		if !strings.HasSuffix(arguments, test.asks) || (fingerprint != bare) != test.another {
			t.Errorf("%s: fingerprint %s, of nothing named %s; asks %s", test.name, fingerprint, bare, arguments)
		}
	}
}
