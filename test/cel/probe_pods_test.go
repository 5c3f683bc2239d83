package cel

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// testProbePods creates pods that claim to be probes, and pods that come to claim it later.
func (c *cluster) testProbePods(t *testing.T) {
	const namespace, refused = "probe-pods", "only the operator may set it"
	const labelsStay, containersStay = "of a pod of the operator stay", "containers and images of a pod of the operator stay"
	c.namespace(t, namespace, nil)
	labelled := func(name string) client.Object {
		pod := newPod(namespace, name)
		pod.Labels = map[string]string{v1alpha1.LabelProbe: "web-to-api", v1alpha1.LabelRole: "probe"}
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
	for _, body := range []string{
		`"connpolicy.dev/probe":"other"`, `"connpolicy.dev/probe":null`, `"connpolicy.dev/role":null`,
		`"connpolicy.dev/link":"other"`, `"connpolicy.dev/run":"other"`, `"connpolicy.dev/target":"other"`,
	} {
		expect(t, c.admin.Patch(t.Context(), probe, label(body)), labelsStay)
		expect(t, c.admin.Status().Patch(t.Context(), probe, label(body)), labelsStay)
	}
	image := client.RawPatch(types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"app","image":"other:v1"}]}}`))
	expect(t, c.admin.Patch(t.Context(), probe, image), containersStay)
	expect(t, c.admin.Patch(t.Context(), ordinary, image), "")
	debug := client.RawPatch(types.StrategicMergePatchType,
		[]byte(`{"spec":{"ephemeralContainers":[{"name":"debugger","image":"other:v1"}]}}`))
	expect(t, c.admin.SubResource("ephemeralcontainers").Patch(t.Context(), probe, debug), containersStay)
	expect(t, c.admin.SubResource("ephemeralcontainers").Patch(t.Context(), ordinary, debug), "")

	// What the scheduler, the garbage collector and the kubelet do.
	bind := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "node-1"}}
	expect(t, c.admin.SubResource("binding").Create(t.Context(), probe, bind), "")
	metadata := func(body string) client.Patch {
		return client.RawPatch(types.MergePatchType, []byte(`{"metadata":{`+body+`}}`))
	}
	expect(t, c.admin.Patch(t.Context(), probe, metadata(`"finalizers":["example.com/held"]`)), "")
	expect(t, c.admin.Patch(t.Context(), probe,
		metadata(`"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"uid-owner"}]`)), "")
	expect(t, c.admin.Status().Patch(t.Context(), probe,
		client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Failed"}}`))), "")
	expect(t, c.admin.Delete(t.Context(), probe, client.GracePeriodSeconds(0)), "")
	expect(t, c.admin.Patch(t.Context(), probe, metadata(`"finalizers":null`)), "")
}
