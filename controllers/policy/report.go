package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/internal/history"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	maximumHistory   = 20
	historyApart     = 5 * time.Minute
	maximumListening = 64
	maximumSysctls   = 32
	// maximumTuningBytes bounds the stamp of an observed pod: anybody who may write the pod may write it.
	maximumTuningBytes = 300
)

// auditInput is what the rules judge on a link: what the report says, so that a restart changes no verdict.
func auditInput(s *scope, l *link, vantages []v1alpha1.Vantage) (audit.Input, error) {
	in := audit.Input{
		Protocol:         string(l.spec.Protocol),
		Now:              s.now,
		Addresses:        slices.Clone(l.target.addresses),
		ServerOnly:       s.policy.Spec.From == nil,
		Unobserved:       s.policy.Spec.Observe.Pods != nil && *s.policy.Spec.Observe.Pods == 0,
		Objectives:       objectivesOf(s.policy),
		ObserverTroubles: s.observerTroubles(),
	}
	for _, v := range vantages {
		if v.Outcome != string(result.Measured) {
			continue
		}
		found, err := vantage.Result(v, l.reportTarget(nil))
		if err != nil {
			return audit.Input{}, err
		}
		in.Probes = append(in.Probes, audit.ProbeResult{Node: v.Node, Result: found})
		// What a name outside of the cluster leads to, the probe alone knows.
		if len(l.target.addresses) == 0 {
			in.Addresses = appendResolved(in.Addresses, v)
		}
	}
	s.awaitSilence(in.Probes, l)
	for _, o := range s.observed {
		if o.seen.observation != nil {
			in.Observations = append(in.Observations, podObservation(o))
		}
	}
	if s.policy.Spec.Audit != nil {
		in.Disabled = s.policy.Spec.Audit.Disable
		in.Severities = severitiesOf(s.policy.Spec.Audit)
	}
	addFacts(&in, s, l)
	return in, nil
}

// podObservation is what the rules judge of a pod: what its observer counted in the last hour, where it tells, so that
// findings come and go with what happens now; beside it what it counted since it began.
func podObservation(o observed) audit.PodObservation {
	judged := audit.PodObservation{
		Pod: o.pod.Name, Node: o.pod.Spec.NodeName, IPs: podIPs(o.pod), Stamp: stamp(o.pod), Observation: *o.seen.observation,
	}
	if o.seen.recent != nil {
		judged.Observation, judged.Totals = *o.seen.recent, o.seen.observation
	}
	return judged
}

// appendResolved adds the addresses that a name led a probe to, with the port that it probed: the workload's sockets may name
// any of them.
func appendResolved(addresses []string, v v1alpha1.Vantage) []string {
	probed, err := netip.ParseAddrPort(v.Address)
	if err != nil {
		return addresses
	}
	resolved := []string{probed.String()}
	for _, text := range v.Addresses {
		if ip, err := netip.ParseAddr(text); err == nil {
			resolved = append(resolved, netip.AddrPortFrom(ip, probed.Port()).String())
		}
	}
	for _, address := range resolved {
		if len(addresses) < maximumAddresses && !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// podIPs are a pod's own addresses, one a family.
func podIPs(pod *corev1.Pod) []string {
	ips := make([]string, 0, len(pod.Status.PodIPs))
	for _, ip := range pod.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	return ips
}

// observerTroubles are the causes why observers saw nothing.
func (s *scope) observerTroubles() []string {
	var causes []string
	for _, o := range s.observed {
		if o.seen.outcome == result.Failed {
			causes = append(causes, o.seen.cause)
		}
	}
	return causes
}

// objectivesOf are the bounds that a policy sets on figures.
func objectivesOf(policy *v1alpha1.ConnectionPolicy) audit.Objectives {
	objectives := policy.Spec.Objectives
	if objectives == nil {
		return audit.Objectives{}
	}
	return audit.Objectives{
		HandshakeP99Microseconds: objectives.HandshakeP99Microseconds,
		SetupSharePercent:        intFrom(objectives.SetupSharePercent),
		PortUtilizationPercent:   intFrom(objectives.PortUtilizationPercent),
	}
}

// reportTarget is what was measured on a link, at these addresses.
func (l *link) reportTarget(addresses []string) *v1alpha1.ReportTarget {
	return &v1alpha1.ReportTarget{
		Name: l.target.name, Protocol: l.spec.Protocol, URL: l.target.url, Key: l.target.key,
		Addresses: addresses, ReadyEndpoints: l.target.readyEndpoints,
	}
}

// reportStatus is what a report says now, after what was said in the looks before. It may be too large to be stored; see fit.
func reportStatus(s *scope, l *link, vantages []v1alpha1.Vantage, before []history.Look) (v1alpha1.ConnectionReportStatus, error) {
	in, err := auditInput(s, l, vantages)
	if err != nil {
		return v1alpha1.ConnectionReportStatus{}, err
	}
	in.History = pastFigures(before)
	addresses := in.Addresses
	if l.target.virtual {
		addresses = l.target.addresses // whatever sockets name of late
	}
	now := metav1.NewTime(s.now)
	figures := keyFigures(audit.Figures(in))
	looks := addLook(before, history.Look{Time: now, KeyFigures: figures})
	status := v1alpha1.ConnectionReportStatus{
		ObservedTime: &now,
		Source:       s.policy.Spec.From,
		Target:       l.reportTarget(addresses),
		Vantages:     vantages,
		Observers:    observerReadings(s.observed, audit.PortUses(in)),
		Drains:       l.drains,
		KeyFigures:   &figures,
		Verdicts:     verdicts(slices.Concat(audit.Judge(in), s.rules.judge(in))),
		History:      history.Of(looks),
		Spread:       spreadOf(in.Probes),
	}
	status.Delta = delta(looks)
	status.Path = pathFacts(in.Probes, status.Observers)
	status.Findings = countFindings(status.Verdicts)
	status.WorstFinding = worstFinding(status.Verdicts)
	return status, nil
}

// addLook puts a look first, unless the one before it is of the same minutes, or says the same within the hour. One that
// knows more takes the place of one of the same minutes.
func addLook(looks []history.Look, newest history.Look) []history.Look {
	if len(looks) == 0 {
		return []history.Look{newest}
	}
	age := newest.Time.Sub(looks[0].Time.Time)
	switch {
	case age < historyApart && knowsMore(newest.KeyFigures, looks[0].KeyFigures):
		return slices.Concat([]history.Look{newest}, looks[1:])
	case age < historyApart, age < writeAtLeast && !figuresDiffer(&looks[0].KeyFigures, &newest.KeyFigures):
		return looks
	}
	longer := slices.Concat([]history.Look{newest}, looks)
	return longer[:min(len(longer), maximumHistory)]
}

func observerReadings(seen []observed, uses []audit.PortUse) []v1alpha1.ObserverReading {
	var readings []v1alpha1.ObserverReading
	for _, o := range seen {
		if o.seen.outcome == "" {
			continue
		}
		reading := v1alpha1.ObserverReading{
			Pod: o.pod.Name, Node: o.pod.Spec.NodeName, Tuning: clip.To(stamp(o.pod), maximumTuningBytes),
			Outcome: string(o.seen.outcome), Cause: clip.To(o.seen.cause, maximumCauseBytes),
			Time: new(metav1.NewTime(o.seen.at)),
		}
		if o.seen.observation != nil {
			reading.Time = new(metav1.NewTime(o.seen.observation.At))
			reading.PortsAvailable = int32Of(o.seen.observation.PortsAvailable)
			reading.Sysctls = first(o.seen.observation.Sysctls, maximumSysctls)
			for _, port := range o.seen.observation.ListeningPorts[:min(len(o.seen.observation.ListeningPorts), maximumListening)] {
				reading.ListeningPorts = append(reading.ListeningPorts, int32(port))
			}
		}
		if i := slices.IndexFunc(uses, func(use audit.PortUse) bool { return use.Pod == o.pod.Name }); i >= 0 {
			reading.Address = uses[i].Address
			reading.PortsInUse, reading.PortsInUsePeak = new(int32(uses[i].InUse)), new(int32(uses[i].InUsePeak))
			reading.TimeWait, reading.ConnectionsPerSecond = new(int32(uses[i].TimeWait)), rounded(uses[i].OpensPerSecond)
		}
		readings = append(readings, reading)
	}
	slices.SortFunc(readings, func(a, b v1alpha1.ObserverReading) int { return cmp.Compare(a.Pod, b.Pod) })
	return readings
}

// first keeps the first count entries by name: something else than an observer could answer with any number.
func first(entries map[string]string, count int) map[string]string {
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	kept := map[string]string{}
	for _, name := range names[:min(len(names), count)] {
		kept[clip.To(name, 128)] = clip.To(entries[name], 512)
	}
	return kept
}

func verdicts(judged []audit.Verdict) []v1alpha1.Verdict {
	list := make([]v1alpha1.Verdict, 0, len(judged))
	for _, v := range judged {
		list = append(list, v1alpha1.Verdict{
			Rule: v.Rule, Title: v.Title, Result: v1alpha1.VerdictResult(v.Result), Severity: v1alpha1.Severity(v.Severity),
			OwnSeverity: v1alpha1.Severity(v.OwnSeverity),
			Message:     clip.To(v.Message, maximumCauseBytes), Evidence: v.Evidence, Cure: clip.To(v.Cure, maximumCauseBytes),
		})
	}
	return list
}

// countFindings counts the verdicts that are fail. Nil: nothing could be judged.
func countFindings(list []v1alpha1.Verdict) *v1alpha1.FindingCount {
	count, judged := v1alpha1.FindingCount{}, false
	for _, v := range list {
		judged = judged || v.Result == v1alpha1.VerdictPass || v.Result == v1alpha1.VerdictFail
		if v.Result == v1alpha1.VerdictFail {
			count = addFinding(count, v.Severity)
		}
	}
	if !judged {
		return nil
	}
	return &count
}

func addFinding(count v1alpha1.FindingCount, severity v1alpha1.Severity) v1alpha1.FindingCount {
	count.Total++
	switch severity {
	case v1alpha1.SeverityError:
		count.Error++
	case v1alpha1.SeverityWarning:
		count.Warning++
	default:
		count.Info++
	}
	return count
}

// worstFinding is the message of the gravest finding, the first of its kind; empty if there is none.
func worstFinding(list []v1alpha1.Verdict) string {
	for _, severity := range []v1alpha1.Severity{v1alpha1.SeverityError, v1alpha1.SeverityWarning, v1alpha1.SeverityInfo} {
		for _, v := range list {
			if v.Result == v1alpha1.VerdictFail && v.Severity == severity {
				return clip.To(v.Rule+": "+v.Message, maximumCauseBytes)
			}
		}
	}
	return ""
}
