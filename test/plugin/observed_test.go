package plugin

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/internal/observer"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// insideVariable tells the test that it runs in a network namespace of its own.
	insideVariable = "CONNPOLICY_TEST_INSIDE"
	// podAddress is what the API server reaches the pod's observer at, serviceAddress what the workload connects to.
	podAddress, serviceAddress = "198.18.0.5", "198.18.0.6"
	// seenSeconds bounds how long it may take until the observer has seen a connection.
	seenSeconds = 60
)

// TestObserved asks a real observer through a real kube-apiserver. The observer stands in the network namespace that all
// of it runs in, as it would in a pod's: there is no kubelet to make a pod.
func TestObserved(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		nstest.RequireRoot(t)
		command := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestObserved$", "-test.v")
		command.Env = append(os.Environ(), insideVariable+"=1")
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for _, line := range []string{
		"link set lo up", "addr add " + podAddress + "/32 dev lo", "addr add " + serviceAddress + "/32 dev lo",
		// The API server wants an interface that a default route leads to.
		"link add v0 type veth peer name v1", "addr add 198.18.1.1/24 dev v0", "link set v0 up", "link set v1 up", "route add default via 198.18.1.2 dev v0",
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	p := newPerson(t)
	p.createObserved(t)
	p.runProbes(t)

	var stdout, stderr string
	err := wait.PollUntilContextTimeout(t.Context(), time.Second, seenSeconds*time.Second, true, func(context.Context) (bool, error) {
		_, stdout, stderr = p.kubectl(t, "", "connpolicy", "discover", "deploy/checkout")
		return rateKnown(stdout), nil
	})
	if err != nil {
		t.Fatalf("after %d s the observer has not told of the Service:\n%s%s", seenSeconds, stdout, stderr)
	}
	for _, want := range []string{
		"as seen in 1 pod", "protocol: HTTP\n    service:\n      name: payments\n",
		"none: loopback",       // the API server's own connections to etcd
		"none: the pod itself", // its connection to the observer
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	t.Logf("discover says\n%s", stdout)
	p.expect(t, "discover deploy/checkout --observer-port 1", 3, "The observer in pod checkout-a did not answer")
}

// rateKnown says whether the table tells how often connections to the Service are opened.
func rateKnown(table string) bool {
	_, row, found := strings.Cut(table, "Service shop/payments:80")
	fields := strings.Fields(row)
	return found && len(fields) > 0 && fields[0] != "unknown"
}

// createObserved makes a workload with one pod, whose observer runs, and the Service that it connects to.
func (p *person) createObserved(t *testing.T) {
	t.Helper()
	labels := map[string]string{"app": "checkout"}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "c"}}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout-a", Labels: labels}, Spec: spec}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "payments"},
			Spec: corev1.ServiceSpec{ExternalIPs: []string{serviceAddress}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}},
		pod,
	} {
		if err := p.admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{observer.Container("probe", result.DefaultObserverPort)}
	if err := p.admin.SubResource("ephemeralcontainers").Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: podAddress, PodIPs: []corev1.PodIP{{IP: podAddress}},
		EphemeralContainerStatuses: []corev1.ContainerStatus{{Name: observer.Name, Image: "probe", ImageID: "probe",
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}}}
	if err := p.admin.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

// runProbes starts what would run in the pods: the observer, a client and a server.
func (p *person) runProbes(t *testing.T) {
	t.Helper()
	program := filepath.Join(p.folder, "probe")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/probe").CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	for _, line := range []string{
		"serve --listen " + serviceAddress + ":80",
		"load --target http://" + serviceAddress + ":80/ --rate 20 --metrics-listen " + podAddress + ":9090",
		"observe --window-seconds 2",
	} {
		command := exec.CommandContext(t.Context(), program, strings.Fields(line)...)
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = command.Wait() })
	}
}
