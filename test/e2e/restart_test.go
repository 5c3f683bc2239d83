//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/hack/demo/cluster"
)

// TestManagerKilledInTheMiddleOfAProbe: the run is neither lost nor made twice.
func TestManagerKilledInTheMiddleOfAProbe(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	created := p.countProbePods()
	p.create(server(1), serverService(), caller(p.namespace, 1), slowProbe(policy()))
	p.awaitRunningProbe()

	begun := &v1alpha1.ConnectionPolicy{}
	if err := p.get(t.Context(), policyName, begun); err != nil {
		t.Fatal(err)
	}
	killManager(t)

	ended := p.awaitCondition(3*time.Minute, policyName, v1alpha1.ConditionProbed, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	if err := finished(ended, "server"); err != nil {
		t.Error(err)
	}
	if before, after := begun.Status.Links[0].Run.ID, ended.Status.Links[0].Run.ID; before != after {
		t.Errorf("the run %s was given up for a new one, %s", before, after)
	}
	if failures := ended.Status.Links[0].Run.Failures; failures != 0 {
		t.Errorf("the run counts %d failures", failures)
	}
	if got, want := created(), len(ended.Status.Links[0].Run.Pods); got != want {
		t.Errorf("%d probe pods were created where the run has %d", got, want)
	}
}

// TestEvictedProbePod: a probe pod that is drained away is an outcome with a cause, and is made up for.
func TestEvictedProbePod(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	p.create(server(1), serverService(), caller(p.namespace, 1), slowProbe(policy()))
	probe := p.awaitRunningProbe()
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: probe.Name, Namespace: p.namespace}}
	if err := session.Clientset.PolicyV1().Evictions(p.namespace).Evict(t.Context(), eviction); err != nil {
		t.Fatalf("evict the probe pod: %v", err)
	}
	found := &v1alpha1.ConnectionPolicy{}
	p.await(time.Minute, "the loss is noted with its cause", func(ctx context.Context) error {
		if err := p.get(ctx, policyName, found); err != nil {
			return err
		}
		return lostWithCause(found, string(probe.UID))
	})
	p.awaitCondition(3*time.Minute, policyName, v1alpha1.ConditionProbed, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

// lostWithCause returns an error unless the status says that the pod brought no result, and why.
func lostWithCause(policy *v1alpha1.ConnectionPolicy, uid string) error {
	for _, link := range policy.Status.Links {
		if link.Run == nil {
			continue
		}
		for _, pod := range link.Run.Pods {
			if pod.UID == uid && (pod.Outcome == "lost" || pod.Outcome == "failed") && pod.Cause != "" {
				return nil
			}
		}
	}
	return fmt.Errorf("the links are %+v", policy.Status.Links)
}

// awaitRunningProbe waits until a probe pod measures, which has to wait for those of other tests.
func (p place) awaitRunningProbe() corev1.Pod {
	p.Helper()
	var running corev1.Pod
	p.await(3*time.Minute, "a probe pod runs", func(ctx context.Context) error {
		pods, err := p.pods(ctx, client.MatchingLabels{v1alpha1.LabelProbe: policyName})
		if err != nil {
			return err
		}
		for _, pod := range pods {
			if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
				running = pod
				return nil
			}
		}
		return fmt.Errorf("there are %d probe pods and none runs", len(pods))
	})
	return running
}

// countProbePods watches the namespace from now on. The function that it returns says how many different probe pods
// there have been.
func (p place) countProbePods() func() int {
	p.Helper()
	watcher, err := session.Client.Watch(p.Context(), &corev1.PodList{}, client.InNamespace(p.namespace), client.HasLabels{v1alpha1.LabelProbe})
	if err != nil {
		p.Fatalf("watch the probe pods: %v", err)
	}
	var mutex sync.Mutex
	seen := map[types.UID]bool{}
	go func() {
		for event := range watcher.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				mutex.Lock()
				seen[pod.UID] = true
				mutex.Unlock()
			}
		}
	}()
	p.Cleanup(watcher.Stop)
	return func() int {
		mutex.Lock()
		defer mutex.Unlock()
		return len(seen)
	}
}

// killManager ends the manager without giving it time to end well.
func killManager(t *testing.T) {
	t.Helper()
	if _, err := session.Kubectl.Output(t.Context(), "-n", cluster.OperatorNamespace, "delete", "pod",
		"--selector=app.kubernetes.io/component=manager", "--grace-period=0", "--force"); err != nil {
		t.Fatal(err)
	}
}
