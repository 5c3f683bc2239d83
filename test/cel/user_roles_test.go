package cel

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// testUserRoles acts as users who hold the cluster's roles view and edit. The controller that aggregates roles does not
// run here, so the parts of each are bound one by one, and the labels that aggregate ours are looked at.
func (c *cluster) testUserRoles(t *testing.T) {
	const namespace = "user-roles"
	c.namespace(t, namespace, nil)
	const toView, toEdit = "rbac.authorization.k8s.io/aggregate-to-view", "rbac.authorization.k8s.io/aggregate-to-edit"
	for name, labels := range map[string][]string{"connpolicy-view": {toView, toEdit}, "connpolicy-edit": {toEdit}} {
		var role rbacv1.ClusterRole
		if err := c.admin.Get(t.Context(), client.ObjectKey{Name: name}, &role); err != nil {
			t.Fatal(err)
		}
		for _, label := range labels {
			if role.Labels[label] != "true" {
				t.Errorf("%s has no label %s", name, label)
			}
		}
		if name == "connpolicy-edit" && role.Labels[toView] != "" {
			t.Error("connpolicy-edit is aggregated to view")
		}
	}
	for user, roles := range map[string][]string{
		"viewer": {"connpolicy-view", "system:aggregate-to-view"},
		"editor": {"connpolicy-view", "connpolicy-edit", "system:aggregate-to-view", "system:aggregate-to-edit"},
	} {
		for _, role := range roles {
			c.grantClusterRole(t, namespace, user, role)
		}
	}
	web := v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"}
	report, tuning := newReport(namespace, "report"), newTuning(namespace, "tuning", web)
	for _, object := range []client.Object{report, tuning} {
		expect(t, c.as(t, operator).Create(t.Context(), object), "")
	}

	viewer, editor := c.as(t, "viewer"), c.as(t, "editor")
	for _, reader := range []client.Client{viewer, editor} {
		for _, list := range []client.ObjectList{
			&v1alpha1.ConnectionPolicyList{}, &v1alpha1.ConnectionReportList{}, &v1alpha1.ConnectionTuningList{},
		} {
			expect(t, reader.List(t.Context(), list, client.InNamespace(namespace)), "")
		}
	}
	const forbidden = "is forbidden: User"
	label := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"shop"}}}`))
	expect(t, viewer.Create(t.Context(), newPolicy(namespace, "viewed")), forbidden)
	apply := newPolicy(namespace, "edited")
	apply.Spec.From = &web
	apply.Spec.Tuning.Mode = v1alpha1.ModeApply
	expect(t, editor.Create(t.Context(), apply), "")
	expect(t, editor.Patch(t.Context(), apply, label), "")
	expect(t, editor.Status().Patch(t.Context(), apply, label), forbidden)
	for _, object := range []client.Object{report, tuning} {
		expect(t, editor.Patch(t.Context(), object, label), forbidden)
		expect(t, viewer.Delete(t.Context(), object), forbidden)
	}
	expect(t, editor.Delete(t.Context(), report), forbidden)
	expect(t, editor.Delete(t.Context(), tuning), "")
	expect(t, editor.Create(t.Context(), newReport(namespace, "forged")), forbidden)
	expect(t, editor.Create(t.Context(), newTuning(namespace, "forged", web)), forbidden)
	expect(t, editor.Delete(t.Context(), apply), "")
}
