package scenario

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/hack/demo/counters"
)

// keptRate is the share of the connections per second from before that the clients must still make afterwards: no errors
// would prove nothing if they had stopped trying.
const keptRate = 0.95

// Outcome is what a demonstration measured.
type Outcome struct {
	// Before and After are what the clients counted themselves.
	Before, After counters.Figures
	// PortsBefore and PortsAfter are the local ports in use, by the clients' own count and as the observers saw it.
	PortsBefore, PortsAfter []PortsHeld
	// PolicyLineBefore and PolicyLineAfter are what kubectl get shows of the policy.
	PolicyLineBefore, PolicyLineAfter string
	// ReportBefore is the first report in which observers saw every client; Report the last one.
	ReportBefore, Report v1alpha1.ConnectionReport
	// Proposal is the tuning as it was first proposed; Tuning as it is in the end.
	Proposal, Tuning v1alpha1.ConnectionTuning
}

// PortsHeld is the number of local ports that a client's pod held at one time towards the server.
type PortsHeld struct {
	Pod string
	// Client is the client's own count; Observer is what the observer in the pod saw in the kernel's sockets.
	Client, Observer int
}

// Check returns what the demonstration failed to show, or nil.
func (o *Outcome) Check() error {
	var failures []error
	failed := func(format string, args ...any) { failures = append(failures, fmt.Errorf(format, args...)) }

	if o.Before.Errors == 0 {
		failed("the clients counted no error before the tuning, so there was nothing to cure")
	}
	if o.After.Errors != 0 {
		failed("the clients' errors have not stopped: they counted %.0f in %.0f s after the tuning", o.After.Errors, o.After.Seconds)
	}
	if o.After.ConnectionsPerSecond < keptRate*o.Before.ConnectionsPerSecond {
		failed("the clients make %.0f connections/s after the tuning and made %.0f before", o.After.ConnectionsPerSecond, o.Before.ConnectionsPerSecond)
	}
	if !meta.IsStatusConditionTrue(o.Tuning.Status.Conditions, v1alpha1.ConditionReady) {
		failed("the tuning is not Ready")
	}
	switch rollout := o.Tuning.Status.Rollout; {
	case rollout == nil:
		failed("the tuning does not say how many pods have its values")
	case int(rollout.Pods) != o.After.Pods || rollout.Stamped != rollout.Pods || rollout.ReadBack != rollout.Pods:
		failed("of %d clients the tuning counts %d, of which %d were created with its values and in %d the values were read back",
			o.After.Pods, rollout.Pods, rollout.Stamped, rollout.ReadBack)
	}
	return errors.Join(failures...)
}
