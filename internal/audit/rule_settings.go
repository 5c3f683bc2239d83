package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/probes/result"
)

const needTuning = "tuning"

// notTuned judges a rule on settings where there are none to judge, or it is not known yet what they come to.
func notTuned(in Input) (j judgement, ok bool) {
	switch {
	case in.Tuning == nil:
		return notApplicable("The operator sets nothing in the workload's pods, nor wants to."), true
	case !in.Tuning.WorkedOut:
		return unknown("What the settings of the workload's pods come to is still being worked out."), true
	}
	return judgement{}, false
}

func settingNotInForce() Rule {
	return Rule{
		ID: "CP701", Title: "A setting was written and is not in force",
		Category: CategorySettings, Severity: Warning, Needs: []string{needTuning, needObserver},
		AppliesNot: "Workloads in whose pods the operator sets nothing, and pods that were created before it did.",
		Why: "A pod that was created with a setting can still run without it: a container with the rights wrote another value, or the container runtime changed it. " +
			"What counts is the value that an observer reads inside the pod, not the one in the pod's specification.",
		Cures: []string{
			"Look for what writes the setting after the pod was made: privileged init containers (Istio's istio-init, a sysctl -w of the application's own), NRI plugins, RuntimeClass and kubelet's defaultPodSysctls. Then replace the pod.",
		},
		Source: "kubernetes.io, Using sysctls in a Kubernetes Cluster; KEP-5996 (defaultPodSysctls); measured by the observer",
		judge:  judgeSettingNotInForce,
	}
}

func judgeSettingNotInForce(in Input) judgement {
	if j, none := notTuned(in); none {
		return j
	}
	if len(in.Tuning.Sysctls) == 0 {
		return notApplicable("The operator sets nothing in the workload's pods at the moment.")
	}
	if j, none := notObserved(in); none {
		return j
	}
	var judgements []judgement
	for _, o := range in.Observations {
		if o.Stamp != "" && o.Stamp == in.Tuning.Stamp {
			judgements = append(judgements, judgeInForce(o, in.Tuning.Sysctls))
		}
	}
	if len(judgements) == 0 {
		return notApplicable("No pod that an observer looks into was created with the settings yet.")
	}
	return gravest(judgements)
}

func judgeInForce(o PodObservation, written map[string]string) judgement {
	for _, name := range sorted(written) {
		inForce, read := o.Observation.Sysctls[name]
		switch {
		case !read:
			return notRead(o, name)
		case !sameSetting(written[name], inForce):
			return fail(Warning, fmt.Sprintf("Pod %s was created with %s = %s and has %s.", o.Pod, name, spaced(written[name]), spaced(inForce)),
				map[string]string{"pod": o.Pod, "setting": name, "written": spaced(written[name]), "inForce": spaced(inForce)}, 0)
		}
	}
	return pass(fmt.Sprintf("%s of pod %s were read back as they were written.", plural(int64(len(written)), "setting"), o.Pod), map[string]string{"pod": o.Pod})
}

func sorted(settings map[string]string) []string {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// spaced writes a value on one line, and an empty one so that it is seen.
func spaced(value string) string {
	words := strings.Join(strings.Fields(value), " ")
	if words == "" {
		return "nothing"
	}
	return words
}

// sameSetting compares two values of a sysctl. White space makes no difference, nor the order of reserved ports.
func sameSetting(a, b string) bool {
	if spaced(a) == spaced(b) {
		return true
	}
	left, err := ports.ParseSet(a)
	if err != nil {
		return false
	}
	right, err := ports.ParseSet(b)
	return err == nil && left.String() == right.String()
}

func settingForbidden() Rule {
	return Rule{
		ID: "CP702", Title: "A setting is forbidden on nodes that the workload may run on",
		Category: CategorySettings, Severity: Warning, Needs: []string{needTuning},
		AppliesNot: "Workloads in whose pods the operator wants to set nothing, or may not for another reason (see CP703 and CP704).",
		Why: "A kubelet refuses pods with a sysctl that is neither in its safe set nor allowed by its administrator, and Pod Security refuses them before. " +
			"The pod would be replaced again and again, so the operator tries each setting on every kind of node first and does not set what one of them refuses.",
		Cures: []string{
			"Upgrade the nodes that refuse it (the safe set grew in Kubernetes 1.27, 1.29, 1.32 and 1.37), let the administrator allow the sysctl there (kubelet: allowedUnsafeSysctls; Pod Security: the namespace's level or version), or keep the workload to nodes that take it (nodeSelector, affinity).",
		},
		Source: "kubernetes.io, Using sysctls in a Kubernetes Cluster and Pod Security Standards; kubernetes/kubernetes#72593 (pods replaced without end)",
		judge:  judgeSettingForbidden,
	}
}

func judgeSettingForbidden(in Input) judgement {
	if j, none := notTuned(in); none {
		return j
	}
	t := in.Tuning
	for _, tried := range t.Tried {
		if tried.Outcome == result.Failed {
			return fail(Warning, fmt.Sprintf("On nodes of kind %s the settings do not come into force: %s.", tried.NodeKind, strings.TrimSuffix(tried.Cause, ".")),
				map[string]string{"nodeKind": tried.NodeKind, "cause": tried.Cause}, 0)
		}
	}
	switch {
	case t.Forbidden != "":
		return fail(Warning, t.Forbidden, map[string]string{"cause": t.Forbidden}, 0)
	case t.Overridden != "" || t.Conflict != "":
		return notApplicable("No setting is tried while another reason forbids it; CP703 and CP704 say which.")
	case len(t.Tried) == 0:
		return unknown("The settings were not tried on any node yet.")
	}
	for _, tried := range t.Tried {
		if tried.Outcome != result.Measured {
			return unknown(fmt.Sprintf("Whether nodes of kind %s take the settings is not known yet.", tried.NodeKind))
		}
	}
	return pass(fmt.Sprintf("The settings came into force in a pod on each of %s.", plural(int64(len(t.Tried)), "kind")+" of node"),
		map[string]string{"nodeKinds": strconv.Itoa(len(t.Tried))})
}

func settingOverridden() Rule {
	return Rule{
		ID: "CP703", Title: "Another hand sets what the operator would set",
		Category: CategorySettings, Severity: Info, Needs: []string{needTuning, needObserver},
		AppliesNot: "Workloads in whose pods the operator wants to set nothing.",
		Why: "What the pod template, the node or a person sets is left alone: the operator does not fight over a value. " +
			"So the value that was derived from measurements is not in force, and the one that is has nobody who verifies it.",
		Cures: []string{
			"If the operator is to choose the value, take it out of the pod template's securityContext.sysctls, or of what else sets it (NRI plugin, defaultPodSysctls of the kubelet, a privileged init container). If not, leave the knob out of tuning.knobs.",
		},
		Source: "kubernetes.io, Using sysctls in a Kubernetes Cluster; Documentation/networking/ip-sysctl.rst for the defaults",
		judge:  judgeSettingOverridden,
	}
}

// kernelDefaults are the values of a new network namespace, which inherits none of these from its node
// (net/ipv4/af_inet.c, inet_init_net).
func kernelDefaults() map[string]string {
	return map[string]string{sysctlPortRange: "32768 60999", sysctlReservedPorts: ""}
}

func judgeSettingOverridden(in Input) judgement {
	if j, none := notTuned(in); none {
		return j
	}
	if in.Tuning.Overridden != "" {
		return fail(Info, in.Tuning.Overridden, map[string]string{"cause": in.Tuning.Overridden}, 0)
	}
	return perPod(in, func(o PodObservation) judgement {
		if o.Stamp != "" {
			return pass(fmt.Sprintf("Pod %s has the operator's settings; CP701 says whether they are in force.", o.Pod), map[string]string{"pod": o.Pod})
		}
		for _, name := range sorted(kernelDefaults()) {
			inForce, read := o.Observation.Sysctls[name]
			switch {
			case !read:
				return notRead(o, name)
			case !sameSetting(kernelDefaults()[name], inForce):
				return fail(Info, fmt.Sprintf("Pod %s, which the operator did not set up, has %s = %s instead of the kernel's own %s: another hand set it.",
					o.Pod, name, spaced(inForce), spaced(kernelDefaults()[name])), map[string]string{"pod": o.Pod, "setting": name, "inForce": spaced(inForce)}, 0)
			}
		}
		return pass(fmt.Sprintf("Pod %s has the kernel's own values, which nobody else changed.", o.Pod), map[string]string{"pod": o.Pod})
	})
}

func settingConflict() Rule {
	return Rule{
		ID: "CP704", Title: "What is asked of one setting contradicts itself",
		Category: CategorySettings, Severity: Warning, Needs: []string{needTuning},
		AppliesNot: "Workloads in whose pods the operator wants to set nothing.",
		Why: "All links and policies on a workload share its pods, so that a setting can have one value only. " +
			"Where their bounds leave none that satisfies everybody the operator sets nothing, rather than to please one of them.",
		Cures: []string{
			"Bring the bounds (min and max in tuning.knobs) of the policies that are named together, or leave the knob to one of them.",
		},
		Source: "docs/tuning.md (how the demands on one workload are merged)",
		judge:  judgeSettingConflict,
	}
}

func judgeSettingConflict(in Input) judgement {
	if j, none := notTuned(in); none {
		return j
	}
	if in.Tuning.Conflict != "" {
		return fail(Warning, in.Tuning.Conflict, map[string]string{"cause": in.Tuning.Conflict}, 0)
	}
	return pass("All demands on the workload's settings agree.", nil)
}
