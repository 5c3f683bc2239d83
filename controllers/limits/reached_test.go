package limits

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// What looks at silence for a quarter of an hour leaves half of the places to what measures for half a minute.
func TestIdleTakesHalfOfThePlaces(t *testing.T) {
	pods := func(role, node string, count int) []corev1.Pod {
		var list []corev1.Pod
		for i := range count {
			list = append(list, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("%s-%s-%d", role, node, i),
				Labels:      map[string]string{v1alpha1.LabelRole: role, v1alpha1.LabelTarget: fmt.Sprint(role, node, i)},
				Annotations: map[string]string{v1alpha1.AnnotationNode: node}}})
		}
		return list
	}
	const probe, idle = v1alpha1.RoleProbe, v1alpha1.RoleIdle
	for _, test := range []struct {
		name              string
		inCluster, onNode int
		live              []corev1.Pod
		wanted            string
		want              string // empty: there is a place
	}{
		{"the first on a node", 20, 2, nil, idle, ""},
		{"beside a probe", 20, 2, pods(probe, "n1", 1), idle, ""},
		{"a probe beside it", 20, 2, pods(idle, "n1", 1), probe, ""},
		{"a second one", 20, 2, pods(idle, "n1", 1), idle, "1 pods that look at silent connections live on node n1, and 1 may"},
		{"a second one on another node", 20, 2, pods(idle, "n2", 1), idle, ""},
		{"it counts on its node", 20, 2, slices.Concat(pods(idle, "n1", 1), pods(probe, "n1", 1)), probe, "2 probe pods live on node n1, and 2 may"},
		{"it counts in the cluster", 2, 2, slices.Concat(pods(idle, "n2", 1), pods(probe, "n3", 1)), probe, "2 probe pods live in the cluster"},
		{"half of the cluster's", 4, 2, slices.Concat(pods(idle, "n2", 1), pods(idle, "n3", 1)), idle, "2 pods that look at silent connections live in the cluster, and 2 may"},
		{"a probe beside half of the cluster's", 4, 2, slices.Concat(pods(idle, "n2", 1), pods(idle, "n3", 1)), probe, ""},
		{"the only place", 1, 1, nil, idle, ""},
	} {
		wanted := pods(test.wanted, "n1", 1)[0]
		wanted.Name, wanted.Labels[v1alpha1.LabelTarget] = "wanted", "another"
		places := &Places{InCluster: test.inCluster, OnNode: test.onNode}
		if got := places.reached(&wanted, test.live, time.Now()); got != test.want && (test.want == "" || !strings.Contains(got, test.want)) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestAnOverduePodTakesNoPlace(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	pod := func(name, target string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name,
			Labels:      map[string]string{v1alpha1.LabelTarget: target},
			Annotations: map[string]string{v1alpha1.AnnotationNode: "n1"}}}
	}
	started := func(target string) corev1.Pod {
		p := pod("old", target)
		p.Spec.ActiveDeadlineSeconds, p.Status.StartTime = new(int64(120)), &metav1.Time{Time: start}
		return p
	}
	endless := started("t1")
	endless.Spec.ActiveDeadlineSeconds = nil
	deleted := func(pod corev1.Pod) corev1.Pod {
		pod.Spec.ActiveDeadlineSeconds, pod.DeletionTimestamp = new(int64(120)), &metav1.Time{Time: start}
		return pod
	}
	for _, test := range []struct {
		name              string
		inCluster, onNode int
		live              corev1.Pod
		after             time.Duration
		want              string // empty: there is a place
	}{
		{"a live pod holds its target", 2, 2, started("t1"), 3 * time.Minute, "the same target"},
		{"an overdue one does not", 2, 2, started("t1"), 3*time.Minute + time.Second, ""},
		{"a live pod counts on its node", 2, 1, started("t2"), time.Minute, "on node n1"},
		{"an overdue one does not count there", 2, 1, started("t2"), time.Hour, ""},
		{"a live pod counts in the cluster", 1, 2, started("t2"), time.Minute, "in the cluster"},
		{"an overdue one does not count there", 1, 2, started("t2"), time.Hour, ""},
		{"a pod that has not started counts", 2, 2, pod("new", "t1"), time.Hour, "the same target"},
		{"a pod without a deadline counts", 2, 2, endless, time.Hour, "the same target"},
		{"one deleted before it started may run yet", 2, 2, deleted(pod("new", "t1")), 2 * time.Minute, "the same target"},
		{"one deleted before it started has ended by its deadline", 2, 2, deleted(pod("new", "t1")), 2*time.Minute + time.Second, ""},
		{"one deleted after it started has its own deadline", 2, 2, deleted(started("t1")), 3 * time.Minute, "the same target"},
	} {
		wanted := pod("wanted", "t1")
		places := &Places{InCluster: test.inCluster, OnNode: test.onNode}
		got := places.reached(&wanted, []corev1.Pod{test.live}, start.Add(test.after))
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
