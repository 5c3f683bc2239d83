package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

// The measurement of idle connections takes a quarter of an hour and sends almost nothing. It has a run and a pod of its
// own, for which no other run and no condition waits.

const (
	// idleEvery is how often silence is looked at: where a path cuts it seldom changes.
	idleEvery = 6 * time.Hour
	// idleLookAgain is how soon to look again at a pod under way, and to ask again for a place: both take long.
	idleLookAgain = time.Minute
	// purposeIdle is part of the names of its pods.
	purposeIdle = "idle"
)

// probeIdle takes the run of idle a step on.
func (r *Reconciler) probeIdle(ctx context.Context, s *scope, l *link, requestedAt string) error {
	l.previousIdle = l.status.IdleRun
	if !asksForIdle(s.policy) {
		return r.endIdle(ctx, s, l)
	}
	in, err := r.idleInput(s, l, requestedAt)
	if err != nil {
		return err
	}
	if err := r.confirmMissing(ctx, s, in); err != nil {
		return err
	}
	step := advance(in)
	defer func() {
		l.status.IdleRun, l.idleMeasured = step.run, step.measured
		if l.idleWaiting != "" || step.run != nil && underWay(step.run) {
			step.wake = s.now.Add(idleLookAgain)
		}
		l.idleUntil = s.idleUntil(step.run, *r.idleLimits(s.policy).IdleSeconds)
		s.wakeAt(step.wake)
	}()
	return r.carryOut(ctx, s, &step, func() *corev1.Pod { return r.buildIdlePod(s, l, &step) }, &l.idleWaiting)
}

// endIdle stops a run that nobody asks for any more.
func (r *Reconciler) endIdle(ctx context.Context, s *scope, l *link) error {
	if l.status.IdleRun == nil {
		return nil
	}
	for _, pod := range l.status.IdleRun.Pods {
		if pod.Outcome == "" {
			if err := r.deletePod(ctx, s.policy.Namespace, pod.Name, types.UID(pod.UID)); err != nil {
				return err
			}
		}
	}
	l.status.IdleRun = nil
	return nil
}

// asksForIdle says whether a policy has silence looked at.
func asksForIdle(policy *v1alpha1.ConnectionPolicy) bool {
	asked := policy.Spec.Probe.Measurements
	seconds := policy.Spec.Probe.Limits.IdleSeconds
	return seconds != nil && *seconds > 0 && (len(asked) == 0 || slices.Contains(asked, v1alpha1.MeasurementIdle))
}

func (r *Reconciler) idleInput(s *scope, l *link, requestedAt string) (runInput, error) {
	configured, err := fingerprint(struct {
		Idle     bool
		URL      string
		Protocol v1alpha1.Protocol
		Limits   v1alpha1.ProbeLimits
		From     *v1alpha1.WorkloadReference
		TLS      *v1alpha1.TLSClient
	}{true, l.target.url, l.spec.Protocol, r.idleLimits(s.policy), s.policy.Spec.From, l.spec.TLS})
	if err != nil {
		return runInput{}, err
	}
	in := s.runInput(l, l.status.IdleRun, configured)
	in.purpose, in.interval = purposeIdle, idleEvery
	if in.run == nil || !underWay(in.run) {
		in.requestedAt = requestedAt // one that is under way is as good as a new one
	}
	// It begins when the link was measured: not beside the first probe, and not where nothing answers.
	if !s.source.trouble.any() && !l.trouble.any() && l.hasResult() {
		in.vantages = s.idleChoice(l)
	}
	return in, nil
}

// idleChoice is where silence may be looked at from, which takes one place: best a node that the link was measured from.
func (s *scope) idleChoice(l *link) vantageChoice {
	choice := s.vantageChoice()
	measuredFrom := func(node string) bool {
		return l.report != nil && slices.ContainsFunc(l.report.Status.Vantages, func(v v1alpha1.Vantage) bool {
			return v.Node == node && v.Outcome == string(result.Measured)
		})
	}
	nodes := slices.Clone(choice.nodes)
	slices.SortStableFunc(nodes, func(a, b string) int { return trueFirst(measuredFrom(a), measuredFrom(b)) })
	return vantageChoice{nodes: nodes, enough: 1}
}

// idleLimits are those of the pod that looks at silence, under the administrator's ceilings.
func (r *Reconciler) idleLimits(policy *v1alpha1.ConnectionPolicy) v1alpha1.ProbeLimits {
	limits := r.limits(policy)
	if asked := policy.Spec.Probe.Limits.IdleSeconds; asked != nil {
		ceiling := int32(0)
		if r.Ceilings.IdleSeconds != nil {
			ceiling = *r.Ceilings.IdleSeconds
		}
		limits.IdleSeconds = new(under(*asked, ceiling))
	}
	return limits
}

// buildIdlePod: one that looks at silence takes a place of its own kind at the target, so that it is not in the way of the
// probes there, and no two of its kind are there at once.
func (r *Reconciler) buildIdlePod(s *scope, l *link, step *runStep) *corev1.Pod {
	spec := r.podSpec(s, l, step)
	spec.Role = v1alpha1.RoleIdle
	spec.Target = probepod.TargetHash(l.target.key + " " + purposeIdle)
	spec.Measurements = []v1alpha1.MeasurementName{v1alpha1.MeasurementIdle}
	if l.spec.Protocol == v1alpha1.ProtocolWebSocket {
		spec.Measurements = []v1alpha1.MeasurementName{v1alpha1.MeasurementWebSocket} // which looks at silence itself
	}
	spec.Limits = r.idleLimits(s.policy)
	return probepod.Build(spec)
}

// silence is what is known of it: what came in during this reconcile, or else what the report holds. Nil: nothing.
func (s *scope) silence(l *link, known []v1alpha1.Vantage) *vantage.Silence {
	if !asksForIdle(s.policy) {
		return nil
	}
	if l.status.IdleRun != nil {
		for _, pod := range l.status.IdleRun.Pods {
			if r := l.idleMeasured[pod.Name]; r != nil {
				return new(vantage.SilenceOf(pod.Node, pod.Name, *r, metav1.NewTime(s.now)))
			}
		}
	}
	for _, v := range known {
		if silence := vantage.SilenceIn(v); silence != nil {
			return silence
		}
	}
	return nil
}

// putSilence lets one of the vantages say what is known of silence: the one on the node where it was looked at, or the
// first that measured anything. The others say nothing of it.
func putSilence(vantages []v1alpha1.Vantage, silence *vantage.Silence) error {
	at := -1
	for i := range vantages {
		if vantages[i].Outcome != string(result.Measured) {
			continue
		}
		if err := vantage.ForgetSilence(&vantages[i]); err != nil {
			return err
		}
		if silence != nil && (at < 0 || vantages[i].Node == silence.From.Node && vantages[at].Node != silence.From.Node) {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	return silence.Put(&vantages[at])
}

// awaitSilence says of a link whose silence is still being looked at that idle is skipped, or else the rules would take it
// for a measurement that nobody asks for. With WebSocket the first probe has looked a little itself.
func (s *scope) awaitSilence(probes []audit.ProbeResult, l *link) {
	known := slices.ContainsFunc(probes, func(p audit.ProbeResult) bool { return p.Result.Measurements.Idle != nil })
	if len(probes) == 0 || known || !asksForIdle(s.policy) || l.spec.Protocol == v1alpha1.ProtocolWebSocket {
		return
	}
	probes[0].Result.Measurements.Idle = &result.Idle{Meta: result.Meta{
		Outcome: result.Skipped, Cause: cmp.Or(l.idleTrouble(), "it is measured in a pod of its own, which has not come to its end yet"),
	}}
}

// idleUntil is when the pod of a run has looked at silence for so many seconds, on the next full minute. Zero: none looks.
func (s *scope) idleUntil(run *v1alpha1.ProbeRunStatus, seconds int32) time.Time {
	if run == nil || !underWay(run) {
		return time.Time{}
	}
	began := s.now // a pod that was just created was not read yet
	for _, pod := range s.pods {
		if slices.ContainsFunc(run.Pods, func(p v1alpha1.ProbePodStatus) bool { return p.Outcome == "" && p.UID == string(pod.UID) }) {
			began = pod.CreationTimestamp.Time
		}
	}
	return began.Add(time.Duration(seconds)*time.Second + time.Minute).Truncate(time.Minute)
}

// awaitsSilence says whether rules about a link wait for its silence to be measured for the first time. With WebSocket the
// first probe has looked a little itself.
func (s *scope) awaitsSilence(l *link) bool {
	return asksForIdle(s.policy) && l.spec.Protocol != v1alpha1.ProtocolWebSocket && l.idleTrouble() == "" &&
		l.report != nil && s.silence(l, vantage.Whole(l.report.Status.Vantages)) == nil
}

// idleTrouble says why silence could not be looked at yet, if it could not.
func (l *link) idleTrouble() string {
	run := l.status.IdleRun
	switch {
	case l.idleWaiting != "":
		return "idle: " + l.idleWaiting
	case run != nil && run.Phase != v1alpha1.RunFinished && run.Failures > 0:
		return fmt.Sprintf("idle: %s", lastCause(run))
	default:
		return ""
	}
}
