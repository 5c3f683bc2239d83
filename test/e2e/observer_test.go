//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const refusal = "no ephemeral containers in this namespace"

// TestObserverRefused: where an administrator allows no ephemeral container, the report says so and the probe goes on.
func TestObserverRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	p.create(server(1), serverService())
	p.refuseEphemeralContainers()
	p.create(caller(p.namespace, 1), policy())
	p.awaitCondition(2*time.Minute, policyName, v1alpha1.ConditionProbed, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	p.await(time.Minute, "the report says why there is no observer", func(ctx context.Context) error {
		report := &v1alpha1.ConnectionReport{}
		if err := p.get(ctx, policyName+"-server", report); err != nil {
			return err
		}
		if len(report.Status.Vantages) == 0 {
			return errors.New("the report has no result of a probe")
		}
		for _, observer := range report.Status.Observers {
			if observer.Outcome == "failed" && strings.Contains(observer.Cause, refusal) {
				return nil
			}
		}
		return fmt.Errorf("the observers are %+v", report.Status.Observers)
	})
	if found := verdictOn(p.report(), rulePortHeadroom); found != v1alpha1.VerdictUnknown {
		t.Errorf("without an observer the rule %s says %q", rulePortHeadroom, found)
	}
}

func (p place) report() v1alpha1.ConnectionReport {
	p.Helper()
	report := v1alpha1.ConnectionReport{}
	if err := p.get(p.Context(), policyName+"-server", &report); err != nil {
		p.Fatal(err)
	}
	return report
}

// refuseEphemeralContainers makes the API server refuse them in the namespace, and waits until it does.
func (p place) refuseEphemeralContainers() {
	p.Helper()
	name := "refuse-" + p.namespace
	objects := []client.Object{
		&admissionregistrationv1.ValidatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				MatchConstraints: &admissionregistrationv1.MatchResources{
					NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": p.namespace}},
					ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
						Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
						Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/ephemeralcontainers"}},
					}}},
				},
				Validations: []admissionregistrationv1.Validation{{Expression: "false", Message: refusal}},
			},
		},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			},
		},
	}
	for _, object := range objects {
		if err := session.Client.Create(p.Context(), object); err != nil {
			p.Fatal(err)
		}
		p.Cleanup(func() {
			if err := session.Client.Delete(context.WithoutCancel(p.Context()), object); err != nil {
				p.Errorf("delete %s: %v", object.GetName(), err)
			}
		})
	}
	p.await(time.Minute, "the API server refuses ephemeral containers", p.tryEphemeralContainer)
}

// tryEphemeralContainer asks the API server, without making one, whether a pod of the server may have an ephemeral
// container. It is an error if the answer is anything but the refusal.
func (p place) tryEphemeralContainer(ctx context.Context) error {
	pods, err := p.pods(ctx, client.MatchingLabels{appLabel: "server"})
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return errors.New("the server has no pod yet")
	}
	pod := pods[0].DeepCopy()
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "look", Image: probeImage, SecurityContext: pod.Spec.Containers[0].SecurityContext,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
	}}}
	_, err = session.Clientset.CoreV1().Pods(p.namespace).UpdateEphemeralContainers(ctx, pod.Name, pod, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil || !strings.Contains(err.Error(), refusal) {
		return errors.Join(errors.New("it did not refuse"), err)
	}
	return nil
}
