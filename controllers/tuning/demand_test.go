package tuning

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// TestReadings takes a reading for what it is: of a pod that lives, and of the right one of two with the same name.
func TestReadings(t *testing.T) {
	before, after := metav1.NewTime(noon.Add(-time.Minute)), metav1.NewTime(noon.Add(time.Minute))
	pods := []Pod{{Name: "db-0", Created: noon, Stamp: "statefulset-db.1", Alive: true}, {Name: "gone", Created: noon}}
	reading := v1alpha1.ObserverReading{
		Pod: "db-0", Tuning: "statefulset-db.1", Time: &after, Outcome: "measured",
		PortsInUse: new(int32(10)), PortsAvailable: new(int32(100)), Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "1024 65535"},
	}
	tests := map[string]struct {
		change func(*v1alpha1.ObserverReading)
		known  bool
		// counted says whether it counts as a demand.
		counted bool
	}{
		"as it is":              {func(*v1alpha1.ObserverReading) {}, true, true},
		"of the pod before":     {func(r *v1alpha1.ObserverReading) { r.Time = &before }, false, false},
		"of another stamp":      {func(r *v1alpha1.ObserverReading) { r.Tuning = "" }, false, false},
		"of a pod that is gone": {func(r *v1alpha1.ObserverReading) { r.Pod, r.Tuning = "gone", "" }, false, false},
		"that failed": {func(r *v1alpha1.ObserverReading) {
			r.Outcome, r.Cause, r.PortsInUse = "failed", "connection refused", nil
		}, true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := *reading.DeepCopy()
			test.change(&seen)
			p := policy("checkout", v1alpha1.ModeApply, v1alpha1.DisruptionNone)
			p.Spec.To = []v1alpha1.Link{{Name: "payments"}}
			reports := linkReports{
				{"checkout", "payments"}: {Status: v1alpha1.ConnectionReportStatus{Observers: []v1alpha1.ObserverReading{seen}}},
			}
			readings := observerReadings(reports, pods)
			if known := len(readings) == 1; known != test.known {
				t.Fatalf("readings are %+v", readings)
			}
			if test.known && (readings[0].Sysctls != nil) != test.counted {
				t.Errorf("sysctls are %v", readings[0].Sysctls)
			}
			demands := linkDemands([]v1alpha1.ConnectionPolicy{p}, reports, pods)
			if len(demands) != 1 || (len(demands[0].Pods) == 1) != test.counted {
				t.Errorf("demands are %+v", demands)
			}
		})
	}
}

// TestSuspendedDemandsNothing: neither does a policy that names other knobs only.
func TestSuspendedDemandsNothing(t *testing.T) {
	p := policy("checkout", v1alpha1.ModeApply, v1alpha1.DisruptionNone)
	p.Spec.To = []v1alpha1.Link{{Name: "payments"}}
	p.Spec.Suspend = true
	if demands := linkDemands([]v1alpha1.ConnectionPolicy{p}, nil, nil); len(demands) != 0 {
		t.Errorf("demands of a suspended policy: %+v", demands)
	}
	p.Spec.Suspend = false
	p.Spec.Tuning.Knobs = []v1alpha1.KnobBounds{{Name: "another"}}
	if demands := linkDemands([]v1alpha1.ConnectionPolicy{p}, nil, nil); len(demands) != 0 {
		t.Errorf("demands of a policy that lets other knobs be changed: %+v", demands)
	}
	p.Spec.Tuning.Knobs = []v1alpha1.KnobBounds{{Name: v1alpha1.KnobEphemeralPorts, Min: new(int64(20000))}}
	demands := linkDemands([]v1alpha1.ConnectionPolicy{p}, nil, nil)
	if len(demands) != 1 || demands[0].Bounds == nil || *demands[0].Bounds.Min != 20000 {
		t.Errorf("bounds are lost: %+v", demands)
	}
}

// TestReportOfAnotherLink: two links can have one name of a report, and only one of them has the report.
func TestReportOfAnotherLink(t *testing.T) {
	one, other := linkName{"a-b", "c"}, linkName{"a", "b-c"}
	if one.report() != other.report() {
		t.Fatalf("the names %s and %s differ", one.report(), other.report())
	}
	report := v1alpha1.ConnectionReport{Spec: v1alpha1.ConnectionReportSpec{PolicyName: "a-b", LinkName: "c"}}
	if !one.owns(report) || other.owns(report) {
		t.Errorf("owned by the first: %v, by the other: %v", one.owns(report), other.owns(report))
	}
}
