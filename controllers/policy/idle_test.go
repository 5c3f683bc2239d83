package policy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

// idleScope is a policy with one link that was measured, unless change makes it another.
func idleScope(change func(*v1alpha1.ConnectionPolicySpec)) *scope {
	spec := v1alpha1.ConnectionPolicySpec{To: []v1alpha1.Link{{Name: "l", Protocol: v1alpha1.ProtocolHTTP}}}
	spec.Probe.Limits = v1alpha1.ProbeLimits{Connections: 200, RequestsPerSecond: 50, Seconds: 30, IdleSeconds: new(int32(1000))}
	change(&spec)
	s := newScope(&v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p"}, Spec: spec}, begin)
	l := s.links[0]
	l.target = target{url: "http://server.shop.svc:80/", key: "198.19.0.1:80"}
	l.status.Run = running(pod("a", "n1", result.Measured))
	l.status.Run.LastResultAt = &metav1.Time{Time: begin}
	s.probeNodes = []string{"n1", "n2"}
	return s
}

func idleStep(t *testing.T, s *scope, requestedAt string) (runInput, runStep) {
	t.Helper()
	in, err := (&Reconciler{}).idleInput(s, s.links[0], requestedAt)
	if err != nil {
		t.Fatal(err)
	}
	return in, advance(in)
}

func nothingElse(*v1alpha1.ConnectionPolicySpec) {}

func TestIdleBeginsAfterTheFirstResult(t *testing.T) {
	s := idleScope(nothingElse)
	_, step := idleStep(t, s, "")
	if !step.begun || step.create == nil || step.create.Node != "n1" || !strings.HasPrefix(step.create.Name, "p-l-idle-") {
		t.Fatalf("begun %t, create %+v", step.begun, step.create)
	}
	main, err := (&Reconciler{}).runInput(t.Context(), s, s.links[0], "")
	if err != nil || main.fingerprint == step.run.ID[:6] {
		t.Errorf("both runs have the fingerprint %s, %v", main.fingerprint, err)
	}

	s.links[0].status.Run.LastResultAt = nil
	if _, step := idleStep(t, s, ""); step.begun || step.create != nil {
		t.Error("it begins beside the first probe")
	}
	s = idleScope(nothingElse)
	s.links[0].trouble = trouble{v1alpha1.ReasonNoEndpoints, "x"}
	if _, step := idleStep(t, s, ""); step.begun {
		t.Error("it begins although the link is in trouble")
	}
}

// One vantage is enough, best one that the link was measured from, so that the report has where to put the result.
func TestIdleStandsWhereTheLinkWasMeasured(t *testing.T) {
	s := idleScope(nothingElse)
	s.links[0].report = &v1alpha1.ConnectionReport{Status: v1alpha1.ConnectionReportStatus{
		Vantages: []v1alpha1.Vantage{{Node: "n1", Outcome: "failed"}, {Node: "n2", Outcome: "measured"}},
	}}
	in, step := idleStep(t, s, "")
	if step.create == nil || step.create.Node != "n2" || in.vantages.enough != 1 {
		t.Fatalf("create %+v, %d vantages are enough", step.create, in.vantages.enough)
	}
	step.created("uid", begin)
	s.links[0].status.IdleRun = step.run
	in, _ = idleStep(t, s, "")
	in.pods[step.create.Name] = podReading{uid: types.UID("uid"), Reading: probepod.Reading{Finished: true, Outcome: result.Measured, Result: &result.Result{}}}
	if step := advance(in); step.run.Phase != v1alpha1.RunFinished || len(step.measured) != 1 {
		t.Errorf("after a result the run is %+v", step.run)
	}
}

func TestWhenIdleIsMeasuredAgain(t *testing.T) {
	finished := func(s *scope) {
		_, step := idleStep(t, s, "")
		step.created("uid", begin)
		step.run.Phase, step.run.Pods[0].Outcome = v1alpha1.RunFinished, string(result.Measured)
		s.links[0].status.IdleRun = step.run
	}
	underWay := func(s *scope) {
		_, step := idleStep(t, s, "")
		step.created("uid", begin)
		s.links[0].status.IdleRun = step.run
	}
	for _, test := range []struct {
		name        string
		state       func(*scope)
		change      func(*scope)
		requestedAt string
		want        bool
	}{
		{"after ten minutes", finished, func(s *scope) { s.now = begin.Add(10 * time.Minute) }, "", false},
		{"after five hours", finished, func(s *scope) { s.now = begin.Add(5 * time.Hour) }, "", false},
		{"after six hours, give or take a tenth", finished, func(s *scope) { s.now = begin.Add(6*time.Hour + 37*time.Minute) }, "", true},
		{"on request", finished, func(*scope) {}, "now", true},
		{"on request while it is under way", underWay, func(*scope) {}, "now", false},
		{"for a longer silence", finished, func(s *scope) { s.policy.Spec.Probe.Limits.IdleSeconds = new(int32(2000)) }, "", true},
		{"for another target, while it is under way", underWay, func(s *scope) { s.links[0].target.url = "http://other/" }, "", true},
		{"for other measurements", finished, func(s *scope) {
			s.policy.Spec.Probe.Measurements = []v1alpha1.MeasurementName{v1alpha1.MeasurementReuse, v1alpha1.MeasurementIdle}
		}, "", false},
	} {
		s := idleScope(nothingElse)
		test.state(s)
		test.change(s)
		if _, step := idleStep(t, s, test.requestedAt); step.begun != test.want {
			t.Errorf("%s: begun %t", test.name, step.begun)
		}
	}
}

func TestAsksForIdle(t *testing.T) {
	for _, test := range []struct {
		name         string
		seconds      *int32
		measurements []v1alpha1.MeasurementName
		want         bool
	}{
		{"by default", new(int32(1000)), nil, true},
		{"no time", new(int32(0)), nil, false},
		{"named", new(int32(1000)), []v1alpha1.MeasurementName{v1alpha1.MeasurementIdle}, true},
		{"others named", new(int32(1000)), []v1alpha1.MeasurementName{v1alpha1.MeasurementReuse}, false},
	} {
		s := idleScope(func(spec *v1alpha1.ConnectionPolicySpec) {
			spec.Probe.Measurements, spec.Probe.Limits.IdleSeconds = test.measurements, test.seconds
		})
		if got := asksForIdle(s.policy); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

func TestIdlePodIsInNobodysWay(t *testing.T) {
	for protocol, measures := range map[v1alpha1.Protocol]string{
		v1alpha1.ProtocolTCP: "--measure idle", v1alpha1.ProtocolGRPC: "--measure idle", v1alpha1.ProtocolWebSocket: "--measure websocket",
	} {
		s := idleScope(func(spec *v1alpha1.ConnectionPolicySpec) { spec.To[0].Protocol = protocol })
		l := s.links[0]
		r := &Reconciler{Ceilings: v1alpha1.ProbeLimits{IdleSeconds: new(int32(600))}}
		_, step := idleStep(t, s, "")
		idle := r.buildIdlePod(s, l, &step)
		main := r.buildPod(s, l, &runStep{run: l.status.Run, create: &v1alpha1.ProbePodStatus{Name: "a"}})
		arguments := strings.Join(idle.Spec.Containers[0].Args, " ")
		if !strings.HasSuffix(arguments, measures) || !strings.Contains(arguments, "--limit-idle-seconds 600") {
			t.Errorf("%s: the pod is asked for %s", protocol, arguments)
		}
		if idle.Labels[v1alpha1.LabelTarget] == main.Labels[v1alpha1.LabelTarget] || idle.Labels[v1alpha1.LabelRole] != v1alpha1.RoleIdle {
			t.Errorf("%s: labels %v beside %v", protocol, idle.Labels, main.Labels)
		}
		if strings.Contains(strings.Join(main.Spec.Containers[0].Args, " "), "idle-seconds") {
			t.Errorf("%s: the run of the others is asked for %s", protocol, main.Spec.Containers[0].Args)
		}
	}
}

// The report says of silence what came in last, while the runs of the other measurements go on and their nodes change.
func TestSilenceStaysInTheReport(t *testing.T) {
	cutAfter := func(seconds float64) result.Result {
		return result.Result{Measurements: result.Measurements{Idle: &result.Idle{Meta: result.Meta{Outcome: result.Measured}, AfterSecondsAtMost: &seconds}}}
	}
	s := idleScope(nothingElse)
	l := s.links[0]
	l.status.IdleRun = running(pod("silent", "n2", result.Measured))
	l.idleMeasured = map[string]*result.Result{"silent": new(cutAfter(350))}

	said := func(vantages []v1alpha1.Vantage) (at string, seconds float64) {
		t.Helper()
		for _, v := range vantages {
			if v.IdleFrom == nil {
				continue
			}
			found, err := vantage.Result(v, nil)
			if err != nil || at != "" || found.Measurements.Handshake == nil || found.Measurements.Idle == nil {
				t.Fatalf("%v: said by %s and %+v", err, at, v)
			}
			at, seconds = v.Node, *found.Measurements.Idle.AfterSecondsAtMost
		}
		return at, seconds
	}
	put := func(known, standing []v1alpha1.Vantage) {
		t.Helper()
		if err := putSilence(standing, s.silence(l, known)); err != nil {
			t.Fatal(err)
		}
	}
	first := []v1alpha1.Vantage{vantageOf(t, "n1", "a", fullResult()), vantageOf(t, "n2", "b", fullResult())}
	put(nil, first)
	if at, seconds := said(first); at != "n2" || seconds != 350 {
		t.Fatalf("node %s says %v", at, seconds)
	}

	l.idleMeasured = nil
	second := []v1alpha1.Vantage{{Node: "n0", Outcome: "failed"}, vantageOf(t, "n1", "c", fullResult()), vantageOf(t, "n2", "d", fullResult())}
	put(first, second)
	if at, seconds := said(second); at != "n2" || seconds != 350 {
		t.Errorf("after the next run node %s says %v", at, seconds)
	}
	moved := []v1alpha1.Vantage{vantageOf(t, "n1", "e", fullResult())}
	put(second, moved)
	if at, _ := said(moved); at != "n1" || moved[0].IdleFrom.Node != "n2" {
		t.Errorf("without its node %s says it, of %+v", at, moved[0].IdleFrom)
	}

	l.status.IdleRun, l.idleMeasured = running(pod("again", "n1", result.Measured)), map[string]*result.Result{"again": new(cutAfter(60))}
	third := []v1alpha1.Vantage{second[1], second[2]}
	put(third, third)
	if at, seconds := said(third); at != "n1" || seconds != 60 {
		t.Errorf("after the next result node %s says %v", at, seconds)
	}
	l.idleMeasured, s.policy.Spec.Probe.Limits.IdleSeconds = nil, new(int32(0))
	put(third, third)
	if at, _ := said(third); at != "" {
		t.Errorf("node %s says it although nobody asks any more", at)
	}
}

// While it is looked at, silence is not known; it is not something that nobody asks for.
func TestSilenceIsAwaited(t *testing.T) {
	judged := func(change func(*scope, *v1alpha1.Vantage)) map[string]string {
		t.Helper()
		s := idleScope(nothingElse)
		v := vantageOf(t, "n1", "a", fullResult())
		change(s, &v)
		status, err := reportStatus(s, s.links[0], []v1alpha1.Vantage{v}, nil)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		for _, verdict := range status.Verdicts {
			said[verdict.Rule] = string(verdict.Result) + " " + verdict.Message
		}
		return said
	}
	const needsIdle = "CP501"
	for _, test := range []struct {
		name   string
		change func(*scope, *v1alpha1.Vantage)
		want   string
	}{
		{"under way", func(*scope, *v1alpha1.Vantage) {}, "unknown From node n1: The measurement idle was skipped: it is measured in a pod of its own"},
		{"without a place", func(s *scope, _ *v1alpha1.Vantage) { s.links[0].idleWaiting = "no place" }, "unknown From node n1: The measurement idle was skipped: idle: no place"},
		{"not asked for", func(s *scope, _ *v1alpha1.Vantage) { s.policy.Spec.Probe.Limits.IdleSeconds = new(int32(0)) }, "notApplicable"},
		{"known", func(_ *scope, v *v1alpha1.Vantage) {
			idle := &result.Idle{Meta: result.Meta{Outcome: result.Measured}, Cut: new(false), SurvivedSeconds: new(1000.0), LookedSeconds: 1000}
			if err := (vantage.Silence{From: v1alpha1.IdleSource{Node: "n1"}, Idle: idle}).Put(v); err != nil {
				t.Fatal(err)
			}
		}, "pass"},
	} {
		if got := judged(test.change)[needsIdle]; !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
