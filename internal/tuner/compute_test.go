package tuner

import (
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func workload() Workload {
	return Workload{
		Target:         v1alpha1.WorkloadReference{Group: "apps", Kind: "Deployment", Name: "client"},
		ContainerPorts: []int{9090},
		NodePorts:      PortRange{First: 30000, Last: 32767},
	}
}

// untunedPod is a pod with the kernel's default range.
func untunedPod(name string, held int) PodPorts {
	rate := held / 60
	return PodPorts{
		Pod: name, Address: "198.18.96.7:80", InUse: held, InUsePeak: held, TimeWait: held - held/100, Available: untunedPorts,
		ConnectionsPerSecond: &rate, ListeningPorts: []int{9090, 9964},
		Sysctls: map[string]string{
			sysctlPortRange: "32768\t60999", sysctlReservedPorts: "", sysctlUnprivilegedStart: "1024",
		},
	}
}

// tunedPod is a pod that was created with values.
func tunedPod(name string, held int, values v1alpha1.KnobValues) PodPorts {
	pod := untunedPod(name, held)
	pod.Tuned, pod.Available = true, available(values)
	for _, s := range Sysctls(values) {
		pod.Sysctls[s.Name] = strings.ReplaceAll(s.Value, " ", "\t")
	}
	return pod
}

func demand(pods ...PodPorts) LinkDemand {
	return LinkDemand{Policy: "demo", Link: "server", Pods: pods}
}

func bounds(first, last int64) *v1alpha1.KnobBounds {
	return &v1alpha1.KnobBounds{Name: v1alpha1.KnobEphemeralPorts, Min: &first, Max: &last}
}

func TestComputeRangeForWhatWasSeen(t *testing.T) {
	for name, test := range map[string]struct {
		held       int
		want       string
		confidence v1alpha1.Confidence
	}{
		"ports ran out: the widest safe range": {held: 28100, want: "1024-65535", confidence: v1alpha1.ConfidenceLow},
		"at 90 %: the widest safe range":       {held: 25409, want: "1024-65535", confidence: v1alpha1.ConfidenceLow},
		"at 60 %: as many as are needed":       {held: 16940, want: "24576-65535", confidence: v1alpha1.ConfidenceMedium},
		"at 50 %: upwards is enough":           {held: 14116, want: "32768-65535", confidence: v1alpha1.ConfidenceMedium},
	} {
		t.Run(name, func(t *testing.T) {
			plan := Compute(workload(), []LinkDemand{demand(untunedPod("client-a", test.held))})
			if plan.Values == nil {
				t.Fatalf("no values: %s: %s", plan.Reason, plan.Message)
			}
			if got := valueRange(*plan.Values).String(); got != test.want {
				t.Errorf("range %s, want %s", got, test.want)
			}
			r := plan.Recommendations[0]
			if r.Recommended != test.want || r.Confidence != test.confidence || r.Current != "32768-60999" {
				t.Errorf("recommendation %+v", r)
			}
			if 100*test.held < censoredPercent*untunedPorts && 100*test.held > aimPercent*available(*plan.Values) {
				t.Errorf("%d of %d ports would be held", test.held, available(*plan.Values))
			}
		})
	}
}
