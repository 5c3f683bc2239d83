package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// vantagesPerRun is from how many of the workload's nodes a link is measured in one run, one after the other.
	vantagesPerRun = 2
	// attemptsForSecond is how many failures a run takes before it is content with the results that it has. A run
	// without any result goes on, ever more slowly.
	attemptsForSecond = 3
	// podsRemembered bounds the pods of a run in the status.
	podsRemembered = 8

	firstRetry   = 30 * time.Second
	longestRetry = 30 * time.Minute
	// checkEvery is how often a pod under way is looked at, for what no event tells: that it is late.
	checkEvery = 15 * time.Second
)

// runInput is all that decides how the run of a link goes on.
type runInput struct {
	now        time.Time
	policyUID  types.UID
	policyName string
	generation int64
	link       string
	// purpose is part of the names of the run's pods, where a link has several runs.
	purpose string
	// fingerprint of what is measured: a run of another fingerprint answers another question.
	fingerprint string
	// requestedAt asks for a run at once. Empty: nobody asks, or the request was answered.
	requestedAt string
	interval    time.Duration
	vantages    vantageChoice
	// run as the status holds it. Nil: none yet.
	run *v1alpha1.ProbeRunStatus
	// pods are the operator's pods that exist, by name.
	pods map[string]podReading
}

// podReading is what became of a pod that exists.
type podReading struct {
	uid  types.UID
	node string
	// live: its containers may still run.
	live bool
	probepod.Reading
}

// runStep is what to do next, and what the status says after it.
type runStep struct {
	run *v1alpha1.ProbeRunStatus
	// begun: the run is a new one.
	begun bool
	// create is the pod to be created. It is not in run yet: it has no UID.
	create *v1alpha1.ProbePodStatus
	// remove are pods to be deleted at once: superseded, or given up.
	remove []v1alpha1.ProbePodStatus
	// measured are results that came in, by the pod's name.
	measured map[string]*result.Result
	// wake is when to look again, if nothing happens before.
	wake time.Time
}

// advance decides how the run of a link goes on. All its state is in the status and in the pods, so that it goes on the
// same way after a restart; names are derived from that state, so that a pod whose creation was not recorded is found
// again instead of created twice.
func advance(in runInput) runStep {
	step := runStep{run: in.run.DeepCopy(), measured: map[string]*result.Result{}}
	if step.run != nil {
		step.collect(in)
	}
	if in.mustBegin(step.run) {
		step.begin(in)
	}
	if step.run == nil {
		return step
	}
	step.proceed(in)
	return step
}

// collect takes in what became of the run's pods.
func (s *runStep) collect(in runInput) {
	for i := range s.run.Pods {
		pod := &s.run.Pods[i]
		if pod.Outcome != "" {
			continue
		}
		reading, exists := in.pods[pod.Name]
		if exists && reading.node != "" {
			pod.Node = reading.node
		}
		switch {
		case !exists:
			s.fail(in.now, pod, result.Lost, "the pod disappeared before its result was read")
		case string(reading.uid) != pod.UID:
			s.fail(in.now, pod, result.Lost, "the pod was replaced by another one of the same name")
		case !reading.Finished:
		case reading.Outcome == result.Measured:
			pod.Outcome = string(result.Measured)
			s.run.LastResultAt = &metav1.Time{Time: in.now.Truncate(time.Second)}
			s.measured[pod.Name] = reading.Result
			s.run.Connects = pooled(s.run.Connects, pod.Node, *reading.Result, in.now)
		default:
			s.fail(in.now, pod, reading.Outcome, reading.Cause)
			if reading.live {
				s.remove = append(s.remove, *pod)
			}
		}
	}
}

// fail records an attempt without result, and when the next one may be made.
func (s *runStep) fail(now time.Time, pod *v1alpha1.ProbePodStatus, outcome result.Outcome, cause string) {
	pod.Outcome, pod.Cause = string(outcome), clip.To(cause, maximumCauseBytes)
	s.run.Failures++
	s.run.NotBefore = &metav1.Time{Time: now.Add(backoff(s.run.Failures)).Truncate(time.Second)}
}

// mustBegin says whether a new run is to begin: the first, one for what is asked for now, one on request, or the next.
func (in runInput) mustBegin(run *v1alpha1.ProbeRunStatus) bool {
	switch {
	case len(in.vantages.nodes) == 0:
		return false
	case run == nil, fingerprintOf(run) != in.fingerprint, in.requestedAt != "":
		return true
	default:
		return run.Phase == v1alpha1.RunFinished && !in.now.Before(dueAfter(in.policyUID, in.interval, run))
	}
}

// begin begins a new run; pods of the old one that are still under way are of no use any more.
func (s *runStep) begin(in runInput) {
	previous := ""
	var lastResultAt *metav1.Time
	var connects *v1alpha1.ConnectPool
	if s.run != nil {
		previous = s.run.ID
		if fingerprintOf(s.run) == in.fingerprint {
			lastResultAt, connects = s.run.LastResultAt, s.run.Connects
		}
		for _, pod := range s.run.Pods {
			if pod.Outcome == "" {
				s.remove = append(s.remove, pod)
			}
		}
	}
	s.begun = true
	s.run = &v1alpha1.ProbeRunStatus{
		ID:           runID(in, previous),
		Phase:        v1alpha1.RunWaiting,
		Generation:   in.generation,
		StartedAt:    metav1.Time{Time: in.now.Truncate(time.Second)},
		LastResultAt: lastResultAt,
		Connects:     connects,
	}
}

// proceed finishes the run, waits, or names the next pod.
func (s *runStep) proceed(in runInput) {
	run := s.run
	if run.Phase == v1alpha1.RunFinished {
		s.wakeWhenDue(in)
		return
	}
	if underWay(run) {
		run.Phase = v1alpha1.RunRunning
		s.wake = in.now.Add(checkEvery)
		return
	}
	measured, left := vantagesLeft(in.vantages.nodes, run)
	if measured > 0 && (len(left) == 0 || measured >= in.vantages.enough || run.Failures >= attemptsForSecond) {
		run.Phase, run.NotBefore = v1alpha1.RunFinished, nil
		run.FinishedAt = &metav1.Time{Time: in.now.Truncate(time.Second)}
		s.wakeWhenDue(in)
		return
	}
	run.Phase = v1alpha1.RunWaiting
	if run.NotBefore != nil && in.now.Before(run.NotBefore.Time) {
		s.wake = run.NotBefore.Time
		return
	}
	if len(left) == 0 {
		return
	}
	s.create = &v1alpha1.ProbePodStatus{Name: podName(in, run.ID, measured+int(run.Failures)), Node: left[0]}
}

// wakeWhenDue asks for a look when the next run is due. Where none can begin, a watch tells when one can.
func (s *runStep) wakeWhenDue(in runInput) {
	if len(in.vantages.nodes) > 0 {
		s.wake = dueAfter(in.policyUID, in.interval, s.run)
	}
}

// created records the pod that was created or found again.
func (s *runStep) created(uid types.UID, now time.Time) {
	pod := *s.create
	pod.UID = string(uid)
	s.run.Pods = append(s.run.Pods, pod)
	s.forget()
	s.run.Phase = v1alpha1.RunRunning
	s.wake = now.Add(checkEvery)
}

// refused records that the API server refused to create the pod.
func (s *runStep) refused(cause string, now time.Time) {
	s.run.Pods = append(s.run.Pods, *s.create)
	s.fail(now, &s.run.Pods[len(s.run.Pods)-1], result.Failed, cause)
	s.forget()
	s.wake = s.run.NotBefore.Time
}

// forget keeps the status bounded: the oldest failure goes first.
func (s *runStep) forget() {
	for len(s.run.Pods) > podsRemembered {
		oldest := slices.IndexFunc(s.run.Pods, func(pod v1alpha1.ProbePodStatus) bool {
			return pod.Outcome != string(result.Measured)
		})
		s.run.Pods = slices.Delete(s.run.Pods, oldest, oldest+1)
	}
}

func underWay(run *v1alpha1.ProbeRunStatus) bool {
	return slices.ContainsFunc(run.Pods, func(pod v1alpha1.ProbePodStatus) bool { return pod.Outcome == "" })
}

// vantagesLeft counts the results that a run has, and lists the nodes that it has none from: those first where nothing
// failed yet.
func vantagesLeft(nodes []string, run *v1alpha1.ProbeRunStatus) (measured int, left []string) {
	failures := map[string]int{}
	covered := map[string]bool{}
	for _, pod := range run.Pods {
		if pod.Outcome == string(result.Measured) {
			measured++
			covered[pod.Node] = true
		} else {
			failures[pod.Node]++
		}
	}
	for _, node := range nodes {
		if node == anywhere && measured > 0 || covered[node] {
			continue
		}
		left = append(left, node)
	}
	slices.SortStableFunc(left, func(a, b string) int { return cmp.Compare(failures[a], failures[b]) })
	return measured, left
}

// backoff is the wait after so many failures: 30 s, doubled each time, up to 30 min.
func backoff(failures int32) time.Duration {
	wait := firstRetry
	for range failures - 1 {
		if wait *= 2; wait >= longestRetry {
			return longestRetry
		}
	}
	return wait
}

// dueAfter is when the run after run is due: an interval after its begin, give or take a tenth, so that policies that
// were created together do not probe together for ever. The same run always gives the same time.
func dueAfter(policyUID types.UID, interval time.Duration, run *v1alpha1.ProbeRunStatus) time.Time {
	sum := sha256.Sum256([]byte(string(policyUID) + "/" + run.ID))
	fraction := float64(binary.BigEndian.Uint32(sum[:4])) / (1 << 32)
	return run.StartedAt.Add(time.Duration(float64(interval) * (0.9 + 0.2*fraction))).Truncate(time.Second)
}

// fingerprint is a short hash of all that a probe measures by.
func fingerprint(asked any) (string, error) {
	text, err := json.Marshal(asked)
	if err != nil {
		return "", fmt.Errorf("fingerprint what is asked for: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:3]), nil
}

// runID is the fingerprint of what is measured, and a hash of what made the run begin. It follows from the status
// before, so that a run whose begin was not recorded begins again under the same id.
func runID(in runInput, previous string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(in.policyUID), in.link, in.fingerprint, in.requestedAt, previous}, "/")))
	return in.fingerprint + "-" + hex.EncodeToString(sum[:4])
}

func fingerprintOf(run *v1alpha1.ProbeRunStatus) string {
	found, _, _ := strings.Cut(run.ID, "-")
	return found
}

// podName is the name of the pod that makes an attempt, counted from 0 in the run.
func podName(in runInput, run string, attempt int) string {
	link := in.link
	if in.purpose != "" {
		link += "-" + in.purpose
	}
	return fmt.Sprintf("%s-%s-%s-%d", in.policyName, link, run, attempt)
}
