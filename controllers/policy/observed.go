package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/observer"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// maximumObserved bounds the observed pods of a workload.
	maximumObserved = 2
	// watchedPercent is the share of held ports from which observers are read often.
	watchedPercent = 50

	readOften  = 20 * time.Second
	readSeldom = 60 * time.Second

	// startWithin is how long the kubelet may take to start an observer until that counts as a failure.
	startWithin = 2 * time.Minute
	// quickReads is how many reads in a row may fail until the pauses before the next ones grow, from the first to the longest.
	quickReads   = 3
	firstPause   = time.Minute
	longestPause = 10 * time.Minute
)

// observed is a pod with an observer, and what it saw.
type observed struct {
	pod  *corev1.Pod
	seen sighting
}

// due says whether to look at the pod now, where observers are read that often: while its observer starts, when its time
// has come, give or take a second, and when the pod's status has news of it.
func (o observed) due(every time.Duration, now time.Time) bool {
	trouble := observer.Trouble(o.pod)
	return o.seen.outcome == "" || !now.Before(o.seen.nextLook(every).Add(-time.Second)) ||
		trouble != "" && trouble != o.seen.cause
}

// chooseObserved chooses up to count of a workload's ready pods to observe: tuned ones first, for they show whether the
// tuning is in force; then those that have an observer already, for it cannot be taken out again; then such on other
// nodes; then the oldest, which have the longest history. A pod is to get an observer only while fewer than count live
// pods have one; a tuned pod also beyond that, if no tuned pod has one.
func chooseObserved(pods []corev1.Pod, count int) []*corev1.Pod {
	var left []*corev1.Pod
	holders, tunedHeld := 0, false
	for i := range pods {
		if observer.Present(&pods[i]) && pods[i].DeletionTimestamp == nil && !ended(&pods[i]) {
			holders++
			tunedHeld = tunedHeld || stamp(&pods[i]) != ""
		}
		if ready(&pods[i]) && pods[i].DeletionTimestamp == nil && pods[i].Status.PodIP != "" {
			left = append(left, &pods[i])
		}
	}
	var chosen []*corev1.Pod
	nodes := map[string]bool{}
	for len(chosen) < count && len(left) > 0 {
		best := slices.MinFunc(left, func(a, b *corev1.Pod) int {
			return cmp.Or(
				trueFirst(stamp(a) != "", stamp(b) != ""),
				trueFirst(observer.Present(a), observer.Present(b)),
				trueFirst(!nodes[a.Spec.NodeName], !nodes[b.Spec.NodeName]),
				a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
				cmp.Compare(a.Name, b.Name),
			)
		})
		left = slices.DeleteFunc(left, func(pod *corev1.Pod) bool { return pod == best })
		if !observer.Present(best) {
			tuned := stamp(best) != ""
			if holders >= count && (!tuned || tunedHeld) {
				continue
			}
			holders++
			tunedHeld = tunedHeld || tuned
		}
		chosen = append(chosen, best)
		nodes[best.Spec.NodeName] = true
	}
	return chosen
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// stamp is what the admission policy wrote on a tuned pod; empty on one that is not tuned.
func stamp(pod *corev1.Pod) string { return pod.Annotations[v1alpha1.AnnotationTuning] }

// readEvery is how often observers are read: often while their figures decide something.
func readEvery(mode v1alpha1.TuningMode, deciding bool, highestPercent *int32) time.Duration {
	if mode != v1alpha1.ModeObserve && deciding || highestPercent != nil && *highestPercent >= watchedPercent {
		return readOften
	}
	return readSeldom
}

// sighting is what became of looking at one pod.
type sighting struct {
	// at is when it was looked at.
	at time.Time
	// outcome is measured or failed; empty while the observer starts.
	outcome result.Outcome
	cause   string
	// observation holds what the observer counted since it began, if outcome is measured; recent the same with what it
	// counted in about the last hour, nil if it does not tell.
	observation, recent *result.Observation
	// addedAt is when the observer was added, or first seen by this manager, until it runs.
	addedAt time.Time
	// failedReads counts the reads in a row that failed.
	failedReads int
}

// nextLook is when to look at the pod again, where observers are read that often. One that cannot be reached takes the
// whole readTimeout of every look, so it is looked at ever more rarely; not after its first failures, which may pass.
func (s sighting) nextLook(every time.Duration) time.Time {
	switch {
	case s.outcome == "":
		return s.at.Add(lookAgain)
	case s.failedReads <= quickReads:
		return s.at.Add(every)
	}
	pause := firstPause
	for i := quickReads + 1; i < s.failedReads && pause < longestPause; i++ {
		pause *= 2
	}
	return s.at.Add(max(every, min(pause, longestPause)))
}

// unstarted is what is seen of an observer that the kubelet has not started: nothing for a while, then a failure.
func unstarted(node string, last sighting, now time.Time) sighting {
	seen := sighting{at: now, addedAt: last.addedAt}
	if seen.addedAt.IsZero() {
		seen.addedAt = now
	}
	if now.Sub(seen.addedAt) >= startWithin {
		seen.outcome = result.Failed
		seen.cause = fmt.Sprintf("the kubelet of node %s has not started the observer in %.0f minutes", node, startWithin.Minutes())
	}
	return seen
}

// unread is what is seen of an observer that runs since a time and does not answer, for the cause. The time is told by
// the clock of the node, which may be ahead of ours.
func unread(cause string, since time.Time, last sighting, now time.Time) sighting {
	if now.Sub(since).Abs() < startGrace {
		return sighting{at: now}
	}
	seen := sighting{at: now, failedReads: last.failedReads + 1}
	if last.observation != nil && now.Sub(last.observation.At) < lastGood {
		seen.outcome, seen.observation, seen.recent = result.Measured, last.observation, last.recent
	} else {
		seen.outcome, seen.cause = result.Failed, cause
	}
	return seen
}
