// Package tuner plans the values of knobs from what was measured. It is pure: the demands of all links on one workload go
// in, one plan with its reasons comes out.
package tuner

import (
	"strings"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/ports"
)

// PortRange is the ports from First to Last, both included.
type PortRange = ports.Range

// Workload is what is known about the workload whose knobs are planned.
type Workload struct {
	// Target names the workload.
	Target v1alpha1.WorkloadReference
	// ContainerPorts are the container ports and the ports of probes in the pod template.
	ContainerPorts []int
	// TemplateSysctls are the sysctls that the pod template sets itself, by full name. They are left alone.
	TemplateSysctls map[string]string
	// NodePorts is the cluster's NodePort range.
	NodePorts PortRange
	// Applied are the values that our tuning has in force. Nil: none.
	Applied *v1alpha1.KnobValues
	// Proposed are the values of the last plan, applied or not. They are kept while they serve, so that the hash of a
	// proposal that waits for approval does not change with every reading. Nil: none.
	Proposed *v1alpha1.KnobValues
}

// LinkDemand is what the observed pods need for one link.
type LinkDemand struct {
	// Policy and Link name the link.
	Policy, Link string
	// Pods are the observed pods.
	Pods []PodPorts
	// Bounds are what the policy allows for ephemeralPorts. Nil: all that is safe.
	Bounds *v1alpha1.KnobBounds
}

// PodPorts is the use of local ports in one observed pod, towards the link's fullest address.
type PodPorts struct {
	Pod string
	// Address is the remote address and port that the ports are held towards. It may be empty.
	Address string
	// InUse is the number of ports held, InUsePeak the highest number of the last minutes, TimeWait how many of InUse
	// are in TIME_WAIT.
	InUse, InUsePeak, TimeWait int
	// Available is the number of ports that the kernel may choose from in this pod. 0: unknown, and the pod is not
	// counted.
	Available int
	// ConnectionsPerSecond is the rate of connections opened to the link. Nil: unknown.
	ConnectionsPerSecond *int
	// ListeningPorts are the ports that something in the pod listens on.
	ListeningPorts []int
	// Sysctls are the values in force in the pod, by full name.
	Sysctls map[string]string
	// Tuned says that the pod was created with values of ours.
	Tuned bool
}

// Plan is what should be done.
type Plan struct {
	// Values that new pods of the workload should get. Nil: none.
	Values *v1alpha1.KnobValues
	// Revision identifies Values, Hash identifies Values for this workload. Empty without Values.
	Revision, Hash string
	// Recommendations give the reason of each value.
	Recommendations []v1alpha1.Recommendation
	// Demands are the links that ask for Values.
	Demands []v1alpha1.Demand
	// Reason is a condition reason that says why Values is nil. Empty with Values.
	Reason string
	// Message says it in words.
	Message string
}

// Name returns the name of the ConnectionTuning of a workload: <kind>-<name>, the kind in lower case.
func Name(target v1alpha1.WorkloadReference) string {
	return strings.ToLower(target.Kind) + "-" + target.Name
}
