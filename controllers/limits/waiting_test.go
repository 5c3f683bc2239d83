package limits

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// counted is an API server that counts how often its pods are listed.
type counted struct {
	client.Reader
	client.Writer
	pods  []corev1.Pod
	lists int
	fails error
}

func (c *counted) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	c.lists++
	list.(*corev1.PodList).Items = c.pods
	return c.fails
}

func (c *counted) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	c.pods = append(c.pods, *object.(*corev1.Pod))
	return nil
}

// Links that wait together are refused by one count of the pods; a place is given by a count of its own alone.
func TestWaitingPodsShareACount(t *testing.T) {
	pod := func(name, target string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name,
			Labels: map[string]string{v1alpha1.LabelTarget: target}}}
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server := &counted{pods: []corev1.Pod{*pod("under-way", "t1")}}
	places := &Places{Reader: server, Writer: server, InCluster: 3, OnNode: 3, Now: func() time.Time { return now }}
	waits := func(pod *corev1.Pod) {
		t.Helper()
		var noPlace *NoPlaceError
		if err := places.Create(t.Context(), pod); !errors.As(err, &noPlace) {
			t.Fatalf("%s: %v, want no place", pod.Name, err)
		}
	}
	gets := func(pod *corev1.Pod) {
		t.Helper()
		if err := places.Create(t.Context(), pod); err != nil {
			t.Fatalf("%s: %v", pod.Name, err)
		}
	}
	lists := func(want int) {
		t.Helper()
		if server.lists != want {
			t.Fatalf("the pods were listed %d times, want %d", server.lists, want)
		}
	}

	for i := range 10 {
		waits(pod(fmt.Sprintf("waiting-%d", i), "t1"))
	}
	lists(1)
	gets(pod("another", "t2"))
	lists(2)
	server.pods = append(server.pods, *pod("of-another-leader", "t3"))
	waits(pod("waiting-for-another-leader", "t3"))
	lists(3)

	server.pods = nil
	waits(pod("waiting-0", "t1"))
	lists(3)
	now = now.Add(countLasts)
	server.fails = errors.New("the API server is away")
	if err := places.Create(t.Context(), pod("waiting-0", "t1")); !errors.Is(err, ErrUncounted) {
		t.Fatalf("error %v", err)
	}
	server.fails = nil
	gets(pod("waiting-0", "t1"))
	lists(5)
}
