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
