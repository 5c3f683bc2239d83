package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/internal/probepod"
)

// askAgain is how long a run without a place waits before it asks for one again.
const askAgain = 5 * time.Second

// probe takes the run of each link a step on. A request stands until it makes a run begin, on one link at least: those
// that stand in trouble meanwhile are not waited for, or the others would begin again and again.
func (r *Reconciler) probe(ctx context.Context, s *scope) error {
	requestedAt := s.requestedAt()
	var failed error
	for _, l := range s.links {
		if err := errors.Join(r.probeLink(ctx, s, l, requestedAt), r.probeIdle(ctx, s, l, requestedAt)); err != nil {
			failed = errors.Join(failed, fmt.Errorf("link %s: %w", l.spec.Name, err))
		}
	}
	if requestedAt != "" && slices.ContainsFunc(s.links, func(l *link) bool { return l.begun }) {
		s.policy.Status.LastHandledRequestedAt = requestedAt
	}
	return failed
}

func (r *Reconciler) probeLink(ctx context.Context, s *scope, l *link, requestedAt string) error {
	in, err := r.runInput(ctx, s, l, requestedAt)
	if err != nil {
		return err
	}
	step := advance(in)
	defer func() { s.setRun(l, step) }()
	return r.carryOut(ctx, s, &step, func() *corev1.Pod { return r.buildPod(s, l, &step) }, &l.waiting)
}

// carryOut removes and creates the pods that a step names. If there is no place for one, waiting says why.
func (r *Reconciler) carryOut(ctx context.Context, s *scope, step *runStep, build func() *corev1.Pod, waiting *string) error {
	for _, pod := range step.remove {
		if err := r.deletePod(ctx, s.policy.Namespace, pod.Name, types.UID(pod.UID)); err != nil {
			return err
		}
	}
	if step.create == nil {
		return nil
	}
	return r.createPod(ctx, s, step, build(), waiting)
}

// setRun takes over what a step came to.
func (s *scope) setRun(l *link, step runStep) {
	l.previous, l.status.Run, l.begun, l.measured = l.status.Run, step.run, step.begun, step.measured
	s.wakeAt(step.wake)
}

func (r *Reconciler) runInput(ctx context.Context, s *scope, l *link, requestedAt string) (runInput, error) {
	configured, err := fingerprint(struct {
		URL          string
		Protocol     v1alpha1.Protocol
		Measurements []v1alpha1.MeasurementName
		Limits       v1alpha1.ProbeLimits
		From         *v1alpha1.WorkloadReference
		// Left out where it is 0, as it was from fingerprints before it was there.
		HandshakeSamples int                 `json:",omitempty"`
		CountAbove       int64               `json:",omitempty"`
		TLS              *v1alpha1.TLSClient `json:",omitempty"`
	}{l.target.url, l.spec.Protocol, measurements(s.policy), r.limits(s.policy), s.policy.Spec.From,
		objectivesOf(s.policy).HandshakeSamples(), countAbove(s.policy), l.spec.TLS})
	if err != nil {
		return runInput{}, err
	}
	in := s.runInput(l, l.status.Run, configured)
	in.requestedAt, in.interval = requestedAt, interval(s.policy)
	if !s.source.trouble.any() && !l.trouble.any() {
		in.vantages = s.vantageChoice()
	}
	return in, r.confirmMissing(ctx, s, in)
}

// runInput is what is the same for all runs of a link.
func (s *scope) runInput(l *link, run *v1alpha1.ProbeRunStatus, configured string) runInput {
	in := runInput{
		now:         s.now,
		policyUID:   s.policy.UID,
		policyName:  s.policy.Name,
		generation:  s.policy.Generation,
		link:        l.spec.Name,
		fingerprint: configured,
		run:         run,
		pods:        map[string]podReading{},
	}
	for i := range s.pods {
		in.pods[s.pods[i].Name] = readingOf(&s.pods[i], s.now)
	}
	return in
}

// confirmMissing asks the API server itself for pods under way that the cache does not hold: it may lag behind.
func (r *Reconciler) confirmMissing(ctx context.Context, s *scope, in runInput) error {
	if in.run == nil {
		return nil
	}
	for _, known := range in.run.Pods {
		if _, cached := in.pods[known.Name]; cached || known.Outcome != "" {
			continue
		}
		var pod corev1.Pod
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.policy.Namespace, Name: known.Name}, &pod)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("look for probe pod %s: %w", known.Name, err)
		default:
			in.pods[known.Name] = readingOf(&pod, s.now)
		}
	}
	return nil
}

func interval(policy *v1alpha1.ConnectionPolicy) time.Duration {
	return time.Duration(policy.Spec.Probe.IntervalSeconds) * time.Second
}

func readingOf(pod *corev1.Pod, now time.Time) podReading {
	return podReading{uid: pod.UID, node: pod.Spec.NodeName, live: !ended(pod), Reading: probepod.Read(pod, now)}
}

// measurements names what a run measures: what the policy names but idle, which has a pod of its own. None: all that suit
// the protocol but idle. Where the policy names idle alone, handshake tells whether the target can be reached at all.
func measurements(policy *v1alpha1.ConnectionPolicy) []v1alpha1.MeasurementName {
	asked := policy.Spec.Probe.Measurements
	if len(asked) == 0 {
		return nil
	}
	names := slices.DeleteFunc(slices.Clone(asked), func(name v1alpha1.MeasurementName) bool { return name == v1alpha1.MeasurementIdle })
	if len(names) == 0 {
		return []v1alpha1.MeasurementName{v1alpha1.MeasurementHandshake}
	}
	return names
}

// except names what a run leaves out where the policy names nothing.
func except(measurements []v1alpha1.MeasurementName) []v1alpha1.MeasurementName {
	if len(measurements) > 0 {
		return nil
	}
	return []v1alpha1.MeasurementName{v1alpha1.MeasurementIdle}
}

// limits are the policy's for a run, under the administrator's ceilings.
func (r *Reconciler) limits(policy *v1alpha1.ConnectionPolicy) v1alpha1.ProbeLimits {
	asked := policy.Spec.Probe.Limits
	return v1alpha1.ProbeLimits{
		Connections:       under(asked.Connections, r.Ceilings.Connections),
		RequestsPerSecond: under(asked.RequestsPerSecond, r.Ceilings.RequestsPerSecond),
		Seconds:           under(asked.Seconds, r.Ceilings.Seconds),
	}
}

func under(asked, ceiling int32) int32 {
	if ceiling > 0 {
		return min(asked, ceiling)
	}
	return asked
}

// createPod creates the next pod of a run if there is a place for it, or finds the one again whose creation was not
// recorded. What the API server refuses is an outcome.
func (r *Reconciler) createPod(ctx context.Context, s *scope, step *runStep, pod *corev1.Pod, waiting *string) error {
	err := r.Places.Create(ctx, pod)
	var noPlace *limits.NoPlaceError
	switch {
	case err == nil:
		step.created(pod.UID, s.now)
	case errors.As(err, &noPlace):
		*waiting = noPlace.Error()
		step.wake = s.now.Add(askAgain)
	case apierrors.IsAlreadyExists(err):
		return r.adoptPod(ctx, s, step)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case !errors.Is(err, limits.ErrUncounted) && refuses(err):
		step.refused("the API server refused the probe pod: "+err.Error(), s.now)
	default:
		return fmt.Errorf("create probe pod %s: %w", pod.Name, err)
	}
	return nil
}

// refuses says whether an error of the API server is its answer to the pod as it is, so that to ask again at once is of
// no use: it, or a webhook that it asks, does not take the pod. What a webhook answers with is its own choice, and one
// that cannot be called is an internal error to the API server (k8s.io/apiserver, admission/plugin/webhook).
func refuses(err error) bool {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return false
	}
	status := answer.Status()
	switch {
	case strings.Contains(status.Message, "failed calling webhook"), strings.Contains(status.Message, "denied the request"):
		return true
	case status.Code == http.StatusNotFound, status.Code == http.StatusConflict, status.Code == http.StatusTooManyRequests:
		return false
	default:
		return status.Code >= 400 && status.Code < 500
	}
}

func (r *Reconciler) buildPod(s *scope, l *link, step *runStep) *corev1.Pod {
	spec := r.podSpec(s, l, step)
	spec.Role = v1alpha1.RoleProbe
	spec.Target = probepod.TargetHash(l.target.key)
	spec.Measurements = measurements(s.policy)
	spec.Except = except(spec.Measurements)
	spec.HandshakeSamples = objectivesOf(s.policy).HandshakeSamples()
	spec.CountAbove = countAbove(s.policy)
	spec.Limits = r.limits(s.policy)
	return probepod.Build(spec)
}

// podSpec is what is the same for the pods of all runs of a link.
func (r *Reconciler) podSpec(s *scope, l *link, step *runStep) probepod.Spec {
	return probepod.Spec{
		Namespace:         s.policy.Namespace,
		Name:              step.create.Name,
		Owner:             *metav1.NewControllerRef(s.policy, v1alpha1.GroupVersion.WithKind("ConnectionPolicy")),
		Policy:            s.policy.Name,
		Link:              l.spec.Name,
		Run:               step.run.ID,
		Image:             r.ProbeImage,
		Node:              step.create.Node,
		NodeSelector:      s.source.nodeSelector,
		Tolerations:       s.source.tolerations,
		Names:             s.source.names,
		URL:               l.target.url,
		Protocol:          l.spec.Protocol,
		TLS:               l.spec.TLS,
		RefuseAddresses:   s.nodeAddresses,
		PriorityClassName: r.ProbePriorityClass,
	}
}

// countAbove is the limit, in microseconds, above which probes count connects. 0: the policy sets no objective on them.
func countAbove(policy *v1alpha1.ConnectionPolicy) int64 {
	if objectives := policy.Spec.Objectives; objectives != nil && objectives.HandshakeP99Microseconds != nil {
		return *objectives.HandshakeP99Microseconds
	}
	return 0
}

// adoptPod takes a pod of the wanted name for the one that was to be created, if it is ours and of this run: the
// operator stopped after it had created the pod and before it had recorded that.
func (r *Reconciler) adoptPod(ctx context.Context, s *scope, step *runStep) error {
	var pod corev1.Pod
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.policy.Namespace, Name: step.create.Name}, &pod)
	switch {
	case apierrors.IsNotFound(err):
		step.wake = s.now.Add(askAgain)
	case err != nil:
		return fmt.Errorf("read probe pod %s: %w", step.create.Name, err)
	case metav1.IsControlledBy(&pod, s.policy) && pod.Labels[v1alpha1.LabelRun] == step.run.ID:
		step.created(pod.UID, s.now)
	default:
		step.refused(fmt.Sprintf("pod %s exists and is not the operator's; delete it", pod.Name), s.now)
	}
	return nil
}

// deletePod deletes a pod by its UID; another pod of that name is left alone.
func (r *Reconciler) deletePod(ctx context.Context, namespace, name string, uid types.UID) error {
	if uid == "" {
		return nil
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	err := r.Client.Delete(ctx, pod, client.Preconditions{UID: &uid})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete probe pod %s: %w", name, err)
	}
	return nil
}
