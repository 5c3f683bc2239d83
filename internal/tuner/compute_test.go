package tuner

import (
	"slices"
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

func TestComputeReservesWhatListens(t *testing.T) {
	pod := untunedPod("client-a", 28100)
	pod.ListeningPorts = []int{9090, 9964, 50051}
	pod.Sysctls[sysctlReservedPorts] = "36000-36010"
	plan := Compute(workload(), []LinkDemand{demand(pod)})
	want := "4140,4143,4190-4191,9090,9964,15000-15090,30000-32767,36000-36010,50051"
	if got := strings.Join(plan.Values.EphemeralPorts.Reserved, ","); got != want {
		t.Errorf("reserved %s, want %s", got, want)
	}
	kept := plan.Recommendations[0].Evidence["keptFree"]
	for _, reason := range []string{
		"9090 declared by the pods", "9964 connpolicy observer", "15000-15090 Istio sidecar", "4190-4191 Linkerd sidecar",
		"30000-32767 NodePorts", "50051 listening", "36000-36010 reserved in the pods already",
	} {
		if !strings.Contains(kept, reason) {
			t.Errorf("%q does not give the reason %q", kept, reason)
		}
	}
}

func TestComputeReservesNothingOutsideOfTheRangeAnew(t *testing.T) {
	plan := Compute(workload(), []LinkDemand{demand(untunedPod("client-a", 14116))})
	if got := plan.Values.EphemeralPorts; got.First != 32768 || len(got.Reserved) != 0 {
		t.Errorf("%+v", got)
	}
	if got := Sysctls(*plan.Values); len(got) != 1 || got[0] != (Sysctl{sysctlPortRange, "32768 65535"}) {
		t.Errorf("%v", got)
	}
}

func TestComputeSaysWhyThereIsNothingToDo(t *testing.T) {
	unknownPod := untunedPod("client-a", 28100)
	unknownPod.Available = 0
	for name, test := range map[string]struct {
		workload Workload
		demands  []LinkDemand
		reason   string
		message  string
	}{
		"few ports are held": {workload(), []LinkDemand{demand(untunedPod("client-a", 14115))}, v1alpha1.ReasonNothingToTune,
			"Pod client-a held 14,115 of 28,232 local ports (49 %) towards 198.18.96.7:80"},
		"nothing was seen":            {workload(), []LinkDemand{demand()}, v1alpha1.ReasonNotJudged, "No observer has told yet"},
		"no link":                     {workload(), nil, v1alpha1.ReasonNotJudged, "No observer has told yet"},
		"available ports are unknown": {workload(), []LinkDemand{demand(unknownPod)}, v1alpha1.ReasonNotJudged, "No observer has told yet"},
		"the template sets the range": {
			Workload{Target: workload().Target, TemplateSysctls: map[string]string{sysctlPortRange: "2000 65000"}, Applied: widest()},
			[]LinkDemand{demand(untunedPod("client-a", 28100))}, v1alpha1.ReasonOverridden, "sets net.ipv4.ip_local_port_range itself"},
		"the template reserves ports, with slashes": {
			Workload{Target: workload().Target, TemplateSysctls: map[string]string{"net/ipv4/ip_local_reserved_ports": "8080"}},
			[]LinkDemand{demand(untunedPod("client-a", 28100))}, v1alpha1.ReasonOverridden, "sets net.ipv4.ip_local_reserved_ports itself"},
		"bounds contradict each other": {workload(), []LinkDemand{
			{Policy: "low", Link: "a", Bounds: bounds(1024, 20000), Pods: []PodPorts{untunedPod("client-a", 28100)}},
			{Policy: "high", Link: "b", Bounds: bounds(30000, 65535)},
		}, v1alpha1.ReasonConflict, "policy high allows 30000-65535, policy low allows 1024-20000"},
		"bounds hold as much as there is": {workload(), []LinkDemand{
			{Policy: "same", Link: "a", Bounds: bounds(32768, 60999), Pods: []PodPorts{untunedPod("client-a", 28100)}},
		}, v1alpha1.ReasonConflict, "policy same allows 32768-60999"},
		"bounds hold less than there is": {workload(), []LinkDemand{
			{Policy: "small", Link: "a", Bounds: bounds(40000, 60000), Pods: []PodPorts{untunedPod("client-a", 28100)}},
		}, v1alpha1.ReasonConflict, "policy small allows 40000-60000, which gives no more than there are now"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := Compute(test.workload, test.demands)
			if plan.Values != nil || plan.Revision != "" || plan.Hash != "" {
				t.Errorf("values %+v", plan)
			}
			if plan.Reason != test.reason || !strings.Contains(plan.Message, test.message) {
				t.Errorf("%s: %s", plan.Reason, plan.Message)
			}
		})
	}
}

func TestComputeSaysThatTheRangeIsAsWideAsItGoes(t *testing.T) {
	pod := untunedPod("client-a", 64000)
	pod.Sysctls[sysctlPortRange], pod.Available = "1024\t65535", 64512
	plan := Compute(workload(), []LinkDemand{demand(pod)})
	if plan.Values != nil || plan.Reason != v1alpha1.ReasonNothingToTune || !strings.Contains(plan.Message, "as wide already as is safe") {
		t.Errorf("%+v", plan)
	}
}

func TestComputeShowsWhatBoundsCostWhereTheyCap(t *testing.T) {
	capped := demand(untunedPod("client-a", 28100))
	capped.Bounds = bounds(20000, 61000)
	plan := Compute(workload(), []LinkDemand{capped})
	if plan.Values == nil {
		t.Fatalf("%s: %s", plan.Reason, plan.Message)
	}
	r := plan.Recommendations[0]
	if r.Recommended != "20000-60999" && r.Recommended != "20001-61000" && r.Recommended != "20000-61000" {
		t.Errorf("recommended %s", r.Recommended)
	}
	if got := plan.Values.EphemeralPorts; got.First < 20000 || got.Last > 61000 || got.First%2 == got.Last%2 {
		t.Errorf("%+v", got)
	}
	if r.Uncapped != "1024-65535" || r.UpperBound == r.Uncapped {
		t.Errorf("uncapped %q, upper bound %q", r.Uncapped, r.UpperBound)
	}
}

func TestComputeSaysThatEvenTheWidestRangeIsNotEnough(t *testing.T) {
	pod := untunedPod("client-a", 40000)
	pod.Sysctls[sysctlPortRange], pod.Available = "16384\t65535", 49152
	plan := Compute(workload(), []LinkDemand{demand(pod)})
	if plan.Values == nil {
		t.Fatalf("%s: %s", plan.Reason, plan.Message)
	}
	effect := plan.Recommendations[0].ExpectedEffect
	for _, part := range []string{"61,647 local ports instead of 49,152", "up to 1,027 new connections a second", "still hold 64 %"} {
		if !strings.Contains(effect, part) {
			t.Errorf("%q does not say %q", effect, part)
		}
	}
	if plan.Recommendations[0].Confidence != v1alpha1.ConfidenceLow {
		t.Errorf("confidence %s", plan.Recommendations[0].Confidence)
	}
}

func TestComputeStaysAboveTheUnprivilegedPorts(t *testing.T) {
	pod := untunedPod("client-a", 28100)
	pod.Sysctls[sysctlUnprivilegedStart] = "2001\n"
	plan := Compute(workload(), []LinkDemand{demand(pod)})
	if got := plan.Values.EphemeralPorts; got.First != 2002 || got.Last != 65535 {
		t.Errorf("%+v", got)
	}
	w := workload()
	w.TemplateSysctls = map[string]string{"net/ipv4/ip_unprivileged_port_start": "5000"}
	plan = Compute(w, []LinkDemand{demand(untunedPod("client-a", 28100))})
	if got := plan.Values.EphemeralPorts; got.First != 5000 {
		t.Errorf("%+v", got)
	}
}

func TestComputeMergesLinksToTheWidest(t *testing.T) {
	small := LinkDemand{Policy: "a", Link: "small", Pods: []PodPorts{untunedPod("client-a", 14200)}}
	large := LinkDemand{Policy: "b", Link: "large", Pods: []PodPorts{untunedPod("client-b", 20000)}}
	quiet := LinkDemand{Policy: "b", Link: "quiet", Pods: []PodPorts{untunedPod("client-b", 20)}}
	merged := Compute(workload(), []LinkDemand{small, quiet, large})
	alone := Compute(workload(), []LinkDemand{large})
	if merged.Revision == "" || merged.Revision != alone.Revision {
		t.Errorf("%+v is not %+v", merged.Values, alone.Values)
	}
	if len(merged.Demands) != 2 || merged.Demands[0].LinkName != "small" || merged.Demands[1].LinkName != "large" {
		t.Errorf("demands %+v", merged.Demands)
	}
	if got := merged.Demands[1].Value; got != "44,445 ports" {
		t.Errorf("value %s", got)
	}
}

func TestPlanIsStableUnderItsOwnEffect(t *testing.T) {
	for _, held := range []int{14116, 16940, 20000, 25000, 25409, 28100} {
		w := workload()
		first := Compute(w, []LinkDemand{demand(untunedPod("client-a", held), untunedPod("client-b", held-50))})
		w.Applied, w.Proposed = first.Values, first.Values
		for name, pods := range map[string][]PodPorts{
			"nobody has it yet":   {untunedPod("client-a", held)},
			"half the pods":       {untunedPod("client-a", held), tunedPod("client-c", held, *first.Values)},
			"all pods":            {tunedPod("client-c", held, *first.Values), tunedPod("client-d", held+300, *first.Values)},
			"the load went away":  {tunedPod("client-c", 12, *first.Values)},
			"nothing is seen":     {},
			"a listener of a day": {listening(tunedPod("client-c", held, *first.Values), 45678)},
		} {
			again := Compute(w, []LinkDemand{demand(pods...)})
			if again.Revision != first.Revision || again.Hash != first.Hash {
				t.Errorf("%d held, %s: %+v became %+v (%s)", held, name, first.Values, again.Values, again.Message)
			}
		}
	}
}

func TestProposalIsStableWhileTheLoadWavers(t *testing.T) {
	w := workload()
	first := Compute(w, []LinkDemand{demand(untunedPod("client-a", 17000))})
	w.Proposed = first.Values
	for _, held := range []int{16000, 16800, 17100, 13000} {
		if again := Compute(w, []LinkDemand{demand(untunedPod("client-a", held))}); again.Hash != first.Hash {
			t.Errorf("%d held: %+v became %+v", held, first.Values, again.Values)
		}
	}
	if gone := Compute(w, []LinkDemand{demand(untunedPod("client-a", 12000))}); gone.Reason != v1alpha1.ReasonNothingToTune {
		t.Errorf("a load of 42 %% still asks: %+v", gone)
	}
	if more := Compute(w, []LinkDemand{demand(untunedPod("client-a", 24000))}); more.Hash == first.Hash || more.Values == nil {
		t.Errorf("a load that outgrows the proposal leaves it as it is: %+v", more)
	}
}

func TestAppliedRangeGrowsWithTheLoadAndNeverShrinks(t *testing.T) {
	w := workload()
	w.Applied = Compute(w, []LinkDemand{demand(untunedPod("client-a", 15000))}).Values
	before := available(*w.Applied)
	grown := Compute(w, []LinkDemand{demand(tunedPod("client-a", 24000, *w.Applied))})
	if got := available(*grown.Values); got <= before || 100*24000 > aimPercent*got {
		t.Errorf("%d ports before, %d now", before, got)
	}
	if r := valueRange(*grown.Values); r.Intersect(valueRange(*w.Applied)) != valueRange(*w.Applied) {
		t.Errorf("%v does not hold %v", r, valueRange(*w.Applied))
	}
}

func TestPortsThatTheTemplateComesToDeclareAreReserved(t *testing.T) {
	w := workload()
	w.Applied = widest()
	w.ContainerPorts = append(w.ContainerPorts, 7777)
	plan := Compute(w, []LinkDemand{demand(tunedPod("client-a", 28100, *w.Applied))})
	if !slices.Contains(plan.Values.EphemeralPorts.Reserved, "7777") || plan.Revision == Revision(*w.Applied) {
		t.Errorf("%+v", plan.Values)
	}
	if slices.Contains(w.Applied.EphemeralPorts.Reserved, "7777") {
		t.Error("the values that were passed in were changed")
	}
}

func TestTighterBoundsAreObeyedUnlessTheyMakeThingsWorse(t *testing.T) {
	w := workload()
	w.Applied = widest()
	tight := demand(tunedPod("client-a", 12000, *w.Applied))
	tight.Bounds = bounds(20000, 65535)
	plan := Compute(w, []LinkDemand{tight})
	if plan.Values == nil || plan.Values.EphemeralPorts.First < 20000 || available(*plan.Values) < untunedPorts {
		t.Errorf("%+v", plan)
	}
	tight.Bounds = bounds(60000, 65535)
	if plan = Compute(w, []LinkDemand{tight}); plan.Values != nil || plan.Reason != v1alpha1.ReasonConflict {
		t.Errorf("%+v", plan)
	}
}

func TestARangeThatBoundsMoveHasRoomForTheLoad(t *testing.T) {
	for _, held := range []int{100, 14000} {
		w := workload()
		w.Applied = &v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{First: 32768, Last: 65535}}
		moved := demand(tunedPod("client-a", held, *w.Applied))
		moved.Bounds = bounds(1024, 40000)
		plan := Compute(w, []LinkDemand{moved})
		if plan.Values == nil {
			t.Fatalf("%d held: %s: %s", held, plan.Reason, plan.Message)
		}
		if got := available(*plan.Values); plan.Values.EphemeralPorts.Last > 40000 || got <= untunedPorts || 100*held > aimPercent*got {
			t.Errorf("%d held of %d in %+v", held, got, plan.Values.EphemeralPorts)
		}
	}
}

func TestProposalIsMadeAnewForWhatMustStayFree(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Workload, *PodPorts)
		port   int
		anew   bool
	}{
		"a port that is declared":                          {func(w *Workload, _ *PodPorts) { w.ContainerPorts = append(w.ContainerPorts, 7777) }, 7777, true},
		"a listener below the range of the pod":            {func(_ *Workload, p *PodPorts) { p.ListeningPorts = append(p.ListeningPorts, 7070) }, 7070, true},
		"a listener that the kernel may have given a port": {func(_ *Workload, p *PodPorts) { p.ListeningPorts = append(p.ListeningPorts, 45678) }, 45678, false},
		"a port that is reserved in the pod by its node":   {func(_ *Workload, p *PodPorts) { p.Sysctls[sysctlReservedPorts] = "50000" }, 50000, true},
	} {
		w, pod := workload(), untunedPod("client-a", 28100)
		w.Proposed = widest()
		test.change(&w, &pod)
		plan := Compute(w, []LinkDemand{demand(pod)})
		if plan.Values == nil {
			t.Fatalf("%s: %s", name, plan.Message)
		}
		if anew := plan.Revision != Revision(*w.Proposed); anew != test.anew || valueReserved(*plan.Values).Contains(test.port) != test.anew {
			t.Errorf("%s: made anew: %v, reserved %v", name, anew, plan.Values.EphemeralPorts.Reserved)
		}
	}
}

func TestDemandIsCensoredFromNinetyPercentOn(t *testing.T) {
	for held, want := range map[int]v1alpha1.Confidence{9000: v1alpha1.ConfidenceLow, 8999: v1alpha1.ConfidenceMedium} {
		pod := untunedPod("client-a", held)
		pod.Sysctls[sysctlPortRange], pod.Available = "40000\t49999", 10000
		if got := Compute(workload(), []LinkDemand{demand(pod)}).Recommendations[0].Confidence; got != want {
			t.Errorf("%d of 10,000 held: confidence %s", held, got)
		}
	}
}

func TestManyListenersFitIntoATuning(t *testing.T) {
	pod := untunedPod("client-a", 28100)
	for port := 2000; port < 12000; port += 50 {
		pod.ListeningPorts = append(pod.ListeningPorts, port)
	}
	plan := Compute(workload(), []LinkDemand{demand(pod)})
	reserved := valueReserved(*plan.Values)
	if len(plan.Values.EphemeralPorts.Reserved) > reservedItems {
		t.Errorf("%d items", len(plan.Values.EphemeralPorts.Reserved))
	}
	for _, port := range pod.ListeningPorts {
		if !reserved.Contains(port) {
			t.Errorf("port %d is not reserved", port)
		}
	}
}

func TestReasonsInATunedPodSayWhatTheTuningIsWorth(t *testing.T) {
	w := workload()
	w.Applied = widest()
	for held, want := range map[int]string{
		30000: "Pod client-a held 30,000 of 61,647 local ports (48 %) towards 198.18.96.7:80, 29,700 of them in TIME_WAIT, and opened 500 connections a second. Without the wider range there would be 28,232 ports, and connections would fail.",
		20000: "Without the wider range that would be 70 % of 28,232 ports",
		2000:  "The range that is in force is kept",
	} {
		r := Compute(w, []LinkDemand{demand(tunedPod("client-a", held, *w.Applied))}).Recommendations[0]
		if !strings.Contains(r.Reason, want) || r.Confidence != v1alpha1.ConfidenceHigh || r.Current != "1024-65535" {
			t.Errorf("%d held: %+v", held, r)
		}
	}
	full := Compute(w, []LinkDemand{demand(tunedPod("client-a", 61000, *w.Applied))}).Recommendations[0]
	if full.Confidence != v1alpha1.ConfidenceLow || !strings.Contains(full.Reason, "how many would be enough is not known") {
		t.Errorf("%+v", full)
	}
}

func TestOpenConnectionsAreNotCuredByReuse(t *testing.T) {
	pod := untunedPod("client-a", 28100)
	pod.TimeWait = 100
	reason := Compute(workload(), []LinkDemand{demand(pod)}).Recommendations[0].Reason
	if !strings.Contains(reason, "hold fewer of them") {
		t.Error(reason)
	}
}

// widest is what a full pod gets.
func widest() *v1alpha1.KnobValues {
	return Compute(workload(), []LinkDemand{demand(untunedPod("client-a", 28100))}).Values
}

func listening(pod PodPorts, port int) PodPorts {
	pod.ListeningPorts = append(slices.Clone(pod.ListeningPorts), port)
	return pod
}

func TestComputePlansForTheRateWhilePortsStillFill(t *testing.T) {
	filling := untunedPod("client-a", 14963)
	rate := 280
	filling.ConnectionsPerSecond = &rate
	full := untunedPod("client-a", 280*60)
	early := Compute(workload(), []LinkDemand{demand(filling)})
	late := Compute(workload(), []LinkDemand{demand(full)})
	if early.Revision == "" || early.Revision != late.Revision {
		t.Errorf("planned %+v while ports fill, %+v when as many are freed as are taken", early.Values, late.Values)
	}
	if reason := early.Recommendations[0].Reason; !strings.Contains(reason, "At this rate it comes to hold 16,800.") {
		t.Errorf("reason: %s", reason)
	}
	// Where the server closes first, the rate holds no ports here.
	filling.TimeWait = 0
	if plan := Compute(workload(), []LinkDemand{demand(filling)}); plan.Revision == early.Revision {
		t.Errorf("connections that leave no TIME_WAIT here are planned for as if they did: %+v", plan.Values)
	}
}
