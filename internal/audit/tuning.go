package audit

import "github.com/connpolicy/connpolicy/probes/result"

// Tuning is what the operator sets, or wants to set, in the pods of a workload.
type Tuning struct {
	// WorkedOut says that what follows answers the demands as they are now.
	WorkedOut bool
	// Stamp is what pods bear that were created with the values. Empty: none are set.
	Stamp string
	// Sysctls are the values by the kernel's full names. Empty: none are set.
	Sysctls map[string]string
	// Tried are the kinds of node on which the values were tried.
	Tried []Trial
	// Forbidden, Overridden and Conflict say why the values are not set: a node or Pod Security refuses them, the pod
	// template sets the same itself, demands contradict each other. Empty: that is not so.
	Forbidden, Overridden, Conflict string
}

// Trial is what became of values in a pod of the operator's own on a kind of node.
type Trial struct {
	NodeKind string
	// Outcome is measured where the values were read back. Empty: it is not known yet.
	Outcome result.Outcome
	Cause   string
}
