package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ConnectionReport is what was seen on one link of a policy, and how it was judged. It is written by the operator alone,
// when a verdict or a key figure changed, and else at most once an hour.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=connreport,categories={all,connpolicy}
// +kubebuilder:printcolumn:name="Policy",type=string,JSONPath=`.spec.policyName`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.status.target.name`
// +kubebuilder:printcolumn:name="Connect-P99-us",type=integer,JSONPath=`.status.keyFigures.handshakeP99Microseconds`
// +kubebuilder:printcolumn:name="Setup%",type=integer,JSONPath=`.status.keyFigures.setupSharePercent`
// +kubebuilder:printcolumn:name="Ports%",type=integer,JSONPath=`.status.keyFigures.portUtilizationPercent`
// +kubebuilder:printcolumn:name="Findings",type=integer,JSONPath=`.status.findings.total`
// +kubebuilder:printcolumn:name="Seen",type=date,JSONPath=`.status.observedTime`
// +kubebuilder:printcolumn:name="Requests",type=integer,priority=1,JSONPath=`.status.keyFigures.requestsAtLeast`,description="Requests that one connection was seen to carry"
// +kubebuilder:printcolumn:name="Idle-Cut-s",type=integer,priority=1,JSONPath=`.status.keyFigures.idleCutSeconds`,description="Shortest silence that cut a connection"
// +kubebuilder:printcolumn:name="Stall-us",type=integer,priority=1,JSONPath=`.status.keyFigures.stallMicroseconds`,description="What a request loses to small writes"
// +kubebuilder:printcolumn:name="Worst",type=string,priority=1,JSONPath=`.status.worstFinding`
type ConnectionReport struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name is <policy>-<link>.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec says which link the report is of.
	// +required
	Spec ConnectionReportSpec `json:"spec"`
	// status is what was seen.
	// +optional
	Status ConnectionReportStatus `json:"status,omitzero"`
}

// ConnectionReportList is a list of ConnectionReports.
//
// +kubebuilder:object:root=true
type ConnectionReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ConnectionReport `json:"items"`
}

// ConnectionReportSpec says which link a report is of.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a report is of one link for its whole life"
type ConnectionReportSpec struct {
	// policyName is the name of the ConnectionPolicy.
	// +required
	// +kubebuilder:validation:MaxLength=40
	PolicyName string `json:"policyName"`
	// linkName is the name of the link.
	// +required
	// +kubebuilder:validation:MaxLength=20
	LinkName string `json:"linkName"`
}

// ConnectionReportStatus is what was seen on a link. Only the operator writes it, and each of its fields as a whole: none is
// split further in the object's managed fields, which would take from the room that there is for what was seen.
type ConnectionReportStatus struct {
	// observedTime is when what stands here was seen.
	// +optional
	ObservedTime *metav1.Time `json:"observedTime,omitempty"`
	// source is the workload that opens the connections. Absent where the policy names none.
	// +optional
	Source *WorkloadReference `json:"source,omitempty"`
	// target is what was measured.
	// +optional
	// +structType=atomic
	Target *ReportTarget `json:"target,omitempty"`
	// vantages are the probe pods of the last run and what each found.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	Vantages []Vantage `json:"vantages,omitempty"`
	// observers are the workload's pods in which an observer looks, and what each saw.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	Observers []ObserverReading `json:"observers,omitempty"`
	// drains are what connections of the observed pods came to while endpoints of the Service left, the last first. Where
	// room is short the last alone is kept.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=3
	Drains []Drain `json:"drains,omitempty"`
	// keyFigures are the figures that the history keeps.
	// +optional
	// +structType=atomic
	KeyFigures *KeyFigures `json:"keyFigures,omitempty"`
	// delta says which key figures moved significantly since the entry of the history before. Absent: none did.
	// +optional
	// +structType=atomic
	Delta *FiguresDelta `json:"delta,omitempty"`
	// spread says of figures that several vantages know how far they lie apart, and which node differs from the others.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Spread []FigureSpread `json:"spread,omitempty"`
	// path are facts of the path and of the places that it was seen from, merged.
	// +optional
	// +structType=atomic
	Path *PathFacts `json:"path,omitempty"`
	// findings counts the verdicts that are fail.
	// +optional
	// +structType=atomic
	Findings *FindingCount `json:"findings,omitempty"`
	// worstFinding is the message of the gravest finding.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	WorstFinding string `json:"worstFinding,omitempty"`
	// verdicts are the judgements of the rules, one a rule, but for those of which passed, unknown and notApplicable say all
	// that there is room for.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Verdicts []Verdict `json:"verdicts,omitempty"`
	// passed are rules that are met, where there is no room for their words in verdicts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=63
	Passed []string `json:"passed,omitempty"`
	// unknown are rules that could not be judged, where there is no room for the reason in verdicts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=63
	Unknown []string `json:"unknown,omitempty"`
	// notApplicable are rules that have nothing to say about the link, where there is no room for their words in verdicts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=63
	NotApplicable []string `json:"notApplicable,omitempty"`
	// history holds the key figures of the last 20 looks.
	// +optional
	// +structType=atomic
	History *History `json:"history,omitempty"`
}

// ReportTarget is what was measured.
type ReportTarget struct {
	// name is service <namespace>/<name>:<port> or the endpoint's host:port.
	// +required
	// +kubebuilder:validation:MaxLength=400
	Name string `json:"name"`
	// protocol that is spoken on the link.
	// +optional
	Protocol Protocol `json:"protocol,omitempty"`
	// url is what the probe was given.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url,omitempty"`
	// key names the target to the limits: links with the same key are never probed at the same time.
	// +optional
	// +kubebuilder:validation:MaxLength=300
	Key string `json:"key,omitempty"`
	// addresses are the ip:port tuples that sockets to this target name: the Service's virtual address, or the
	// endpoints' own.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	Addresses []string `json:"addresses,omitempty"`
	// readyEndpoints is the number of ready endpoints behind a Service.
	// +optional
	ReadyEndpoints *int32 `json:"readyEndpoints,omitempty"`
}

// Vantage is what one probe pod found.
type Vantage struct {
	// time is when its result came in.
	// +required
	Time metav1.Time `json:"time"`
	// node that the probe stood on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// pod that measured.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// kernel of that node.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Kernel string `json:"kernel,omitempty"`
	// outcome of the pod as a whole: measured, failed or lost.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Outcome string `json:"outcome"`
	// cause says why the outcome is not measured.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Cause string `json:"cause,omitempty"`
	// address that its connections went to.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Address string `json:"address,omitempty"`
	// addresses are all that the target's name resolved to, the preferred first. Absent if there is only the one above.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	Addresses []string `json:"addresses,omitempty"`
	// version of the contract that measurements keeps, connpolicy.dev/probe/v1.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// spent is what the run cost the target.
	// +optional
	Spent *ProbeCost `json:"spent,omitempty"`
	// statuses counts the HTTP responses of the whole run by their status code, the 16 most frequent.
	// +optional
	// +listType=map
	// +listMapKey=code
	// +kubebuilder:validation:MaxItems=16
	Statuses []StatusCount `json:"statuses,omitempty"`
	// like names the pod of another vantage, of whose sysctls and measurements only what differs stands here, as a JSON merge
	// patch (RFC 7386), because there is no room to say the rest twice. kubectl connpolicy report puts them together again.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Like string `json:"like,omitempty"`
	// sysctls are the values in force in the probe pod's own network namespace, by full name. They are those that a pod
	// without settings of its own has on this node.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// dropped names what the probe found out and had no room for: measurements, "sysctls" and "statuses".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=24
	// +kubebuilder:validation:items:MaxLength=32
	Dropped []string `json:"dropped,omitempty"`
	// idleFrom says when and where idle was measured, which has a pod of its own and comes less often than the others. Its
	// result stands in measurements.
	// +optional
	IdleFrom *IdleSource `json:"idleFrom,omitempty"`
	// measurements is what the probe measured, by the measurement's name, as the probe wrote it. Each says what became of
	// it in outcome (measured, unsupported, skipped, failed or lost), why in cause, and its figures, with their units in
	// their names; a figure that is absent is unknown. What each means is described in docs/report.md and, whole, as the
	// field measurements of docs/probe-result.schema.json, at https://github.com/connpolicy/connpolicy.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Measurements *runtime.RawExtension `json:"measurements,omitempty"`
}

// IdleSource says when and where idle was measured.
type IdleSource struct {
	// time is when the result came in.
	// +required
	Time metav1.Time `json:"time"`
	// node that the pod stood on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// pod that measured.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
}

// ProbeCost is what a probe run cost its target.
type ProbeCost struct {
	// connections that were opened.
	// +required
	Connections int32 `json:"connections"`
	// requests that were sent.
	// +required
	Requests int32 `json:"requests"`
	// bytesSent to the target.
	// +required
	BytesSent int64 `json:"bytesSent"`
	// bytesReceived from it.
	// +required
	BytesReceived int64 `json:"bytesReceived"`
}

// StatusCount counts the responses of one status code.
type StatusCount struct {
	// code is the HTTP status code, such as 200.
	// +required
	Code int32 `json:"code"`
	// count of the responses.
	// +required
	Count int32 `json:"count"`
}

// ObserverReading is what an observer saw in one of the workload's pods.
type ObserverReading struct {
	// pod that the observer looks in.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod"`
	// node of the pod.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// tuning is the pod's stamp, <tuning>.<revision>. Absent on a pod that is not tuned.
	// +optional
	// +kubebuilder:validation:MaxLength=300
	Tuning string `json:"tuning,omitempty"`
	// outcome is measured, unsupported, failed or lost.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Outcome string `json:"outcome"`
	// cause says why the outcome is not measured.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Cause string `json:"cause,omitempty"`
	// time is when this was read.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// connectionsPerSecond is the rate of connections that the pod opened towards the link.
	// +optional
	ConnectionsPerSecond *int32 `json:"connectionsPerSecond,omitempty"`
	// portsAvailable is the number of local ports that the kernel may choose from.
	// +optional
	PortsAvailable *int32 `json:"portsAvailable,omitempty"`
	// address is the link's remote ip:port towards which the pod holds most local ports.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Address string `json:"address,omitempty"`
	// portsInUse is the number of local ports held towards the link's fullest address.
	// +optional
	PortsInUse *int32 `json:"portsInUse,omitempty"`
	// portsInUsePeak is its highest value of the last five minutes.
	// +optional
	PortsInUsePeak *int32 `json:"portsInUsePeak,omitempty"`
	// timeWait is how many of portsInUse are in TIME_WAIT.
	// +optional
	TimeWait *int32 `json:"timeWait,omitempty"`
	// listeningPorts are ports that the pod listens on.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	ListeningPorts []int32 `json:"listeningPorts,omitempty"`
	// sysctls are the values in force in the pod, by full name.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Sysctls map[string]string `json:"sysctls,omitempty"`
}

// Drain is what connections of the observed pods came to while endpoints of the link's Service left: in a roll-out, when it
// was scaled down, with a lost node.
type Drain struct {
	// startTime is when the first of the endpoints was seen not to be ready any more.
	// +required
	StartTime metav1.Time `json:"startTime"`
	// endTime is when the pods were read last.
	// +required
	EndTime metav1.Time `json:"endTime"`
	// endpoints is how many left and did not become ready again meanwhile.
	// +required
	Endpoints int32 `json:"endpoints"`
	// stillListed is how many of them the Service still listed at the end, such as those that take long to terminate.
	// +optional
	StillListed int32 `json:"stillListed,omitempty"`
	// pods is how many observed pods were read both before and after. Others are not counted here.
	// +required
	Pods int32 `json:"pods"`
	// during are the connections of these pods from the last reading before, at most three minutes older than startTime, to
	// endTime. Where sockets name the Service's virtual address they are to all of its endpoints, else to those that left.
	// +required
	During ConnectionCounts `json:"during"`
	// before are the connections to the same addresses from when the observers began until then, to compare with; other drains
	// are left out, as far as the operator witnessed them since it started. Absent where during counts the connections to those
	// that left alone.
	// +optional
	Before *ConnectionCounts `json:"before,omitempty"`
}

// ConnectionCounts are connections that some pods opened, over some time.
type ConnectionCounts struct {
	// opened counts those that began.
	// +required
	Opened int64 `json:"opened"`
	// failed counts those of them that were never established.
	// +required
	Failed int64 `json:"failed"`
	// closed counts those that ended.
	// +required
	Closed int64 `json:"closed"`
	// open is how many were open at the end of the time.
	// +required
	Open int64 `json:"open"`
	// ends tells how those that ended did, as far as the kernel told. Absent: it told of none.
	// +optional
	Ends *ConnectionEnds `json:"ends,omitempty"`
}

// ConnectionEnds counts connections by how they ended.
type ConnectionEnds struct {
	// orderly counts those on which this side said farewell.
	// +required
	Orderly int64 `json:"orderly"`
	// unanswered counts those of orderly on which nothing came back for what this side had sent last. Over HTTP/1 without TLS
	// each is a request that was lost.
	// +required
	Unanswered int64 `json:"unanswered"`
	// reset counts those that the peer, or a hop, reset.
	// +required
	Reset int64 `json:"reset"`
	// resetHere counts those that the pod itself reset.
	// +required
	ResetHere int64 `json:"resetHere"`
	// silent counts those that ended because the peer answered no more.
	// +required
	Silent int64 `json:"silent"`
}

// KeyFigures are the figures that the history keeps.
type KeyFigures struct {
	// handshakeP99Microseconds is the 99th percentile of connect(), the worst vantage.
	// +optional
	HandshakeP99Microseconds *int64 `json:"handshakeP99Microseconds,omitempty"`
	// setupSharePercent is the share of a small transaction spent on set-up, the worst vantage.
	// +optional
	SetupSharePercent *int32 `json:"setupSharePercent,omitempty"`
	// requestsAtLeast is the number of requests that one connection was seen to carry, the worst vantage.
	// +optional
	RequestsAtLeast *int32 `json:"requestsAtLeast,omitempty"`
	// connectionsPerSecond is the rate of connections opened to the link, the busiest pod.
	// +optional
	ConnectionsPerSecond *int32 `json:"connectionsPerSecond,omitempty"`
	// portUtilizationPercent is the share of the local ports held, the fullest pod.
	// +optional
	PortUtilizationPercent *int32 `json:"portUtilizationPercent,omitempty"`
	// idleCutSeconds is the shortest silence that cut a connection. Absent where none was cut, or it was not looked at.
	// +optional
	IdleCutSeconds *int32 `json:"idleCutSeconds,omitempty"`
	// idleSurvivedSeconds is the longest silence that a connection survived.
	// +optional
	IdleSurvivedSeconds *int32 `json:"idleSurvivedSeconds,omitempty"`
	// stallMicroseconds is what a request loses to small writes that wait for acknowledgments, the worst vantage.
	// +optional
	StallMicroseconds *int64 `json:"stallMicroseconds,omitempty"`
	// initialWindowSegments is the size of the server's first flight on a new connection, the worst vantage.
	// +optional
	InitialWindowSegments *int32 `json:"initialWindowSegments,omitempty"`
}

// FiguresDelta are figures that moved.
type FiguresDelta struct {
	// since is when they were as they were before.
	// +required
	Since metav1.Time `json:"since"`
	// figures that moved significantly, with what they were and are.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=20
	Figures []FigureDelta `json:"figures,omitempty"`
}

// FigureDelta is one figure that moved.
type FigureDelta struct {
	// name of the key figure, with its unit.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`
	// before is what it was.
	// +required
	Before int64 `json:"before"`
	// after is what it is.
	// +required
	After int64 `json:"after"`
}

// FigureSpread is one figure over the vantages that know it.
type FigureSpread struct {
	// name of the figure, with its unit.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`
	// least is the lowest value.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Least string `json:"least"`
	// most is the highest value.
	// +required
	// +kubebuilder:validation:MaxLength=32
	Most string `json:"most"`
	// differs is the node on which the figure differs from the others beyond doubt, the one where it is worst. Absent: none
	// does, or it cannot be told.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Differs string `json:"differs,omitempty"`
}

// PathFacts are facts of the path and of the places that it was seen from.
type PathFacts struct {
	// kernels of the nodes.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MaxLength=128
	Kernels []string `json:"kernels,omitempty"`
	// addresses that the probes' connections went to.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MaxLength=64
	Addresses []string `json:"addresses,omitempty"`
	// differingSysctls are settings that are not the same in the probe pods on all nodes, or in all observed pods of the
	// workload, by full name, with the values and where they are in force.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	DifferingSysctls map[string]string `json:"differingSysctls,omitempty"`
}

// History holds key figures as they were seen, a list for each figure and one for the times: the nth figure was seen at the
// nth time, the newest is the first. A figure that was not known then is the word unknown; one that was never known has no
// list. By figure they take a quarter of the room that they would take by time, and a whole history is worth it: by it growth
// is told from noise.
type History struct {
	// times are when the figures were seen.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Times []metav1.Time `json:"times"`
	// handshakeP99Microseconds as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	HandshakeP99Microseconds []intstr.IntOrString `json:"handshakeP99Microseconds,omitempty"`
	// setupSharePercent as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	SetupSharePercent []intstr.IntOrString `json:"setupSharePercent,omitempty"`
	// requestsAtLeast as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	RequestsAtLeast []intstr.IntOrString `json:"requestsAtLeast,omitempty"`
	// connectionsPerSecond as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	ConnectionsPerSecond []intstr.IntOrString `json:"connectionsPerSecond,omitempty"`
	// portUtilizationPercent as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	PortUtilizationPercent []intstr.IntOrString `json:"portUtilizationPercent,omitempty"`
	// idleCutSeconds as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	IdleCutSeconds []intstr.IntOrString `json:"idleCutSeconds,omitempty"`
	// idleSurvivedSeconds as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	IdleSurvivedSeconds []intstr.IntOrString `json:"idleSurvivedSeconds,omitempty"`
	// stallMicroseconds as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	StallMicroseconds []intstr.IntOrString `json:"stallMicroseconds,omitempty"`
	// initialWindowSegments as it was seen at these times, or the word unknown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	InitialWindowSegments []intstr.IntOrString `json:"initialWindowSegments,omitempty"`
}

// VerdictResult is the judgement of a rule.
//
// +kubebuilder:validation:Enum=pass;fail;unknown;notApplicable;disabled
type VerdictResult string

// The judgements of a rule.
const (
	VerdictPass          VerdictResult = "pass"
	VerdictFail          VerdictResult = "fail"
	VerdictUnknown       VerdictResult = "unknown"
	VerdictNotApplicable VerdictResult = "notApplicable"
	VerdictDisabled      VerdictResult = "disabled"
)

// Severity of a rule.
//
// +kubebuilder:validation:Enum=error;warning;info
type Severity string

// The severities of a rule.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)

// Verdict is the judgement of one rule.
type Verdict struct {
	// rule is the stable id of the rule, for example CP401, or user/<name> for a rule of the policy's own.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule"`
	// title of the rule.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Title string `json:"title,omitempty"`
	// result is pass, fail, unknown, notApplicable or disabled.
	// +required
	Result VerdictResult `json:"result"`
	// severity of the finding, where result is fail. Where it is unknown: of the finding that stood when the rule could be
	// judged last.
	// +optional
	Severity Severity `json:"severity,omitempty"`
	// ownSeverity is the severity that the rule itself gives the finding, where the policy gives it another.
	// +optional
	OwnSeverity Severity `json:"ownSeverity,omitempty"`
	// message says what was seen, or why the rule could not be judged.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// evidence are the figures behind the message.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Evidence map[string]string `json:"evidence,omitempty"`
	// cure says what to do first, where result is fail.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Cure string `json:"cure,omitempty"`
}
