//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const (
	// busyConnectionsPerSecond is the rate at which a caller holds more than half of its local ports after 48 s, so that
	// there is something to tune, without running out of them.
	busyConnectionsPerSecond = 300
	tuningName               = "deployment-client"
	// tuneTimeout has room for the ports to fill, for the canary and for the restart.
	tuneTimeout = 5 * time.Minute
)

// applied is a policy that tunes and replaces the running pods.
func applied() *v1alpha1.ConnectionPolicy {
	policy := policy()
	policy.Spec.Tuning = v1alpha1.TuningSpec{Mode: v1alpha1.ModeApply, Disruption: v1alpha1.DisruptionRestart}
	return policy
}

func tuningPlace(t *testing.T) place {
	t.Helper()
	p := newPlace(t, map[string]string{v1alpha1.LabelTuning: v1alpha1.TuningEnabled})
	p.create(server(1), serverService(), caller(p.namespace, busyConnectionsPerSecond), applied())
	return p
}

// TestBackToObserve: what was changed is taken away again, from running pods too, when the policy asks for no change any
// more.
func TestBackToObserve(t *testing.T) {
	t.Parallel()
	p := tuningPlace(t)
	tuned := p.awaitCondition(tuneTimeout, policyName, v1alpha1.ConditionTuned, metav1.ConditionTrue, v1alpha1.ReasonNotCompared)
	p.await(30*time.Second, "the client's pod has the sysctls", func(ctx context.Context) error {
		return p.everyClientPod(ctx, func(pod corev1.Pod) error {
			if pod.Annotations[v1alpha1.AnnotationTuning] == "" || len(pod.Spec.SecurityContext.Sysctls) == 0 {
				return fmt.Errorf("the pod %s has the stamp %q and the sysctls %v", pod.Name,
					pod.Annotations[v1alpha1.AnnotationTuning], pod.Spec.SecurityContext.Sysctls)
			}
			return nil
		})
	})

	change(p, tuned, func(policy *v1alpha1.ConnectionPolicy) { policy.Spec.Tuning.Mode = v1alpha1.ModeObserve })
	p.await(3*time.Minute, "the tuning is gone and the client's pods are as they were", func(ctx context.Context) error {
		err := p.get(ctx, tuningName, &v1alpha1.ConnectionTuning{})
		if !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("the ConnectionTuning is there"), err)
		}
		return p.everyClientPod(ctx, func(pod corev1.Pod) error {
			if pod.Annotations[v1alpha1.AnnotationTuning] != "" || len(pod.Spec.SecurityContext.Sysctls) != 0 {
				return fmt.Errorf("the pod %s still has the sysctls %v", pod.Name, pod.Spec.SecurityContext.Sysctls)
			}
			return nil
		})
	})
	p.awaitCondition(time.Minute, policyName, v1alpha1.ConditionTuned, metav1.ConditionUnknown, v1alpha1.ReasonObserveOnly)
}

// TestNamespaceDeletedInTheMiddleOfATuning: no finalizer holds a namespace that goes.
func TestNamespaceDeletedInTheMiddleOfATuning(t *testing.T) {
	t.Parallel()
	p := tuningPlace(t)
	p.await(tuneTimeout, "the values are being applied", func(ctx context.Context) error {
		tuning := &v1alpha1.ConnectionTuning{}
		if err := p.get(ctx, tuningName, tuning); err != nil {
			return err
		}
		if tuning.Spec.Knobs == nil {
			return fmt.Errorf("nothing is applied yet: %s", describe(tuning.Status.Conditions))
		}
		return nil
	})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.namespace}}
	if err := session.Client.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	p.await(2*time.Minute, "the namespace is gone", func(ctx context.Context) error {
		err := session.Client.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(fmt.Errorf("the namespace is there: %+v", namespace.Status.Conditions), err)
	})
}

// everyClientPod checks the pods of the client that are not on their way out. There must be one.
func (p place) everyClientPod(ctx context.Context, check func(corev1.Pod) error) error {
	pods, err := p.pods(ctx, client.MatchingLabels{appLabel: "client"})
	if err != nil {
		return err
	}
	checked := 0
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		if err := check(pod); err != nil {
			return err
		}
		checked++
	}
	if checked == 0 {
		return errors.New("the client has no pod")
	}
	return nil
}
