package v1alpha1

// Labels and annotations that connpolicy writes or reads.
const (
	// LabelProbe marks every pod that the operator creates, so that NetworkPolicies can name them and the operator can
	// count them. Its value is the name of the policy. Only the operator may create pods that bear it.
	LabelProbe = "connpolicy.dev/probe"
	// LabelRole tells the operator's pods apart: probe, idle or canary.
	LabelRole = "connpolicy.dev/role"
	// LabelLink is the name of the link that a probe pod measures.
	LabelLink = "connpolicy.dev/link"
	// LabelRun is the run that a probe pod belongs to.
	LabelRun = "connpolicy.dev/run"
	// LabelTarget is a hash of the address and port that a probe pod measures. One probe at a time knocks at a target.
	LabelTarget = "connpolicy.dev/target"
	// LabelTuning opts a namespace in to the tuning of its pods (value "enabled") and a pod out of it (value
	// "disabled").
	LabelTuning = "connpolicy.dev/tuning"

	// AnnotationTuning is the stamp on a tuned pod: the name of the ConnectionTuning and its revision,
	// <name>.<revision>.
	AnnotationTuning = "connpolicy.dev/tuning"
	// AnnotationRequestedAt asks for a probe run at once. Any new value starts one; a time is customary.
	AnnotationRequestedAt = "connpolicy.dev/requestedAt"
	// AnnotationRestartedAt is written to a pod template to replace its pods, as kubectl rollout restart does.
	AnnotationRestartedAt = "connpolicy.dev/restartedAt"
	// AnnotationNode is the node that a probe pod is meant for.
	AnnotationNode = "connpolicy.dev/node"

	// FinalizerTuning holds a ConnectionTuning until what it changed is undone.
	FinalizerTuning = "connpolicy.dev/undo"

	// FieldManager is the name under which the operator writes to objects that are not its own.
	FieldManager = "connpolicy"
)

// Values of LabelRole and LabelTuning.
const (
	RoleProbe      = "probe"
	RoleIdle       = "idle"
	RoleCanary     = "canary"
	TuningEnabled  = "enabled"
	TuningDisabled = "disabled"
)
