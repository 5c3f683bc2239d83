//go:build e2e

package e2e

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// TestTenantsWithDifferentRights: a policy gives its author no power that the author lacks.
func TestTenantsWithDifferentRights(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	p.create(
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "policies-only"}, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"connectionpolicies"}, Verbs: []string{"*"},
		}}},
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "pods-too"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"connectionpolicies"}, Verbs: []string{"*"}},
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}},
		}},
		binding("poor", rbacv1.RoleRef{Kind: "Role", Name: "policies-only"}),
		binding("middle", rbacv1.RoleRef{Kind: "Role", Name: "pods-too"}),
		binding("rich", rbacv1.RoleRef{Kind: "ClusterRole", Name: "edit"}),
	)
	for _, test := range []struct {
		user    string
		policy  *v1alpha1.ConnectionPolicy
		refusal string
	}{
		{"poor", policy(), "create pods"},
		{"middle", applied(), "update"},
		{"middle", policy(), ""},
		{"rich", applied(), ""},
	} {
		t.Run(test.user+" "+string(test.policy.Spec.Tuning.Mode), func(t *testing.T) {
			test.policy.Namespace, test.policy.Name = p.namespace, "of-"+test.user
			err := as(t, test.user).Create(t.Context(), test.policy)
			switch {
			case test.refusal == "" && err != nil:
				t.Errorf("was refused: %v", err)
			case test.refusal != "" && err == nil:
				t.Error("was accepted")
			case test.refusal != "" && !strings.Contains(err.Error(), test.refusal):
				t.Errorf("was refused without naming the missing right %q: %v", test.refusal, err)
			}
		})
	}
}

func binding(user string, role rbacv1.RoleRef) *rbacv1.RoleBinding {
	role.APIGroup = rbacv1.GroupName
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    role,
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
}

// as returns a client that acts as a user.
func as(t *testing.T, user string) client.Client {
	t.Helper()
	config := rest.CopyConfig(session.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	c, err := client.New(config, client.Options{Scheme: session.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
