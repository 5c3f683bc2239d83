package cel

import (
	"reflect"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// testDefaults sends the smallest policy and wants back what the documentation promises.
func (c *cluster) testDefaults(t *testing.T) {
	observers, silence := int32(2), int32(1000)
	want := v1alpha1.ConnectionPolicySpec{
		From: &v1alpha1.WorkloadReference{Group: "apps", Kind: "Deployment", Name: "web"},
		To: []v1alpha1.Link{{
			Name:     "api",
			Service:  &v1alpha1.ServiceReference{Name: "api"},
			Protocol: v1alpha1.ProtocolHTTP,
			HTTP:     &v1alpha1.HTTPRequest{Path: "/"},
		}, {
			Name:     "cache",
			Service:  &v1alpha1.ServiceReference{Name: "cache"},
			Protocol: v1alpha1.ProtocolTCP,
		}, {
			Name:     "prices",
			Service:  &v1alpha1.ServiceReference{Name: "prices"},
			Protocol: v1alpha1.ProtocolGRPC,
			TLS:      &v1alpha1.TLSClient{CAConfigMap: &v1alpha1.ConfigMapKey{Name: "ca", Key: "ca.crt"}},
		}, {
			Name:     "news",
			Service:  &v1alpha1.ServiceReference{Name: "news"},
			Protocol: v1alpha1.ProtocolWebSocket,
			TLS:      &v1alpha1.TLSClient{},
		}},
		Probe: v1alpha1.ProbeSpec{
			IntervalSeconds: 600,
			Limits:          v1alpha1.ProbeLimits{Connections: 200, RequestsPerSecond: 50, Seconds: 30, IdleSeconds: &silence},
		},
		Observe: v1alpha1.ObserveSpec{Pods: &observers},
		Tuning:  v1alpha1.TuningSpec{Mode: v1alpha1.ModeObserve, Disruption: v1alpha1.DisruptionNone},
	}
	policy := newPolicy("default", "defaults")
	policy.Spec = v1alpha1.ConnectionPolicySpec{
		From: &v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"},
		To: []v1alpha1.Link{
			{
				Name:     "api",
				Service:  &v1alpha1.ServiceReference{Name: "api"},
				Protocol: v1alpha1.ProtocolHTTP,
				HTTP:     &v1alpha1.HTTPRequest{},
			},
			{Name: "cache", Service: &v1alpha1.ServiceReference{Name: "cache"}},
			{
				Name:     "prices",
				Service:  &v1alpha1.ServiceReference{Name: "prices"},
				Protocol: v1alpha1.ProtocolGRPC,
				TLS:      &v1alpha1.TLSClient{CAConfigMap: &v1alpha1.ConfigMapKey{Name: "ca"}},
			},
			// An empty one says something: that TLS is spoken.
			{Name: "news", Service: &v1alpha1.ServiceReference{Name: "news"}, Protocol: v1alpha1.ProtocolWebSocket, TLS: &v1alpha1.TLSClient{}},
		},
	}
	if err := c.admin.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	var got v1alpha1.ConnectionPolicy
	if err := c.admin.Get(t.Context(), client.ObjectKeyFromObject(policy), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Spec, want) {
		t.Errorf("the spec came back as\n%+v\nwant\n%+v", got.Spec, want)
	}
}

// testImmutable changes what an object is about, which must be refused.
func (c *cluster) testImmutable(t *testing.T) {
	// The operator, but not held by its rights: it may not update a report.
	writer := c.as(t, operator, "system:masters")
	tuning := newTuning("default", "deployment-web", v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"})
	if err := writer.Create(t.Context(), tuning); err != nil {
		t.Fatal(err)
	}
	tuning.Spec.TargetRef.Name = "other"
	expect(t, writer.Update(t.Context(), tuning), "a tuning is of one workload for its whole life")

	report := newReport("default", "immutable")
	if err := writer.Create(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	report.Spec.LinkName = "other"
	expect(t, writer.Update(t.Context(), report), "a report is of one link for its whole life")
}
