package cel

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// testAuthor writes policies as users who may all write policies, and differ in their other rights.
func (c *cluster) testAuthor(t *testing.T) {
	const namespace = "author"
	c.namespace(t, namespace, nil)
	policies := rule("connpolicy.dev", "connectionpolicies", "get", "create", "update", "patch")
	pods := rule("", "pods", "create")
	web := rule("apps", "deployments", "update")
	web.ResourceNames = []string{"web"}
	c.grant(t, namespace, "only-policies", policies)
	c.grant(t, namespace, "pods", policies, pods)
	c.grant(t, namespace, "web", policies, pods, web)
	certificates := rule("", "secrets", "get")
	certificates.ResourceNames = []string{"bank-1", "bank-2", "bank-3"}
	c.grant(t, namespace, "bank", policies, pods, certificates)

	observe := func(*v1alpha1.ConnectionPolicy) {}
	tune := func(mode v1alpha1.TuningMode, kind, name string, approve ...string) func(*v1alpha1.ConnectionPolicy) {
		return func(p *v1alpha1.ConnectionPolicy) {
			p.Spec.From = &v1alpha1.WorkloadReference{Kind: kind, Name: name}
			p.Spec.Tuning.Mode, p.Spec.Tuning.Approve = mode, approve
		}
	}
	// show has links over TLS, each of which shows the certificate of a Secret.
	show := func(secrets ...string) func(*v1alpha1.ConnectionPolicy) {
		return func(p *v1alpha1.ConnectionPolicy) {
			p.Spec.To = nil
			for i, secret := range secrets {
				p.Spec.To = append(p.Spec.To, v1alpha1.Link{
					Name: fmt.Sprintf("bank-%d", i), Protocol: v1alpha1.ProtocolHTTPS, Endpoint: &v1alpha1.Endpoint{Host: "bank.example", Port: 443},
					TLS: &v1alpha1.TLSClient{ClientCertificateSecret: &v1alpha1.SecretName{Name: secret}},
				})
			}
		}
	}
	const hash = "sha256-0123456789abcdef"
	const noPods = `user "only-policies" may not create pods in namespace "author"`
	for _, test := range []struct {
		name   string
		user   string
		change func(*v1alpha1.ConnectionPolicy)
		want   string
	}{
		{"observe without the right to create pods", "only-policies", observe, noPods},
		{"observe", "pods", observe, ""},
		{"recommend", "pods", tune(v1alpha1.ModeRecommend, "Deployment", "web"), ""},
		{"approve without the workload", "pods", tune(v1alpha1.ModeRecommend, "Deployment", "web", hash),
			`user "pods" may not update deployments.apps "web" in namespace "author": tuning.mode Recommend with an approved`},
		{"approve", "web", tune(v1alpha1.ModeRecommend, "Deployment", "web", hash), ""},
		{"apply without the workload", "pods", tune(v1alpha1.ModeApply, "Deployment", "web"),
			`user "pods" may not update deployments.apps "web" in namespace "author": tuning.mode Apply changes`},
		{"apply", "web", tune(v1alpha1.ModeApply, "Deployment", "web"), ""},
		{"apply to another workload", "web", tune(v1alpha1.ModeApply, "Deployment", "db"), `deployments.apps "db"`},
		{"apply to another kind", "web", tune(v1alpha1.ModeApply, "StatefulSet", "web"), `statefulsets.apps "web"`},
		{"a certificate without the right to get it", "pods", show("bank-1"), `user "pods" may not get secrets "bank-1" in namespace "author"`},
		{"one that is another's", "bank", show("bank-1", "other"), `user "bank" may not get secrets "bank-1" and "other"`},
		{"the fourth that is another's", "bank", show("bank-1", "bank-2", "bank-3", "other"), `user "bank" may not get secrets "bank-3" and "other"`},
		{"the third that is another's", "bank", show("bank-1", "bank-2", "other"), `user "bank" may not get secrets "other" in`},
		{"certificates", "bank", show("bank-1", "bank-2", "bank-3", "bank-1"), ""},
		{"TLS without a certificate", "pods", func(p *v1alpha1.ConnectionPolicy) {
			p.Spec.To[0].Protocol, p.Spec.To[0].TLS = v1alpha1.ProtocolGRPC, &v1alpha1.TLSClient{}
		}, ""},
		{"apply to a daemon set", "web", tune(v1alpha1.ModeApply, "DaemonSet", "web"), `daemonsets.apps "web"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy := newPolicy(namespace, "author")
			test.change(policy)
			expect(t, c.as(t, test.user).Create(t.Context(), policy, client.DryRunAll), test.want)
		})
	}

	t.Run("changes of a policy", func(t *testing.T) {
		policy := newPolicy(namespace, "existing")
		if err := c.admin.Create(t.Context(), policy); err != nil {
			t.Fatal(err)
		}
		patch := func(user, body string) error {
			return c.as(t, user).Patch(t.Context(), policy.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
		}
		expect(t, patch("only-policies", `{"metadata":{"labels":{"team":"shop"}}}`), "")
		expect(t, patch("only-policies", `{"metadata":{"annotations":{"connpolicy.dev/requestedAt":"now"}}}`), "")
		expect(t, patch("only-policies", `{"spec":{"suspend":true}}`), noPods)
		expect(t, patch("pods", `{"spec":{"suspend":true}}`), "")
		expect(t, patch("pods", `{"spec":{"from":{"kind":"Deployment","name":"web"},"tuning":{"mode":"Apply"}}}`),
			`user "pods" may not update deployments.apps "web"`)
		expect(t, patch("web", `{"spec":{"from":{"kind":"Deployment","name":"web"},"tuning":{"mode":"Apply"}}}`), "")
		expect(t, patch("web", `{"spec":{"to":[{"name":"api","service":{"name":"api"},"protocol":"HTTPS",
			"tls":{"clientCertificateSecret":{"name":"bank-1"}}}]}}`), `user "web" may not get secrets "bank-1"`)
		// Whoever may write policies may make one harmless.
		expect(t, patch("pods", `{"spec":{"tuning":{"mode":"Observe"}}}`), "")
	})

	t.Run("the operator and the garbage collector", func(t *testing.T) {
		policy := newPolicy(namespace, "served")
		if err := c.admin.Create(t.Context(), policy); err != nil {
			t.Fatal(err)
		}
		before := policy.DeepCopy()
		policy.Status.ObservedGeneration = 1
		expect(t, c.as(t, operator).Status().Patch(t.Context(), policy, client.MergeFrom(before)), "")
		policy.Finalizers = []string{metav1.FinalizerOrphanDependents}
		expect(t, c.as(t, garbageCollector, "system:masters").Update(t.Context(), policy), "")
	})
}
