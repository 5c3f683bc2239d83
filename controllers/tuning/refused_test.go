package tuning

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// TestRefusedPods: events of the workload's own pods take the values back, those of others and older ones do not.
func TestRefusedPods(t *testing.T) {
	const forbidden = `forbidden sysctl: "net.ipv4.ip_local_port_range" not allowlisted`
	tests := map[string]struct {
		kind, pod, note string
		age             time.Duration
		takenBack       bool
	}{
		"a StatefulSet's pod":              {kindStatefulSet, "client-10", forbidden, 0, true},
		"another StatefulSet's pod":        {kindStatefulSet, "client-api-0", forbidden, 0, false},
		"a pod of no StatefulSet":          {kindStatefulSet, "client-x", forbidden, 0, false},
		"a name without an ordinal":        {kindStatefulSet, "client-", forbidden, 0, false},
		"before the rollout":               {kindStatefulSet, "client-0", forbidden, time.Hour, false},
		"a sysctl of the pod's own":        {kindStatefulSet, "client-0", `forbidden sysctl: "net.ipv4.tcp_rfc1337"`, 0, false},
		"a DaemonSet's pod":                {kindDaemonSet, "client-x7k2p", forbidden, 0, true},
		"a pod of a longer DaemonSet name": {kindDaemonSet, "client-a-x7k2", forbidden, 0, false},
		"a pod with a name given by hand":  {kindDaemonSet, "client-proxy", forbidden, 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := rolledOut(t)
			event := eventsv1.Event{Regarding: corev1.ObjectReference{Name: test.pod}, Note: test.note}
			event.CreationTimestamp = metav1.NewTime(w.Now.Add(-test.age))
			target := v1alpha1.WorkloadReference{Kind: test.kind, Name: "client"}
			w.Refused = refusedPods([]eventsv1.Event{event}, target, w.stamp())
			w.step()
			if got := len(w.Tuning.Status.Rejected) == 1; got != test.takenBack {
				t.Errorf("taken back is %v, want %v: %+v", got, test.takenBack, w.Tuning.Status.Rejected)
			}
		})
	}
}

// TestIsPodName: the API server cuts a long name before it adds five characters to it.
func TestIsPodName(t *testing.T) {
	long := strings.Repeat("n", 58)
	tests := map[string]struct {
		workload v1alpha1.WorkloadReference
		pod      string
		want     bool
	}{
		"a DaemonSet of 57 letters":       {v1alpha1.WorkloadReference{Kind: kindDaemonSet, Name: long[1:]}, long[1:] + "-x7k2p", true},
		"a DaemonSet of 58 letters":       {v1alpha1.WorkloadReference{Kind: kindDaemonSet, Name: long}, long + "x7k2p", true},
		"a DaemonSet of 60 letters":       {v1alpha1.WorkloadReference{Kind: kindDaemonSet, Name: long + "nn"}, long + "x7k2p", true},
		"a StatefulSet's is never cut":    {v1alpha1.WorkloadReference{Kind: kindStatefulSet, Name: long + "nn"}, long + "nn-0", true},
		"a StatefulSet's with a cut name": {v1alpha1.WorkloadReference{Kind: kindStatefulSet, Name: long + "nn"}, long + "0", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isPodName(test.pod, test.workload); got != test.want {
				t.Errorf("isPodName(%q) is %v, want %v", test.pod, got, test.want)
			}
		})
	}
}

// TestMayHideRefusals: events are asked for only where a refused pod may be gone.
func TestMayHideRefusals(t *testing.T) {
	tests := map[string]struct {
		kind    string
		running int
		change  func(*State)
		want    bool
	}{
		"a StatefulSet lacks pods":      {kindStatefulSet, 1, func(*State) {}, true},
		"a DaemonSet lacks pods":        {kindDaemonSet, 1, func(*State) {}, true},
		"a ReplicaSet keeps them":       {kindDeployment, 1, func(*State) {}, false},
		"all run":                       {kindStatefulSet, 2, func(*State) {}, false},
		"all run with other values":     {kindStatefulSet, 2, func(s *State) { s.Pods[0].Stamp = "" }, true},
		"no values are in force":        {kindStatefulSet, 1, func(s *State) { s.Tuning.Spec.Knobs = nil }, false},
		"nobody knows when it began":    {kindStatefulSet, 1, func(s *State) { s.Tuning.Status.Rollout = nil }, false},
		"there is no tuning (any more)": {kindStatefulSet, 1, func(s *State) { s.Tuning = nil }, false},
		"nothing may be applied":        {kindStatefulSet, 1, func(s *State) { s.MayApply = false }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := rolledOut(t)
			w.Target.Kind, w.Workload.Desired = test.kind, 2
			for i := range test.running {
				w.Pods[i].Running = true
			}
			test.change(&w.State)
			if got := mayHideRefusals(w.State); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
