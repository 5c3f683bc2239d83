//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const refusal = "no ephemeral containers in this namespace"

// TestObserverRefused: where an administrator allows no ephemeral container, the report says so and the probe goes on.
func TestObserverRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	p.refuseEphemeralContainers()
	p.create(server(1), serverService(), caller(p.namespace, 1), policy())
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
	if found := result(p.report(), rulePortHeadroom); found != v1alpha1.VerdictUnknown {
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
		&admissionv1.ValidatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionv1.ValidatingAdmissionPolicySpec{
				MatchConstraints: &admissionv1.MatchResources{
					NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": p.namespace}},
					ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
						Operations: []admissionv1.OperationType{admissionv1.Update},
						Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/ephemeralcontainers"}},
					}}},
				},
				Validations: []admissionv1.Validation{{Expression: "false", Message: refusal}},
			},
		},
		&admissionv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
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
	target := server(1)
	target.Name = "sentinel"
	p.create(target)
	p.await(time.Minute, "the API server refuses ephemeral containers", func(ctx context.Context) error {
		_, err := session.Kubectl.Output(ctx, "-n", p.namespace, "debug", "deployment/sentinel", "--image="+probeImage, "--profile=restricted", "--attach=false")
		if err == nil || !strings.Contains(err.Error(), refusal) {
			return errors.Join(errors.New("it did not"), err)
		}
		return nil
	})
}
