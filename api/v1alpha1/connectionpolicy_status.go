package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConnectionPolicyStatus is what connpolicy found and did for a policy.
type ConnectionPolicyStatus struct {
	// observedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready, Probed, Compliant, Tuned, and, while abnormal, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// links says how each link stands.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Links []LinkStatus `json:"links,omitempty"`
	// setupSharePercent is the highest of the links' values. Absent: unknown.
	// +optional
	SetupSharePercent *int32 `json:"setupSharePercent,omitempty"`
	// portUtilizationPercent is the highest of the links' values. Absent: unknown.
	// +optional
	PortUtilizationPercent *int32 `json:"portUtilizationPercent,omitempty"`
	// findings counts the rules that fail, over all links. Absent: nothing was judged yet.
	// +optional
	Findings *FindingCount `json:"findings,omitempty"`
	// proposals are the changes that wait for approval, where tuning.mode is Recommend.
	// +optional
	// +listType=map
	// +listMapKey=hash
	// +kubebuilder:validation:MaxItems=16
	Proposals []Proposal `json:"proposals,omitempty"`
	// nextProbeTime is when the next probe run is due.
	// +optional
	NextProbeTime *metav1.Time `json:"nextProbeTime,omitempty"`
	// lastHandledRequestedAt is the value of the annotation connpolicy.dev/requestedAt that was answered last.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	LastHandledRequestedAt string `json:"lastHandledRequestedAt,omitempty"`
}

// FindingCount counts failing rules by severity.
type FindingCount struct {
	// total is the sum of the others.
	// +required
	Total int32 `json:"total"`
	// error counts what breaks or is about to break.
	// +optional
	Error int32 `json:"error,omitempty"`
	// warning counts what costs or will break under more load.
	// +optional
	Warning int32 `json:"warning,omitempty"`
	// info counts what is worth knowing.
	// +optional
	Info int32 `json:"info,omitempty"`
}

// LinkStatus says how one link stands.
type LinkStatus struct {
	// name of the link.
	// +required
	// +kubebuilder:validation:MaxLength=20
	Name string `json:"name"`
	// report is the name of the link's ConnectionReport.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Report string `json:"report,omitempty"`
	// message says in words what stands in the way, if anything does.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// handshakeP99Microseconds is the 99th percentile of the time of connect() in the last run.
	// +optional
	HandshakeP99Microseconds *int64 `json:"handshakeP99Microseconds,omitempty"`
	// setupSharePercent is the share of a small transaction on a new connection that is spent on setting it up.
	// +optional
	SetupSharePercent *int32 `json:"setupSharePercent,omitempty"`
	// portUtilizationPercent is the share of the local ports that the fullest observed pod holds towards the link.
	// +optional
	PortUtilizationPercent *int32 `json:"portUtilizationPercent,omitempty"`
	// findings counts the rules that fail.
	// +optional
	Findings *FindingCount `json:"findings,omitempty"`
	// run is the probe run under way, or the last one.
	// +optional
	Run *ProbeRunStatus `json:"run,omitempty"`
	// idleRun is the run of the measurement idle under way, or the last one. It has a pod of its own for the quarter of an
	// hour that it takes, and comes every six hours. Nothing waits for it.
	// +optional
	IdleRun *ProbeRunStatus `json:"idleRun,omitempty"`
}

// RunPhase is where a probe run stands.
//
// +kubebuilder:validation:Enum=Waiting;Running;Finished
type RunPhase string

const (
	// RunWaiting means that the run is due and waits for a place (limits of target, node or cluster) or for a retry.
	RunWaiting RunPhase = "Waiting"
	// RunRunning means that a probe pod exists.
	RunRunning RunPhase = "Running"
	// RunFinished means that every pod of the run has given its result or is lost.
	RunFinished RunPhase = "Finished"
)

// ProbeRunStatus is the state of one probe run. It is all that the operator needs to go on after a restart.
type ProbeRunStatus struct {
	// id of the run. Its pods bear it in the label connpolicy.dev/run.
	// +required
	// +kubebuilder:validation:MaxLength=63
	ID string `json:"id"`
	// phase is Waiting, Running or Finished.
	// +required
	Phase RunPhase `json:"phase"`
	// generation of the policy that the run was started for.
	// +required
	Generation int64 `json:"generation"`
	// startedAt is when the run was begun.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// finishedAt is when its last result came in.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// lastResultAt is when a result came in last for what is asked for now, in this run or one before. Absent: none yet.
	// +optional
	LastResultAt *metav1.Time `json:"lastResultAt,omitempty"`
	// connects are the connects of this run and of those before it for what is asked for now, as far as
	// objectives.handshakeP99Microseconds is judged over them. Absent without that objective.
	// +optional
	Connects *ConnectPool `json:"connects,omitempty"`
	// failures counts the attempts in a row that brought no result. The wait before the next grows with it.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// notBefore is the earliest time of the next attempt, after a failure.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`
	// pods are the probe pods of the run.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Pods []ProbePodStatus `json:"pods,omitempty"`
}

// ConnectPool counts the connects of several runs that took longer than a limit. It stands in the policy's status, which
// is written with every run, because a report is written when something changes.
type ConnectPool struct {
	// aboveMicroseconds is the limit, objectives.handshakeP99Microseconds when they were counted.
	// +required
	AboveMicroseconds int64 `json:"aboveMicroseconds"`
	// results are those of the last 24 hours, the newest 40 at the most, the oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=40
	Results []ConnectCount `json:"results,omitempty"`
}

// ConnectCount is how many connects one probe pod made, and how many of them took longer than the pool's limit.
type ConnectCount struct {
	// time is when the result came in.
	// +required
	Time metav1.Time `json:"time"`
	// node that the probe stood on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// connects that were made.
	// +required
	Connects int32 `json:"connects"`
	// above counts those that took longer than the limit.
	// +required
	Above int32 `json:"above"`
}

// ProbePodStatus is one probe pod of a run.
type ProbePodStatus struct {
	// name of the pod.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of the pod. A result counts only if it comes from the pod with this UID.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`
	// node that the pod stands on, or is meant for.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// outcome of the pod: measured, failed or lost. Empty while it runs.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Outcome string `json:"outcome,omitempty"`
	// cause says why the outcome is not measured.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Cause string `json:"cause,omitempty"`
}

// Proposal is a change that waits for approval.
type Proposal struct {
	// hash identifies the change. It stands in tuning.approve once somebody approves it.
	// +required
	// +kubebuilder:validation:MaxLength=23
	Hash string `json:"hash"`
	// tuning is the name of the ConnectionTuning that holds the change and its reasons.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Tuning string `json:"tuning"`
	// approved says whether tuning.approve names the hash.
	// +required
	Approved bool `json:"approved"`
}
