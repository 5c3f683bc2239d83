package cel

import (
	"maps"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/connpolicy/connpolicy/test/apiserver"
)

// grantedRole is a role that a manifest binds to the operator.
type grantedRole struct {
	name  string
	rules []rbacv1.PolicyRule
}

// operatorRoles reads the roles that a manifest binds to the operator's ServiceAccount.
func operatorRoles(t *testing.T, manifest string) []grantedRole {
	t.Helper()
	objects, err := apiserver.ReadManifests(manifest)
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string][]rbacv1.PolicyRule{}
	var bound []string
	for _, object := range objects {
		kind, name := object.GetKind(), object.GetName()
		switch kind {
		case "Role", "ClusterRole":
			// Role and ClusterRole have the same rules.
			var role rbacv1.ClusterRole
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
				t.Fatal(err)
			}
			rules[kind+"/"+name] = role.Rules
		case "RoleBinding", "ClusterRoleBinding":
			var binding rbacv1.ClusterRoleBinding
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &binding); err != nil {
				t.Fatal(err)
			}
			subject := rbacv1.Subject{Kind: "ServiceAccount", Name: "connpolicy-manager", Namespace: "connpolicy-system"}
			if !slices.Equal(binding.Subjects, []rbacv1.Subject{subject}) {
				t.Errorf("%s %s binds %v, want the operator alone", kind, name, binding.Subjects)
			}
			bound = append(bound, binding.RoleRef.Kind+"/"+binding.RoleRef.Name)
		}
	}
	var roles []grantedRole
	for _, name := range bound {
		if len(rules[name]) == 0 {
			t.Errorf("%s is bound and not in %s", name, manifest)
		}
		roles = append(roles, grantedRole{name, rules[name]})
	}
	if len(roles) == 0 {
		t.Fatalf("%s binds no role to the operator", manifest)
	}
	return roles
}

// TestOperatorRights reads the shipped manifests: what the operator may do is named one by one, and is little.
func TestOperatorRights(t *testing.T) {
	for manifest, want := range map[string]struct{ roles, workloadVerbs []string }{
		installPlain: {
			[]string{
				"ClusterRole/connpolicy-manager", "ClusterRole/connpolicy-metrics-auth", "ClusterRole/connpolicy-observer",
				"ClusterRole/connpolicy-openreports", "Role/connpolicy-leader-election",
			},
			[]string{"get", "list", "watch"},
		},
		installApply: {
			[]string{
				"ClusterRole/connpolicy-apply", "ClusterRole/connpolicy-manager", "ClusterRole/connpolicy-metrics-auth",
				"ClusterRole/connpolicy-observer", "ClusterRole/connpolicy-openreports", "Role/connpolicy-leader-election",
			},
			[]string{"get", "list", "patch", "watch"},
		},
	} {
		t.Run(manifest, func(t *testing.T) {
			var names, workloadVerbs []string
			for _, role := range operatorRoles(t, manifest) {
				names = append(names, role.name)
				for _, rule := range role.rules {
					checkRule(t, role.name, rule)
					if slices.Contains(rule.Resources, "deployments") {
						workloadVerbs = append(workloadVerbs, rule.Verbs...)
					}
				}
			}
			slices.Sort(names)
			if !slices.Equal(names, want.roles) {
				t.Errorf("roles are %q, want %q", names, want.roles)
			}
			slices.Sort(workloadVerbs)
			if !slices.Equal(workloadVerbs, want.workloadVerbs) {
				t.Errorf("verbs on workloads are %q, want %q", workloadVerbs, want.workloadVerbs)
			}
		})
	}
}

// TestOperatorWrites reads the shipped manifests: what the operator may write, and how, is what it does.
func TestOperatorWrites(t *testing.T) {
	everywhere := map[string]string{
		"pods":                                         "create delete",
		"pods/ephemeralcontainers":                     "patch",
		"reports.openreports.io":                       "create patch",
		"events":                                       "create patch",
		"events.events.k8s.io":                         "create patch",
		"leases.coordination.k8s.io":                   "create update",
		"tokenreviews.authentication.k8s.io":           "create",
		"subjectaccessreviews.authorization.k8s.io":    "create",
		"connectionpolicies/status.connpolicy.dev":     "patch",
		"connectionpolicies/finalizers.connpolicy.dev": "update",
		"connectionreports.connpolicy.dev":             "create delete",
		"connectionreports/status.connpolicy.dev":      "patch",
		"connectiontunings.connpolicy.dev":             "create delete update",
		"connectiontunings/status.connpolicy.dev":      "patch",
		"connectiontunings/finalizers.connpolicy.dev":  "update",
	}
	applying := maps.Clone(everywhere)
	for _, workload := range []string{"deployments.apps", "statefulsets.apps", "daemonsets.apps"} {
		applying[workload] = "patch"
	}
	for manifest, want := range map[string]map[string]string{installPlain: everywhere, installApply: applying} {
		t.Run(manifest, func(t *testing.T) {
			verbs := map[string][]string{}
			for _, role := range operatorRoles(t, manifest) {
				for _, rule := range role.rules {
					addWrites(verbs, rule)
				}
			}
			got := map[string]string{}
			for resource, written := range verbs {
				slices.Sort(written)
				got[resource] = strings.Join(slices.Compact(written), " ")
			}
			if !maps.Equal(got, want) {
				t.Errorf("the operator may write\n%v\nwant\n%v", got, want)
			}
		})
	}
}

// addWrites adds the verbs of a rule that do more than read to those of its resources.
func addWrites(verbs map[string][]string, rule rbacv1.PolicyRule) {
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			name := schema.GroupResource{Group: group, Resource: resource}.String()
			for _, verb := range rule.Verbs {
				if !slices.Contains([]string{"get", "list", "watch"}, verb) {
					verbs[name] = append(verbs[name], verb)
				}
			}
		}
	}
}

// checkRule refuses wild cards, Secrets and what lets one gain rights.
func checkRule(t *testing.T, role string, rule rbacv1.PolicyRule) {
	t.Helper()
	for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs, rule.ResourceNames} {
		if slices.Contains(list, "*") {
			t.Errorf("%s: '*' in %v", role, rule)
		}
	}
	for _, resource := range []string{
		"secrets", "configmaps", "serviceaccounts", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/portforward",
		"nodes/proxy", "roles", "clusterroles", "rolebindings", "clusterrolebindings",
	} {
		if slices.Contains(rule.Resources, resource) {
			t.Errorf("%s: a right on %s in %v", role, resource, rule)
		}
	}
	for _, verb := range []string{"bind", "escalate", "impersonate", "deletecollection"} {
		if slices.Contains(rule.Verbs, verb) {
			t.Errorf("%s: the verb %s in %v", role, verb, rule)
		}
	}
}
