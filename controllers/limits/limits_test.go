package limits_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/test/apiserver"
)

func probe(name, node, target string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, Annotations: map[string]string{v1alpha1.AnnotationNode: node},
			Labels: map[string]string{v1alpha1.LabelProbe: "p", v1alpha1.LabelTarget: target},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe:test"}}},
	}
}

// Two controllers, or an old leader and a new one, have Places of their own and must still keep to one limit.
func TestPlacesAreCountedFromThePods(t *testing.T) {
	admin, err := client.New(apiserver.Start(t), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	later := func() time.Time { // than any count before
		now = now.Add(time.Minute)
		return now
	}
	one := &limits.Places{Reader: admin, Writer: admin, InCluster: 4, OnNode: 2, Now: later}
	other := &limits.Places{Reader: admin, Writer: admin, InCluster: 4, OnNode: 2, Now: later}
	create := func(p *limits.Places, pod *corev1.Pod, refusal string) {
		t.Helper()
		err := p.Create(t.Context(), pod)
		var noPlace *limits.NoPlaceError
		switch {
		case refusal == "" && err != nil:
			t.Errorf("%s: %v", pod.Name, err)
		case refusal != "" && (!errors.As(err, &noPlace) || !strings.Contains(noPlace.Limit, refusal)):
			t.Errorf("%s: %v, want a refusal with %q", pod.Name, err, refusal)
		}
	}
	create(one, probe("a", "n1", "t1"), "")
	create(other, probe("b", "n2", "t1"), "default/a measures the same target")
	create(other, probe("b", "n1", "t2"), "")
	create(one, probe("c", "n1", "t3"), "on node n1")
	create(one, probe("c", "n2", "t3"), "")
	create(other, probe("d", "", "t4"), "")
	create(one, probe("e", "n3", "t5"), "in the cluster")

	var ended corev1.Pod
	if err := admin.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "a"}, &ended); err != nil {
		t.Fatal(err)
	}
	ended.Status.Phase = corev1.PodSucceeded
	if err := admin.Status().Update(t.Context(), &ended); err != nil {
		t.Fatal(err)
	}
	create(one, probe("e", "n3", "t1"), "")
}

func TestNoPlaceIsGivenTwice(t *testing.T) {
	admin, err := client.New(apiserver.Start(t), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	places := &limits.Places{Reader: admin, Writer: admin, InCluster: 3, OnNode: 3, Now: time.Now}
	const attempts = 12
	outcomes := make(chan error, attempts)
	for i := range attempts {
		go func() {
			outcomes <- places.Create(t.Context(), probe(fmt.Sprintf("p%d", i), "", fmt.Sprintf("t%d", i)))
		}()
	}
	given := 0
	for range attempts {
		err := <-outcomes
		var noPlace *limits.NoPlaceError
		switch {
		case err == nil:
			given++
		case !errors.As(err, &noPlace):
			t.Error(err)
		}
	}
	if given != 3 {
		t.Errorf("%d places were given at once, 3 may be", given)
	}
}
