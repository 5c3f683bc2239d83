package tuning

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// TestNeedsAdmission: the API server is asked only while its answer matters.
func TestNeedsAdmission(t *testing.T) {
	tests := map[string]struct {
		change func(*world)
		want   bool
	}{
		"settled":                 {func(*world) {}, false},
		"a pod without values":    {func(w *world) { w.Pods[0].Stamp = "" }, true},
		"a pod is missing":        {func(w *world) { w.Workload.Desired = 3 }, true},
		"being deleted":           {func(w *world) { w.deleteTuning() }, true},
		"values are taken back":   {func(w *world) { w.takeBack() }, true},
		"all have them, unproven": {func(w *world) { w.Tuning.Status.Conditions = nil }, false},
		"nothing to undo":         {func(w *world) { w.Tuning.Finalizers = nil; w.Workload.Desired = 3 }, false},
		"no workload":             {func(w *world) { w.Workload = nil }, false},
		"no tuning":               {func(w *world) { w.Tuning = nil }, false},

		"a pod without values, not to be replaced":  {func(w *world) { w.Pods[0].Stamp = ""; w.forbidDisruption() }, false},
		"a pod is missing, not to be replaced":      {func(w *world) { w.Workload.Desired = 3; w.forbidDisruption() }, true},
		"being deleted, not to be replaced":         {func(w *world) { w.deleteTuning(); w.forbidDisruption() }, false},
		"values are taken back, not to be replaced": {func(w *world) { w.takeBack(); w.forbidDisruption() }, false},
		"a pod is missing, nothing in force":        {func(w *world) { w.Workload.Desired = 3; w.takeBack(); w.forbidDisruption() }, false},
		"a pod without values, one policy forbids": {func(w *world) {
			w.Pods[0].Stamp = ""
			w.Policies = append(w.Policies, policy("other", v1alpha1.ModeApply, v1alpha1.DisruptionNone))
		}, false},
		"a pod without values, one that observes forbids": {func(w *world) {
			w.Pods[0].Stamp = ""
			w.Policies = append(w.Policies, policy("other", v1alpha1.ModeObserve, v1alpha1.DisruptionNone))
		}, true},
		"being deleted, no policy is left": {func(w *world) { w.deleteTuning(); w.Policies = nil }, true},
		"being deleted, no policy is left that allowed it": {func(w *world) {
			w.deleteTuning()
			w.Policies, w.Tuning.Spec.Disruption = nil, v1alpha1.DisruptionNone
		}, false},
		"being deleted, nothing may be applied": {func(w *world) { w.deleteTuning(); w.MayApply = false }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
			w.verify(wide)
			w.Workload.Desired = 2
			test.change(w)
			if got := needsAdmission(w.State); got != test.want {
				t.Errorf("needsAdmission is %v, want %v", got, test.want)
			}
		})
	}
}

// takeBack takes the values out of the spec.
func (w *world) takeBack() { w.Tuning.Spec.Knobs, w.Tuning.Spec.Revision = nil, "" }

// forbidDisruption makes the policy leave pods alone.
func (w *world) forbidDisruption() { w.Policies[0].Spec.Tuning.Disruption = v1alpha1.DisruptionNone }

// TestIsSysctlRefusal tells a refusal of sysctls from all others.
func TestIsSysctlRefusal(t *testing.T) {
	pods := corev1.Resource("pods")
	for message, want := range map[string]bool{
		`violates PodSecurity "baseline:v1.24": forbidden sysctls (net.ipv4.ip_local_reserved_ports)`: true,
		`violates PodSecurity "restricted:latest": runAsNonRoot != true`:                              false,
		`exceeded quota: pods`: false,
	} {
		if got := isSysctlRefusal(apierrors.NewForbidden(pods, "client", errors.New(message))); got != want {
			t.Errorf("%s: %v, want %v", message, got, want)
		}
	}
	if isSysctlRefusal(nil) {
		t.Error("no error is a refusal")
	}
}
