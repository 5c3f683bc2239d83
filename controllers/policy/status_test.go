package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

// summarised is the scope of a policy with one link, after change and a summary.
func summarised(change func(s *scope, l *link)) *scope {
	p := &v1alpha1.ConnectionPolicy{}
	p.Generation = 7
	p.Spec.From = &v1alpha1.WorkloadReference{Kind: "Deployment", Name: "client"}
	p.Spec.To = []v1alpha1.Link{{Name: "server"}}
	p.Spec.Probe.IntervalSeconds = 600
	s := newScope(p, begin)
	change(s, s.links[0])
	s.summarise()
	return s
}

// judged gives a link a finished run, and a report in which one verdict is as given and the others pass.
func judged(l *link, outcome v1alpha1.VerdictResult, severity v1alpha1.Severity, percent int32) {
	l.status.Run = running(pod("a", "n1", result.Measured))
	l.status.Run.Phase, l.status.Run.LastResultAt = v1alpha1.RunFinished, &metav1.Time{Time: begin}
	list := verdicts(audit.Judge(audit.Input{Protocol: "HTTP"}))
	for i := range list {
		list[i].Result = v1alpha1.VerdictPass
	}
	list[0].Result, list[0].Severity, list[0].Message = outcome, severity, "in words"
	l.report = &v1alpha1.ConnectionReport{Status: v1alpha1.ConnectionReportStatus{
		Verdicts: list, Findings: countFindings(list), KeyFigures: &v1alpha1.KeyFigures{PortUtilizationPercent: &percent},
	}}
}

func verdictOf(t *testing.T, l *link, rule string) *v1alpha1.Verdict {
	t.Helper()
	for i := range l.report.Status.Verdicts {
		if v := &l.report.Status.Verdicts[i]; v.Rule == rule {
			return v
		}
	}
	t.Fatalf("there is no verdict of %s", rule)
	return nil
}

func TestConditions(t *testing.T) {
	failing := func(failures int32, hadResult bool) func(*scope, *link) {
		return func(_ *scope, l *link) {
			l.status.Run = running(v1alpha1.ProbePodStatus{Name: "a", Outcome: "failed", Cause: "Evicted"})
			l.status.Run.Phase, l.status.Run.Failures = v1alpha1.RunWaiting, failures
			if hadResult {
				l.status.Run.LastResultAt = &metav1.Time{Time: begin}
			}
		}
	}
	tuningWith := func(conditions ...metav1.Condition) func(*scope, *link) {
		return func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictPass, "", 10)
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeApply
			s.tuning = &v1alpha1.ConnectionTuning{Status: v1alpha1.ConnectionTuningStatus{Conditions: conditions}}
		}
	}
	condition := func(conditionType string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: conditionType, Status: status, Reason: reason}
	}

	for _, test := range []struct {
		name   string
		change func(*scope, *link)
		want   string // conditions that are checked, as Type=Status/Reason
	}{
		{"nothing is known", func(*scope, *link) {}, "Ready=Unknown/Progressing Reconciling=True/Progressing Probed=Unknown/Progressing Compliant=Unknown/NotJudged Tuned=Unknown/ObserveOnly -Stalled"},
		{"all passes", func(_ *scope, l *link) { judged(l, v1alpha1.VerdictPass, "", 10) }, "Ready=True/Succeeded Probed=True/Succeeded Compliant=True/NoFindings -Reconciling -Stalled"},
		{"a finding never makes it unready", func(_ *scope, l *link) { judged(l, v1alpha1.VerdictFail, v1alpha1.SeverityError, 99) }, "Ready=True/Succeeded Compliant=False/Findings -Reconciling"},
		{"information is no breach", func(_ *scope, l *link) { judged(l, v1alpha1.VerdictFail, v1alpha1.SeverityInfo, 10) }, "Compliant=True/NoFindings"},
		{"what could be no breach need not be known", func(_ *scope, l *link) {
			judged(l, v1alpha1.VerdictPass, "", 10)
			verdictOf(t, l, "CP303").Result = v1alpha1.VerdictUnknown
		}, "Compliant=True/NoFindings"},
		{"unless the policy makes it one", func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictPass, "", 10)
			verdictOf(t, l, "CP303").Result = v1alpha1.VerdictUnknown
			s.policy.Spec.Audit = &v1alpha1.AuditSpec{Severities: []v1alpha1.RuleSeverity{{Rule: "CP303", Severity: v1alpha1.SeverityWarning}}}
		}, "Compliant=Unknown/NotJudged"},
		{"unknown is not a pass", func(_ *scope, l *link) { judged(l, v1alpha1.VerdictUnknown, "", 10) }, "Compliant=Unknown/NotJudged"},
		{"the first probe fails", failing(1, false), "Ready=False/ProbeFailed Probed=False/ProbeFailed -Reconciling -Stalled"},
		{"one of many probes fails", failing(2, true), "Ready=True/Succeeded Probed=False/ProbeFailed"},
		{"probes fail and fail", failing(3, true), "Ready=False/ProbeFailed"},
		{"a periodic run touches neither Ready nor Reconciling", func(_ *scope, l *link) {
			judged(l, v1alpha1.VerdictPass, "", 10)
			l.status.Run.Phase, l.status.Run.Pods = v1alpha1.RunWaiting, nil
		}, "Ready=True/Succeeded Probed=True/Succeeded -Reconciling"},
		{"a place is waited for", func(_ *scope, l *link) { l.status.Run, l.waiting = running(), "no place" }, "Ready=Unknown/Progressing Probed=Unknown/Waiting"},
		{"the target refuses", func(_ *scope, l *link) {
			judged(l, v1alpha1.VerdictUnknown, "", 10)
			l.report.Status.Vantages = refusing(t)
		}, "Ready=True/Succeeded Probed=False/ProbeFailed"},
		{"the workload is absent", func(s *scope, _ *link) { s.source.trouble = trouble{v1alpha1.ReasonWorkloadNotFound, "x"} }, "Ready=False/WorkloadNotFound Probed=False/WorkloadNotFound -Reconciling -Stalled"},
		{"the node's network", func(s *scope, _ *link) { s.source.trouble = trouble{v1alpha1.ReasonHostNetwork, "x"} }, "Ready=False/HostNetwork Stalled=True/HostNetwork -Reconciling"},
		{"a service is absent", func(_ *scope, l *link) { l.trouble = trouble{v1alpha1.ReasonServiceNotFound, "x"} }, "Ready=False/ServiceNotFound Probed=False/ServiceNotFound"},
		{"a rule of the policy's own cannot be understood", func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictPass, "", 10)
			s.rules = ownRules{problems: []ruleProblem{{err: errors.New("audit rule fast: line 1, column 1: x")}}}
		}, "Ready=False/Invalid Stalled=True/Invalid Probed=True/Succeeded Compliant=True/NoFindings -Reconciling"},
		{"suspended", func(s *scope, _ *link) { s.policy.Spec.Suspend = true }, "Ready=True/Suspended Probed=Unknown/Suspended -Reconciling"},
		{"nothing to tune", func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictPass, "", 10)
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeApply
		}, "Tuned=True/NothingToTune"},
		{"nothing is tuned on the node's network", func(s *scope, _ *link) {
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeApply
			s.source.trouble = trouble{v1alpha1.ReasonHostNetwork, "x"}
		}, "Tuned=False/HostNetwork"},
		{"nothing is proposed for an absent workload", func(s *scope, _ *link) {
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeRecommend
			s.source.trouble = trouble{v1alpha1.ReasonWorkloadNotFound, "x"}
		}, "Tuned=False/WorkloadNotFound"},
		{"a plan may be coming", func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictPass, "", 60)
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeApply
		}, "Tuned=Unknown/Progressing"},
		{"no observer could look", func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictUnknown, "", 10)
			l.report.Status.KeyFigures.PortUtilizationPercent = nil
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeApply
			s.observed = []observed{{seen: sighting{outcome: result.Failed, cause: "refused"}}}
		}, "Tuned=Unknown/NotJudged"},
		{"one observer may be able to look yet", func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictUnknown, "", 10)
			l.report.Status.KeyFigures.PortUtilizationPercent = nil
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeApply
			s.observed = []observed{{seen: sighting{}}, {seen: sighting{outcome: result.Failed, cause: "refused"}}}
		}, "Tuned=Unknown/Progressing"},
		{"no observer is asked for", func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictUnknown, "", 10)
			l.report.Status.KeyFigures.PortUtilizationPercent = nil
			s.policy.Spec.Tuning.Mode, s.policy.Spec.Observe.Pods = v1alpha1.ModeRecommend, new(int32(0))
		}, "Tuned=Unknown/NotJudged"},
		{"one observer of two could look", func(s *scope, l *link) {
			judged(l, v1alpha1.VerdictUnknown, "", 10)
			l.report.Status.KeyFigures.PortUtilizationPercent = nil
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeApply
			s.observed = []observed{{seen: sighting{outcome: result.Failed, cause: "refused"}},
				{seen: sighting{outcome: result.Measured, observation: &result.Observation{}}}}
		}, "Tuned=Unknown/Progressing"},
		{"on its way", tuningWith(condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCanary),
			condition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonCanary)), "Tuned=False/Canary"},
		{"read back", tuningWith(condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded),
			condition(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonNotCompared)), "Tuned=True/NotCompared"},
		{"new", tuningWith(), "Tuned=Unknown/Progressing"},
		{"undoing", func(s *scope, l *link) {
			tuningWith()(s, l)
			s.policy.Spec.Tuning.Mode = v1alpha1.ModeObserve
			s.tuning.DeletionTimestamp = &metav1.Time{Time: begin}
		}, "Tuned=False/Undoing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := summarised(test.change)
			for _, want := range strings.Fields(test.want) {
				if absent, must := strings.CutPrefix(want, "-"); must {
					if meta.FindStatusCondition(s.policy.Status.Conditions, absent) != nil {
						t.Errorf("%s is there", absent)
					}
					continue
				}
				conditionType, state, _ := strings.Cut(want, "=")
				got := meta.FindStatusCondition(s.policy.Status.Conditions, conditionType)
				if got == nil || string(got.Status)+"/"+got.Reason != state || got.ObservedGeneration != 7 || got.Message == "" && s.tuning == nil {
					t.Errorf("%+v, want %s", got, want)
				}
			}
			if s.policy.Status.ObservedGeneration != 7 {
				t.Errorf("observedGeneration %d", s.policy.Status.ObservedGeneration)
			}
		})
	}
}

// refusing is what a probe finds at a target that takes no connections.
func refusing(t *testing.T) []v1alpha1.Vantage {
	t.Helper()
	return []v1alpha1.Vantage{vantageOf(t, "n1", "a", result.Result{Measurements: result.Measurements{
		Handshake: &result.Handshake{Meta: result.Meta{Outcome: result.Failed, Cause: "connection refused"}},
		Reuse:     &result.Reuse{Meta: result.Meta{Outcome: result.Skipped, Cause: "the target cannot be reached"}},
	}})}
}

// For a quarter of an hour after a policy is made nothing but silence is waited for, and Compliant says so.
func TestCompliantWhileSilenceIsMeasured(t *testing.T) {
	idlePod := pod("idle", "n1", "")
	for _, test := range []struct {
		name   string
		change func(*scope, *link)
		want   string
	}{
		{"under way", func(*scope, *link) {}, "Progressing: nothing fails and 1 verdict passes; silence is being measured until about 03:21 UTC, for server CP205, server CP501"},
		{"and more is not known", func(_ *scope, l *link) {
			l.report.Status.Verdicts = append(l.report.Status.Verdicts, v1alpha1.Verdict{Rule: "CP101", Result: v1alpha1.VerdictUnknown})
		}, "NotJudged: nothing fails and 1 verdict passes; silence is being measured until about 03:21 UTC, for server CP205, server CP501; too little is known to judge server CP101"},
		{"what is only worth knowing waits too", func(_ *scope, l *link) {
			l.report.Status.Verdicts = append(l.report.Status.Verdicts, v1alpha1.Verdict{Rule: "CP303", Result: v1alpha1.VerdictUnknown})
		}, "Progressing: nothing fails and 1 verdict passes; silence is being measured until about 03:21 UTC, for server CP205, server CP501"},
		{"not begun", func(_ *scope, l *link) { l.idleUntil = time.Time{} }, "Progressing: nothing fails and 1 verdict passes; silence is measured next, for server CP205, server CP501"},
		{"without a place", func(_ *scope, l *link) { l.idleWaiting = "no place" }, "NotJudged: nothing fails, but too little is known to judge server CP205, server CP501"},
		{"the pod failed", func(_ *scope, l *link) { l.status.IdleRun.Failures = 1 }, "NotJudged: nothing fails, but too little is known to judge server CP205, server CP501"},
		{"not asked for", func(s *scope, _ *link) { s.policy.Spec.Probe.Limits.IdleSeconds = new(int32(0)) }, "NotJudged: nothing fails, but too little is known to judge server CP205, server CP501"},
		{"known, and too little of it", func(_ *scope, l *link) {
			v := vantageOf(t, "n1", "a", fullResult())
			if err := (vantage.Silence{From: v1alpha1.IdleSource{Node: "n1"}, Idle: &result.Idle{Meta: result.Meta{Outcome: result.Failed, Cause: "refused"}}}).Put(&v); err != nil {
				t.Fatal(err)
			}
			l.report.Status.Vantages = []v1alpha1.Vantage{v}
		}, "NotJudged: nothing fails, but too little is known to judge server CP205, server CP501"},
		{"a rule fails", func(_ *scope, l *link) {
			l.report.Status.Verdicts = append(l.report.Status.Verdicts, v1alpha1.Verdict{Rule: "CP101", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityWarning, Message: "slow"})
		}, "Findings: CP101: slow"},
	} {
		s := summarised(func(s *scope, l *link) {
			s.policy.Spec.Probe.Limits.IdleSeconds = new(int32(1000))
			l.status.Run = running(pod("a", "n1", result.Measured))
			l.status.IdleRun = running(idlePod)
			l.idleUntil = s.idleUntil(l.status.IdleRun, 1000)
			l.report = &v1alpha1.ConnectionReport{Status: v1alpha1.ConnectionReportStatus{Verdicts: []v1alpha1.Verdict{
				{Rule: "CP201", Result: v1alpha1.VerdictPass}, {Rule: "CP501", Result: v1alpha1.VerdictUnknown}, {Rule: "CP205", Result: v1alpha1.VerdictUnknown},
			}}}
			test.change(s, l)
		})
		got := meta.FindStatusCondition(s.policy.Status.Conditions, v1alpha1.ConditionCompliant)
		if said := got.Reason + ": " + got.Message; said != test.want {
			t.Errorf("%s: %q, want %q", test.name, said, test.want)
		}
	}
}

// The time that is told does not move while the pod looks, or the status would be written again and again.
func TestUntilWhenSilenceIsMeasured(t *testing.T) {
	s := idleScope(nothingElse)
	run := running(pod("idle", "n1", ""))
	created := begin.Add(10 * time.Second)
	want := created.Add(1060 * time.Second).Truncate(time.Minute)
	s.now = created
	if got := s.idleUntil(run, 1000); !got.Equal(want) {
		t.Errorf("%s when the pod is created, want %s", got, want)
	}
	s.pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{UID: "uid-idle", CreationTimestamp: metav1.NewTime(created)}}}
	s.now = created.Add(15 * time.Minute)
	if got := s.idleUntil(run, 1000); !got.Equal(want) {
		t.Errorf("%s a quarter of an hour later, want %s", got, want)
	}
	if got := s.idleUntil(running(pod("idle", "n1", result.Measured)), 1000); !got.IsZero() {
		t.Errorf("%s although no pod looks", got)
	}
	if got := s.idleUntil(nil, 1000); !got.IsZero() {
		t.Errorf("%s although nothing is begun", got)
	}
}

// What Ready says must not read as if a target that refuses had been measured.
func TestReadySaysWhatCouldNotBeMeasured(t *testing.T) {
	refuses := refusing(t)
	for _, test := range []struct {
		vantages []v1alpha1.Vantage
		want     string
	}{
		{nil, "the link is measured as asked"},
		{refuses, "the link is probed as asked; link server: nothing could be measured from node n1: connection refused"},
	} {
		s := summarised(func(_ *scope, l *link) {
			judged(l, v1alpha1.VerdictUnknown, "", 10)
			l.report.Status.Vantages = test.vantages
		})
		if got := meta.FindStatusCondition(s.policy.Status.Conditions, v1alpha1.ConditionReady); got.Message != test.want {
			t.Errorf("%q, want %q", got.Message, test.want)
		}
	}
}

func TestFindingsChanged(t *testing.T) {
	finding := func(severity v1alpha1.Severity) *v1alpha1.Verdict {
		return &v1alpha1.Verdict{Rule: "CP401", Result: v1alpha1.VerdictFail, Severity: severity, Message: "full"}
	}
	is := func(result v1alpha1.VerdictResult) *v1alpha1.Verdict {
		return &v1alpha1.Verdict{Rule: "CP401", Result: result}
	}
	grave, warned, told := finding(v1alpha1.SeverityError), finding(v1alpha1.SeverityWarning), finding(v1alpha1.SeverityInfo)
	pass, unknown, silent := is(v1alpha1.VerdictPass), is(v1alpha1.VerdictUnknown), is(v1alpha1.VerdictNotApplicable)
	const appeared, noted, cured = "Warning Finding", "Normal Finding", "Normal FindingCured"
	for _, test := range []struct {
		name string
		// reported are the verdicts of one report after the other.
		reported []*v1alpha1.Verdict
		want     []string
	}{
		{"appears", []*v1alpha1.Verdict{grave}, []string{appeared}},
		{"a warning appears", []*v1alpha1.Verdict{warned}, []string{appeared}},
		{"something worth knowing appears", []*v1alpha1.Verdict{told}, []string{noted}},
		{"stays", []*v1alpha1.Verdict{grave, grave, grave}, []string{appeared}},
		{"is cured", []*v1alpha1.Verdict{grave, pass, pass}, []string{appeared, cured}},
		{"comes back", []*v1alpha1.Verdict{grave, pass, grave}, []string{appeared, cured, appeared}},
		{"never was", []*v1alpha1.Verdict{unknown, pass, silent, pass}, nil},
		{"becomes grave", []*v1alpha1.Verdict{told, warned, grave}, []string{noted, appeared, appeared}},
		{"becomes less grave", []*v1alpha1.Verdict{grave, warned, told}, []string{appeared}},
		{"is not known for a while", []*v1alpha1.Verdict{grave, unknown, unknown, grave}, []string{appeared}},
		{"is cured while it is not known", []*v1alpha1.Verdict{warned, unknown, pass, unknown, pass}, []string{appeared, cured}},
		{"has become grave while it was not known", []*v1alpha1.Verdict{warned, unknown, grave}, []string{appeared, appeared}},
		{"does not apply any more", []*v1alpha1.Verdict{grave, silent, unknown, pass}, []string{appeared}},
		{"is disabled", []*v1alpha1.Verdict{grave, is(v1alpha1.VerdictDisabled)}, []string{appeared}},
	} {
		var before []v1alpha1.Verdict
		var got []string
		for _, verdict := range test.reported {
			after := []v1alpha1.Verdict{{Rule: "CP101", Result: v1alpha1.VerdictPass}, *verdict}
			keepFindings(before, after)
			for _, tiding := range findingsChanged("l", before, after) {
				got = append(got, tiding.kind+" "+tiding.reason)
			}
			before = after
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: told %q, want %q", test.name, got, test.want)
		}
	}
}

func TestRequeueIsNeverHot(t *testing.T) {
	s := newScope(&v1alpha1.ConnectionPolicy{}, begin)
	if got := s.requeue(); got.RequeueAfter != 0 {
		t.Errorf("looks again after %s although nothing is due", got.RequeueAfter)
	}
	s.wakeAt(begin.Add(time.Hour))
	s.wakeAt(begin.Add(-time.Minute))
	if got := s.requeue(); got.RequeueAfter != time.Second {
		t.Errorf("looks again after %s", got.RequeueAfter)
	}
}
