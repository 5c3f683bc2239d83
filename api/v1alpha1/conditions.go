package v1alpha1

// Condition types of a ConnectionPolicy.
const (
	// ConditionReady is True when the policy is understood and carried out: its workload and targets exist and probes
	// can be made. Findings never make it False. Positive polarity.
	// Reasons: ReasonSucceeded, ReasonSuspended; ReasonProgressing; ReasonWorkloadNotFound, ReasonServiceNotFound,
	// ReasonPortNotFound, ReasonNoEndpoints, ReasonNoPods, ReasonHostNetwork, ReasonProbeFailed.
	ConditionReady = "Ready"
	// ConditionProbed is True when every link has a result from its last run. Positive polarity.
	// Reasons: ReasonSucceeded, ReasonProgressing, ReasonProbeFailed, ReasonWaiting, ReasonSuspended, and those of a
	// link that cannot be probed.
	ConditionProbed = "Probed"
	// ConditionCompliant is True when no rule of severity error or warning fails, Unknown while rules could not be
	// judged. Positive polarity. Reasons: ReasonNoFindings, ReasonFindings, ReasonNotJudged; ReasonProgressing while only
	// rules on silence are not judged, which takes a quarter of an hour to measure.
	ConditionCompliant = "Compliant"
	// ConditionTuned says where the workload's tuning stands; True when nothing needs to change, or what was changed is
	// verified. Positive polarity. Reasons: ReasonObserveOnly, ReasonNothingToTune, and those of a ConnectionTuning.
	ConditionTuned = "Tuned"
	// ConditionReconciling is True while a generation of the spec has not been acted on yet (kstatus: abnormal is True);
	// absent otherwise. Reason: ReasonProgressing.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when no retry helps until somebody changes the spec (kstatus: abnormal is True); absent
	// otherwise. Reasons: ReasonHostNetwork, ReasonInvalid.
	ConditionStalled = "Stalled"
)

// Condition types of a ConnectionTuning, beside ConditionReady, which is True when all that is to be applied is applied
// and read back.
const (
	// ConditionProgressing is True while the tuning is on its way. Neutral polarity.
	// Reasons: ReasonAwaitingApproval, ReasonCanary, ReasonApplying, ReasonComparing, ReasonUndoing; when False:
	// ReasonVerified, ReasonNotCompared, ReasonForbidden, ReasonConflict, ReasonUnsupported, ReasonOverridden,
	// ReasonInconclusive, ReasonRolledBack, ReasonNothingToTune, ReasonNotJudged, ReasonNotEnabled, ReasonWorkloadNotFound.
	ConditionProgressing = "Progressing"
	// ConditionVerified is True when the values were read back inside the workload's pods. Positive polarity.
	// Reasons: ReasonVerified, ReasonNotCompared, ReasonInconclusive, ReasonForbidden, ReasonRolledBack,
	// ReasonOverridden, ReasonConflict, ReasonUnsupported, ReasonAwaitingApproval, ReasonApplying, ReasonCanary,
	// ReasonNothingToTune, ReasonNotJudged, ReasonNotEnabled, ReasonWorkloadNotFound.
	ConditionVerified = "Verified"
)

// Reasons of conditions.
const (
	// ReasonSucceeded: all is as asked.
	ReasonSucceeded = "Succeeded"
	// ReasonProgressing: being worked on.
	ReasonProgressing = "Progressing"
	// ReasonSuspended: spec.suspend is set.
	ReasonSuspended = "Suspended"
	// ReasonWaiting: a probe waits for a free place under the limits, or for a retry.
	ReasonWaiting = "Waiting"
	// ReasonWorkloadNotFound: the workload in spec.from does not exist.
	ReasonWorkloadNotFound = "WorkloadNotFound"
	// ReasonServiceNotFound: a Service in spec.to does not exist.
	ReasonServiceNotFound = "ServiceNotFound"
	// ReasonPortNotFound: a Service in spec.to has no such port, or several and none is named.
	ReasonPortNotFound = "PortNotFound"
	// ReasonNoEndpoints: a Service in spec.to has no ready endpoint.
	ReasonNoEndpoints = "NoEndpoints"
	// ReasonNoPods: the workload has no pod, so there is no place to stand.
	ReasonNoPods = "NoPods"
	// ReasonHostNetwork: the workload uses the node's network; its connections are not its own and are not tuned.
	ReasonHostNetwork = "HostNetwork"
	// ReasonProbeFailed: probe pods brought no result.
	ReasonProbeFailed = "ProbeFailed"
	// ReasonInvalid: the spec cannot be carried out as it is written.
	ReasonInvalid = "Invalid"

	// ReasonNoFindings: every rule that could be judged passes.
	ReasonNoFindings = "NoFindings"
	// ReasonFindings: at least one rule fails.
	ReasonFindings = "Findings"
	// ReasonNotJudged: too little was measured to judge.
	ReasonNotJudged = "NotJudged"

	// ReasonObserveOnly: tuning.mode is Observe.
	ReasonObserveOnly = "ObserveOnly"
	// ReasonNothingToTune: what was measured asks for no change.
	ReasonNothingToTune = "NothingToTune"
	// ReasonNotEnabled: the operator was installed without the layer that applies, or the namespace has not opted in.
	ReasonNotEnabled = "NotEnabled"
	// ReasonAwaitingApproval: a proposal waits for its hash in tuning.approve.
	ReasonAwaitingApproval = "AwaitingApproval"
	// ReasonCanary: the values are being tried in pods of the operator's own.
	ReasonCanary = "Canary"
	// ReasonApplying: the workload's pods are coming to the values.
	ReasonApplying = "Applying"
	// ReasonComparing: tuned and untuned pods are being compared.
	ReasonComparing = "Comparing"
	// ReasonUndoing: the values are being taken away again.
	ReasonUndoing = "Undoing"
	// ReasonVerified: the values were read back inside the pods and the effect was compared.
	ReasonVerified = "Verified"
	// ReasonNotCompared: the values were read back inside the pods; the effect was not compared.
	ReasonNotCompared = "NotCompared"
	// ReasonRolledBack: the values were taken back.
	ReasonRolledBack = "RolledBack"
	// ReasonInconclusive: it could not be told whether the values are in force.
	ReasonInconclusive = "Inconclusive"
	// ReasonConflict: demands or owners contradict each other.
	ReasonConflict = "Conflict"
	// ReasonOverridden: the pod template sets the same sysctl itself, and that is left alone.
	ReasonOverridden = "Overridden"
	// ReasonForbidden: a node or the namespace's Pod Security refuses the setting.
	ReasonForbidden = "Forbidden"
	// ReasonUnsupported: the setting cannot be made on this workload.
	ReasonUnsupported = "Unsupported"
)
