package tuner

import (
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func TestName(t *testing.T) {
	for target, want := range map[v1alpha1.WorkloadReference]string{
		{Group: "apps", Kind: "Deployment", Name: "client"}: "deployment-client",
		{Kind: "StatefulSet", Name: "db"}:                   "statefulset-db",
	} {
		if got := Name(target); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The digests are stored in clusters and in Git: another value for the same input would restart workloads and withdraw
// approvals.
func TestDigestsNeverChange(t *testing.T) {
	values := v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 1024, Last: 65535, Reserved: []string{"8080", "30000-32767"}}}
	target := v1alpha1.WorkloadReference{Kind: "Deployment", Name: "client"}
	if got, want := Revision(values), "1d6dd339"; got != want {
		t.Errorf("revision %s, want %s", got, want)
	}
	if got, want := Hash(target, values), "sha256-da573efe8cb09ea7"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	withGroup := v1alpha1.WorkloadReference{Group: "apps", Kind: "Deployment", Name: "client"}
	if Hash(target, values) != Hash(withGroup, values) {
		t.Error("the default group makes a difference")
	}
	other := v1alpha1.WorkloadReference{Kind: "Deployment", Name: "server"}
	if Hash(target, values) == Hash(other, values) {
		t.Error("another workload has the same hash")
	}
	values.EphemeralPorts.Last--
	if Revision(values) == "1d6dd339" {
		t.Error("other values have the same revision")
	}
}
