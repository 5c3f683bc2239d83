package cel

import (
	"context"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// grant gives a user rights in a namespace.
func (c *cluster) grant(t *testing.T, namespace, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user}, Rules: rules}
	if err := c.admin.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	c.bind(t, namespace, user, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user}, rules)
}

// grantClusterRole gives a user the rights of a ClusterRole in a namespace.
func (c *cluster) grantClusterRole(t *testing.T, namespace, user, name string) {
	t.Helper()
	var role rbacv1.ClusterRole
	if err := c.admin.Get(t.Context(), client.ObjectKey{Name: name}, &role); err != nil {
		t.Fatal(err)
	}
	c.bind(t, namespace, user, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}, role.Rules)
}

// bind binds a user to a role in a namespace, and waits until the API server knows the rights.
func (c *cluster) bind(t *testing.T, namespace, user string, role rbacv1.RoleRef, rules []rbacv1.PolicyRule) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user + ":" + role.Name},
		RoleRef:    role,
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}
	if err := c.admin.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
		attributes := authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: resource, Subresource: subresource,
		}
		if len(rule.ResourceNames) > 0 {
			attributes.Name = rule.ResourceNames[0]
		}
		eventually(t, func(ctx context.Context) string {
			review := &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &attributes},
			}
			if err := c.admin.Create(ctx, review); err != nil {
				return err.Error()
			}
			if !review.Status.Allowed {
				return user + " has not got the right yet to " + attributes.Verb + " " + resource
			}
			return ""
		})
	}
}
