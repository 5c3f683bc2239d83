//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const (
	probeImage   = "ghcr.io/connpolicy/probe:v0.1.0"
	pollInterval = 500 * time.Millisecond
	// appLabel tells the pods of the workloads apart.
	appLabel = "app.kubernetes.io/name"
)

// place is the namespace of one case.
type place struct {
	*testing.T
	namespace string
}

// newPlace makes a namespace that is deleted when the case ends. Pods in it must be restricted unless labels say
// otherwise.
func newPlace(t *testing.T, labels map[string]string) place {
	t.Helper()
	all := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	maps.Copy(all, labels)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: all}}
	if err := session.Client.Create(t.Context(), namespace); err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	t.Cleanup(func() {
		err := session.Client.Delete(context.WithoutCancel(t.Context()), namespace)
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete the namespace: %v", err)
		}
	})
	return place{T: t, namespace: namespace.Name}
}

// create makes objects in the namespace.
func (p place) create(objects ...client.Object) {
	p.Helper()
	for _, object := range objects {
		object.SetNamespace(p.namespace)
		if err := session.Client.Create(p.Context(), object); err != nil {
			p.Fatalf("create %s: %v", object.GetName(), err)
		}
	}
}

// change alters an object of the namespace, whose other writers are left alone.
func change[T client.Object](p place, object T, alter func(T)) {
	p.Helper()
	before := object.DeepCopyObject().(client.Object)
	alter(object)
	if err := session.Client.Patch(p.Context(), object, client.MergeFrom(before)); err != nil {
		p.Fatalf("change %s: %v", object.GetName(), err)
	}
}

// get reads an object of the namespace.
func (p place) get(ctx context.Context, name string, object client.Object) error {
	return session.Client.Get(ctx, client.ObjectKey{Namespace: p.namespace, Name: name}, object)
}

// pods lists the pods of the namespace that bear the labels.
func (p place) pods(ctx context.Context, labels client.MatchingLabels) ([]corev1.Pod, error) {
	list := &corev1.PodList{}
	if err := session.Client.List(ctx, list, client.InNamespace(p.namespace), labels); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return list.Items, nil
}

// await asks again and again until there is no error, and fails with the last one when the time is over.
func (p place) await(timeout time.Duration, what string, ask func(context.Context) error) {
	p.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := ask(p.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("waited %s until %s: %v", timeout, what, err)
		}
		time.Sleep(pollInterval)
	}
}

// awaitCondition waits for a condition of a policy and returns the policy.
func (p place) awaitCondition(timeout time.Duration, policy, conditionType string, status metav1.ConditionStatus, reason string) *v1alpha1.ConnectionPolicy {
	p.Helper()
	found := &v1alpha1.ConnectionPolicy{}
	p.await(timeout, fmt.Sprintf("%s is %s because of %s", conditionType, status, reason), func(ctx context.Context) error {
		if err := p.get(ctx, policy, found); err != nil {
			return err
		}
		condition := meta.FindStatusCondition(found.Status.Conditions, conditionType)
		if condition == nil || condition.Status != status || condition.Reason != reason {
			return fmt.Errorf("the conditions are %s", describe(found.Status.Conditions))
		}
		return nil
	})
	return found
}

func describe(conditions []metav1.Condition) string {
	text := ""
	for _, c := range conditions {
		text += fmt.Sprintf("[%s=%s %s: %s]", c.Type, c.Status, c.Reason, c.Message)
	}
	return text
}

// server is a workload that answers HTTP on port 8080.
func server(replicas int32) *appsv1.Deployment {
	return deployment("server", replicas, []string{"serve", "--listen=:8080"}, corev1.ContainerPort{Name: "http", ContainerPort: 8080})
}

// serverService is the Service before server.
func serverService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "server"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{appLabel: "server"},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
}

// caller is a workload that opens so many connections a second, each for one request, to serverService.
func caller(namespace string, connectionsPerSecond int) *appsv1.Deployment {
	return deployment("client", 1, []string{
		"load", fmt.Sprintf("--target=http://server.%s.svc:80/", namespace), fmt.Sprintf("--rate=%d", connectionsPerSecond), "--metrics-listen=:9090",
	}, corev1.ContainerPort{Name: "metrics", ContainerPort: 9090})
}

func deployment(name string, replicas int32, args []string, port corev1.ContainerPort) *appsv1.Deployment {
	labels := map[string]string{appLabel: name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					AutomountServiceAccountToken:  new(false),
					TerminationGracePeriodSeconds: new(int64(1)),
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot:   new(true),
						RunAsUser:      new(int64(65532)),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{
						Name:            name,
						Image:           probeImage,
						ImagePullPolicy: corev1.PullIfNotPresent,
						Args:            args,
						Ports:           []corev1.ContainerPort{port},
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: new(false),
							Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
					}},
				},
			},
		},
	}
}

// policyName is the name of the policy in each case.
const policyName = "client-to-server"

// policy is a policy from the caller to the server that probes once, looks at no silence and changes nothing; cases alter
// it as they need.
func policy() *v1alpha1.ConnectionPolicy {
	return &v1alpha1.ConnectionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: policyName},
		Spec: v1alpha1.ConnectionPolicySpec{
			From: &v1alpha1.WorkloadReference{Kind: "Deployment", Name: "client"},
			To: []v1alpha1.Link{{
				Name:     "server",
				Service:  &v1alpha1.ServiceReference{Name: "server", Port: "http"},
				Protocol: v1alpha1.ProtocolHTTP,
			}},
			Probe: v1alpha1.ProbeSpec{
				IntervalSeconds: 3600,
				Limits:          v1alpha1.ProbeLimits{Connections: 50, RequestsPerSecond: 50, Seconds: 10, IdleSeconds: new(int32(0))},
			},
		},
	}
}

// slowProbe makes a run take about 20 seconds, so that there is a middle of it.
func slowProbe(policy *v1alpha1.ConnectionPolicy) *v1alpha1.ConnectionPolicy {
	policy.Spec.Probe.Limits = v1alpha1.ProbeLimits{Connections: 200, RequestsPerSecond: 2, Seconds: 20, IdleSeconds: new(int32(0))}
	return policy
}
