package policy

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/history"
	"github.com/connpolicy/connpolicy/internal/tuner"
	"github.com/connpolicy/connpolicy/probes/result"
)

// addFacts adds what the cluster itself tells about a link to what the rules judge.
func addFacts(in *audit.Input, s *scope, l *link) {
	if in.Virtual = l.target.virtual; in.Virtual && choosesEndpoints(in.Observations, l.target) {
		in.Addresses, in.Virtual = l.target.endpoints, false
	}
	in.ReadyEndpoints = intFrom(l.target.readyEndpoints)
	in.NotReady = l.target.notReady
	in.PodsPerNode = podsPerNode(s)
	in.NodePorts = s.nodePorts
	in.Tuning = settingsOf(s.tuning)
	in.Connects = connectsOf(l.status.Run)
	in.Drains = drainsOf(l.drains)
}

// choosesEndpoints says that the workload's sockets name a Service's endpoints and none its virtual address: the workload, or its
// sidecar, chooses them itself, as ingress controllers do, or the sockets' addresses are translated when they connect
// (Cilium's socket-level load balancing).
func choosesEndpoints(observations []audit.PodObservation, t target) bool {
	return audit.SocketsName(observations, t.endpoints) && !audit.SocketsName(observations, t.addresses)
}

// podsPerNode is the number of the workload's pods on the node that has most of them. Nil: no pod is on a node.
func podsPerNode(s *scope) *int {
	nodes := nodesOf(s.source.pods)
	if len(nodes) == 0 {
		return nil
	}
	most := 0
	for i := range s.source.pods {
		if pod := &s.source.pods[i]; pod.Spec.NodeName == nodes[0] && pod.DeletionTimestamp == nil && !ended(pod) {
			most++
		}
	}
	return &most
}

// settingsOf says what the operator sets, or wants to set, in a workload's pods. Nil: nothing, or nothing before somebody
// approves it or enables it.
func settingsOf(tuning *v1alpha1.ConnectionTuning) *audit.Tuning {
	if tuning == nil || tuning.DeletionTimestamp != nil {
		return nil
	}
	settings := &audit.Tuning{}
	if tuning.Spec.Knobs != nil {
		settings.Stamp, settings.Sysctls = tuning.Name+"."+tuning.Spec.Revision, map[string]string{}
		for _, sysctl := range tuner.Sysctls(*tuning.Spec.Knobs) {
			settings.Sysctls[sysctl.Name] = sysctl.Value
		}
	}
	progressing := meta.FindStatusCondition(tuning.Status.Conditions, v1alpha1.ConditionProgressing)
	settings.WorkedOut = progressing != nil && tuning.Status.ObservedGeneration == tuning.Generation
	if !settings.WorkedOut {
		return settings
	}
	switch progressing.Reason {
	case v1alpha1.ReasonForbidden:
		settings.Forbidden = progressing.Message
	case v1alpha1.ReasonOverridden:
		settings.Overridden = progressing.Message
	case v1alpha1.ReasonConflict:
		settings.Conflict = progressing.Message
	case v1alpha1.ReasonAwaitingApproval, v1alpha1.ReasonNotEnabled, v1alpha1.ReasonNothingToTune, v1alpha1.ReasonNotJudged,
		v1alpha1.ReasonUnsupported, v1alpha1.ReasonWorkloadNotFound:
		if tuning.Spec.Knobs == nil && len(tuning.Status.Canaries) == 0 {
			return nil
		}
	}
	for _, canary := range tuning.Status.Canaries {
		settings.Tried = append(settings.Tried, audit.Trial{NodeKind: canary.NodeKind, Outcome: result.Outcome(canary.Outcome), Cause: canary.Cause})
	}
	return settings
}

// pastFigures are a report's history as the rules judge it.
func pastFigures(looks []history.Look) []audit.PastFigures {
	past := make([]audit.PastFigures, 0, len(looks))
	for _, entry := range looks {
		past = append(past, audit.PastFigures{At: entry.Time.Time, KeyFigures: audit.KeyFigures{
			HandshakeP99Microseconds: entry.HandshakeP99Microseconds,
			SetupSharePercent:        intFrom(entry.SetupSharePercent),
			RequestsAtLeast:          intFrom(entry.RequestsAtLeast),
			ConnectionsPerSecond:     intFrom(entry.ConnectionsPerSecond),
			PortUtilizationPercent:   intFrom(entry.PortUtilizationPercent),
		}})
	}
	return past
}

// decideOnPorts are the rules whose verdicts say whether the ports need a change. The other rules about ports explain.
func decideOnPorts() []string { return []string{"CP401", "CP403"} }

// portsJudged says whether it could be judged that the ports need a change.
func portsJudged(list []v1alpha1.Verdict) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(v v1alpha1.Verdict) bool {
		return v.Result == v1alpha1.VerdictUnknown && slices.Contains(decideOnPorts(), v.Rule)
	})
}
