package tuning

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/tuner"
	"github.com/connpolicy/connpolicy/probes/result"
)

// TestDecideFirst is about the first decision on a workload that has no tuning.
func TestDecideFirst(t *testing.T) {
	tests := map[string]struct {
		mode   v1alpha1.TuningMode
		change func(*world)
		// ready and progressing are the reasons of these conditions. Empty: there is no tuning.
		ready, progressing string
		canaries           int
		message            string
	}{
		"observe": {mode: v1alpha1.ModeObserve},
		"nothing was seen": {mode: v1alpha1.ModeApply, change: func(w *world) {
			w.Plan = tuner.Plan{Reason: v1alpha1.ReasonNotJudged, Message: "Nothing was seen."}
		}},
		"nothing to tune": {mode: v1alpha1.ModeApply, change: func(w *world) {
			w.Plan = tuner.Plan{Reason: v1alpha1.ReasonNothingToTune, Message: "All is well."}
		}},
		"suspended":           {mode: v1alpha1.ModeApply, change: func(w *world) { w.Policies[0].Spec.Suspend = true }},
		"no workload":         {mode: v1alpha1.ModeApply, change: func(w *world) { w.Workload = nil }},
		"recommend":           {mode: v1alpha1.ModeRecommend, ready: "AwaitingApproval", progressing: "AwaitingApproval", message: "sha256-"},
		"recommend, approved": {mode: v1alpha1.ModeRecommend, change: approve, ready: "Canary", progressing: "Canary", canaries: 1},
		"recommend, another hash approved": {mode: v1alpha1.ModeRecommend, change: func(w *world) {
			w.Policies[0].Spec.Tuning.Approve = []string{"sha256-0000000000000000"}
		}, ready: "AwaitingApproval", progressing: "AwaitingApproval"},
		"apply": {mode: v1alpha1.ModeApply, ready: "Canary", progressing: "Canary", canaries: 1},
		"apply, two kinds of node": {mode: v1alpha1.ModeApply, change: func(w *world) {
			w.NodeKinds = append(w.NodeKinds, NodeKind{Name: "another", Node: "n2", Nodes: 1})
		}, ready: "Canary", progressing: "Canary", canaries: 2},
		"apply, more kinds of node than canaries": {mode: v1alpha1.ModeApply, change: func(w *world) {
			for i := range 10 {
				w.NodeKinds = append(w.NodeKinds, NodeKind{Name: "kind " + string(rune('a'+i)), Node: "n2", Nodes: 1})
			}
		}, ready: "Canary", progressing: "Canary", canaries: 8},
		"apply, no node": {mode: v1alpha1.ModeApply, change: func(w *world) { w.NodeKinds = nil },
			ready: "Canary", progressing: "Canary", message: "No Linux node"},
		"operator may not apply": {mode: v1alpha1.ModeApply, change: func(w *world) { w.MayApply = false },
			ready: "NotEnabled", progressing: "NotEnabled", message: "--enable-apply"},
		"namespace has not opted in": {mode: v1alpha1.ModeApply, change: func(w *world) { w.Namespace.OptedIn = false },
			ready: "NotEnabled", progressing: "NotEnabled", message: "kubectl label namespace shop connpolicy.dev/tuning=enabled"},
		"host network": {mode: v1alpha1.ModeApply, change: func(w *world) { w.Workload.HostNetwork = true },
			ready: "Unsupported", progressing: "Unsupported", message: "hostNetwork"},
		"template opts out": {mode: v1alpha1.ModeApply, change: func(w *world) { w.Workload.OptedOut = true },
			ready: "Unsupported", progressing: "Unsupported", message: "opts out"},
		"template sets it itself": {mode: v1alpha1.ModeApply, change: func(w *world) {
			w.Plan = tuner.Plan{Reason: v1alpha1.ReasonOverridden, Message: "The template sets it."}
		}, ready: "Overridden", progressing: "Overridden"},
		"bounds contradict": {mode: v1alpha1.ModeApply, change: func(w *world) {
			w.Plan = tuner.Plan{Reason: v1alpha1.ReasonConflict, Message: "a and b contradict."}
		}, ready: "Conflict", progressing: "Conflict"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.mode, v1alpha1.DisruptionRestart)
			if test.change != nil {
				test.change(w)
			}
			decision := w.step()
			if decision.RestartAt != nil || decision.Delete {
				t.Errorf("the first decision restarts or deletes: %+v", decision)
			}
			if test.ready == "" {
				if w.Tuning != nil {
					t.Fatalf("there is a tuning, want none: %+v", w.Tuning.Status)
				}
				return
			}
			w.wantReason(v1alpha1.ConditionReady, test.ready)
			w.wantReason(v1alpha1.ConditionProgressing, test.progressing)
			if len(decision.StartCanaries) != test.canaries {
				t.Errorf("%d canaries are started, want %d", len(decision.StartCanaries), test.canaries)
			}
			if message := w.message(v1alpha1.ConditionReady); !strings.Contains(message, test.message) {
				t.Errorf("message %q does not contain %q", message, test.message)
			}
			if w.Tuning.Spec.Knobs != nil || len(w.Tuning.Finalizers) != 0 {
				t.Error("something is in force, or held for an undo, before a trial")
			}
		})
	}
}

func approve(w *world) { w.Policies[0].Spec.Tuning.Approve = []string{tuner.Hash(shopper, wide)} }

// TestWayOfRestart walks the whole way with disruption Restart, and back.
func TestWayOfRestart(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.apply(wide)
	w.wantCondition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonApplying)
	if !slices.Contains(w.Tuning.Finalizers, v1alpha1.FinalizerTuning) {
		t.Error("values are in the spec without the finalizer that undoes them")
	}
	if len(w.CanaryPods) != 0 {
		t.Errorf("canary pods are left though the values are in force: %v", w.CanaryPods)
	}

	if decision := w.step(); decision.RestartAt != nil {
		t.Fatal("pods are replaced before the API server was asked")
	}
	w.Admission = &Admission{}
	if decision := w.step(); decision.RestartAt != nil {
		t.Fatal("pods are replaced though new ones would come without the values")
	}
	w.admit()
	if decision := w.step(); decision.RestartAt == nil {
		t.Fatalf("pods are not replaced: %s", w.message(v1alpha1.ConditionReady))
	}
	if decision := w.step(); decision.RestartAt != nil {
		t.Fatal("pods are replaced twice")
	}

	w.rollOutTo(2, w.stamp())
	w.step()
	w.wantCondition(v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonApplying)
	w.read(wide)
	w.step()
	w.wantCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	w.wantCondition(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonNotCompared)
	w.wantCondition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonNotCompared)
	if r := w.Tuning.Status.Rollout; r.Pods != 2 || r.Stamped != 2 || r.ReadBack != 1 || r.Restarts != 1 {
		t.Errorf("rollout is %+v", r)
	}
	w.wantSettled()

	w.Policies[0].Spec.Tuning.Mode = v1alpha1.ModeObserve
	if decision := w.step(); !decision.Delete {
		t.Fatal("the tuning is not deleted though nobody wants it")
	}
	w.admit()
	if decision := w.step(); decision.RestartAt == nil {
		t.Fatal("the pods are not replaced to lose the values")
	}
	w.wantCondition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonUndoing)
	if decision := w.step(); decision.RestartAt != nil || w.Tuning == nil {
		t.Fatal("the undo does not wait for its pods")
	}
	w.rollOutTo(2, "")
	w.step()
	if w.Tuning != nil {
		t.Errorf("the tuning is still there: %+v", w.Tuning)
	}
}

// TestWayWithoutDisruption leaves running pods alone.
func TestWayWithoutDisruption(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionNone)
	w.apply(wide)
	w.admit()
	for range 5 {
		if decision := w.step(); decision.RestartAt != nil {
			t.Fatal("pods are replaced though the policy forbids it")
		}
	}
	w.wantCondition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonApplying)
	w.Pods[0].Stamp = w.stamp()
	w.read(wide)
	w.step()
	w.wantCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonApplying)
	if message := w.message(v1alpha1.ConditionReady); !strings.Contains(message, "1 of 2 pods") {
		t.Errorf("message does not say how many pods have the values: %s", message)
	}
	w.Pods[1].Stamp = w.stamp()
	w.step()
	w.wantCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)

	w.deleteTuning()
	decision := w.step()
	if decision.RestartAt != nil || w.Tuning != nil {
		t.Error("the deletion does not go through at once, or replaces pods")
	}
}

// TestStrictestDisruption: None of one policy beats Restart of another.
func TestStrictestDisruption(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.Policies = append(w.Policies, policy("other", v1alpha1.ModeApply, v1alpha1.DisruptionNone))
	w.apply(wide)
	if got := w.Tuning.Spec.Disruption; got != v1alpha1.DisruptionNone {
		t.Errorf("disruption is %s, want None", got)
	}
	if len(w.Tuning.OwnerReferences) != 2 {
		t.Errorf("owners are %v, want both policies", w.Tuning.OwnerReferences)
	}
	for _, owner := range w.Tuning.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			t.Error("a policy is the controller of a tuning that others share")
		}
	}
}

// TestUnstampedPods: pods that come without the values are replaced once more, and then no more.
func TestUnstampedPods(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.apply(wide)
	w.admit()
	w.step()
	for restarts := 1; restarts < restartsMax; restarts++ {
		w.rollOutTo(2, "")
		if decision := w.step(); decision.RestartAt == nil {
			t.Fatalf("no replacement after %d", restarts)
		}
	}
	w.rollOutTo(2, "")
	for range 3 {
		if decision := w.step(); decision.RestartAt != nil {
			t.Fatal("the pods are replaced without end")
		}
	}
	w.wantCondition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonInconclusive)
	w.rollOutTo(2, w.stamp())
	w.read(wide)
	w.step()
	w.wantCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

// TestReadBack is about what observers read in pods with the values.
func TestReadBack(t *testing.T) {
	t.Run("other values", func(t *testing.T) {
		w := rolledOut(t)
		w.read(wider)
		w.step()
		w.wantCondition(v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonInconclusive)
	})
	t.Run("no observer", func(t *testing.T) {
		w := rolledOut(t)
		w.Readings = []Reading{{Pod: w.Pods[0].Name, Stamp: w.stamp(), Cause: "connection refused"}}
		w.step()
		w.wantCondition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonApplying)
		w.Now = w.Now.Add(readBackWait)
		w.step()
		w.wantCondition(v1alpha1.ConditionVerified, metav1.ConditionFalse, v1alpha1.ReasonInconclusive)
		if message := w.message(v1alpha1.ConditionVerified); !strings.Contains(message, "connection refused") {
			t.Errorf("the message does not say why: %s", message)
		}
	})
	t.Run("observer went away after it had read", func(t *testing.T) {
		w := rolledOut(t)
		w.read(wide)
		w.step()
		w.Readings = nil
		w.step()
		w.wantCondition(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonNotCompared)
	})
	t.Run("no pods", func(t *testing.T) {
		w := rolledOut(t)
		w.Pods = nil
		w.step()
		w.wantCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonApplying)
	})
}

// rolledOut is a world in which every pod bears the stamp and nobody has read anything yet.
func rolledOut(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.apply(wide)
	w.admit()
	w.step()
	w.rollOutTo(2, w.stamp())
	return w
}

// TestCircuitBreaker is about what takes values back at once.
func TestCircuitBreaker(t *testing.T) {
	const forbidden = `Pod was rejected: forbidden sysctl: "net.ipv4.ip_local_port_range" not allowlisted`
	const podSecurity = `pods "x" is forbidden: violates PodSecurity "baseline:v1.24": forbidden sysctls (net.ipv4.ip_local_reserved_ports)`
	tests := map[string]struct {
		happen func(*world)
		reason string
	}{
		"kubelet refuses a pod": {func(w *world) {
			w.Pods = append(w.Pods, Pod{Name: "refused", Created: w.Now, Stamp: w.stamp(), Refusal: forbidden})
		}, v1alpha1.ReasonForbidden},
		"the kernel refuses a value": {func(w *world) {
			w.Pods = append(w.Pods, Pod{Name: "waiting", Created: w.Now, Stamp: w.stamp(), Alive: true, Waiting: true,
				Refusal: "Failed to create pod sandbox: write proc/./sys/net/ipv4/ip_local_port_range: invalid argument"})
		}, v1alpha1.ReasonForbidden},
		"a sandbox fails for another reason": {func(w *world) {
			w.Pods = append(w.Pods, Pod{Name: "waiting", Created: w.Now, Stamp: w.stamp(), Alive: true, Waiting: true,
				Refusal: "Failed to create pod sandbox: plugin type=bridge failed"})
		}, ""},
		"kubelet refuses a pod for a sysctl of its own": {func(w *world) {
			w.Pods = append(w.Pods, Pod{Name: "refused", Created: w.Now, Stamp: w.stamp(),
				Refusal: strings.ReplaceAll(forbidden, "ip_local_port_range", "tcp_rfc1337")})
		}, ""},
		"kubelet refused a pod before": {func(w *world) {
			w.Pods = append(w.Pods, Pod{Name: "refused", Created: noon.Add(-time.Hour), Stamp: w.stamp(), Refusal: forbidden})
		}, ""},
		"kubelet refuses a pod of another revision": {func(w *world) {
			w.Pods = append(w.Pods, Pod{Name: "refused", Created: w.Now, Stamp: stampOf(w.Name, "00000000"), Refusal: forbidden})
		}, ""},
		"Pod Security refuses new pods": {func(w *world) { w.Workload.CreationFailure = podSecurity }, v1alpha1.ReasonForbidden},
		"Pod Security refuses a tried pod": {func(w *world) {
			w.Admission = &Admission{Refusal: podSecurity}
		}, v1alpha1.ReasonForbidden},
		"a quota refuses new pods": {func(w *world) { w.Workload.CreationFailure = "exceeded quota: pods" }, ""},
		"the rollout fails": {func(w *world) {
			w.Workload.RolledOut = false
			w.Pods[0].Stamp = ""
			w.Workload.RolloutFailure, w.Workload.RolloutFailedAt = "timed out progressing", w.Now
		}, v1alpha1.ReasonRolledBack},
		"an earlier rollout had failed": {func(w *world) {
			w.Workload.RolloutFailure, w.Workload.RolloutFailedAt = "timed out progressing", noon.Add(-time.Hour)
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := rolledOut(t)
			test.happen(w)
			revision := w.Tuning.Spec.Revision
			w.step()
			if test.reason == "" {
				if w.Tuning.Spec.Knobs == nil || len(w.Tuning.Status.Rejected) != 0 {
					t.Fatalf("the values were taken back: %+v", w.Tuning.Status.Rejected)
				}
				return
			}
			if w.Tuning.Spec.Knobs != nil {
				t.Fatal("the values are still in the spec")
			}
			rejected := w.Tuning.Status.Rejected
			if len(rejected) != 1 || rejected[0].Revision != revision || rejected[0].Reason != test.reason {
				t.Fatalf("rejected is %+v", rejected)
			}
			w.wantReason(v1alpha1.ConditionReady, test.reason)
			w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonUndoing)
			if w.Tuning.Status.History[0].Reason != test.reason && w.Tuning.Status.History[1].Reason != test.reason {
				t.Errorf("history does not tell: %+v", w.Tuning.Status.History)
			}

			w.admit()
			if decision := w.step(); decision.RestartAt == nil {
				t.Fatal("the pods that have the values are not replaced")
			}
			w.rollOutTo(2, "")
			w.Workload.CreationFailure, w.Workload.RolloutFailure = "", ""
			for range 3 {
				w.step()
			}
			w.wantReason(v1alpha1.ConditionProgressing, test.reason)
			if w.Tuning.Spec.Knobs != nil || len(w.CanaryPods) != 0 || len(w.Tuning.Finalizers) != 0 || w.Tuning.Status.Undo != nil {
				t.Error("the revision is tried again, or its undo does not end")
			}
			w.wantSettled()
		})
	}
}

// TestTrial is about what canaries bring.
func TestTrial(t *testing.T) {
	tests := map[string]struct {
		reading  probepod.Reading
		outcome  string
		rejected string
	}{
		"values in force":  {brought(wide), outcomeMeasured, ""},
		"other values":     {brought(wider), outcomeFailed, v1alpha1.ReasonUnsupported},
		"nothing readable": {probepod.Reading{Outcome: result.Measured, Result: &result.Result{}}, outcomeFailed, v1alpha1.ReasonUnsupported},
		"refused by the kubelet": {probepod.Reading{Outcome: result.Failed, Rejected: true, Cause: "SysctlForbidden"},
			outcomeFailed, v1alpha1.ReasonForbidden},
		"evicted": {probepod.Reading{Outcome: result.Failed, Cause: "Evicted"}, outcomeLost, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
			w.step()
			w.finishCanaries(test.reading)
			w.step()
			if test.outcome == outcomeMeasured {
				if w.Tuning.Spec.Knobs != nil {
					t.Error("values are put in before the outcome of their trial is written down")
				}
				w.step()
			}
			canary := w.Tuning.Status.Canaries[0]
			if canary.Outcome != test.outcome {
				t.Errorf("outcome is %q, want %q (%s)", canary.Outcome, test.outcome, canary.Cause)
			}
			if (canary.Cause == "") != (test.outcome == outcomeMeasured) {
				t.Errorf("cause is %q for outcome %s", canary.Cause, canary.Outcome)
			}
			if inForce := w.Tuning.Spec.Knobs != nil; inForce != (test.outcome == outcomeMeasured) {
				t.Errorf("values in the spec: %v", inForce)
			}
			if test.rejected == "" {
				return
			}
			w.wantReason(v1alpha1.ConditionReady, test.rejected)
			w.wantSettled()
			if decision := w.step(); len(decision.StartCanaries) != 0 || w.Tuning.Spec.Knobs != nil {
				t.Error("a rejected revision is tried again")
			}
		})
	}
}

// TestTrialWithoutSandbox: a value that the kernel refuses keeps the canary from starting, and an event alone says why.
func TestTrialWithoutSandbox(t *testing.T) {
	for failure, refused := range map[string]bool{
		"failed to write sysctl net.ipv4.ip_local_port_range: invalid argument": true,
		"plugin type=bridge failed": false,
	} {
		w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
		w.step()
		for name, pod := range w.CanaryPods {
			pod.SandboxFailure = failure
			w.CanaryPods[name] = pod
		}
		w.step()
		if got := len(w.Tuning.Status.Rejected) == 1; got != refused {
			t.Errorf("%q: rejected is %v, want %v", failure, got, refused)
		}
	}
}

// TestTrialIsRetried: an attempt that tells nothing is made again, later and later.
func TestTrialIsRetried(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.step()
	for attempt := range 8 {
		w.finishCanaries(probepod.Reading{Outcome: result.Failed, Cause: "Evicted"})
		w.step()
		if len(w.CanaryPods) != 0 {
			t.Fatal("the pod of the lost attempt is left")
		}
		if decision := w.step(); len(decision.StartCanaries) != 0 {
			t.Fatal("the attempt is made again at once")
		}
		wait := w.Tuning.Status.Canaries[0].NotBefore.Sub(w.Now)
		if attempt >= 6 && wait < 29*time.Minute || wait > canaryRetryLongest {
			t.Errorf("wait after %d failures is %s", attempt+1, wait)
		}
		w.Now = w.Tuning.Status.Canaries[0].NotBefore.Time
		if decision := w.step(); len(decision.StartCanaries) != 1 {
			t.Fatal("the attempt is not made again")
		}
	}
	w.CanaryPods = nil
	w.step()
	if canary := w.Tuning.Status.Canaries[0]; canary.Outcome != outcomeLost {
		t.Errorf("a canary whose pod is gone is %q", canary.Outcome)
	}
}

// TestTrialOfTwoKinds: values come into force only when every kind of node has shown them.
func TestTrialOfTwoKinds(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.NodeKinds = append(w.NodeKinds, NodeKind{Name: "another", Node: "n2", Nodes: 1})
	decision := w.step()
	first := decision.StartCanaries[0].PodName
	w.CanaryPods[first] = CanaryPod{UID: "uid-" + first, Reading: func() probepod.Reading {
		reading := brought(wide)
		reading.Finished = true
		return reading
	}()}
	w.step()
	w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonCanary)
	if w.Tuning.Spec.Knobs != nil {
		t.Fatal("values are in force though one kind of node has not shown them")
	}
	w.finishCanaries(brought(wide))
	w.step()
	w.step()
	w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
}

// TestApprovalWithdrawn takes the values back and leaves the proposal.
func TestApprovalWithdrawn(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeRecommend, v1alpha1.DisruptionRestart)
	approve(w)
	w.verify(wide)
	w.Policies[0].Spec.Tuning.Approve = nil
	w.step()
	if w.Tuning.Spec.Knobs != nil || w.Tuning.Status.Proposed == nil {
		t.Fatal("the values stay in force, or the proposal is gone")
	}
	w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonUndoing)
	w.admit()
	w.step()
	w.rollOutTo(2, "")
	w.step()
	w.step()
	w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonAwaitingApproval)
	w.wantSettled()
	told := 0
	for _, event := range w.Tuning.Status.History {
		if event.Reason == v1alpha1.ReasonAwaitingApproval {
			told++
		}
	}
	if told != 1 {
		t.Errorf("history says %d times that the proposal waits: %+v", told, w.Tuning.Status.History)
	}
	approve(w)
	w.step()
	w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
}

// TestNewPlan is about a plan that changes while values are in force.
func TestNewPlan(t *testing.T) {
	t.Run("apply", func(t *testing.T) {
		w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
		w.verify(wide)
		w.plan(wider)
		w.step()
		w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonCanary)
		w.wantCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
		w.finishCanaries(brought(wider))
		w.step()
		w.step()
		if w.Tuning.Spec.Revision != tuner.Revision(wider) {
			t.Error("the new plan does not come into force")
		}
	})
	t.Run("apply, refused", func(t *testing.T) {
		w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
		w.verify(wide)
		w.plan(wider)
		w.step()
		w.finishCanaries(probepod.Reading{Rejected: true, Cause: "SysctlForbidden"})
		w.step()
		w.step()
		if w.Tuning.Spec.Revision != tuner.Revision(wide) {
			t.Error("values that serve were pushed out by values that are refused")
		}
		w.wantCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
		w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonForbidden)
	})
	t.Run("recommend", func(t *testing.T) {
		w := newWorld(t, v1alpha1.ModeRecommend, v1alpha1.DisruptionRestart)
		approve(w)
		w.verify(wide)
		w.plan(wider)
		w.step()
		if w.Tuning.Spec.Revision != tuner.Revision(wide) {
			t.Error("values that are approved are gone because newer ones are not")
		}
		w.wantCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
		w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonAwaitingApproval)
	})
	t.Run("while the pods are being replaced", func(t *testing.T) {
		w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
		w.apply(wide)
		w.admit()
		w.step()
		w.plan(wider)
		w.step()
		if w.Tuning.Spec.Revision != tuner.Revision(wide) || len(w.CanaryPods) != 0 {
			t.Error("a new plan is begun before the old one has ended")
		}
	})
	t.Run("no demand any more", func(t *testing.T) {
		w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
		w.verify(wide)
		w.Plan = tuner.Plan{Reason: v1alpha1.ReasonNothingToTune, Message: "All is well."}
		w.step()
		if w.Tuning.Spec.Revision != tuner.Revision(wide) {
			t.Error("values are gone because they work")
		}
	})
}

// TestObstaclesWhileInForce takes values back when the workload or the administrator makes them impossible.
func TestObstaclesWhileInForce(t *testing.T) {
	tests := map[string]struct {
		happen func(*world)
		reason string
		stays  bool
	}{
		"template sets it itself": {func(w *world) {
			w.Plan = tuner.Plan{Reason: v1alpha1.ReasonOverridden, Message: "The template sets it."}
		}, v1alpha1.ReasonOverridden, false},
		"namespace opts out":      {func(w *world) { w.Namespace.OptedIn = false }, v1alpha1.ReasonNotEnabled, false},
		"operator may not apply":  {func(w *world) { w.MayApply = false }, v1alpha1.ReasonNotEnabled, false},
		"host network":            {func(w *world) { w.Workload.HostNetwork = true }, v1alpha1.ReasonUnsupported, false},
		"the workload is deleted": {func(w *world) { w.Workload, w.Pods = nil, nil }, v1alpha1.ReasonWorkloadNotFound, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
			w.verify(wide)
			test.happen(w)
			w.step()
			w.wantReason(v1alpha1.ConditionReady, test.reason)
			if stays := w.Tuning.Spec.Knobs != nil; stays != test.stays {
				t.Errorf("values in the spec: %v, want %v", stays, test.stays)
			}
		})
	}
}

// TestUndoIsBounded is about the ends of an undo beside the one where all pods were replaced.
func TestUndoIsBounded(t *testing.T) {
	tests := map[string]func(*world){
		"namespace terminates":   func(w *world) { w.Namespace.Terminating = true },
		"workload is gone":       func(w *world) { w.Workload, w.Pods = nil, nil },
		"operator may not apply": func(w *world) { w.MayApply = false },
		"too long":               func(w *world) { w.step(); w.Now = w.Now.Add(undoMax) },
	}
	for name, happen := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
			w.verify(wide)
			w.deleteTuning()
			happen(w)
			decision := w.step()
			if w.Tuning != nil {
				t.Errorf("the tuning is still there: %+v", w.Tuning.Status.Conditions)
			}
			if decision.RestartAt != nil {
				t.Error("pods are replaced at the end of an undo")
			}
		})
	}
}

// TestUndoAsksThePolicies: pods are replaced to lose the values only if every policy of the workload says so by then.
func TestUndoAsksThePolicies(t *testing.T) {
	const observe, none, restart = v1alpha1.ModeObserve, v1alpha1.DisruptionNone, v1alpha1.DisruptionRestart
	tests := map[string]struct {
		policies []v1alpha1.ConnectionPolicy
		replaced bool
	}{
		"no policy is left":    {nil, true},
		"back to Observe":      {[]v1alpha1.ConnectionPolicy{policy("checkout", observe, restart)}, true},
		"None by now":          {[]v1alpha1.ConnectionPolicy{policy("checkout", observe, none)}, false},
		"one of two says None": {[]v1alpha1.ConnectionPolicy{policy("checkout", observe, restart), policy("cart", observe, none)}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v1alpha1.ModeApply, restart)
			w.verify(wide)
			w.Policies = test.policies
			w.deleteTuning()
			w.admit()
			if replaced := w.step().RestartAt != nil; replaced != test.replaced {
				t.Errorf("pods are replaced: %v, want %v", replaced, test.replaced)
			}
		})
	}
}

// TestUndoBeginsNow: the time that an undo may take counts from its first step, whatever the pod template says.
func TestUndoBeginsNow(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.verify(wide)
	w.Workload.RestartedAt = w.Now.Add(time.Hour)
	w.deleteTuning()
	w.step()
	if begun := w.Tuning.Status.Undo.StartedAt.Time; !begun.Equal(w.Now) {
		t.Errorf("the undo begins at %v, want %v", begun, w.Now)
	}
}

// TestAllInOneSecond: the API keeps times in whole seconds, and the whole way may be gone within one.
func TestAllInOneSecond(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	stop := func() { w.Now = noon.Add(-5 * time.Second) }
	stop()
	w.step()
	w.finishCanaries(brought(wide))
	stop()
	w.step()
	stop()
	w.step()
	w.admit()
	stop()
	if decision := w.step(); decision.RestartAt == nil {
		t.Fatal("the pods are not replaced to get the values")
	}
	w.rollOutTo(2, w.stamp())
	w.deleteTuning()
	w.admit()
	stop()
	if decision := w.step(); decision.RestartAt == nil {
		t.Fatal("the pods are not replaced to lose the values")
	}
}

// TestSuspended leaves everything as it is, unless it does harm.
func TestSuspended(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.verify(wide)
	before := w.Tuning.DeepCopy()
	w.Policies[0].Spec.Suspend = true
	w.plan(wider)
	w.step()
	if w.Tuning.Spec.Revision != before.Spec.Revision || len(w.CanaryPods) != 0 {
		t.Error("something changes while the policy is suspended")
	}
	w.Pods = append(w.Pods, Pod{Name: "refused", Created: w.Now, Stamp: w.stamp(),
		Refusal: `forbidden sysctl: "net.ipv4.ip_local_port_range" not allowlisted`})
	w.step()
	if w.Tuning.Spec.Knobs != nil {
		t.Error("values that do harm stay because the policy is suspended")
	}
}

// TestWrittenByOthers: values that the operator did not put there are no values.
func TestWrittenByOthers(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.step()
	w.Tuning.Spec.Knobs, w.Tuning.Spec.Revision = wider.DeepCopy(), tuner.Revision(wider)
	w.step()
	if w.Tuning.Spec.Knobs != nil {
		t.Error("values that skipped the trial stay in the spec")
	}

	w = newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	w.verify(wide)
	w.Tuning.Spec.Knobs.EphemeralPorts.First = 2048
	w.step()
	if knobs := w.Tuning.Spec.Knobs; knobs == nil || knobs.EphemeralPorts.First != wide.EphemeralPorts.First {
		t.Errorf("values were edited and are not put back: %+v", knobs)
	}
}

// TestCrashes loses what was decided between an act and the status that tells of it.
func TestCrashes(t *testing.T) {
	t.Run("after a restart", func(t *testing.T) {
		w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
		w.apply(wide)
		w.admit()
		before := w.Tuning.DeepCopy()
		w.step()
		w.Tuning = before
		if decision := w.step(); decision.RestartAt != nil {
			t.Error("the pods are replaced a second time")
		}
		if r := w.Tuning.Status.Rollout; r.Restarts != 1 || r.RestartedAt == nil {
			t.Errorf("the replacement is not noted: %+v", r)
		}
	})
	t.Run("after the spec", func(t *testing.T) {
		w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
		w.step()
		w.finishCanaries(brought(wide))
		w.step()
		before := w.Tuning.DeepCopy()
		w.step()
		w.Tuning.Status = before.Status
		w.admit()
		w.step()
		w.wantReason(v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
		if w.Tuning.Spec.Revision != tuner.Revision(wide) {
			t.Error("values that were tried are taken for somebody else's")
		}
	})
	t.Run("after the restart of an undo", func(t *testing.T) {
		w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
		w.verify(wide)
		w.deleteTuning()
		w.step()
		w.admit()
		before := w.Tuning.DeepCopy()
		w.step()
		w.Tuning = before
		if decision := w.step(); decision.RestartAt != nil {
			t.Error("the pods are replaced a second time")
		}
	})
}

// TestBoundedStatus: what is kept of the past is bounded.
func TestBoundedStatus(t *testing.T) {
	w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionNone)
	for i := range 15 {
		w.plan(v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{First: int32(1024 + i), Last: 65535}})
		w.step()
		w.finishCanaries(probepod.Reading{Rejected: true, Cause: strings.Repeat("ä", 2000)})
		w.step()
	}
	status := w.Tuning.Status
	if len(status.Rejected) != rejectedKept || len(status.History) != historyKept {
		t.Errorf("%d rejected and %d entries of history are kept", len(status.Rejected), len(status.History))
	}
	for _, entry := range status.History {
		if len(entry.Message) > messageBytes || strings.ContainsRune(entry.Message, '\uFFFD') {
			t.Errorf("message of %d bytes: %q", len(entry.Message), entry.Message)
		}
	}
}

// TestNewEvents tells each entry of the history once, the oldest first.
func TestNewEvents(t *testing.T) {
	entry := func(second int, reason string) v1alpha1.TuningEvent {
		return v1alpha1.TuningEvent{Time: metav1.NewTime(noon.Add(time.Duration(second) * time.Second)), Reason: reason}
	}
	before := []v1alpha1.TuningEvent{entry(2, "b"), entry(1, "a")}
	after := []v1alpha1.TuningEvent{entry(4, "d"), entry(3, "c"), entry(2, "b")}
	var reasons []string
	for _, event := range newEvents(before, after) {
		reasons = append(reasons, event.Reason)
	}
	if got := strings.Join(reasons, ""); got != "cd" {
		t.Errorf("events are %q, want cd", got)
	}
	if got := len(newEvents(after, after)); got != 0 {
		t.Errorf("%d events though nothing happened", got)
	}
}
