package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConnectionPolicy says which workload talks to which services. connpolicy measures how those connections are made,
// reused and closed, judges what it saw, and, when asked to, changes the pod settings that cure what is wrong.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=connpol,categories={all,connpolicy}
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="The policy is understood and carried out"
// +kubebuilder:printcolumn:name="Compliant",type=string,JSONPath=`.status.conditions[?(@.type=="Compliant")].status`,description="No rule of severity error or warning fails"
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.tuning.mode`,description="Observe, Recommend or Apply"
// +kubebuilder:printcolumn:name="Setup%",type=integer,JSONPath=`.status.setupSharePercent`,description="Share of a small transaction spent on setting up the connection; the worst link"
// +kubebuilder:printcolumn:name="Ports%",type=integer,JSONPath=`.status.portUtilizationPercent`,description="Share of the local ports held towards one destination; the worst pod and link"
// +kubebuilder:printcolumn:name="Findings",type=integer,JSONPath=`.status.findings.total`,description="Number of rules that fail"
// +kubebuilder:printcolumn:name="Tuned",type=string,JSONPath=`.status.conditions[?(@.type=="Tuned")].reason`,description="Where the tuning stands"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Compliant")].message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 40",message="the name of a ConnectionPolicy may have at most 40 characters: names of probe pods and reports are made from it"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="the name of a ConnectionPolicy may contain lower-case letters, digits and '-' only, because it becomes the value of a label"
type ConnectionPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name may have at most 40 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec says which workload (from) connects to what (to), how that is measured, and whether settings may be changed
	// (tuning.mode). The shortest useful one has from and to; it measures and reports, and changes nothing.
	// +required
	Spec ConnectionPolicySpec `json:"spec"`
	// status is what connpolicy found and did. It is written by the operator.
	// +optional
	Status ConnectionPolicyStatus `json:"status,omitzero"`
}

// ConnectionPolicyList is a list of ConnectionPolicies.
//
// +kubebuilder:object:root=true
type ConnectionPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ConnectionPolicy `json:"items"`
}

// ConnectionPolicySpec is what the user asks for.
//
// +kubebuilder:validation:XValidation:rule="has(self.from) || !has(self.tuning) || !has(self.tuning.mode) || self.tuning.mode == 'Observe'",message="tuning.mode Recommend and Apply need 'from': without it there is no workload to tune"
// +kubebuilder:validation:XValidation:rule="!has(self.tuning) || !has(self.tuning.mode) || self.tuning.mode != 'Apply' || !has(self.observe) || !has(self.observe.pods) || self.observe.pods >= 1",message="tuning.mode Apply needs observe.pods of 1 or more: a setting counts as applied only when it was read back inside a pod"
// +kubebuilder:validation:XValidation:rule="!has(self.probe) || !has(self.probe.measurements) || self.to.exists(l, l.protocol in ['HTTP', 'HTTPS']) || !self.probe.measurements.exists(m, m in ['reuse', 'slowStart', 'smallWrites', 'parallel', 'pipelining', 'closing', 'pathMTU'])",message="the measurements reuse, slowStart, smallWrites, parallel, pipelining, closing and pathMTU need a link whose protocol is HTTP or HTTPS"
// +kubebuilder:validation:XValidation:rule="!has(self.probe) || !has(self.probe.measurements) || self.to.exists(l, l.protocol in ['HTTP', 'HTTPS', 'WebSocket']) || !self.probe.measurements.exists(m, m == 'push')",message="the measurement push needs a link whose protocol is HTTP, HTTPS or WebSocket"
// +kubebuilder:validation:XValidation:rule="!has(self.probe) || !has(self.probe.measurements) || self.to.exists(l, l.protocol in ['HTTP2', 'GRPC']) || !self.probe.measurements.exists(m, m == 'http2')",message="the measurement http2 needs a link whose protocol is HTTP2 or GRPC"
// +kubebuilder:validation:XValidation:rule="!has(self.probe) || !has(self.probe.measurements) || self.to.exists(l, l.protocol == 'WebSocket') || !self.probe.measurements.exists(m, m == 'websocket')",message="the measurement websocket needs a link whose protocol is WebSocket"
// +kubebuilder:validation:XValidation:rule="!has(self.probe) || !has(self.probe.measurements) || !has(self.probe.limits) || !has(self.probe.limits.idleSeconds) || self.probe.limits.idleSeconds > 0 || !self.probe.measurements.exists(m, m == 'idle')",message="the measurement idle needs probe.limits.idleSeconds above 0"
// +kubebuilder:validation:XValidation:rule="self.to.filter(l, has(l.tls) && has(l.tls.clientCertificateSecret)).size() <= 4",message="at most four links of a policy may show a client certificate (tls.clientCertificateSecret); write another policy for more"
type ConnectionPolicySpec struct {
	// from is the workload that opens the connections, in the policy's own namespace. Without it the servers alone are
	// measured, from any node, and nothing can be tuned.
	// +optional
	From *WorkloadReference `json:"from,omitempty"`
	// to lists what the workload connects to: 1 to 16 links, each a Service of this cluster or a host and port.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	To []Link `json:"to"`
	// probe says what is measured, how often, and at what cost to the target at the most.
	// +optional
	// +kubebuilder:default={}
	Probe ProbeSpec `json:"probe,omitzero"`
	// observe says in how many of the workload's own pods an observer looks at its sockets: how many connections they
	// open, and how many local ports they hold.
	// +optional
	// +kubebuilder:default={}
	Observe ObserveSpec `json:"observe,omitzero"`
	// objectives are bounds that you set on figures, such as a connect() of at most 5000 microseconds. Each that is
	// exceeded is a finding.
	// +optional
	Objectives *Objectives `json:"objectives,omitempty"`
	// audit says which rules are not judged for this policy, or with another severity, and adds rules of your own. All are
	// judged by default.
	// +optional
	Audit *AuditSpec `json:"audit,omitempty"`
	// tuning says whether settings of the workload's pods may be changed, which, and how. Nothing is changed by default.
	// +optional
	// +kubebuilder:default={}
	Tuning TuningSpec `json:"tuning,omitzero"`
	// suspend stops, if true, everything that connpolicy does for this policy: no probe, no audit, no change. What was
	// changed before stays as it is. To undo it, set tuning.mode to Observe instead.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// WorkloadReference names a workload in the policy's own namespace.
//
// +structType=atomic
type WorkloadReference struct {
	// group is the API group of the workload: apps, which it is by default.
	// +optional
	// +kubebuilder:default=apps
	// +kubebuilder:validation:Enum=apps
	Group string `json:"group,omitempty"`
	// kind is Deployment, StatefulSet or DaemonSet.
	// +required
	// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet
	Kind string `json:"kind"`
	// name is the workload's name. It may have at most 241 characters: the name of the workload's ConnectionTuning is
	// made from it and its kind.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=241
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="name is the name of a workload: lower-case letters, digits, '-' and '.', and it begins and ends with a letter or digit"
	Name string `json:"name"`
}

// Protocol is what is spoken on a link.
//
// +kubebuilder:validation:Enum=TCP;HTTP;HTTPS;HTTP2;GRPC;WebSocket
type Protocol string

// The protocols. HTTPS begins with TLS; HTTP2, GRPC and WebSocket do where the link has tls.
const (
	ProtocolTCP       Protocol = "TCP"
	ProtocolHTTP      Protocol = "HTTP"
	ProtocolHTTPS     Protocol = "HTTPS"
	ProtocolHTTP2     Protocol = "HTTP2"
	ProtocolGRPC      Protocol = "GRPC"
	ProtocolWebSocket Protocol = "WebSocket"
)

// Link is one thing that the workload connects to.
//
// +kubebuilder:validation:XValidation:rule="has(self.service) != has(self.endpoint)",message="a link has exactly one of 'service' (a Service of this cluster) and 'endpoint' (a host and port anywhere)"
// +kubebuilder:validation:XValidation:rule="!has(self.http) || self.protocol != 'TCP'",message="'http' may be set only where protocol is HTTP, HTTPS, HTTP2, GRPC or WebSocket: over TCP no request is made"
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || !(self.protocol in ['TCP', 'HTTP'])",message="'tls' may be set only where protocol is HTTPS, HTTP2, GRPC or WebSocket: over TCP nothing is said, and HTTP over TLS is the protocol HTTPS"
type Link struct {
	// name tells the links of a policy apart. It appears in reports and in the names of pods.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="the name of a link may contain lower-case letters, digits and '-' only, and begins and ends with a letter or digit"
	Name string `json:"name"`
	// service is a Service of this cluster.
	// +optional
	Service *ServiceReference `json:"service,omitempty"`
	// endpoint is a host and port, in the cluster or outside of it.
	// +optional
	Endpoint *Endpoint `json:"endpoint,omitempty"`
	// protocol is what is spoken on the link: TCP, which it is by default, HTTP (HTTP/1.1 in clear text), HTTPS (HTTP/1.1
	// over TLS), HTTP2, GRPC or WebSocket. The latter three are spoken over TLS where the link has tls, and in clear text
	// where it has not. Over TCP a probe connects and says nothing; the more it may say, the more it can measure.
	// +optional
	// +kubebuilder:default=TCP
	Protocol Protocol `json:"protocol,omitempty"`
	// http says which request the probe makes, where protocol is another than TCP. A GET of / by default.
	// +optional
	HTTP *HTTPRequest `json:"http,omitempty"`
	// tls says how TLS is spoken, where protocol is HTTPS, HTTP2, GRPC or WebSocket. HTTP2, GRPC and WebSocket are spoken
	// in clear text without it; an empty one, {}, is enough.
	// +optional
	TLS *TLSClient `json:"tls,omitempty"`
}

// TLSClient is the client's side of TLS.
type TLSClient struct {
	// serverName is the name that the server's certificate must be for. The host of the link if absent.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="isIP(self) || !format.dns1123Subdomain().validate(self).hasValue()",message="serverName is a DNS name in lower case or an IP address, without scheme or port"
	ServerName string `json:"serverName,omitempty"`
	// caConfigMap holds the certificates of the authorities to trust. Those that the probe's image trusts if absent, which
	// a cluster's own authority is not among.
	// +optional
	CAConfigMap *ConfigMapKey `json:"caConfigMap,omitempty"`
	// clientCertificateSecret holds the certificate that the probe shows to the server, and its key. It is mounted into
	// probe pods and never read by the operator; whoever writes the policy needs the right to get it. At most four links
	// of a policy may name one.
	// +optional
	ClientCertificateSecret *SecretName `json:"clientCertificateSecret,omitempty"`
}

// ConfigMapKey names a key of a ConfigMap of the policy's own namespace.
type ConfigMapKey struct {
	// name of the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="name is the name of a ConfigMap of the policy's own namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name"`
	// key that holds certificates in PEM: ca.crt by default.
	// +optional
	// +kubebuilder:default=ca.crt
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$') && !self.startsWith('..') && self != '.'",message="key is a key of a ConfigMap: letters, digits, '-', '_' and '.'"
	Key string `json:"key,omitempty"`
}

// SecretName names a Secret of the policy's own namespace.
type SecretName struct {
	// name of a Secret of type kubernetes.io/tls, with the keys tls.crt and tls.key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="name is the name of a Secret of the policy's own namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// ServiceReference names a Service and one of its ports.
type ServiceReference struct {
	// name is the Service's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="name is the name of a Service alone, without namespace or domain: lower-case letters, digits and '-'"
	Name string `json:"name"`
	// namespace is the Service's namespace. The policy's own if absent.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="namespace is the name of a namespace: lower-case letters, digits and '-'"
	Namespace string `json:"namespace,omitempty"`
	// port is the name or the number of a port of the Service; a number is written as a string: "8080". It may be absent
	// if the Service has one port alone.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue() && (!self.matches('^[0-9]+$') || (size(self) <= 5 && int(self) >= 1 && int(self) <= 65535))",message="port is the name of a port of the Service, or its number from 1 to 65535"
	Port string `json:"port,omitempty"`
}

// Endpoint is a host and port.
type Endpoint struct {
	// host is a DNS name or an IP address. Probes refuse loopback, link-local and node addresses.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="isIP(self) || (self.matches('^([A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?[.]?)+$') && !self.matches('^[0-9.]+$'))",message="host is a DNS name or an IP address, without scheme, port or path"
	Host string `json:"host"`
	// port is the TCP port.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
}

// HTTPRequest is the request that a probe makes. It is always a GET.
type HTTPRequest struct {
	// path of the request, with a query if need be; / by default. A cheap one, such as a health check, is the right one.
	// +optional
	// +kubebuilder:default=/
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^/[^\\\\x00-\\\\x20\\\\x7f#]*$')",message="path begins with '/' and has no white space, no control character and no '#'"
	Path string `json:"path,omitempty"`
}

// MeasurementName names a measurement of the probe. All of the probe's are there but backlog, which takes a place beside
// the listener.
//
// +kubebuilder:validation:Enum=dns;handshake;identity;timeWait;reuse;idle;slowStart;smallWrites;http2;websocket;push;parallel;pipelining;closing;pathMTU
type MeasurementName string

// The measurements that the operator itself speaks of.
const (
	MeasurementHandshake MeasurementName = "handshake"
	MeasurementReuse     MeasurementName = "reuse"
	MeasurementTimeWait  MeasurementName = "timeWait"
	MeasurementIdle      MeasurementName = "idle"
	MeasurementWebSocket MeasurementName = "websocket"
)

// ProbeSpec says what is measured, how often, and at what cost.
//
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.limits.seconds) || !has(self.intervalSeconds) || self.limits.seconds <= self.intervalSeconds",message="limits.seconds may not be above intervalSeconds: a run would not have ended when the next is due"
type ProbeSpec struct {
	// intervalSeconds is the time from one probe run to the next, give or take a tenth: 600 by default, from 30 to 86400.
	// For a run at once, change the annotation connpolicy.dev/requestedAt.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=30
	// +kubebuilder:validation:Maximum=86400
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`
	// measurements names what is measured. None named: all that suit the link's protocol and disturb nobody. With any
	// protocol: dns (how the name is resolved), handshake (how long setting up a connection takes), identity (the addresses
	// that each end sees), timeWait (which side is left with TIME_WAIT, and how many connections a second the local ports
	// allow) and idle (after how much silence a connection is cut, in a pod of its own: limits.idleSeconds). With HTTP and
	// HTTPS: reuse (whether the server keeps a connection for further requests), slowStart (how a transfer begins) and
	// smallWrites (the stall of small writes). With HTTP2 and GRPC: http2. With WebSocket: websocket. Only when they are
	// named, for they load the target, may confuse others or take a path with a long answer: push (polling against
	// streams), parallel (what more connections gain), pipelining, closing and pathMTU (whether packets of full size
	// arrive).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Measurements []MeasurementName `json:"measurements,omitempty"`
	// limits bound what one probe pod may cost the target. The operator's administrator may have set lower ceilings.
	// +optional
	// +kubebuilder:default={}
	Limits ProbeLimits `json:"limits,omitzero"`
}

// ProbeLimits bound what one probe pod may cost the target.
type ProbeLimits struct {
	// connections is the highest number of connections that a probe pod opens in a run: 200 by default, from 10 to 2000.
	// +optional
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=2000
	Connections int32 `json:"connections,omitempty"`
	// requestsPerSecond bounds the rate of connections and of requests: 50 by default, from 1 to 500.
	// +optional
	// +kubebuilder:default=50
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=500
	RequestsPerSecond int32 `json:"requestsPerSecond,omitempty"`
	// seconds is the longest time that a probe pod measures: 30 by default, from 5 to 300.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=5
	// +kubebuilder:validation:Maximum=300
	Seconds int32 `json:"seconds,omitempty"`
	// idleSeconds is the longest silence that idle looks at, in a pod of its own that sends almost nothing: 1000 by default
	// and at the most 7200. Most load balancers that cut silent connections do so before 1000 seconds are over. 0: idle is
	// not measured. It is measured again every six hours, and when what is measured changes or a run is asked for.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=7200
	IdleSeconds *int32 `json:"idleSeconds,omitempty"`
}

// ObserveSpec says in how many of the workload's pods an observer looks.
type ObserveSpec struct {
	// pods is the number of the workload's pods that get an observer, an ephemeral container that reads the pod's own
	// sockets without privilege. It stays for the pod's life. 2 by default and at the most; 0: none.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2
	Pods *int32 `json:"pods,omitempty"`
}

// Objectives are bounds that you set on figures.
//
// +kubebuilder:validation:MinProperties=1
type Objectives struct {
	// handshakeP99Microseconds bounds the 99th percentile of the time of connect(), in microseconds. It takes 299 connects
	// with none above to prove it, over the results of the last 24 hours; until there are enough, the verdict of rule CP103
	// is unknown. A probe pod makes that many in one run if probe.limits.connections is 1640 or more for HTTP and HTTPS and
	// 597 or more for TCP (299 where handshake is the only measurement), and requestsPerSecond × seconds no less.
	// +optional
	// +kubebuilder:validation:Minimum=1
	HandshakeP99Microseconds *int64 `json:"handshakeP99Microseconds,omitempty"`
	// setupSharePercent bounds the share of a small transaction on a new connection that is spent on setting it up. Rule
	// CP111 judges it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	SetupSharePercent *int32 `json:"setupSharePercent,omitempty"`
	// portUtilizationPercent bounds the share of the local ports that a pod holds towards one destination. Rule CP412
	// judges it; whatever it is, CP401 warns from half on, where connect() becomes slow.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	PortUtilizationPercent *int32 `json:"portUtilizationPercent,omitempty"`
}

// AuditSpec says how the policy's links are judged beyond the rules' own defaults.
type AuditSpec struct {
	// disable names rules that are not judged for this policy, for example CP201. The report says so.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:Pattern=`^CP[0-9]{3}$`
	// +kubebuilder:validation:items:MaxLength=5
	Disable []string `json:"disable,omitempty"`
	// severities gives findings of some rules another severity than the rule's own. The report says both.
	// +optional
	// +listType=map
	// +listMapKey=rule
	// +kubebuilder:validation:MaxItems=128
	Severities []RuleSeverity `json:"severities,omitempty"`
	// rules are conditions of your own on what is measured, in the Common Expression Language (https://cel.dev). The
	// condition of Ready says which of them cannot be understood, and why; all else goes on.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Rules []AuditRule `json:"rules,omitempty"`
}

// RuleSeverity gives the findings of a rule a severity.
type RuleSeverity struct {
	// rule is the id of the rule, for example CP201.
	// +required
	// +kubebuilder:validation:Pattern=`^CP[0-9]{3}$`
	// +kubebuilder:validation:MaxLength=5
	Rule string `json:"rule"`
	// severity is error, warning or info.
	// +required
	Severity Severity `json:"severity"`
}

// AuditRule is a condition of the user's own.
type AuditRule struct {
	// name tells the rules of a policy apart; in reports the rule is user/<name>.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="the name of an audit rule may contain lower-case letters, digits and '-' only, and begins and ends with a letter or digit"
	Name string `json:"name"`
	// expression is the condition, true where all is well: handshake.connectMicroseconds.p50 < 1000. It may name each
	// measurement (handshake, reuse, idle, …), host, target and statuses of a probe's result, and observer, what an
	// observer saw in a pod, with the fields of the probe's result. It must hold at every node and in every pod that was
	// looked at. Where it reads what is not known the verdict is unknown.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Expression string `json:"expression"`
	// message says what is wrong where the condition does not hold. The expression itself by default.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
	// severity of the finding: warning by default, error or info.
	// +optional
	// +kubebuilder:default=warning
	Severity Severity `json:"severity,omitempty"`
}

// TuningMode says how far connpolicy may go.
//
// +kubebuilder:validation:Enum=Observe;Recommend;Apply
type TuningMode string

const (
	// ModeObserve means that nothing is changed and nothing proposed.
	ModeObserve TuningMode = "Observe"
	// ModeRecommend means that a proposal is made; it is carried out when its hash stands in tuning.approve.
	ModeRecommend TuningMode = "Recommend"
	// ModeApply means that what is proposed is carried out.
	ModeApply TuningMode = "Apply"
)

// Disruption says how a workload's running pods come to new settings.
//
// +kubebuilder:validation:Enum=None;Restart
type Disruption string

const (
	// DisruptionNone means that pods that are created anyway get the settings; running pods are left alone.
	DisruptionNone Disruption = "None"
	// DisruptionRestart means that the pods are replaced as by kubectl rollout restart.
	DisruptionRestart Disruption = "Restart"
)

// TuningSpec says whether settings may be changed, which, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.approve) || size(self.approve) == 0 || self.mode == 'Recommend'",message="'approve' has a meaning only where mode is Recommend; in Apply everything is approved, in Observe nothing is proposed"
type TuningSpec struct {
	// mode says how far connpolicy may go: Observe, the mode by default, measures and reports; Recommend also proposes
	// changes, and carries out those that 'approve' names; Apply carries out what it proposes, in namespaces with the
	// label connpolicy.dev/tuning=enabled.
	// +optional
	// +kubebuilder:default=Observe
	Mode TuningMode `json:"mode,omitempty"`
	// approve lists hashes of proposals (status.proposals) that are to be carried out, where mode is Recommend.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:Pattern=`^sha256-[0-9a-f]{16}$`
	// +kubebuilder:validation:items:MaxLength=23
	Approve []string `json:"approve,omitempty"`
	// knobs names the settings that may be changed, with bounds; ephemeralPorts is the one that there is. None named:
	// all, within what is safe.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Knobs []KnobBounds `json:"knobs,omitempty"`
	// disruption says how running pods come to new settings, and how they lose them again: None, as it is by default,
	// leaves them alone, and only pods that are created anyway get the settings; Restart replaces them as kubectl rollout
	// restart does.
	// +optional
	// +kubebuilder:default=None
	Disruption Disruption `json:"disruption,omitempty"`
}

// KnobName names a setting.
//
// +kubebuilder:validation:Enum=ephemeralPorts
type KnobName string

// KnobEphemeralPorts is the range of local ports that connect() chooses from, with the ports in it that are kept free.
const KnobEphemeralPorts KnobName = "ephemeralPorts"

// KnobBounds bound what a knob may be set to.
//
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || self.min <= self.max",message="a knob's min may not be above its max"
// +kubebuilder:validation:XValidation:rule="self.name != 'ephemeralPorts' || ((!has(self.min) || (self.min >= 1024 && self.min <= 65535)) && (!has(self.max) || (self.max >= 1024 && self.max <= 65535)))",message="min and max of ephemeralPorts are port numbers from 1024 to 65535: the lowest and the highest port that the range may contain"
type KnobBounds struct {
	// name of the knob: ephemeralPorts, the range of local ports that connect() chooses from.
	// +required
	Name KnobName `json:"name"`
	// min is the lowest value. For ephemeralPorts: the lowest port number that the range may contain.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Min *int64 `json:"min,omitempty"`
	// max is the highest value. For ephemeralPorts: the highest port number that the range may contain.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Max *int64 `json:"max,omitempty"`
}
