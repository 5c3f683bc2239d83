package probepod

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func message(t *testing.T, handshake, timeWait result.Outcome) string {
	t.Helper()
	text, err := result.EncodeMessage(result.Result{
		Version: result.Version,
		Measurements: result.Measurements{
			Handshake: &result.Handshake{Meta: result.Meta{Outcome: handshake}},
			TimeWait:  &result.TimeWait{Meta: result.Meta{Outcome: timeWait}},
		},
	}, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRead(t *testing.T) {
	terminated := func(state corev1.ContainerStateTerminated) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: ContainerName, State: corev1.ContainerState{Terminated: &state}}}
		}
	}
	waiting := func(reason string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: ContainerName, State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "because"}}}}
		}
	}
	running := func(pod *corev1.Pod) {
		pod.Status.Phase, pod.Status.StartTime = corev1.PodRunning, &metav1.Time{Time: created}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: ContainerName, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	failed := func(reason, text string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, reason, text
		}
	}
	deleted := func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: created} }
	disrupted := func(reason string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason})
		}
	}
	noNode := func(pod *corev1.Pod) {
		pod.Spec.NodeName = ""
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: corev1.PodReasonUnschedulable, Message: "0/2 nodes are available"}}
	}
	withTLS := func(pod *corev1.Pod) {
		pod.Namespace = "shop"
		pod.Spec.Volumes = volumes(&v1alpha1.TLSClient{
			CAConfigMap:             &v1alpha1.ConfigMapKey{Name: "bank-ca", Key: "ca.crt"},
			ClientCertificateSecret: &v1alpha1.SecretName{Name: "bank-client"},
		})
	}
	good := message(t, result.Measured, result.Unsupported)
	half, nothing := message(t, result.Measured, result.Failed), message(t, result.Failed, result.Failed)

	for _, test := range []struct {
		name     string
		changes  []func(*corev1.Pod)
		after    time.Duration
		outcome  result.Outcome // empty: under way
		cause    string
		rejected bool
	}{
		{name: "new", after: time.Second},
		{name: "running", changes: []func(*corev1.Pod){running}, after: time.Minute},
		{name: "measured", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Message: good})}, outcome: result.Measured},
		{name: "measured a refusal", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Message: nothing})}, outcome: result.Measured},
		{name: "measured, then deleted", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Message: good}), deleted}, outcome: result.Measured},
		{name: "drained half-way", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Message: nothing}), deleted, disrupted("EvictionByEvictionAPI")},
			outcome: result.Failed, cause: "EvictionByEvictionAPI"},
		{name: "drained towards the end", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Message: half}), disrupted("EvictionByEvictionAPI")},
			outcome: result.Failed, cause: "EvictionByEvictionAPI"},
		{name: "measured a half", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Message: half})}, outcome: result.Measured},
		{name: "deleted half-way", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Message: nothing}), deleted},
			outcome: result.Failed, cause: "deleted before it had measured"},
		{name: "being deleted", changes: []func(*corev1.Pod){running, deleted}, after: time.Minute},
		{name: "being deleted on a dead node", changes: []func(*corev1.Pod){running, deleted}, after: 61 * time.Second, outcome: result.Lost, cause: "was deleted"},
		{name: "being deleted before the start on a dead node", changes: []func(*corev1.Pod){deleted}, after: 61 * time.Second, outcome: result.Lost, cause: "was deleted"},
		{name: "deleted late on a dead node", changes: []func(*corev1.Pod){running, func(pod *corev1.Pod) {
			pod.DeletionTimestamp = &metav1.Time{Time: created.Add(10 * time.Minute)}
		}}, after: 10 * time.Minute, outcome: result.Lost, cause: "after its deadline"},
		{name: "out of memory", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137})},
			outcome: result.Failed, cause: "OOMKilled"},
		{name: "crashed", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 2, Message: "panic: x"})},
			outcome: result.Failed, cause: "exit code 2, Error: panic: x"},
		{name: "no file of the ConfigMap", changes: []func(*corev1.Pod){withTLS, terminated(corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error",
			Message: "probe run: usage: --tls-ca: open /connpolicy/configmap/bank-ca/ca.crt: no such file or directory\n"})},
			outcome: result.Failed, cause: "ConfigMap bank-ca, which tls.caConfigMap names, does not exist in namespace shop, or has no key ca.crt"},
		{name: "no file of the Secret", changes: []func(*corev1.Pod){withTLS, terminated(corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error",
			Message: "probe run: usage: --tls-certificate and --tls-key: open /connpolicy/secret/bank-client/tls.crt: no such file or directory\n"})},
			outcome: result.Failed, cause: "Secret bank-client, which tls.clientCertificateSecret names, does not exist in namespace shop"},
		{name: "no certificate in the ConfigMap", changes: []func(*corev1.Pod){withTLS, terminated(corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error",
			Message: "probe run: usage: --tls-ca: /connpolicy/configmap/bank-ca/ca.crt holds no certificate in PEM\n"})},
			outcome: result.Failed, cause: "exit code 2, Error: probe run: usage: --tls-ca: /connpolicy/configmap/bank-ca/ca.crt holds no certificate in PEM"},
		{name: "the log, where it wrote no message", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error",
			Message: "  \"spent\": {}\n}\nprobe run: write the termination message: no space\n"})},
			outcome: result.Failed, cause: "exit code 1, Error: probe run: write the termination message: no space"},
		{name: "cut off", changes: []func(*corev1.Pod){terminated(corev1.ContainerStateTerminated{Message: good[:len(good)-5]})},
			outcome: result.Failed, cause: "cut off"},
		{name: "evicted", changes: []func(*corev1.Pod){failed("Evicted", "The node was low on memory.")}, outcome: result.Failed, cause: "Evicted: The node was low"},
		{name: "deadline", changes: []func(*corev1.Pod){failed("DeadlineExceeded", "Pod was active too long")}, outcome: result.Failed, cause: "DeadlineExceeded"},
		{name: "forbidden sysctl", changes: []func(*corev1.Pod){failed("SysctlForbidden", "Pod was rejected")}, outcome: result.Failed, cause: "SysctlForbidden", rejected: true},
		{name: "unschedulable, for a moment", changes: []func(*corev1.Pod){noNode}, after: 59 * time.Second},
		{name: "unschedulable", changes: []func(*corev1.Pod){noNode}, after: 60 * time.Second, outcome: result.Failed, cause: "0/2 nodes are available"},
		{name: "image comes", changes: []func(*corev1.Pod){waiting("ErrImagePull")}, after: 10 * time.Second},
		{name: "image does not come", changes: []func(*corev1.Pod){waiting("ImagePullBackOff")}, after: 2 * time.Minute, outcome: result.Failed, cause: "ImagePullBackOff: because"},
		{name: "no sandbox", changes: []func(*corev1.Pod){waiting("ContainerCreating")}, after: 2 * time.Minute, outcome: result.Failed, cause: "ContainerCreating"},
		{name: "dead kubelet before the start", after: 2 * time.Minute, outcome: result.Failed, cause: "has not taken the pod up"},
		{name: "dead kubelet after the start", changes: []func(*corev1.Pod){running}, after: 10 * time.Minute, outcome: result.Lost, cause: "has not reported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := Build(example())
			pod.CreationTimestamp = metav1.Time{Time: created}
			pod.Spec.NodeName, pod.Status.Phase = "node-1", corev1.PodPending
			for _, change := range test.changes {
				change(pod)
			}
			got := Read(pod, created.Add(test.after))
			if got.Outcome != test.outcome || got.Finished != (test.outcome != "") || got.Rejected != test.rejected {
				t.Errorf("got %+v, want outcome %q rejected %t", got, test.outcome, test.rejected)
			}
			if !strings.Contains(got.Cause, test.cause) || (got.Cause == "") != (test.cause == "") {
				t.Errorf("cause %q, want %q in it", got.Cause, test.cause)
			}
			if (got.Result != nil) != (test.outcome == result.Measured) {
				t.Errorf("result %v with outcome %q", got.Result, got.Outcome)
			}
		})
	}
}
