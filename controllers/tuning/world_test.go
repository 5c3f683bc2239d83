package tuning

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/tuner"
	"github.com/connpolicy/connpolicy/probes/result"
)

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	shopper = v1alpha1.WorkloadReference{Group: "apps", Kind: "Deployment", Name: "client"}
	wide    = v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 1024, Last: 65535, Reserved: []string{"8080"}}}
	wider   = v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 1024, Last: 65533, Reserved: []string{"9090"}}}
)

// world is a State on which decisions are carried out without an API server.
type world struct {
	State
	t *testing.T
}

// newWorld is a namespace that has opted in, with a Deployment of two pods and one policy, whose plan asks for wide.
func newWorld(t *testing.T, mode v1alpha1.TuningMode, disruption v1alpha1.Disruption) *world {
	t.Helper()
	w := &world{t: t, State: State{
		Now:       noon,
		Name:      tuner.Name(shopper),
		Target:    shopper,
		MayApply:  true,
		Namespace: Namespace{Name: "shop", OptedIn: true},
		Policies:  []v1alpha1.ConnectionPolicy{policy("checkout", mode, disruption)},
		Workload:  &Workload{RolledOut: true},
		NodeKinds: []NodeKind{{Name: "kubelet v1.37.2, kernel 6.18", Node: "n1", Nodes: 2}},
	}}
	w.plan(wide)
	w.setPods("old", 2, "")
	return w
}

func policy(name string, mode v1alpha1.TuningMode, disruption v1alpha1.Disruption) v1alpha1.ConnectionPolicy {
	p := v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name)}}
	p.Spec.From = &shopper
	p.Spec.Tuning.Mode = mode
	p.Spec.Tuning.Disruption = disruption
	return p
}

func (w *world) plan(values v1alpha1.KnobValues) {
	w.Plan = tuner.Plan{
		Values:   &values,
		Revision: tuner.Revision(values),
		Hash:     tuner.Hash(shopper, values),
		Recommendations: []v1alpha1.Recommendation{{
			Knob: v1alpha1.KnobEphemeralPorts, Recommended: "1024-65535", Reason: "full", Confidence: v1alpha1.ConfidenceLow,
		}},
		Demands: []v1alpha1.Demand{{PolicyName: "checkout", LinkName: "payments", Knob: v1alpha1.KnobEphemeralPorts, Value: "1024-65535"}},
	}
}

// setPods replaces the workload's pods by n new ones with a stamp.
func (w *world) setPods(prefix string, n int, stamp string) {
	w.Pods = nil
	for i := range n {
		w.Pods = append(w.Pods, Pod{Name: prefix + string(rune('a'+i)), Created: w.Now, Stamp: stamp, Alive: true})
	}
	w.Readings = nil
}

// read makes an observer read values in the first pod.
func (w *world) read(values v1alpha1.KnobValues) {
	w.Readings = []Reading{{Pod: w.Pods[0].Name, Stamp: w.Pods[0].Stamp, Sysctls: inForceSysctls(values)}}
}

func inForceSysctls(values v1alpha1.KnobValues) map[string]string {
	sysctls := map[string]string{}
	for _, sysctl := range tuner.Sysctls(values) {
		sysctls[sysctl.Name] = sysctl.Value
	}
	return sysctls
}

// admit makes the API server give the values of the spec to new pods, or none if there are none.
func (w *world) admit() {
	w.Admission = &Admission{}
	if t := w.Tuning; t != nil && t.DeletionTimestamp.IsZero() && t.Spec.Knobs != nil {
		w.Admission.Stamp = stampOf(w.Name, t.Spec.Revision)
		w.Admission.Sysctls = inForceSysctls(*t.Spec.Knobs)
	}
}

// step decides and carries the decision out, five seconds after the last.
func (w *world) step() Decision {
	w.t.Helper()
	w.Now = w.Now.Add(5 * time.Second)
	decision := Decide(w.State)
	w.carryOut(decision)
	return decision
}

func (w *world) carryOut(decision Decision) {
	w.t.Helper()
	if decision.Delete {
		w.deleteTuning()
		return
	}
	if decision.Tuning == nil {
		return
	}
	after := decision.Tuning.DeepCopy()
	if w.Tuning == nil || !equality.Semantic.DeepEqual(w.Tuning.Spec, after.Spec) {
		after.Generation++
	}
	w.Tuning = after
	for _, name := range decision.RemoveCanaryPods {
		delete(w.CanaryPods, name)
	}
	for _, start := range decision.StartCanaries {
		if w.CanaryPods == nil {
			w.CanaryPods = map[string]CanaryPod{}
		}
		w.CanaryPods[start.PodName] = CanaryPod{UID: "uid-" + start.PodName}
		CanaryStarted(&w.Tuning.Status, start.PodName, "uid-"+start.PodName)
	}
	if decision.RestartAt != nil {
		if !decision.RestartAt.After(w.Workload.RestartedAt) {
			w.t.Errorf("restart at %v is not after the one at %v, so it would replace nothing", decision.RestartAt, w.Workload.RestartedAt)
		}
		w.Workload.RestartedAt = *decision.RestartAt
		w.Workload.RolledOut = false
	}
	if !w.Tuning.DeletionTimestamp.IsZero() && len(w.Tuning.Finalizers) == 0 {
		w.Tuning = nil
	}
}

// deleteTuning deletes the tuning as the API server does.
func (w *world) deleteTuning() {
	if w.Tuning == nil || len(w.Tuning.Finalizers) == 0 {
		w.Tuning = nil
		return
	}
	at := metav1.NewTime(w.Now)
	w.Tuning.DeletionTimestamp = &at
}

// finishCanaries lets every canary that runs end with a reading.
func (w *world) finishCanaries(reading probepod.Reading) {
	reading.Finished = true
	for name, pod := range w.CanaryPods {
		pod.Reading = reading
		w.CanaryPods[name] = pod
	}
}

// rollOutTo lets the workload's rollout end with n new pods of a stamp.
func (w *world) rollOutTo(n int, stamp string) {
	w.setPods("new", n, stamp)
	w.Workload.RolledOut = true
}

// brought is the reading of a canary in which values are in force.
func brought(values v1alpha1.KnobValues) probepod.Reading {
	return probepod.Reading{Outcome: result.Measured, Result: &result.Result{Host: result.Host{Sysctls: inForceSysctls(values)}}}
}

// apply drives the world to the point where values stand in the spec.
func (w *world) apply(values v1alpha1.KnobValues) {
	w.t.Helper()
	w.step()
	w.finishCanaries(brought(values))
	w.step()
	w.step()
	if InForce(w.Tuning) == nil || w.Tuning.Spec.Revision != tuner.Revision(values) {
		w.t.Fatalf("the values are not in the spec after their trial: %+v", w.Tuning)
	}
}

// verify drives the world to the point where values are read back in replaced pods.
func (w *world) verify(values v1alpha1.KnobValues) {
	w.t.Helper()
	w.apply(values)
	w.admit()
	w.step()
	w.rollOutTo(2, w.stamp())
	w.read(values)
	w.step()
	w.wantCondition(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonNotCompared)
}

// stamp is that of the values in the spec.
func (w *world) stamp() string { return stampOf(w.Name, w.Tuning.Spec.Revision) }

func (w *world) wantCondition(conditionType string, status metav1.ConditionStatus, reason string) {
	w.t.Helper()
	if w.Tuning == nil {
		w.t.Fatalf("there is no tuning, want one with %s %s %s", conditionType, status, reason)
	}
	condition := meta.FindStatusCondition(w.Tuning.Status.Conditions, conditionType)
	if condition == nil || condition.Status != status || condition.Reason != reason {
		w.t.Fatalf("condition %s is %+v, want %s %s", conditionType, condition, status, reason)
	}
	if condition.Message == "" {
		w.t.Errorf("condition %s %s has no message", conditionType, reason)
	}
}

func (w *world) wantReason(conditionType, reason string) {
	w.t.Helper()
	if w.Tuning == nil {
		w.t.Fatalf("there is no tuning, want one with %s %s", conditionType, reason)
	}
	condition := meta.FindStatusCondition(w.Tuning.Status.Conditions, conditionType)
	if condition == nil || condition.Reason != reason {
		w.t.Fatalf("condition %s is %+v, want reason %s", conditionType, condition, reason)
	}
}

func (w *world) message(conditionType string) string {
	w.t.Helper()
	condition := meta.FindStatusCondition(w.Tuning.Status.Conditions, conditionType)
	if condition == nil {
		w.t.Fatalf("condition %s is absent", conditionType)
	}
	return condition.Message
}

// wantSettled: deciding again changes nothing, so that nothing is written again and again.
func (w *world) wantSettled() {
	w.t.Helper()
	before := w.Tuning.DeepCopy()
	for range 2 {
		w.step()
		if !equality.Semantic.DeepEqual(before.Spec, w.Tuning.Spec) {
			w.t.Fatalf("the spec does not settle:\n%+v\n%+v", before.Spec, w.Tuning.Spec)
		}
	}
	before.Status.ObservedGeneration = w.Tuning.Status.ObservedGeneration
	after := w.Tuning.Status.DeepCopy()
	for i := range before.Status.Conditions {
		before.Status.Conditions[i].ObservedGeneration = 0
		after.Conditions[i].ObservedGeneration = 0
	}
	if !equality.Semantic.DeepEqual(&before.Status, after) {
		w.t.Fatalf("the status does not settle:\n%+v\n%+v", before.Status, *after)
	}
}
