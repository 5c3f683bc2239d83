package policy

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/observer"
)

// sourcePod is a ready pod; marks: s stamped, o observed, - not ready, x being deleted.
func sourcePod(name, node string, ageMinutes int, marks string) corev1.Pod {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(begin.Add(-time.Duration(ageMinutes) * time.Minute))},
		Spec:       corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "198.18.1.1", Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	for _, mark := range marks {
		switch mark {
		case 's':
			pod.Annotations = map[string]string{v1alpha1.AnnotationTuning: "deployment-client.1"}
		case 'o':
			pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{observer.Container("probe", 9964)}
		case '-':
			pod.Status.Conditions = nil
		case 'x':
			pod.DeletionTimestamp = &metav1.Time{Time: begin}
		}
	}
	return pod
}

func TestChooseObserved(t *testing.T) {
	for _, test := range []struct {
		name string
		pods []corev1.Pod
		want []string
	}{
		{"none", nil, nil},
		{"only ready ones", []corev1.Pod{sourcePod("a", "n1", 9, "-"), sourcePod("b", "n1", 1, "x"), sourcePod("c", "n1", 1, "")}, []string{"c"}},
		{"the oldest", []corev1.Pod{sourcePod("a", "n1", 1, ""), sourcePod("b", "n1", 3, ""), sourcePod("c", "n1", 2, "")}, []string{"b", "c"}},
		{"another node before age", []corev1.Pod{sourcePod("a", "n1", 9, ""), sourcePod("b", "n1", 8, ""), sourcePod("c", "n2", 1, "")}, []string{"a", "c"}},
		{"observed before another node", []corev1.Pod{sourcePod("a", "n1", 9, ""), sourcePod("b", "n2", 1, "o"), sourcePod("c", "n2", 1, "o")}, []string{"b", "c"}},
		{"tuned before observed", []corev1.Pod{sourcePod("a", "n1", 9, "o"), sourcePod("b", "n2", 1, "s"), sourcePod("c", "n2", 1, "s")}, []string{"b", "a"}},
		{"one more observer for the first tuned pod", []corev1.Pod{sourcePod("a", "n1", 9, "o"), sourcePod("b", "n1", 9, "o"), sourcePod("c", "n2", 1, "s"), sourcePod("d", "n2", 1, "s")}, []string{"c", "a"}},
		{"no further observer beside a tuned pod's", []corev1.Pod{sourcePod("a", "n1", 9, "o"), sourcePod("b", "n1", 9, "so"), sourcePod("c", "n2", 1, "s")}, []string{"b", "a"}},
		{"none beside pods that are not ready for a while", []corev1.Pod{sourcePod("a", "n1", 9, "o-"), sourcePod("b", "n1", 9, "o-"), sourcePod("c", "n2", 1, "")}, nil},
		{"one in place of a pod that goes", []corev1.Pod{sourcePod("a", "n1", 9, "ox"), sourcePod("b", "n1", 9, "o"), sourcePod("c", "n2", 1, "")}, []string{"b", "c"}},
	} {
		var got []string
		for _, pod := range chooseObserved(test.pods, 2) {
			got = append(got, pod.Name)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if got := chooseObserved([]corev1.Pod{sourcePod("a", "n1", 1, "")}, 0); len(got) != 0 {
		t.Errorf("observes %d pods though none is asked for", len(got))
	}
}

func TestReadEvery(t *testing.T) {
	for _, test := range []struct {
		mode     v1alpha1.TuningMode
		deciding bool
		percent  *int32
		want     time.Duration
	}{
		{v1alpha1.ModeObserve, true, nil, readSeldom},
		{v1alpha1.ModeObserve, false, new(int32(49)), readSeldom},
		{v1alpha1.ModeObserve, false, new(int32(50)), readOften},
		{v1alpha1.ModeApply, true, nil, readOften},
		{v1alpha1.ModeApply, false, new(int32(0)), readSeldom},
	} {
		if got := readEvery(test.mode, test.deciding, test.percent); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}
