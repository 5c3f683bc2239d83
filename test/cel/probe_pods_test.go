package cel

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// testProbePods creates pods that claim to be probes, and pods that come to claim it later.
func (c *cluster) testProbePods(t *testing.T) {
	const namespace, refused = "probe-pods", "only the operator may set it"
	c.namespace(t, namespace, nil)
	labelled := func(name string) client.Object {
		pod := newPod(namespace, name)
		pod.Labels = map[string]string{v1alpha1.LabelProbe: "web-to-api"}
		return pod
	}
	label := func(body string) client.Patch {
		return client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{`+body+`}}}`))
	}

	expect(t, c.admin.Create(t.Context(), labelled("claimed")), refused)

	ordinary := newPod(namespace, "ordinary")
	expect(t, c.admin.Create(t.Context(), ordinary), "")
	expect(t, c.admin.Patch(t.Context(), ordinary, label(`"connpolicy.dev/probe":"web-to-api"`)), refused)
	expect(t, c.admin.Status().Patch(t.Context(), ordinary, label(`"connpolicy.dev/probe":"web-to-api"`)), refused)
	expect(t, c.admin.Patch(t.Context(), ordinary, label(`"team":"shop"`)), "")

	probe := labelled("probe")
	expect(t, c.as(t, operator).Create(t.Context(), probe), "")
	expect(t, c.admin.Patch(t.Context(), probe, label(`"team":"shop"`)), "")
	expect(t, c.admin.Patch(t.Context(), probe, label(`"connpolicy.dev/probe":"other"`)), refused)
	expect(t, c.admin.Status().Patch(t.Context(), probe,
		client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Failed"}}`))), "")
	expect(t, c.admin.Patch(t.Context(), probe, label(`"connpolicy.dev/probe":null`)), "")
	expect(t, c.admin.Delete(t.Context(), probe), "")
}
