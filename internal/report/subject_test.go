package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func TestSubjects(t *testing.T) {
	named := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	from := func(name string) *v1alpha1.WorkloadReference {
		return &v1alpha1.WorkloadReference{Kind: "Deployment", Name: name}
	}
	o := Objects{
		Policies: []v1alpha1.ConnectionPolicy{
			{ObjectMeta: named("b", "two"), Spec: v1alpha1.ConnectionPolicySpec{From: from("web"), To: []v1alpha1.Link{{Name: "z"}, {Name: "a"}}}},
			{ObjectMeta: named("a", "two"), Spec: v1alpha1.ConnectionPolicySpec{From: from("web")}},
		},
		Reports: []v1alpha1.ConnectionReport{
			{ObjectMeta: named("b", "two-a"), Spec: v1alpha1.ConnectionReportSpec{PolicyName: "two", LinkName: "a"}},
			{ObjectMeta: named("b", "two-z"), Spec: v1alpha1.ConnectionReportSpec{PolicyName: "two", LinkName: "z"}},
			{ObjectMeta: named("b", "alone-x"), Spec: v1alpha1.ConnectionReportSpec{PolicyName: "alone", LinkName: "x"}, Status: v1alpha1.ConnectionReportStatus{Source: from("cron")}},
		},
		Tunings: []v1alpha1.ConnectionTuning{{ObjectMeta: named("b", "deployment-web")}, {ObjectMeta: named("b", "deployment-cron")}, {ObjectMeta: named("c", "daemonset-x")}},
	}
	var got []string
	for _, s := range o.Subjects() {
		var parts []string
		for _, r := range s.Reports {
			parts = append(parts, r.Spec.LinkName)
		}
		for i := range s.Tunings {
			parts = append(parts, s.Tunings[i].Name)
		}
		got = append(got, fmt.Sprintf("%s/%s: %s", s.Namespace, s.Name, strings.Join(parts, " ")))
	}
	// Reports in the order of the policy's links; a tuning of one namespace is not that of another.
	want := []string{"a/two: ", "b/alone: x deployment-cron", "b/two: z a deployment-web", "c/daemonset-x: daemonset-x"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
