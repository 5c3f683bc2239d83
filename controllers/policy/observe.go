package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/observer"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// readTimeout bounds the reading of one observer.
	readTimeout = 3 * time.Second
	// startGrace is how long an observer may take from its start to its first answer, and how soon to look again.
	startGrace = 15 * time.Second
	lookAgain  = 5 * time.Second
	// lastGood is how long the last figures of an observer stand that does not answer at the moment.
	lastGood = 2 * time.Minute
)

// observe sees to it that observers look at some of the source's pods, and reads them when they are due.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	if s.policy.Spec.From == nil || s.source.trouble.any() {
		return nil
	}
	count := maximumObserved
	if s.policy.Spec.Observe.Pods != nil {
		count = int(*s.policy.Spec.Observe.Pods)
	}
	every := readEvery(s.policy.Spec.Tuning.Mode, s.deciding(), s.before.Status.PortUtilizationPercent)

	for _, pod := range chooseObserved(s.source.pods, count) {
		seen, _ := r.sightings.get(pod.UID)
		s.observed = append(s.observed, observed{pod: pod, seen: seen})
	}
	if r.watchEndpoints(s) {
		every = readOften
	}
	r.lookAll(ctx, s, every)
	s.countConnections()
	for _, o := range s.observed {
		s.wakeAt(o.seen.nextLook(every))
	}
	return nil
}

// lookAll looks, at once, at the pods that are due.
func (r *Reconciler) lookAll(ctx context.Context, s *scope, every time.Duration) {
	var looks sync.WaitGroup
	for i := range s.observed {
		o := &s.observed[i]
		if !o.due(every, s.now) {
			continue
		}
		looks.Go(func() {
			o.seen = r.look(ctx, o.pod, o.seen, s.now)
			r.sightings.put(o.pod.UID, o.seen)
		})
	}
	looks.Wait()
}

// deciding: the next figures decide something, for the tuning is on its way or ports could not be judged yet.
func (s *scope) deciding() bool {
	return tuningMoves(s.tuning) || slices.ContainsFunc(s.links, func(l *link) bool {
		return l.report != nil && !portsJudged(l.report.Status.Judgements())
	})
}

// look adds an observer to a pod that has none, or reads the one that it has.
func (r *Reconciler) look(ctx context.Context, pod *corev1.Pod, last sighting, now time.Time) sighting {
	if !observer.Present(pod) {
		if err := r.addObserver(ctx, pod); err != nil {
			return sighting{at: now, outcome: result.Failed, cause: refusal(err)}
		}
		return sighting{at: now, addedAt: now}
	}
	if cause := observer.Trouble(pod); cause != "" {
		return sighting{at: now, outcome: result.Failed, cause: cause}
	}
	since, running := observer.RunningSince(pod)
	if !running {
		return unstarted(pod.Spec.NodeName, last, now)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	reading, err := observer.Read(ctx, r.HTTP, pod.Status.PodIP, r.ObserverPort)
	if err != nil {
		cause := fmt.Sprintf("%s; a NetworkPolicy may keep the operator from port %d of the pod", err, r.ObserverPort)
		return unread(cause, since, last, now)
	}
	return sighting{at: now, outcome: result.Measured, observation: &reading.Total, recent: reading.Recent}
}

// addObserver adds the observer to a running pod. A strategic merge patch adds to the list without the pod as it is now.
func (r *Reconciler) addObserver(ctx context.Context, pod *corev1.Pod) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"ephemeralContainers": []corev1.EphemeralContainer{observer.Container(r.ProbeImage, r.ObserverPort)},
	}})
	if err != nil {
		return fmt.Errorf("describe the observer: %w", err)
	}
	named := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	return r.Client.SubResource("ephemeralcontainers").Patch(ctx, named,
		client.RawPatch(types.StrategicMergePatchType, patch), client.FieldOwner(v1alpha1.FieldManager))
}

// refusal says in words why an observer was not added.
func refusal(err error) string {
	if apierrors.IsForbidden(err) {
		return "the API server refused the observer (missing right, Pod Security or quota): " + err.Error()
	}
	return "the observer was not added: " + err.Error()
}
