package cel

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// testColumns asks for the table that kubectl get prints.
func (c *cluster) testColumns(t *testing.T) {
	policy := newPolicy("default", "columns")
	if err := c.admin.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	before := policy.DeepCopy()
	share, ports := int32(71), int32(99)
	policy.Status = v1alpha1.ConnectionPolicyStatus{
		Conditions: []metav1.Condition{
			condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded),
			condition(v1alpha1.ConditionCompliant, metav1.ConditionFalse, v1alpha1.ReasonFindings),
			condition(v1alpha1.ConditionTuned, metav1.ConditionFalse, v1alpha1.ReasonObserveOnly),
		},
		SetupSharePercent:      &share,
		PortUtilizationPercent: &ports,
		Findings:               &v1alpha1.FindingCount{Total: 2, Error: 1, Warning: 1},
	}
	if err := c.as(t, operator).Status().Patch(t.Context(), policy, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	table := c.table(t, "connectionpolicies", policy.Name)
	var names []string
	for _, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			names = append(names, column.Name)
		}
	}
	want := []string{"Name", "Ready", "Compliant", "Mode", "Setup%", "Ports%", "Findings", "Tuned", "Age"}
	if !slices.Equal(names, want) {
		t.Errorf("columns are %q, want %q", names, want)
	}
	cells := table.Rows[0].Cells[:8]
	wantCells := []any{"columns", "True", "False", "Observe", int64(71), int64(99), int64(2), "ObserveOnly"}
	if !slices.Equal(cells, wantCells) {
		t.Errorf("cells are %#v, want %#v", cells, wantCells)
	}
}

func condition(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.Now()}
}

// table gets an object in the form that the API server makes for printing.
func (c *cluster) table(t *testing.T, resource, name string) *metav1.Table {
	t.Helper()
	config := rest.CopyConfig(c.config)
	config.GroupVersion, config.APIPath = &v1alpha1.GroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(c.scheme).WithoutConversion()
	getter, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	table := &metav1.Table{}
	err = getter.Get().Namespace("default").Resource(resource).Name(name).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Into(table)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != 1 {
		t.Fatalf("the table has %d rows, want 1", len(table.Rows))
	}
	return table
}
