package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConnectionTuning is what connpolicy changes on one workload: the merged demands of all links of all policies on it.
// It is written by the operator alone. Its spec is what the admission policy puts into new pods of the workload; its
// status says why, and how far it has come. Deleting it takes the settings away again.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=conntune,categories={all,connpolicy}
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.spec.targetRef.name`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.spec.revision`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Progressing",type=string,JSONPath=`.status.conditions[?(@.type=="Progressing")].reason`
// +kubebuilder:printcolumn:name="Verified",type=string,JSONPath=`.status.conditions[?(@.type=="Verified")].reason`
// +kubebuilder:printcolumn:name="Ports",type=string,JSONPath=`.status.recommendations[?(@.knob=="ephemeralPorts")].recommended`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ConnectionTuning struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name is <kind>-<workload>, in lower case.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec is what new pods of the workload get.
	// +required
	Spec ConnectionTuningSpec `json:"spec"`
	// status says why, and how far the change has come.
	// +optional
	Status ConnectionTuningStatus `json:"status,omitzero"`
}

// ConnectionTuningList is a list of ConnectionTunings.
//
// +kubebuilder:object:root=true
type ConnectionTuningList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ConnectionTuning `json:"items"`
}

// ConnectionTuningSpec is what new pods of a workload get.
//
// +kubebuilder:validation:XValidation:rule="has(self.knobs) == has(self.revision)",message="a tuning has a revision exactly when it has knobs"
type ConnectionTuningSpec struct {
	// targetRef is the workload whose pods are changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a tuning is of one workload for its whole life"
	TargetRef WorkloadReference `json:"targetRef"`
	// revision identifies the values in knobs; pods that got them are stamped with it. Absent while nothing is applied.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9a-f]+$`
	Revision string `json:"revision,omitempty"`
	// knobs are the values that new pods get. Absent: nothing is changed.
	// +optional
	Knobs *KnobValues `json:"knobs,omitempty"`
	// disruption says how running pods come to the values, and how they lose them when the tuning is deleted. It is None
	// by default.
	// +optional
	// +kubebuilder:default=None
	Disruption Disruption `json:"disruption,omitempty"`
}

// KnobValues are typed values of knobs.
//
// +kubebuilder:validation:MinProperties=1
type KnobValues struct {
	// ephemeralPorts is the range of local ports that connect() chooses from.
	// +optional
	EphemeralPorts *EphemeralPorts `json:"ephemeralPorts,omitempty"`
}

// EphemeralPorts is a range of local ports, and ports in it that are kept free for listeners. What is refused here would
// be refused by the kernel, and then the pod would not start (ipv4_local_port_range and proc_do_large_bitmap in
// net/ipv4/sysctl_net_ipv4.c and kernel/sysctl.c).
//
// +kubebuilder:validation:XValidation:rule="self.first < self.last",message="first must be below last"
type EphemeralPorts struct {
	// first port of the range.
	// +required
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	First int32 `json:"first"`
	// last port of the range.
	// +required
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	Last int32 `json:"last"`
	// reserved lists ports and ranges of ports that connect() does not choose, such as 8080 and 30000-32767.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$`
	// +kubebuilder:validation:items:MaxLength=11
	// +kubebuilder:validation:items:XValidation:rule="self.split('-').all(port, int(port) <= 65535) && int(self.split('-')[0]) <= int(self.split('-')[size(self.split('-')) - 1])",message="a reserved port or range lies between 1 and 65535, with the lower port first"
	Reserved []string `json:"reserved,omitempty"`
}

// ConnectionTuningStatus says why values are recommended, and how far they have come.
type ConnectionTuningStatus struct {
	// observedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready, Progressing and Verified.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// hash of what is recommended, for tuning.approve of a policy in mode Recommend.
	// +optional
	// +kubebuilder:validation:MaxLength=23
	Hash string `json:"hash,omitempty"`
	// proposed are the values that are recommended. They are in force only if spec.knobs holds the same.
	// +optional
	Proposed *KnobValues `json:"proposed,omitempty"`
	// recommendations say for each knob what is recommended and why.
	// +optional
	// +listType=map
	// +listMapKey=knob
	// +kubebuilder:validation:MaxItems=16
	Recommendations []Recommendation `json:"recommendations,omitempty"`
	// demands are the links that ask for the values.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Demands []Demand `json:"demands,omitempty"`
	// canaries are the pods in which the values were tried before the workload's own, one on every kind of node.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Canaries []Canary `json:"canaries,omitempty"`
	// rollout says how many of the workload's pods have the values.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`
	// undo says how far the values are taken away again. Absent while nothing is being undone.
	// +optional
	Undo *UndoStatus `json:"undo,omitempty"`
	// rejected are revisions that were tried and taken back. They are not tried again.
	// +optional
	// +listType=map
	// +listMapKey=revision
	// +kubebuilder:validation:MaxItems=10
	Rejected []RejectedRevision `json:"rejected,omitempty"`
	// history holds the last 10 things that happened to the tuning, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []TuningEvent `json:"history,omitempty"`
}

// Confidence in a recommendation.
//
// +kubebuilder:validation:Enum=low;medium;high
type Confidence string

// The confidences in a recommendation.
const (
	ConfidenceLow    Confidence = "low"
	ConfidenceMedium Confidence = "medium"
	ConfidenceHigh   Confidence = "high"
)

// Recommendation says what a knob should be, and why. Values are rendered for reading: "1024-65535".
type Recommendation struct {
	// knob that is recommended.
	// +required
	Knob KnobName `json:"knob"`
	// current value in force. Empty: unknown.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Current string `json:"current,omitempty"`
	// recommended value, within the bounds.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Recommended string `json:"recommended"`
	// lowerBound is the smallest value that would serve what was measured.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LowerBound string `json:"lowerBound,omitempty"`
	// upperBound is the largest value that is safe.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UpperBound string `json:"upperBound,omitempty"`
	// uncapped is what would be recommended without the bounds of the policies.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Uncapped string `json:"uncapped,omitempty"`
	// reason in words.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
	// evidence are the figures behind the reason.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Evidence map[string]string `json:"evidence,omitempty"`
	// confidence in the value: low, medium or high.
	// +required
	Confidence Confidence `json:"confidence"`
	// expectedEffect in words.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	ExpectedEffect string `json:"expectedEffect,omitempty"`
}

// Demand is a link that asks for a value of a knob.
type Demand struct {
	// policyName and linkName name the link.
	// +required
	// +kubebuilder:validation:MaxLength=63
	PolicyName string `json:"policyName"`
	// linkName is the name of the link in the policy.
	// +required
	// +kubebuilder:validation:MaxLength=20
	LinkName string `json:"linkName"`
	// knob that it asks for.
	// +required
	Knob KnobName `json:"knob"`
	// value that it asks for, rendered for reading.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Value string `json:"value"`
}

// Canary is a pod in which the values were tried.
type Canary struct {
	// revision that was tried.
	// +required
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision"`
	// nodeKind is the kubelet and kernel version that the canary stands for.
	// +required
	// +kubebuilder:validation:MaxLength=256
	NodeKind string `json:"nodeKind"`
	// node that it ran on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// pod is its name.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// uid of the pod. Its result counts only if it comes from the pod with this UID.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`
	// outcome is measured (the values were read back), failed or lost; empty while it runs.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Outcome string `json:"outcome,omitempty"`
	// cause says what went wrong.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Cause string `json:"cause,omitempty"`
	// failures counts the attempts in a row that told nothing about the values, such as a pod that was evicted. The wait
	// before the next grows with it.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// notBefore is the earliest time of the next attempt, after a failure.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`
}

// UndoStatus says how far the values are taken away again.
type UndoStatus struct {
	// startedAt is when it was begun.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// restartedAt is when the pods were replaced, so that they come back without the values.
	// +optional
	RestartedAt *metav1.Time `json:"restartedAt,omitempty"`
	// stamped pods still have the values.
	// +required
	Stamped int32 `json:"stamped"`
}

// RolloutStatus says how many of the workload's pods have the values.
type RolloutStatus struct {
	// revision that is counted.
	// +required
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision"`
	// startedAt is when the values were put into the spec.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// pods of the workload that live.
	// +required
	Pods int32 `json:"pods"`
	// stamped pods: created with the values.
	// +required
	Stamped int32 `json:"stamped"`
	// readBack pods: an observer inside read the values.
	// +required
	ReadBack int32 `json:"readBack"`
	// restarts is how often the pods were replaced for this revision.
	// +optional
	Restarts int32 `json:"restarts,omitempty"`
	// restartedAt is when they were replaced last.
	// +optional
	RestartedAt *metav1.Time `json:"restartedAt,omitempty"`
}

// RejectedRevision is a revision that was tried and taken back.
type RejectedRevision struct {
	// revision that is not tried again.
	// +required
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision"`
	// reason is one of the condition reasons, such as Forbidden.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message in words.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// time when it was taken back.
	// +required
	Time metav1.Time `json:"time"`
}

// TuningEvent is something that happened to a tuning.
type TuningEvent struct {
	// time when it happened.
	// +required
	Time metav1.Time `json:"time"`
	// revision it happened to.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Revision string `json:"revision,omitempty"`
	// reason is one of the condition reasons.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message in words.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}
