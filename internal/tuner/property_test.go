package tuner

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/ports"
)

// world draws workloads and what is seen of them.
type world struct{ *rand.Rand }

func (r world) port() int { return 1 + r.IntN(ports.Highest) }

func (r world) sometimes() bool { return r.IntN(3) == 0 }

func (r world) workload() Workload {
	w := workload()
	w.ContainerPorts = nil
	for range r.IntN(4) {
		w.ContainerPorts = append(w.ContainerPorts, r.port())
	}
	if r.sometimes() {
		first := r.port()
		w.NodePorts = PortRange{First: first, Last: min(first+r.IntN(3000), ports.Highest)}
	}
	return w
}

func (r world) pod(name string) PodPorts {
	pod := untunedPod(name, 0)
	if r.sometimes() {
		first := 1024 + r.IntN(60000)
		current := PortRange{First: first, Last: min(first+1+r.IntN(60000), ports.Highest)}
		reserved := ports.NewSet(PortRange{First: r.port(), Last: r.port()}, PortRange{First: r.port(), Last: r.port()})
		if r.sometimes() {
			reserved = nil
		}
		if free := ports.Available(current, reserved); free > 0 {
			pod.Sysctls[sysctlPortRange] = fmt.Sprintf("%d\t%d", current.First, current.Last)
			pod.Sysctls[sysctlReservedPorts] = reserved.String()
			pod.Available = free
		}
	}
	if r.sometimes() {
		pod.Sysctls[sysctlUnprivilegedStart] = fmt.Sprint(1024 + r.IntN(9000))
	}
	for range r.IntN(90) {
		pod.ListeningPorts = append(pod.ListeningPorts, r.port())
	}
	pod.InUse = r.IntN(pod.Available + 1)
	pod.InUsePeak = pod.InUse + r.IntN(pod.Available-pod.InUse+1)
	pod.TimeWait = r.IntN(pod.InUse + 1)
	return pod
}

func (r world) links() []LinkDemand {
	var links []LinkDemand
	for i := range 1 + r.IntN(3) {
		link := LinkDemand{Policy: fmt.Sprintf("p%d", i), Link: "l"}
		for j := range r.IntN(3) {
			link.Pods = append(link.Pods, r.pod(fmt.Sprintf("pod-%d-%d", i, j)))
		}
		if r.sometimes() {
			low, high := int64(1024+r.IntN(40000)), int64(30000+r.IntN(35536))
			link.Bounds = bounds(min(low, high), max(low, high))
		}
		links = append(links, link)
	}
	return links
}

// tuned is what the observers see once all pods have values, under the same load.
func tuned(links []LinkDemand, values v1alpha1.KnobValues) []LinkDemand {
	after := make([]LinkDemand, 0, len(links))
	for _, link := range links {
		pods := make([]PodPorts, 0, len(link.Pods))
		for _, pod := range link.Pods {
			again := tunedPod(pod.Pod, 0, values)
			again.InUse, again.InUsePeak = min(pod.InUse, again.Available), min(pod.InUsePeak, again.Available)
			again.TimeWait = min(pod.TimeWait, again.InUse)
			again.ListeningPorts = pod.ListeningPorts
			again.Sysctls[sysctlUnprivilegedStart] = pod.Sysctls[sysctlUnprivilegedStart]
			pods = append(pods, again)
		}
		link.Pods = pods
		after = append(after, link)
	}
	return after
}

func TestPlansAreAlwaysSound(t *testing.T) {
	plans := 0
	for seed := range uint64(300) {
		r := world{rand.New(rand.NewPCG(seed, 7))}
		w, links := r.workload(), r.links()
		plan := Compute(w, links)
		if plan.Values == nil {
			if plan.Reason == "" || plan.Message == "" {
				t.Fatalf("seed %d: no values and no reason: %+v", seed, plan)
			}
			continue
		}
		plans++
		checkValues(t, seed, w, links, *plan.Values)
		checkTexts(t, seed, plan)

		w.Applied, w.Proposed = plan.Values, plan.Values
		if again := Compute(w, tuned(links, *plan.Values)); again.Revision != plan.Revision {
			t.Fatalf("seed %d: %+v does not last: %+v (%s)", seed, plan.Values.EphemeralPorts, again.Values, again.Message)
		}
	}
	if plans < 100 {
		t.Fatalf("only %d of the drawn workloads are tuned: the property is hardly tested", plans)
	}
}

func checkValues(t *testing.T, seed uint64, w Workload, links []LinkDemand, v v1alpha1.KnobValues) {
	t.Helper()
	r, reserved := valueRange(v), valueReserved(v)
	limits := bounded(safeLimits(w, links), links)
	switch {
	case r.First < lowestPort || r.Last > ports.Highest || r.First >= r.Last:
		t.Fatalf("seed %d: the range %v is none", seed, r)
	case r.First < limits.First || r.Last > limits.Last:
		t.Fatalf("seed %d: the range %v is outside of %v", seed, r, limits)
	case r.First%2 == r.Last%2:
		t.Fatalf("seed %d: the ends of %v are of one parity", seed, r)
	case len(v.EphemeralPorts.Reserved) > reservedItems || len(reserved) != len(v.EphemeralPorts.Reserved):
		t.Fatalf("seed %d: reserved %v", seed, v.EphemeralPorts.Reserved)
	case r.Count()-available(v) != reserved.Within(r).Count():
		t.Fatalf("seed %d: %d of %v available", seed, available(v), r)
	}
	mustStayFree := append([]int{9964, 15001, 15090, 4143, w.NodePorts.First, w.NodePorts.Last}, w.ContainerPorts...)
	for _, link := range links {
		for _, pod := range link.Pods {
			mustStayFree = append(mustStayFree, pod.ListeningPorts...)
			for _, already := range reservedOf(pod.Sysctls) {
				mustStayFree = append(mustStayFree, already.First, already.Last)
			}
		}
	}
	for _, port := range mustStayFree {
		if r.Contains(port) && !reserved.Contains(port) {
			t.Fatalf("seed %d: port %d of %v is not reserved in %v", seed, port, r, v.EphemeralPorts.Reserved)
		}
	}
	shown := map[string]string{}
	for _, s := range Sysctls(v) {
		shown[s.Name] = s.Value
	}
	if same, differs := InForce(v, shown); !same {
		t.Fatalf("seed %d: %s", seed, differs)
	}
}

// checkTexts holds a plan against the bounds that the schema of ConnectionTuning sets.
func checkTexts(t *testing.T, seed uint64, plan Plan) {
	t.Helper()
	for _, r := range plan.Recommendations {
		short := []string{r.Current, r.Recommended, r.LowerBound, r.UpperBound, r.Uncapped}
		for _, text := range short {
			if len(text) > 64 {
				t.Fatalf("seed %d: %q is too long", seed, text)
			}
		}
		if r.Reason == "" || len(r.Reason) > 1024 || r.ExpectedEffect == "" || len(r.ExpectedEffect) > 512 || len(r.Evidence) > 16 || r.Confidence == "" {
			t.Fatalf("seed %d: %+v", seed, r)
		}
	}
	if len(plan.Recommendations) != 1 || len(plan.Demands) == 0 || len(plan.Hash) != 23 || len(plan.Revision) != revisionDigits {
		t.Fatalf("seed %d: %+v", seed, plan)
	}
}
