// Package audit judges what was measured on a link. It is pure: measurements and observations go in, verdicts and figures
// come out. What was not measured is unknown, never a pass.
package audit

import (
	"time"

	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Input is everything that is known about one link.
type Input struct {
	// Protocol is TCP, HTTP, HTTPS, HTTP2, GRPC or WebSocket.
	Protocol string
	// Now is the time at which the link is judged. Zero: what depends on it is unknown.
	Now time.Time
	// Addresses are the ip:port tuples that sockets to this link name: a Service's virtual address, or the endpoints' own (see
	// SocketsName).
	Addresses []string
	// Virtual says that Addresses are a Service's virtual ones, behind which endpoints are chosen.
	Virtual bool
	// ReadyEndpoints is how many endpoints can be chosen behind the link. Nil: not known.
	ReadyEndpoints *int
	// NotReady are the endpoints' own ip:port that a Service still lists and that are not ready: on their way out, or not
	// in yet.
	NotReady []string
	// Drains are what the connections of observed pods came to while endpoints left, the last first.
	Drains []Drain
	// PodsPerNode is the number of the workload's pods on the node that has most of them. Nil: not known.
	PodsPerNode *int
	// NodePorts is the cluster's range of NodePorts. Nil: not known.
	NodePorts *ports.Range
	// History are the key figures of earlier looks, in any order.
	History []PastFigures
	// Connects are those of the runs of the last hours, those of Probes among them. Nil: they were not counted.
	Connects *ConnectPool
	// Tuning is what the operator sets in the workload's pods. Nil: nothing.
	Tuning *Tuning
	// ServerOnly says that no workload opens the connections (the policy has no `from`), so that rules about it do not
	// apply.
	ServerOnly bool
	// Unobserved says that the policy asks for no observer, so that rules on the workload's own sockets do not apply.
	Unobserved bool
	// Probes are the results that probe pods brought, one a vantage.
	Probes []ProbeResult
	// Observations are what observers saw in the workload's own pods.
	Observations []PodObservation
	// ObserverTroubles say why observers of the workload's pods saw nothing, one an observer that failed.
	ObserverTroubles []string
	// Objectives are the bounds that the user set.
	Objectives Objectives
	// Disabled are ids of rules that are not to be judged.
	Disabled []string
	// Severities are what the policy gives the findings of some rules, by the rules' ids, instead of their own.
	Severities map[string]Severity
}

// ProbeResult is the result of a probe pod and the node that it stood on.
type ProbeResult struct {
	Node   string
	Result result.Result
}

// ConnectPool counts the connects of several runs that took longer than a limit.
type ConnectPool struct {
	AboveMicroseconds int64
	// Counts are of one probe's result each, in any order.
	Counts []ConnectCount
}

// ConnectCount is how many connects a probe made, and how many of them took longer than the pool's limit.
type ConnectCount struct {
	At              time.Time
	Node            string
	Connects, Above int
}

// PodObservation is what an observer saw in one pod of the workload.
type PodObservation struct {
	Pod, Node string
	// IPs are the pod's own addresses. Nil: not known.
	IPs []string
	// Stamp is what a pod bears that was created with values: Tuning.Stamp if they are those. Empty: it got none.
	Stamp string
	// Observation is what is judged; its counts are of its own period, the last hour where the observer tells of that.
	Observation result.Observation
	// Totals is the same with what was counted since the observer began, for what takes longer than an hour to show. Nil:
	// Observation itself is so.
	Totals *result.Observation
}

// Objectives are the bounds that the user set. A nil bound is not set.
type Objectives struct {
	// HandshakeP99Microseconds bounds the 99th percentile of the time of connect().
	HandshakeP99Microseconds *int64
	// SetupSharePercent bounds the share of a small transaction on a new connection that is spent on setting it up.
	SetupSharePercent *int
	// PortUtilizationPercent bounds the share of the local ports that a pod holds towards one destination.
	PortUtilizationPercent *int
}

// HandshakeSamples is how many connects prove that the objectives are met, if none misses them. 0: no objective is on them.
func (o Objectives) HandshakeSamples() int {
	if o.HandshakeP99Microseconds == nil {
		return 0
	}
	return samplesToMeet(0)
}
