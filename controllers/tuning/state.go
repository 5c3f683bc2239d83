package tuning

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// State is all that a decision rests on.
type State struct {
	// Now is the time of the decision, in whole seconds, as the API keeps times.
	Now time.Time
	// Name is the tuning's name, Target its workload.
	Name   string
	Target v1alpha1.WorkloadReference
	// MayApply says whether the operator was started with the right to change workloads.
	MayApply bool
	// Namespace is the workload's namespace.
	Namespace Namespace
	// Tuning is the ConnectionTuning as it stands. Nil: there is none.
	Tuning *v1alpha1.ConnectionTuning
	// Policies are the policies that name the workload and are not being deleted.
	Policies []v1alpha1.ConnectionPolicy
	// Workload is what is known of the workload. Nil: it does not exist.
	Workload *Workload
	// Plan is what the measurements ask for.
	Plan tuner.Plan
	// Pods are the workload's pods, without those that are being deleted.
	Pods []Pod
	// Refused are pods that a kubelet refused as an event says, and that are gone.
	Refused []Pod
	// Readings are what observers saw in Pods that are alive.
	Readings []Reading
	// NodeKinds are the kinds of node that the workload may be scheduled to.
	NodeKinds []NodeKind
	// CanaryPods are the canary pods of the tuning, by name.
	CanaryPods map[string]CanaryPod
	// Admission is what a new pod of the workload would get. Nil: nobody asked.
	Admission *Admission
}

// Namespace is what a decision needs to know of a namespace.
type Namespace struct {
	Name string
	// OptedIn says whether its pods may be tuned (label connpolicy.dev/tuning: enabled).
	OptedIn bool
	// Terminating says whether it is being deleted.
	Terminating bool
}

// Workload is what a decision needs to know of a workload.
type Workload struct {
	// HostNetwork and OptedOut are of its pod template.
	HostNetwork, OptedOut bool
	// Desired is the number of pods that it should have.
	Desired int
	// RolledOut says whether all its pods are of its newest template, and available.
	RolledOut bool
	// Stuck says in words why its pods do not come to a new template by themselves. Empty: they do.
	Stuck string
	// RolloutFailure is the message of a rollout that made no progress in time, RolloutFailedAt when that was found.
	RolloutFailure  string
	RolloutFailedAt time.Time
	// CreationFailure is the message with which new pods are refused. Empty: they are not.
	CreationFailure string
	// RestartedAt is the annotation connpolicy.dev/restartedAt of the pod template. Zero: there is none.
	RestartedAt time.Time
}

// lacksPods says whether the workload has fewer pods than it should: something may refuse to create them.
func (s State) lacksPods() bool {
	alive := 0
	for _, pod := range s.Pods {
		if pod.Alive {
			alive++
		}
	}
	return s.Workload != nil && alive < s.Workload.Desired
}

// Pod is one of the workload's pods.
type Pod struct {
	Name    string
	UID     types.UID
	Created time.Time
	// Stamp is the annotation connpolicy.dev/tuning: <tuning>.<revision>.
	Stamp string
	// Alive pods have neither failed nor succeeded.
	Alive bool
	// Refusal is the message with which the kubelet refused the pod, or could not make its sandbox. Empty: neither.
	Refusal string
	// Waiting pods have a stamp and no sandbox yet: a value may still be refused.
	Waiting bool
	// Running pods have a sandbox, with every sysctl of theirs in force.
	Running bool
}

// Reading is what an observer saw in a pod.
type Reading struct {
	Pod, Stamp string
	// Sysctls are the values in force in the pod. Nil: the observer brought no reading, and Cause says why.
	Sysctls map[string]string
	Cause   string
	// PortsInUse of PortsAvailable local ports are held towards one destination. Nil: unknown.
	PortsInUse, PortsAvailable *int32
}

// NodeKind is the nodes that run the same kubelet on the same kernel.
type NodeKind struct {
	// Name is made of the two versions.
	Name string
	// Node is one of them, on which a canary may stand.
	Node string
	// Nodes is how many there are.
	Nodes int
}

// CanaryPod is a canary pod as it stands.
type CanaryPod struct {
	UID     string
	Reading probepod.Reading
	// SandboxFailure is why its sandbox could not be made. Empty: nothing is known to stand in the way.
	SandboxFailure string
}

// Admission is the API server's answer to a pod of the workload that was only tried (dry run).
type Admission struct {
	// Stamp and Sysctls are what the pod would get.
	Stamp   string
	Sysctls map[string]string
	// Refusal is the message with which Pod Security refused a sysctl of the pod. Empty: it did not.
	Refusal string
	// Failure is any other reason why there is no answer.
	Failure string
}
