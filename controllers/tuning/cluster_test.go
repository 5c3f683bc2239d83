package tuning_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/controllers/tuning"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/tuner"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/test/apiserver"
)

const (
	workloadName = "client"
	nodeName     = "node-1"
	patience     = 60 * time.Second
)

// cluster is an API server with the operator's manifests, and one node.
type cluster struct {
	config *rest.Config
	scheme *runtime.Scheme
	admin  client.Client
	// asOperator writes what the operator alone may write.
	asOperator client.Client
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{config: apiserver.Start(t), scheme: apiserver.NewScheme(t)}
	c.admin = apiserver.NewClient(t, c.config, c.scheme)
	apiserver.Install(t.Context(), t, c.admin, "../../dist/install-apply.yaml")
	c.asOperator = apiserver.NewClient(t, apiserver.As(c.config, apiserver.Operator), c.scheme)
	apiserver.AddNode(t, c.admin, nodeName, corev1.NodeSystemInfo{KubeletVersion: "v1.37.2", KernelVersion: "6.18.0"})
	return c
}

// startManager runs the controller until the function that it returns is called.
func (c *cluster) startManager(t *testing.T, mayApply bool) (stop func()) {
	t.Helper()
	mgr := apiserver.NewManager(t, c.config, ctrl.Options{Scheme: c.scheme})
	reconciler := &tuning.Reconciler{
		Client: mgr.GetClient(), Live: c.asOperator, Recorder: mgr.GetEventRecorder("connpolicy"),
		Places:     &limits.Places{Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(), InCluster: 20, OnNode: 2, Now: time.Now},
		ProbeImage: "probe:test", MayApply: mayApply, NodePorts: tuner.PortRange{First: 30000, Last: 32767},
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	return apiserver.Run(t, mgr)
}

func (c *cluster) get(t *testing.T, key types.NamespacedName, object client.Object) {
	t.Helper()
	if err := c.admin.Get(t.Context(), key, object); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) updateStatus(t *testing.T, object client.Object) {
	t.Helper()
	if err := c.admin.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// waitForEvents waits until events with these reasons exist in a namespace.
func (c *cluster) waitForEvents(t *testing.T, namespace string, reasons ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) string {
		var events eventsv1.EventList
		if err := c.admin.List(ctx, &events, client.InNamespace(namespace)); err != nil {
			return err.Error()
		}
		told := map[string]bool{}
		for _, event := range events.Items {
			told[event.Reason] = true
		}
		for _, reason := range reasons {
			if !told[reason] {
				return fmt.Sprintf("no event with reason %s, only %v", reason, told)
			}
		}
		return ""
	})
}

// shop is a namespace that has opted in, with a workload of two pods that no controller but the test looks after.
type shop struct {
	c          *cluster
	namespace  string
	kind       string
	tuningName string
	// generation of pods that were created.
	rollouts int
	// replaced is the annotation of the last replacement that the test played.
	replaced string
}

func (c *cluster) newShop(t *testing.T, namespace string, labels map[string]string) *shop {
	t.Helper()
	s := &shop{c: c, namespace: namespace, kind: "Deployment", tuningName: "deployment-client"}
	s.createNamespace(t, labels)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: workloadName}}
	deployment.Spec = appsv1.DeploymentSpec{Replicas: new(int32(2)), Selector: selector(), Template: template()}
	if err := c.admin.Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	s.playDeployment(t)
	return s
}

func (c *cluster) newStatefulShop(t *testing.T, namespace string) *shop {
	t.Helper()
	s := &shop{c: c, namespace: namespace, kind: "StatefulSet", tuningName: "statefulset-client"}
	s.createNamespace(t, nil)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: workloadName}}
	set.Spec = appsv1.StatefulSetSpec{Replicas: new(int32(2)), Selector: selector(), Template: template()}
	if err := c.admin.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	s.createPods(t, controlledBy("StatefulSet", set), workloadName, nil)
	set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}
	c.updateStatus(t, set)
	return s
}

func (s *shop) createNamespace(t *testing.T, labels map[string]string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace, Labels: map[string]string{
		v1alpha1.LabelTuning: v1alpha1.TuningEnabled,
	}}}
	for name, value := range labels {
		namespace.Labels[name] = value
	}
	if err := s.c.admin.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
}

func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": workloadName}}
}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": workloadName}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "client", Image: "client:test", Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
		}}},
	}
}

func controlledBy(kind string, object client.Object) metav1.OwnerReference {
	return *metav1.NewControllerRef(object, appsv1.SchemeGroupVersion.WithKind(kind))
}

// playDeployment does what the controllers of Deployments and ReplicaSets do when the pod template is new.
func (s *shop) playDeployment(t *testing.T) {
	t.Helper()
	var deployment appsv1.Deployment
	s.c.get(t, types.NamespacedName{Namespace: s.namespace, Name: workloadName}, &deployment)
	s.deletePods(t)
	s.rollouts++
	hash := fmt.Sprintf("hash%d", s.rollouts)
	labels := map[string]string{"app": workloadName, "pod-template-hash": hash}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.namespace, Name: workloadName + "-" + hash, Labels: labels,
		OwnerReferences: []metav1.OwnerReference{controlledBy("Deployment", &deployment)},
	}}
	set.Spec = appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: deployment.Spec.Template}
	set.Spec.Template.Labels = labels
	if err := s.c.admin.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	s.createPods(t, controlledBy("ReplicaSet", set), set.Name, labels)
	deployment.Status = appsv1.DeploymentStatus{
		ObservedGeneration: deployment.Generation, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2, ReadyReplicas: 2,
	}
	s.c.updateStatus(t, &deployment)
	s.replaced = deployment.Spec.Template.Annotations[v1alpha1.AnnotationRestartedAt]
}

// createPods creates two pods as a workload's controller does, and runs them as a kubelet does.
func (s *shop) createPods(t *testing.T, owner metav1.OwnerReference, prefix string, labels map[string]string) {
	t.Helper()
	for i := range 2 {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: fmt.Sprintf("%s-%d", prefix, i),
			Labels: template().Labels, OwnerReferences: []metav1.OwnerReference{owner},
		}, Spec: template().Spec}
		if labels != nil {
			pod.Labels = labels
		}
		pod.Spec.NodeName = nodeName
		if err := s.c.admin.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		pod.Status.Phase = corev1.PodRunning
		s.c.updateStatus(t, pod)
	}
}

func (s *shop) deletePods(t *testing.T) {
	t.Helper()
	for _, pod := range s.pods(t) {
		if err := s.c.admin.Delete(t.Context(), &pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
}

// replacePods replaces the pods of a StatefulSet one for one, as if somebody had deleted them.
func (s *shop) replacePods(t *testing.T) {
	t.Helper()
	owner := s.pods(t)[0].OwnerReferences[0]
	s.deletePods(t)
	s.createPods(t, owner, workloadName, nil)
}

// rollOut waits until the operator asks for the replacement of the pods, and plays it.
func (s *shop) rollOut(t *testing.T) {
	t.Helper()
	eventually(t, func(context.Context) string {
		if at := s.template(t).Annotations[v1alpha1.AnnotationRestartedAt]; at == s.replaced {
			return fmt.Sprintf("the pod template still says %s: %q; %s", v1alpha1.AnnotationRestartedAt, at, s.describe(t))
		}
		return ""
	})
	s.playDeployment(t)
}

func (s *shop) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := s.c.admin.List(t.Context(), &list, client.InNamespace(s.namespace), client.MatchingLabels{"app": workloadName}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func (s *shop) createPolicy(t *testing.T, mode v1alpha1.TuningMode, disruption v1alpha1.Disruption) {
	t.Helper()
	policy := &v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "checkout"}}
	policy.Spec.From = &v1alpha1.WorkloadReference{Kind: s.kind, Name: workloadName}
	policy.Spec.To = []v1alpha1.Link{{Name: "payments", Service: &v1alpha1.ServiceReference{Name: "payments"}}}
	policy.Spec.Tuning = v1alpha1.TuningSpec{Mode: mode, Disruption: disruption}
	if err := s.c.admin.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) policy(t *testing.T) *v1alpha1.ConnectionPolicy {
	t.Helper()
	var policy v1alpha1.ConnectionPolicy
	s.c.get(t, types.NamespacedName{Namespace: s.namespace, Name: "checkout"}, &policy)
	return &policy
}

func (s *shop) editPolicy(t *testing.T, edit func(*v1alpha1.ConnectionPolicy)) {
	t.Helper()
	policy := s.policy(t)
	edit(policy)
	if err := s.c.admin.Update(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
}

// report plays the policy controller: an observer in the first pod saw its local ports used up. With a stamp it read the
// values in force too.
func (s *shop) report(t *testing.T, stamp string) {
	t.Helper()
	report := &v1alpha1.ConnectionReport{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "checkout-payments"}}
	report.Spec = v1alpha1.ConnectionReportSpec{PolicyName: "checkout", LinkName: "payments"}
	if err := s.c.asOperator.Create(t.Context(), report); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	s.c.get(t, client.ObjectKeyFromObject(report), report)
	before := report.DeepCopy()
	pod := s.pods(t)[0]
	now := metav1.Now()
	reading := v1alpha1.ObserverReading{
		Pod: pod.Name, Node: nodeName, Outcome: string(result.Measured), Time: &now, Tuning: stamp,
		PortsAvailable: new(int32(28232)), PortsInUse: new(int32(28000)), PortsInUsePeak: new(int32(28200)),
		Sysctls: map[string]string{
			"net.ipv4.ip_local_port_range": "32768\t60999", "net.ipv4.ip_local_reserved_ports": "",
			"net.ipv4.ip_unprivileged_port_start": "1024",
		},
	}
	if stamp != "" {
		for _, sysctl := range pod.Spec.SecurityContext.Sysctls {
			reading.Sysctls[sysctl.Name] = strings.ReplaceAll(sysctl.Value, " ", "\t")
		}
		reading.PortsAvailable = new(int32(60000))
	}
	report.Status = v1alpha1.ConnectionReportStatus{
		ObservedTime: &now,
		Target: &v1alpha1.ReportTarget{
			Name: "payments:80", URL: "tcp://payments." + s.namespace + ".svc:80", Key: s.targetKey(),
			Addresses: []string{"10.0.0.7:80", "10.0.0.8:80"},
		},
		Observers: []v1alpha1.ObserverReading{reading},
	}
	if err := s.c.asOperator.Status().Patch(t.Context(), report, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// targetKey names the link's target, which is a Service with several addresses of its own, to the limits.
func (s *shop) targetKey() string { return "payments." + s.namespace + ".svc:80" }

// waitForCanary waits for a canary pod and checks that it is what was asked for.
func (s *shop) waitForCanary(t *testing.T) *corev1.Pod {
	t.Helper()
	var found corev1.Pod
	eventually(t, func(ctx context.Context) string {
		var list corev1.PodList
		if err := s.c.admin.List(ctx, &list, client.InNamespace(s.namespace),
			client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleCanary}); err != nil {
			return err.Error()
		}
		if len(list.Items) != 1 {
			return fmt.Sprintf("there are %d canary pods; %s", len(list.Items), s.describe(t))
		}
		found = list.Items[0]
		return ""
	})
	if len(found.Spec.SecurityContext.Sysctls) != 2 || found.Annotations[v1alpha1.AnnotationTuning] != "" {
		t.Errorf("the canary has the sysctls %v and the annotations %v", found.Spec.SecurityContext.Sysctls, found.Annotations)
	}
	if got, want := found.Labels[v1alpha1.LabelTarget], probepod.TargetHash(s.targetKey()); got != want {
		t.Errorf("the canary's target is %s to the limits, want %s as that of probes", got, want)
	}
	return &found
}

// finishCanary plays a probe that read in its pod what the pod asks for.
func (s *shop) finishCanary(t *testing.T, canary *corev1.Pod) {
	t.Helper()
	sysctls := map[string]string{}
	for _, sysctl := range canary.Spec.SecurityContext.Sysctls {
		sysctls[sysctl.Name] = sysctl.Value
	}
	message, err := result.EncodeMessage(result.Result{Version: result.Version, Host: result.Host{Kernel: "6.18.0", Sysctls: sysctls}}, 4096)
	if err != nil {
		t.Fatal(err)
	}
	canary.Status.Phase = corev1.PodSucceeded
	canary.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "probe", Image: "probe:test", ImageID: "probe",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", Message: string(message)}},
	}}
	s.c.updateStatus(t, canary)
}

func (s *shop) tuning(t *testing.T) *v1alpha1.ConnectionTuning {
	t.Helper()
	var found v1alpha1.ConnectionTuning
	s.c.get(t, types.NamespacedName{Namespace: s.namespace, Name: s.tuningName}, &found)
	return &found
}

// waitForReason waits until a condition of the tuning has a reason.
func (s *shop) waitForReason(t *testing.T, conditionType, reason string) *v1alpha1.ConnectionTuning {
	t.Helper()
	var found v1alpha1.ConnectionTuning
	eventually(t, func(ctx context.Context) string {
		if err := s.c.admin.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: s.tuningName}, &found); err != nil {
			return err.Error()
		}
		if got := condition(&found, conditionType); got.Reason != reason {
			return fmt.Sprintf("condition %s is %s, want %s; %s", conditionType, got.Reason, reason, s.describe(t))
		}
		return ""
	})
	return &found
}

func (s *shop) waitForNoTuning(t *testing.T) {
	t.Helper()
	eventually(t, func(ctx context.Context) string {
		var found v1alpha1.ConnectionTuning
		err := s.c.admin.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: s.tuningName}, &found)
		if apierrors.IsNotFound(err) {
			return ""
		}
		return "the tuning is still there: " + s.describe(t)
	})
}

// describe says how the tuning stands, for the messages of failed tests.
func (s *shop) describe(t *testing.T) string {
	t.Helper()
	var found v1alpha1.ConnectionTuning
	err := s.c.admin.Get(t.Context(), types.NamespacedName{Namespace: s.namespace, Name: s.tuningName}, &found)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, c := range found.Status.Conditions {
		lines = append(lines, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(lines, "\n")
}

// eventually waits until the check returns no complaint.
func eventually(t *testing.T, check func(context.Context) string) {
	t.Helper()
	var complaint string
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true,
		func(ctx context.Context) (bool, error) {
			complaint = check(ctx)
			return complaint == "", nil
		})
	if err != nil {
		t.Fatalf("after %s: %s", patience, complaint)
	}
}
