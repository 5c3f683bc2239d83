package tuning

import (
	"fmt"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
)

// setNodeKinds replaces the kinds of node by n others.
func (w *world) setNodeKinds(n int) {
	w.NodeKinds = nil
	for i := range n {
		w.NodeKinds = append(w.NodeKinds, NodeKind{Name: fmt.Sprintf("kind %02d", i), Node: fmt.Sprintf("n%02d", i), Nodes: 1})
	}
}

func (w *world) wantMessage(conditionType, words string) {
	w.t.Helper()
	if message := w.message(conditionType); !strings.Contains(message, words) {
		w.t.Errorf("message of %s is %q, want %q in it", conditionType, message, words)
	}
}

// TestTrialInRounds: more kinds of node than canaries may run at once are tried one round after the other, and the values
// come into force after the last.
func TestTrialInRounds(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.setNodeKinds(11)
	if decision := w.step(); len(decision.StartCanaries) != 8 {
		t.Fatalf("%d canaries are started, want 8", len(decision.StartCanaries))
	}
	w.wantMessage(v1alpha1.ConditionReady, "read back on 0 of 11 kinds of node")
	w.finishCanaries(brought(wide))
	w.step()
	w.wantMessage(v1alpha1.ConditionReady, "read back on 8 of 11 kinds of node")

	decision := w.step()
	if len(decision.StartCanaries) != 3 || w.Tuning.Spec.Knobs != nil {
		t.Fatalf("%d canaries are started, want 3; in force: %v", len(decision.StartCanaries), w.Tuning.Spec.Knobs)
	}
	w.wantMessage(v1alpha1.ConditionReady, "read back on 8 of 11 kinds of node")
	w.finishCanaries(brought(wide))
	w.step()
	if w.Tuning.Spec.Knobs != nil {
		t.Error("values are put in before the outcome of their trial is written down")
	}
	w.step()
	w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
	w.wantMessage(v1alpha1.ConditionProgressing, "on every kind of node (11)")
}

// TestTrialRefusedInTheSecondRound: what the last kind of node refuses is refused.
func TestTrialRefusedInTheSecondRound(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.setNodeKinds(9)
	w.step()
	w.finishCanaries(brought(wide))
	w.step()
	w.step()
	last := w.Tuning.Status.Canaries[8].Pod
	w.CanaryPods[last] = CanaryPod{UID: "uid-" + last, Reading: probepod.Reading{Finished: true, Rejected: true, Cause: "SysctlForbidden"}}
	w.step()
	w.wantReason(v1alpha1.ConditionReady, v1alpha1.ReasonForbidden)
	if w.Tuning.Spec.Knobs != nil || len(w.Tuning.Status.Rejected) != 1 {
		t.Errorf("values that one kind of node refuses are in force, or not rejected: %+v", w.Tuning)
	}
}

// TestTooManyKindsOfNode: values that cannot be tried on every kind of node are held, and tried once they can.
func TestTooManyKindsOfNode(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.setNodeKinds(33)
	decision := w.step()
	if len(decision.StartCanaries) != 0 || decision.RequeueAfter == 0 || len(w.Tuning.Status.Rejected) != 0 {
		t.Errorf("values are tried, rejected or forgotten: %+v", decision)
	}
	w.wantReason(v1alpha1.ConditionReady, v1alpha1.ReasonUnsupported)
	w.wantMessage(v1alpha1.ConditionReady, "33 kinds of node")
	w.wantSettled()

	w.setNodeKinds(32)
	for range 4 {
		w.step()
		w.finishCanaries(brought(wide))
		w.step()
		if w.Tuning.Spec.Knobs != nil {
			t.Fatal("values are in force before every kind of node has shown them")
		}
	}
	w.step()
	w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)

	// Values in force stay while newer ones cannot be tried.
	w.setNodeKinds(33)
	w.Policies[0].Spec.Tuning.Disruption = v1alpha1.DisruptionNone
	w.step()
	w.plan(wider)
	w.step()
	if InForce(w.Tuning) == nil || w.Tuning.Spec.Knobs.EphemeralPorts.Last != wide.EphemeralPorts.Last {
		t.Errorf("the spec is %+v, want the values that were in force", w.Tuning.Spec)
	}
	w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonUnsupported)
}

// TestTrialOnAnotherNode: an attempt on a node that is gone is made again on one that is there.
func TestTrialOnAnotherNode(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.step()
	w.NodeKinds[0].Node = "n2"
	w.finishCanaries(probepod.Reading{Cause: "no node took it"})
	w.step()
	w.Now = w.Tuning.Status.Canaries[0].NotBefore.Time
	decision := w.step()
	if len(decision.StartCanaries) != 1 || decision.StartCanaries[0].Node != "n2" || w.Tuning.Status.Canaries[0].Node != "n2" {
		t.Errorf("canaries that are started: %+v, want one on n2", decision.StartCanaries)
	}
}
