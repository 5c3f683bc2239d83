package cel

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const garbageCollector = "system:serviceaccount:kube-system:generic-garbage-collector"

// testOperatorOnly writes what is the operator's as the operator, and as those who have every right of RBAC.
func (c *cluster) testOperatorOnly(t *testing.T) {
	const namespace, alone = "operator-only", "are written by the operator alone"
	c.namespace(t, namespace, nil)
	// What admission lets the operator do is more than its rights are.
	written := c.as(t, operator, "system:masters")
	merge := func(body string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(body)) }
	status := merge(`{"status":{"observedGeneration":7}}`)

	web := v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"}
	for resource, object := range map[string]client.Object{
		"connectionreports": newReport(namespace, "web-to-api-api"),
		"connectiontunings": newTuning(namespace, "deployment-web", web),
	} {
		t.Run(resource, func(t *testing.T) {
			expect(t, c.admin.Create(t.Context(), object.DeepCopyObject().(client.Object)), resource+" "+alone)
			expect(t, written.Create(t.Context(), object), "")
			expect(t, written.Patch(t.Context(), object, merge(`{"metadata":{"labels":{"by":"operator"}}}`)), "")
			expect(t, c.admin.Patch(t.Context(), object, merge(`{"metadata":{"labels":{"by":"admin"}}}`)), alone)

			body := merge(`{"status":{"conditions":[]}}`)
			if resource == "connectionreports" {
				body = merge(`{"status":{"worstFinding":"none"}}`)
			}
			expect(t, c.admin.Status().Patch(t.Context(), object, body), resource+"/status "+alone)
			expect(t, written.Status().Patch(t.Context(), object, body), "")

			collector := c.as(t, garbageCollector, "system:masters")
			expect(t, collector.Patch(t.Context(), object, merge(`{"metadata":{"ownerReferences":null}}`)), "")
			expect(t, c.admin.Delete(t.Context(), object), "")
		})
	}

	t.Run("spec of a tuning", func(t *testing.T) {
		tuning := newTuning(namespace, "deployment-spec", web)
		expect(t, written.Create(t.Context(), tuning), "")
		widen := merge(`{"spec":{"knobs":{"ephemeralPorts":{"first":2048}}}}`)
		expect(t, c.admin.Patch(t.Context(), tuning, widen), alone)
		expect(t, c.as(t, garbageCollector, "system:masters").Patch(t.Context(), tuning, widen), alone)
		expect(t, written.Patch(t.Context(), tuning, widen), "")
	})

	t.Run("a tuning under deletion can be let go", func(t *testing.T) {
		tuning := newTuning(namespace, "deployment-going", web)
		tuning.Finalizers = []string{v1alpha1.FinalizerTuning}
		expect(t, written.Create(t.Context(), tuning), "")
		expect(t, c.admin.Patch(t.Context(), tuning, merge(`{"metadata":{"finalizers":null}}`)), alone)
		expect(t, c.admin.Delete(t.Context(), tuning), "")
		expect(t, c.admin.Patch(t.Context(), tuning, merge(`{"spec":{"knobs":{"ephemeralPorts":{"first":2048}}}}`)), alone)
		expect(t, c.admin.Patch(t.Context(), tuning, merge(`{"metadata":{"finalizers":null}}`)), "")
		eventually(t, func(ctx context.Context) string {
			err := c.admin.Get(ctx, client.ObjectKeyFromObject(tuning), &v1alpha1.ConnectionTuning{})
			if apierrors.IsNotFound(err) {
				return ""
			}
			return "the tuning is still there"
		})
	})

	t.Run("status of a policy", func(t *testing.T) {
		policy := newPolicy(namespace, "web-to-api")
		expect(t, c.admin.Create(t.Context(), policy), "")
		expect(t, c.admin.Status().Patch(t.Context(), policy, status), "connectionpolicies/status "+alone)
		expect(t, written.Status().Patch(t.Context(), policy, status), "")
		expect(t, c.as(t, operator).Patch(t.Context(), policy, merge(`{"spec":{"suspend":true}}`)), "cannot patch resource")
	})
}
