//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// TestWorkloadThatDoesNotExist: a policy may come before its workload; it says what it waits for and goes on by itself.
func TestWorkloadThatDoesNotExist(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	p.create(server(1), serverService(), policy())
	found := p.awaitCondition(time.Minute, policyName, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWorkloadNotFound)
	if message := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady).Message; !strings.Contains(message, "client") {
		t.Errorf("the message does not name the workload: %q", message)
	}
	p.create(caller(p.namespace, 1))
	p.awaitCondition(2*time.Minute, policyName, v1alpha1.ConditionProbed, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

// TestServiceThatDoesNotExist: one link that cannot be resolved does not hold up the other.
func TestServiceThatDoesNotExist(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	withAbsent := policy()
	withAbsent.Spec.To = append(withAbsent.Spec.To, v1alpha1.Link{
		Name: "absent", Service: &v1alpha1.ServiceReference{Name: "nobody", Port: "http"}, Protocol: v1alpha1.ProtocolHTTP,
	})
	p.create(server(1), serverService(), caller(p.namespace, 1), withAbsent)
	found := p.awaitCondition(time.Minute, policyName, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonServiceNotFound)
	if message := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady).Message; !strings.Contains(message, "nobody") {
		t.Errorf("the message does not name the Service: %q", message)
	}
	p.await(2*time.Minute, "the other link was measured", func(ctx context.Context) error {
		if err := p.get(ctx, policyName, found); err != nil {
			return err
		}
		return finished(found, "server")
	})
}

// TestServiceWithoutEndpoints: no endpoint is a condition, not a failed probe, and it goes when an endpoint comes.
func TestServiceWithoutEndpoints(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	backend := server(0)
	p.create(backend, serverService(), caller(p.namespace, 1), policy())
	p.awaitCondition(time.Minute, policyName, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNoEndpoints)
	pods, err := p.pods(t.Context(), client.MatchingLabels{v1alpha1.LabelProbe: policyName})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods) != 0 {
		t.Errorf("%d probe pods were made although nobody would answer", len(pods))
	}
	change(p, backend, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(1)) })
	p.awaitCondition(2*time.Minute, policyName, v1alpha1.ConditionProbed, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

// TestHostNetwork: the sockets of a pod in its node's network are not its own. Such a workload is refused for good.
func TestHostNetwork(t *testing.T) {
	t.Parallel()
	p := newPlace(t, map[string]string{"pod-security.kubernetes.io/enforce": "privileged"})
	inNodesNetwork := caller(p.namespace, 1)
	inNodesNetwork.Spec.Template.Spec.HostNetwork = true
	inNodesNetwork.Spec.Template.Spec.Containers[0].Ports = nil
	p.create(server(1), serverService(), inNodesNetwork, policy())
	found := p.awaitCondition(time.Minute, policyName, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonHostNetwork)
	if !meta.IsStatusConditionFalse(found.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("a policy that is refused is Ready: %s", describe(found.Status.Conditions))
	}
}

// finished returns an error unless the link's probe run has come to its end with a result from every pod.
func finished(policy *v1alpha1.ConnectionPolicy, link string) error {
	for _, status := range policy.Status.Links {
		if status.Name != link {
			continue
		}
		if status.Run == nil || status.Run.Phase != v1alpha1.RunFinished {
			return fmt.Errorf("the run is %+v", status.Run)
		}
		for _, pod := range status.Run.Pods {
			if pod.Outcome != "measured" {
				return fmt.Errorf("the outcome of %s is %q: %s", pod.Name, pod.Outcome, pod.Cause)
			}
		}
		return nil
	}
	return fmt.Errorf("the status has no link %s", link)
}
