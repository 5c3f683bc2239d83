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
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// TestAPI runs the controller as the operator's own user against a real API server with dist/install-apply.yaml, whose
// admission policy puts the values into pods. The test plays the workload's controllers and the kubelet.
func TestAPI(t *testing.T) {
	c := startCluster(t)
	t.Run("a Deployment and back", c.testDeployment)
	t.Run("the kubelet refuses a pod", c.testKubeletRefusal)
	t.Run("the kubelet refuses a pod that is gone", c.testGoneRefusal)
	t.Run("Pod Security refuses the canary", c.testPodSecurity)
	t.Run("recommend and approve", c.testApproval)
	t.Run("a StatefulSet without disruption", c.testStatefulSet)
	t.Run("the namespace goes", c.testNamespaceGoes)
	t.Run("nothing to apply with", c.testNotEnabled)
	t.Run("the layer that applies is taken away", c.testLayerGoes)
}

func (c *cluster) testDeployment(t *testing.T) {
	s := c.newShop(t, "deployment", nil)
	stop := c.startManager(t, true)
	s.createPolicy(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	s.report(t, "")
	canary := s.waitForCanary(t)
	stop()

	// The operator is away while the canary ends, and comes back.
	s.finishCanary(t, canary)
	stop = c.startManager(t, true)
	defer stop()
	tuning := s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
	s.rollOut(t)
	for _, pod := range s.pods(t) {
		if pod.Annotations[v1alpha1.AnnotationTuning] == "" || len(pod.Spec.SecurityContext.Sysctls) == 0 {
			t.Fatalf("pod %s came without the values although they were replaced after the API server knew them", pod.Name)
		}
	}
	s.report(t, tuning.Name+"."+s.tuning(t).Spec.Revision)
	s.waitForReason(t, v1alpha1.ConditionVerified, v1alpha1.ReasonNotCompared)
	tuning = s.tuning(t)
	if !meta.IsStatusConditionTrue(tuning.Status.Conditions, v1alpha1.ConditionReady) || tuning.Status.Rollout.Restarts != 1 {
		t.Errorf("status is %+v", tuning.Status)
	}
	s.wantTemplateUntouched(t)
	c.waitForEvents(t, s.namespace, "Applying", "NotCompared")

	s.editPolicy(t, func(policy *v1alpha1.ConnectionPolicy) { policy.Spec.Tuning.Mode = v1alpha1.ModeObserve })
	s.rollOut(t)
	for _, pod := range s.pods(t) {
		if stamp := pod.Annotations[v1alpha1.AnnotationTuning]; stamp != "" {
			t.Errorf("pod %s came with the stamp %s after the tuning was deleted", pod.Name, stamp)
		}
	}
	s.waitForNoTuning(t)
}

func (c *cluster) testKubeletRefusal(t *testing.T) {
	s := c.newShop(t, "refused", nil)
	defer c.startManager(t, true)()
	s.createPolicy(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	s.report(t, "")
	s.finishCanary(t, s.waitForCanary(t))
	s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
	s.rollOut(t)
	revision := s.tuning(t).Spec.Revision

	pod := s.pods(t)[0]
	pod.Status.Phase = corev1.PodFailed
	pod.Status.Reason = "SysctlForbidden"
	pod.Status.Message = `Pod was rejected: forbidden sysctl: "net.ipv4.ip_local_port_range" not allowlisted`
	c.updateStatus(t, &pod)
	s.waitForReason(t, v1alpha1.ConditionReady, v1alpha1.ReasonForbidden)
	if tuning := s.tuning(t); tuning.Spec.Knobs != nil || len(tuning.Status.Rejected) != 1 || tuning.Status.Rejected[0].Revision != revision {
		t.Fatalf("the refused revision is not taken back: %+v", tuning)
	}
	s.rollOut(t)
	s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonForbidden)
	if tuning := s.tuning(t); tuning.Spec.Knobs != nil || len(tuning.Finalizers) != 0 {
		t.Errorf("the undo does not end, or the revision is tried again: %+v", tuning)
	}
	c.waitForEvents(t, s.namespace, "Forbidden")
}

// testGoneRefusal: of a refused pod of a StatefulSet nothing but the kubelet's event is left.
func (c *cluster) testGoneRefusal(t *testing.T) {
	s := c.newStatefulShop(t, "refused-gone")
	defer c.startManager(t, true)()
	s.createPolicy(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	s.report(t, "")
	s.finishCanary(t, s.waitForCanary(t))
	s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
	// A pod of somebody else has such a name. The next decision knows of its event.
	other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: workloadName + "-7"}, Spec: template().Spec}
	if err := c.admin.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	s.refuse(t, other.Name, other.UID)
	s.editPolicy(t, func(policy *v1alpha1.ConnectionPolicy) { policy.Spec.Tuning.Disruption = v1alpha1.DisruptionNone })
	eventually(t, func(context.Context) string {
		if got := s.tuning(t).Spec.Disruption; got != v1alpha1.DisruptionNone {
			return fmt.Sprintf("the tuning still says %s: %s", got, s.describe(t))
		}
		return ""
	})
	if tuning := s.tuning(t); tuning.Spec.Knobs == nil || len(tuning.Status.Rejected) != 0 {
		t.Errorf("values are taken back for the pod of somebody else: %+v", tuning)
	}

	refused := s.pods(t)[0]
	s.refuse(t, refused.Name, refused.UID)
	if err := c.admin.Delete(t.Context(), &refused, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	tuning := s.waitForReason(t, v1alpha1.ConditionReady, v1alpha1.ReasonForbidden)
	if tuning.Spec.Knobs != nil || len(tuning.Status.Rejected) != 1 {
		t.Errorf("the refused revision is not taken back: %+v", tuning)
	}
}

// refuse plays a kubelet that refuses a pod. It writes events of the core group.
func (s *shop) refuse(t *testing.T, pod string, uid types.UID) {
	t.Helper()
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: s.namespace, Name: pod + ".refused"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: s.namespace, Name: pod, UID: uid},
		Type:           corev1.EventTypeWarning,
		Reason:         "SysctlForbidden",
		Message:        `forbidden sysctl: "net.ipv4.ip_local_port_range" not allowlisted`,
	}
	if err := s.c.admin.Create(t.Context(), event); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) testPodSecurity(t *testing.T) {
	// The baseline of 1.24 does not know that ip_local_reserved_ports is safe.
	s := c.newShop(t, "old-baseline", map[string]string{
		"pod-security.kubernetes.io/enforce":         "baseline",
		"pod-security.kubernetes.io/enforce-version": "v1.24",
	})
	defer c.startManager(t, true)()
	s.createPolicy(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	s.report(t, "")
	tuning := s.waitForReason(t, v1alpha1.ConditionReady, v1alpha1.ReasonForbidden)
	if tuning.Spec.Knobs != nil || len(tuning.Status.Rejected) != 1 {
		t.Errorf("values that Pod Security refuses are in force, or not noted: %+v", tuning)
	}
	if message := condition(tuning, v1alpha1.ConditionReady).Message; !strings.Contains(message, "ip_local_reserved_ports") {
		t.Errorf("message does not name the sysctl: %s", message)
	}
}

func (c *cluster) testApproval(t *testing.T) {
	s := c.newShop(t, "approval", nil)
	defer c.startManager(t, true)()
	s.createPolicy(t, v1alpha1.ModeRecommend, v1alpha1.DisruptionNone)
	s.report(t, "")
	tuning := s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonAwaitingApproval)
	if tuning.Spec.Knobs != nil || tuning.Status.Proposed == nil || len(tuning.Status.Recommendations) != 1 {
		t.Fatalf("a proposal is not what it should be: %+v", tuning)
	}
	s.editPolicy(t, func(policy *v1alpha1.ConnectionPolicy) {
		policy.Spec.Tuning.Approve = []string{tuning.Status.Hash}
	})
	s.finishCanary(t, s.waitForCanary(t))
	tuning = s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
	if tuning.Spec.Knobs == nil || tuning.Spec.Disruption != v1alpha1.DisruptionNone {
		t.Errorf("spec is %+v", tuning.Spec)
	}
	s.wantTemplateUntouched(t)
	s.editPolicy(t, func(policy *v1alpha1.ConnectionPolicy) { policy.Spec.Tuning.Approve = nil })
	tuning = s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonAwaitingApproval)
	if tuning.Spec.Knobs != nil {
		t.Error("the values stay in force after their approval was withdrawn")
	}
}

func (c *cluster) testStatefulSet(t *testing.T) {
	s := c.newStatefulShop(t, "stateful")
	defer c.startManager(t, true)()
	s.createPolicy(t, v1alpha1.ModeApply, v1alpha1.DisruptionNone)
	s.report(t, "")
	s.finishCanary(t, s.waitForCanary(t))
	tuning := s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
	stamp := tuning.Name + "." + tuning.Spec.Revision
	eventually(t, func(context.Context) string {
		s.replacePods(t)
		if got := s.pods(t)[0].Annotations[v1alpha1.AnnotationTuning]; got != stamp {
			return fmt.Sprintf("stamp is %q, want %q", got, stamp)
		}
		return ""
	})
	s.report(t, stamp)
	s.waitForReason(t, v1alpha1.ConditionVerified, v1alpha1.ReasonNotCompared)
	s.wantTemplateUntouched(t)
	if err := c.admin.Delete(t.Context(), s.policy(t)); err != nil {
		t.Fatal(err)
	}
	s.waitForNoTuning(t)
}

func (c *cluster) testNamespaceGoes(t *testing.T) {
	s := c.newShop(t, "going", nil)
	defer c.startManager(t, true)()
	s.createPolicy(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	s.report(t, "")
	s.finishCanary(t, s.waitForCanary(t))
	s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
	s.rollOut(t)
	if err := c.admin.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}); err != nil {
		t.Fatal(err)
	}
	if err := c.admin.Delete(t.Context(), s.tuning(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		var tuning v1alpha1.ConnectionTuning
		err := c.admin.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: s.tuningName}, &tuning)
		if apierrors.IsNotFound(err) || err == nil && tuning.DeletionTimestamp.IsZero() {
			return ""
		}
		return fmt.Sprintf("the tuning holds its namespace up: %v %v", err, tuning.Finalizers)
	})
}

func (c *cluster) testNotEnabled(t *testing.T) {
	s := c.newShop(t, "not-enabled", nil)
	defer c.startManager(t, false)()
	s.createPolicy(t, v1alpha1.ModeApply, v1alpha1.DisruptionRestart)
	s.report(t, "")
	tuning := s.waitForReason(t, v1alpha1.ConditionReady, v1alpha1.ReasonNotEnabled)
	if tuning.Spec.Knobs != nil || tuning.Status.Proposed == nil {
		t.Errorf("an operator that may not apply applies, or does not recommend: %+v", tuning)
	}
	time.Sleep(time.Second)
	var canaries corev1.PodList
	if err := c.admin.List(t.Context(), &canaries, client.InNamespace(s.namespace), client.HasLabels{v1alpha1.LabelRole}); err != nil {
		t.Fatal(err)
	}
	if len(canaries.Items) != 0 {
		t.Errorf("an operator that may not apply made %d canaries", len(canaries.Items))
	}
}

// testLayerGoes takes rights away from all that comes after it: without them the operator takes its values back.
func (c *cluster) testLayerGoes(t *testing.T) {
	s := c.newStatefulShop(t, "layer-goes")
	stop := c.startManager(t, true)
	s.createPolicy(t, v1alpha1.ModeApply, v1alpha1.DisruptionNone)
	s.report(t, "")
	s.finishCanary(t, s.waitForCanary(t))
	s.waitForReason(t, v1alpha1.ConditionProgressing, v1alpha1.ReasonApplying)
	stop()

	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "connpolicy-apply"}}
	if err := c.admin.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		if err := c.asOperator.List(ctx, &eventsv1.EventList{}); !apierrors.IsForbidden(err) {
			return fmt.Sprintf("the operator may still list events: %v", err)
		}
		return ""
	})
	defer c.startManager(t, false)()
	tuning := s.waitForReason(t, v1alpha1.ConditionReady, v1alpha1.ReasonNotEnabled)
	if tuning.Spec.Knobs != nil {
		t.Errorf("the values stay in force: %+v", tuning.Spec)
	}
}

func condition(tuning *v1alpha1.ConnectionTuning, of string) metav1.Condition {
	if found := meta.FindStatusCondition(tuning.Status.Conditions, of); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// wantTemplateUntouched: the operator changes nothing of a pod template but its own annotation.
func (s *shop) wantTemplateUntouched(t *testing.T) {
	t.Helper()
	template := s.template(t)
	delete(template.Annotations, v1alpha1.AnnotationRestartedAt)
	if len(template.Annotations) != 0 || template.Spec.SecurityContext != nil && len(template.Spec.SecurityContext.Sysctls) != 0 {
		t.Errorf("the pod template was changed: %+v", template)
	}
}

// template is the workload's pod template.
func (s *shop) template(t *testing.T) corev1.PodTemplateSpec {
	t.Helper()
	key := types.NamespacedName{Namespace: s.namespace, Name: workloadName}
	if s.kind == "StatefulSet" {
		var set appsv1.StatefulSet
		s.c.get(t, key, &set)
		return set.Spec.Template
	}
	var deployment appsv1.Deployment
	s.c.get(t, key, &deployment)
	return deployment.Spec.Template
}
