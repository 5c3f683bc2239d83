package policy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/controllers/metrics"
	"github.com/connpolicy/connpolicy/controllers/policy"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/userrules"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/test/apiserver"
)

const patience = 30 * time.Second

// cluster is an API server with the operator's manifests and without kubelets: the tests play them.
type cluster struct {
	config *rest.Config
	scheme *runtime.Scheme
	admin  client.Client
	// counts of the manager that was started last.
	counts *prometheus.Registry
	// conflicts makes each write of a policy's status fail, as if somebody had changed the policy meanwhile.
	conflicts atomic.Bool
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{config: apiserver.Start(t), scheme: apiserver.NewScheme(t)}
	c.admin = apiserver.NewClient(t, c.config, c.scheme)
	apiserver.Install(t.Context(), t, c.admin, "../../dist/install-apply.yaml")
	return c
}

// forgetful is a client whose status writes fail while told so: the operator dies before it has recorded what it did.
type forgetful struct {
	client.Client
	forgets, conflicts *atomic.Bool
}

func (f forgetful) Status() client.SubResourceWriter {
	return forgetfulStatus{f.Client.Status(), f.forgets, f.conflicts}
}

type forgetfulStatus struct {
	client.SubResourceWriter
	forgets, conflicts *atomic.Bool
}

var errForgot = errors.New("the operator died before it recorded what it did")

func (f forgetfulStatus) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	if f.forgets.Load() {
		return errForgot
	}
	if _, isPolicy := object.(*v1alpha1.ConnectionPolicy); isPolicy && f.conflicts.Load() {
		return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "connectionpolicies"}, object.GetName(),
			errors.New("the object has been modified"))
	}
	return f.SubResourceWriter.Patch(ctx, object, patch, options...)
}

// startManager runs the controller, with the rights of the operator and no others, until the function is called.
func (c *cluster) startManager(t *testing.T, forgets *atomic.Bool, observerPort int) (stop func()) {
	t.Helper()
	mgr := apiserver.NewManager(t, c.config, ctrl.Options{Scheme: c.scheme})
	auditRules, err := userrules.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	c.counts = prometheus.NewRegistry()
	outcomes, err := metrics.NewOutcomes(c.counts)
	if err != nil {
		t.Fatal(err)
	}
	reconciler := &policy.Reconciler{
		Client: forgetful{mgr.GetClient(), forgets, &c.conflicts}, Live: mgr.GetAPIReader(),
		Places:     &limits.Places{Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(), InCluster: 20, OnNode: 20, Now: time.Now},
		Events:     mgr.GetEventRecorder("connpolicy"),
		Outcomes:   outcomes,
		HTTP:       &http.Client{},
		Now:        time.Now,
		ProbeImage: "probe:test", ObserverPort: observerPort,
		AuditRules: auditRules,
	}
	if err := reconciler.SetupWithManager(t.Context(), mgr); err != nil {
		t.Fatal(err)
	}
	return apiserver.Run(t, mgr)
}

// shop is a namespace with a Service and a workload that no controller but the test looks after.
type shop struct {
	c         *cluster
	namespace string
}

func (c *cluster) newShop(t *testing.T, namespace string) shop {
	t.Helper()
	s := shop{c, namespace}
	s.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	// Probes that the test leaves behind would fail in another, and be counted there.
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := c.admin.DeleteAllOf(ctx, &v1alpha1.ConnectionPolicy{}, client.InNamespace(namespace)); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s shop) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := s.c.admin.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// addService creates a Service with a ready endpoint, or none.
func (s shop) addService(t *testing.T, name string, endpoints ...string) {
	t.Helper()
	s.create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	})
	s.addEndpoints(t, name, endpoints...)
}

func (s shop) addEndpoints(t *testing.T, service string, addresses ...string) {
	t.Helper()
	if len(addresses) == 0 {
		return
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: service + "-1",
			Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address},
			Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
	}
	s.create(t, slice)
}

// addWorkload creates a Deployment and one running pod of it on each node.
func (s shop) addWorkload(t *testing.T, hostNetwork bool, nodes ...string) {
	t.Helper()
	labels := map[string]string{"app": "client"}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "client"}}
	deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	deployment.Spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			HostNetwork: hostNetwork, Containers: []corev1.Container{{Name: "client", Image: "client:test"}},
			DNSConfig: &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("2")}}},
		},
	}
	s.create(t, deployment)
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "client-5f",
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))}}}
	set.Spec.Selector, set.Spec.Template = deployment.Spec.Selector, deployment.Spec.Template
	s.create(t, set)
	for i, node := range nodes {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: fmt.Sprintf("client-5f-%d", i),
			Labels:          map[string]string{"app": "client", "pod-template-hash": "5f"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		}, Spec: deployment.Spec.Template.Spec}
		pod.Spec.NodeName = node
		s.create(t, pod)
		pod.Status.Phase, pod.Status.PodIP = corev1.PodRunning, "127.0.0.1"
		pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		s.updateStatus(t, pod)
	}
}

func (s shop) updateStatus(t *testing.T, object client.Object) {
	t.Helper()
	if err := s.c.admin.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// addPolicy creates a policy with a link to each service.
func (s shop) addPolicy(t *testing.T, name string, change func(*v1alpha1.ConnectionPolicySpec), services ...string) {
	t.Helper()
	p := &v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	p.Spec.From = &v1alpha1.WorkloadReference{Kind: "Deployment", Name: "client"}
	p.Spec.Observe.Pods = new(int32(0))
	p.Spec.Probe.Limits.IdleSeconds = new(int32(0))
	for _, service := range services {
		p.Spec.To = append(p.Spec.To, v1alpha1.Link{Name: service, Protocol: v1alpha1.ProtocolHTTP,
			Service: &v1alpha1.ServiceReference{Name: service}})
	}
	if change != nil {
		change(&p.Spec)
	}
	s.create(t, p)
}

func (s shop) policy(t *testing.T, name string) *v1alpha1.ConnectionPolicy {
	t.Helper()
	var p v1alpha1.ConnectionPolicy
	if err := s.c.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: name}, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// probes are the operator's pods of a policy that exist.
func (s shop) probes(t *testing.T, policy string) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := s.c.admin.List(t.Context(), &list, client.InNamespace(s.namespace), client.MatchingLabels{v1alpha1.LabelProbe: policy}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// liveProbe waits for the only live probe pod of a policy.
func (s shop) liveProbe(t *testing.T, policy string) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	eventually(t, func() string {
		var live []corev1.Pod
		for _, pod := range s.probes(t, policy) {
			if pod.Status.Phase == corev1.PodPending || pod.Status.Phase == corev1.PodRunning {
				live = append(live, pod)
			}
		}
		if len(live) != 1 {
			return fmt.Sprintf("%d live probe pods; links %+v", len(live), s.policy(t, policy).Status.Links)
		}
		found = &live[0]
		return ""
	})
	return found
}

// finish plays a probe pod that measures and ends.
func (s shop) finish(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	s.finishAfter(t, pod, 0)
}

// finishAfter plays a probe pod that measures, and to which so many SYNs were lost, and ends.
func (s shop) finishAfter(t *testing.T, pod *corev1.Pod, lostSYNs int) {
	t.Helper()
	s.finishWith(t, pod, result.Measurements{Handshake: &result.Handshake{
		Meta:                result.Meta{Outcome: result.Measured, Samples: 67},
		ConnectMicroseconds: &result.Distribution{Min: 10, P50: 20, P90: 30, P99: 40, Max: 50},
		SynRetransmissions:  new(lostSYNs), SetupSharePercent: new(20.0),
	}})
}

// finishWith plays a probe pod that measures this and ends.
func (s shop) finishWith(t *testing.T, pod *corev1.Pod, measured result.Measurements) {
	t.Helper()
	message, err := result.EncodeMessage(result.Result{
		Version:      result.Version,
		Target:       result.Target{URL: "http://x/", Protocol: "HTTP", Address: "198.19.0.1:80"},
		Host:         result.Host{Kernel: "6.18", Sysctls: map[string]string{"net.ipv4.tcp_fin_timeout": "60"}},
		Spent:        result.Spent{Connections: 200, Requests: 541, BytesSent: 48690, BytesReceived: 64920},
		Statuses:     map[string]int{"200": 541},
		Measurements: measured,
	}, 4096)
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: probepod.ContainerName, Image: "probe:test", ImageID: "probe",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: string(message)}}}}
	s.updateStatus(t, pod)
}

// request asks for a probe run at once.
func (s shop) request(t *testing.T, policy, word string) {
	t.Helper()
	eventually(t, func() string {
		p := s.policy(t, policy)
		p.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: word}
		if err := s.c.admin.Update(t.Context(), p); err != nil {
			return err.Error()
		}
		return ""
	})
}

// waitForRequest waits until the run that a request asked for has ended.
func (s shop) waitForRequest(t *testing.T, policy, word string) {
	t.Helper()
	eventually(t, func() string {
		p := s.policy(t, policy)
		if run := p.Status.Links[0].Run; p.Status.LastHandledRequestedAt != word || run.Phase != v1alpha1.RunFinished {
			return fmt.Sprintf("handled %q, run %+v", p.Status.LastHandledRequestedAt, run)
		}
		return ""
	})
}

// events counts how often something was told in the namespace, by type and reason.
func (s shop) events(t *testing.T) map[string]int {
	t.Helper()
	var list eventsv1.EventList
	if err := s.c.admin.List(t.Context(), &list, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, event := range list.Items {
		times := 1
		if event.Series != nil {
			times = int(event.Series.Count)
		}
		counts[event.Type+" "+event.Reason] += times
	}
	return counts
}

// waitForEvents waits until these were told, so often, and nothing else.
func (s shop) waitForEvents(t *testing.T, want map[string]int) {
	t.Helper()
	eventually(t, func() string {
		if got := s.events(t); !maps.Equal(got, want) {
			return fmt.Sprintf("events %v, want %v", got, want)
		}
		return ""
	})
}

// waitFor waits until a condition of a policy has a status and a reason, with nothing against kstatus on the way.
func (s shop) waitFor(t *testing.T, policy, conditionType string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	eventually(t, func() string {
		p := s.policy(t, policy)
		if against := againstKstatus(p); against != "" {
			t.Errorf("policy %s: %s", policy, against)
		}
		condition := meta.FindStatusCondition(p.Status.Conditions, conditionType)
		if condition == nil || condition.Status != status || condition.Reason != reason {
			return fmt.Sprintf("policy %s: %s is %+v, want %s %s", policy, conditionType, condition, status, reason)
		}
		return ""
	})
}

// againstKstatus says what in a status would mislead those who wait for it.
func againstKstatus(p *v1alpha1.ConnectionPolicy) string {
	if len(p.Status.Conditions) == 0 {
		return ""
	}
	ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
	reconciling := meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReconciling)
	stalled := meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case ready == nil:
		return "there are conditions but no Ready"
	case p.Status.ObservedGeneration != p.Generation:
		return "" // being worked on, and it says so
	case reconciling && stalled:
		return "Reconciling and Stalled at once"
	case ready.Status == metav1.ConditionTrue && (reconciling || stalled):
		return "Ready while Reconciling or Stalled"
	case ready.ObservedGeneration != p.Generation:
		return "Ready is of another generation than the status"
	default:
		return ""
	}
}

func eventually(t *testing.T, wrong func() string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if last = wrong(); last == "" {
			return
		}
	}
	t.Fatal(last)
}

// always watches for a while that nothing goes wrong.
func always(t *testing.T, during time.Duration, wrong func() string) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if found := wrong(); found != "" {
			t.Fatal(found)
		}
	}
}
