package tuning

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// Outcomes of a canary, beside the empty one while it runs.
const (
	outcomeMeasured = "measured"
	outcomeFailed   = "failed"
	outcomeLost     = "lost"
)

const (
	// nodeKindsMax bounds the kinds of node on which values are tried (api/v1alpha1: maxItems of canaries).
	nodeKindsMax = 32
	// canariesAtOnce bounds the canaries under way: more kinds of node are tried in rounds.
	canariesAtOnce = 8

	canaryRetryFirst   = 30 * time.Second
	canaryRetryLongest = 30 * time.Minute
	// canaryLook is how often a canary is looked at beside its own changes: it may wait for a place or for a node.
	canaryLook = 15 * time.Second
	// noNodeLook is how often the nodes are looked at again where values cannot be tried on them.
	noNodeLook = time.Minute
)

// try tries values in pods of the operator's own, one on every kind of node that the workload may be scheduled to. Once
// all have read them back, the values are put into the spec.
func (d *draft) try(g goal) {
	if d.current == nil {
		d.tuning.Spec.Knobs, d.tuning.Spec.Revision = nil, ""
	}
	switch kinds := len(d.NodeKinds); {
	case kinds == 0:
		d.tuning.Status.Canaries = nil
		d.inTrial(g, "No Linux node is ready on which a pod of the workload may be scheduled, so there is nowhere to try the values.")
		d.lookAgain(noNodeLook)
	case kinds > nodeKindsMax:
		d.refuse(obstacle{reason: v1alpha1.ReasonUnsupported, message: fmt.Sprintf(
			"Pods of the workload may be scheduled to %d kinds of node (versions of kubelet and kernel), and values are tried "+
				"on at most %d. They come into force only where every kind was tried: let the pod template choose fewer nodes "+
				"(nodeSelector, affinity), or bring the nodes to fewer versions.", kinds, nodeKindsMax)})
		d.lookAgain(noNodeLook)
	default:
		d.tryOnNodes(g)
	}
}

// tryOnNodes brings the canaries on all kinds of node one step further.
func (d *draft) tryOnNodes(g goal) {
	canaries, refusal := d.lookAtCanaries(g)
	d.tuning.Status.Canaries = canaries
	if refusal != nil {
		d.reject(g.revision, refusal.reason, refusal.message)
		d.refuse(d.rejection(g.revision))
		return
	}
	kinds, pending := len(d.NodeKinds), pendingCanaries(canaries)
	if tried := len(canaries) - len(pending); tried < kinds {
		message := fmt.Sprintf("Trying the values in pods of the operator's own: read back on %d of %d kinds of node.", tried, kinds)
		if len(pending) > 0 {
			message += " " + describeCanary(pending[0])
		}
		d.inTrial(g, message)
		d.lookAgain(canaryLook)
		return
	}
	if len(pendingCanaries(d.before.Canaries)) > 0 || len(d.before.Canaries) < len(canaries) {
		// What the canaries brought is written down before the values are: a spec with values whose trial nobody
		// remembers would be taken for somebody else's.
		d.inTrial(g, fmt.Sprintf("Read back on every kind of node (%d).", kinds))
		d.lookAgain(rolloutLook)
		return
	}
	d.putIn(g)
}

// lookAtCanaries brings the canaries up to date: those that are done, and as many others as may be under way. It returns
// why the values must not be used, if that is what one shows.
func (d *draft) lookAtCanaries(g goal) ([]v1alpha1.Canary, *obstacle) {
	var canaries []v1alpha1.Canary
	underWay := 0
	for _, kind := range d.NodeKinds {
		canary := d.knownCanary(g.revision, kind)
		if canary.Outcome != outcomeMeasured {
			if underWay == canariesAtOnce {
				continue
			}
			underWay++
		}
		refusal := d.look(&canary, g)
		canaries = append(canaries, canary)
		if refusal != nil {
			return canaries, refusal
		}
	}
	return canaries, nil
}

// inTrial says that values are being tried. Values that are in force keep their own state meanwhile.
func (d *draft) inTrial(g goal, message string) {
	d.record(g.revision, v1alpha1.ReasonCanary, "Trying the values in pods of the operator's own.")
	if d.current == nil {
		d.progress(v1alpha1.ReasonCanary, message)
		return
	}
	d.condition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonCanary, message)
}

// refuse says that values were refused in their trial. Values that are in force stay.
func (d *draft) refuse(o obstacle) {
	if d.current == nil {
		d.stop(o.reason, o.message)
		return
	}
	d.condition(v1alpha1.ConditionProgressing, metav1.ConditionFalse, o.reason, o.message)
}

// putIn puts values that were tried into the spec.
func (d *draft) putIn(g goal) {
	d.setSpec(g)
	d.tuning.Status.Undo = nil
	d.tuning.Status.Rollout = &v1alpha1.RolloutStatus{Revision: g.revision, StartedAt: &metav1.Time{Time: d.startTime()}}
	d.count(g)
	message := fmt.Sprintf("Read back in a canary on every kind of node (%d); new pods of the workload get the values from now on.",
		len(d.NodeKinds))
	d.record(g.revision, v1alpha1.ReasonApplying, message)
	d.progress(v1alpha1.ReasonApplying, message)
	d.lookAgain(rolloutLook)
}

// knownCanary is the canary of a revision on a kind of node as the status knows it, or a new one. One without a pod goes
// to the node of today: that of an earlier attempt may be gone.
func (d *draft) knownCanary(revision string, kind NodeKind) v1alpha1.Canary {
	for _, canary := range d.before.Canaries {
		if canary.Revision == revision && canary.NodeKind == kind.Name {
			if canary.UID == "" {
				canary.Node = kind.Node
			}
			return canary
		}
	}
	return v1alpha1.Canary{Revision: revision, NodeKind: kind.Name, Node: kind.Node}
}

// look brings a canary up to date: it asks for its pod, or judges what became of it. It returns why the values must not
// be used, if that is what the canary shows.
func (d *draft) look(canary *v1alpha1.Canary, g goal) *obstacle {
	if canary.Outcome == outcomeMeasured {
		return nil
	}
	if canary.Outcome == outcomeFailed {
		return d.refused(canary, canary.Cause)
	}
	if canary.UID == "" {
		d.startCanary(canary, g)
		return nil
	}
	pod, exists := d.CanaryPods[canary.Pod]
	switch {
	case !exists || pod.UID != canary.UID:
		d.retryCanary(canary, outcomeLost, "The pod was deleted before its result was read.")
		return nil
	case namesSysctl(pod.SandboxFailure, g.values):
		return d.refused(canary, pod.SandboxFailure)
	case !pod.Reading.Finished:
		canary.Cause = shorten(pod.Reading.Cause)
		return nil
	case pod.Reading.Rejected:
		return d.refused(canary, pod.Reading.Cause)
	case pod.Reading.Result == nil:
		d.retryCanary(canary, outcomeLost, pod.Reading.Cause)
		return nil
	}
	same, difference := tuner.InForce(g.values, pod.Reading.Result.Host.Sysctls)
	if !same {
		canary.Outcome, canary.Cause = outcomeFailed, shorten(difference)
		return &obstacle{
			reason: v1alpha1.ReasonUnsupported,
			message: fmt.Sprintf("In a pod on node %s (%s) the values did not come into force: %s.",
				canary.Node, canary.NodeKind, difference),
		}
	}
	canary.Outcome, canary.Cause, canary.NotBefore = outcomeMeasured, "", nil
	return nil
}

// refused notes that a node, a kubelet or Pod Security refused a canary for its sysctls.
func (d *draft) refused(canary *v1alpha1.Canary, cause string) *obstacle {
	canary.Outcome, canary.Cause = outcomeFailed, shorten(cause)
	return &obstacle{
		reason: v1alpha1.ReasonForbidden,
		message: fmt.Sprintf("A pod with the values was refused on node %s (%s): %s.",
			canary.Node, canary.NodeKind, strings.TrimSuffix(cause, ".")),
	}
}

// startCanary asks for a canary's pod, unless it has to wait after a failure. The pod's name follows from the canary and
// the number of its failures, so that a pod that was created shortly before a crash is found again.
func (d *draft) startCanary(canary *v1alpha1.Canary, g goal) {
	if canary.NotBefore != nil && d.Now.Before(canary.NotBefore.Time) {
		d.lookAgain(canary.NotBefore.Sub(d.Now))
		return
	}
	canary.Pod = canaryPodName(d.Name, *canary)
	d.startCanaries = append(d.startCanaries, CanaryStart{
		PodName:  canary.Pod,
		NodeKind: canary.NodeKind,
		Node:     canary.Node,
		Values:   g.values,
	})
}

func canaryPodName(tuning string, canary v1alpha1.Canary) string {
	sum := sha256.Sum256([]byte(tuning + "/" + canary.NodeKind))
	return fmt.Sprintf("connpolicy-canary-%s-%s-%d", hex.EncodeToString(sum[:])[:8], canary.Revision, canary.Failures)
}

// retryCanary notes an attempt that told nothing about the values. The wait doubles with each in a row.
func (d *draft) retryCanary(canary *v1alpha1.Canary, outcome, cause string) {
	wait := canaryRetryLongest
	if canary.Failures < 6 {
		wait = canaryRetryFirst << canary.Failures
	}
	canary.Outcome, canary.Cause = outcome, shorten(cause)
	canary.UID = ""
	canary.Failures++
	canary.NotBefore = &metav1.Time{Time: d.Now.Add(wait)}
	d.lookAgain(wait)
}

// CanaryStarted notes that the pod of a canary exists.
func CanaryStarted(status *v1alpha1.ConnectionTuningStatus, podName, uid string) {
	for i := range status.Canaries {
		if canary := &status.Canaries[i]; canary.Pod == podName {
			canary.UID, canary.Outcome, canary.Cause, canary.NotBefore = uid, "", "", nil
		}
	}
}

// CanaryWaits notes why the pod of a canary could not be created yet.
func CanaryWaits(status *v1alpha1.ConnectionTuningStatus, podName, cause string) {
	for i := range status.Canaries {
		if canary := &status.Canaries[i]; canary.Pod == podName {
			canary.Cause = shorten(cause)
		}
	}
}

// CanaryRefused notes that Pod Security refused the pod of a canary for its sysctls.
func CanaryRefused(status *v1alpha1.ConnectionTuningStatus, podName, cause string) {
	for i := range status.Canaries {
		if canary := &status.Canaries[i]; canary.Pod == podName {
			canary.Outcome, canary.Cause = outcomeFailed, shorten(cause)
		}
	}
}

func pendingCanaries(canaries []v1alpha1.Canary) []v1alpha1.Canary {
	var pending []v1alpha1.Canary
	for _, canary := range canaries {
		if canary.Outcome != outcomeMeasured {
			pending = append(pending, canary)
		}
	}
	return pending
}

func describeCanary(canary v1alpha1.Canary) string {
	if canary.Cause == "" {
		return fmt.Sprintf("Pod %s on node %s is at it.", canary.Pod, canary.Node)
	}
	return fmt.Sprintf("Pod %s on node %s: %s", canary.Pod, canary.Node, canary.Cause)
}

// removeStrayCanaryPods asks for the deletion of canary pods that no canary under way needs. That of a refused canary
// stays for its evidence, until the next trial.
func (d *draft) removeStrayCanaryPods() {
	for name, pod := range d.CanaryPods {
		needed := slices.ContainsFunc(d.tuning.Status.Canaries, func(c v1alpha1.Canary) bool {
			inForce := d.tuning.Spec.Revision == c.Revision
			justCreated := c.UID == "" && name == canaryPodName(d.Name, c)
			return c.Pod == name && (c.UID == pod.UID || justCreated) && !inForce
		})
		if !needed {
			d.removeCanaryPods = append(d.removeCanaryPods, name)
		}
	}
	slices.Sort(d.removeCanaryPods)
}
