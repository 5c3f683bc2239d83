// Package plugin tests `kubectl connpolicy` as people run it: the built program, started by kubectl, against a real
// kube-apiserver.
package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/internal/lint"
	"github.com/connpolicy/connpolicy/internal/manifest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/test/apiserver"
)

const (
	definitions = "../../config/crd/bases"
	saved       = "../../internal/report/testdata"
	invalid     = "../invalid"
)

// person is somebody with a kubeconfig and kubectl with the plugin.
type person struct {
	admin       client.Client
	environment []string
	folder      string
}

func TestPlugin(t *testing.T) {
	p := newPerson(t)
	t.Run("not installed", p.testNotInstalled)
	entries, err := os.ReadDir(definitions)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		apiserver.Install(t.Context(), t, p.admin, filepath.Join(definitions, entry.Name()))
	}
	p.create(t)
	t.Run("report", p.testReport)
	t.Run("status", p.testStatus)
	t.Run("forbidden", p.testForbidden)
	t.Run("completion", p.testCompletion)
	t.Run("discover", p.testDiscover)
	t.Run("lint", p.testLint)
}

func newPerson(t *testing.T) *person {
	t.Helper()
	config := apiserver.Start(t)
	p := &person{folder: t.TempDir()}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.admin, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(p.folder, "kubeconfig")
	writeKubeconfig(t, config, kubeconfig)
	program := filepath.Join(p.folder, "kubectl-connpolicy")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/kubectl-connpolicy").CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	if err := os.Symlink("kubectl-connpolicy", filepath.Join(p.folder, "kubectl_complete-connpolicy")); err != nil {
		t.Fatal(err)
	}
	p.environment = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+p.folder,
		"PATH="+strings.Join([]string{p.folder, os.Getenv("KUBEBUILDER_ASSETS"), os.Getenv("PATH")}, string(os.PathListSeparator)))
	return p
}

func writeKubeconfig(t *testing.T, config *rest.Config, path string) {
	t.Helper()
	file := clientcmdapi.NewConfig()
	file.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "admin", Namespace: "shop"}
	file.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs `kubectl` with arguments.
func (p *person) kubectl(t *testing.T, input string, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "kubectl", arguments...)
	// The program is found in this PATH, not in the test's own.
	command.Path = filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	command.Err = nil
	var out, errOut strings.Builder
	command.Env, command.Stdin, command.Stdout, command.Stderr = p.environment, strings.NewReader(input), &out, &errOut
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String(), errOut.String()
}

// expect runs `kubectl connpolicy` and wants an exit code and parts of the output.
func (p *person) expect(t *testing.T, line string, code int, parts ...string) string {
	t.Helper()
	got, stdout, stderr := p.kubectl(t, "", append([]string{"connpolicy"}, strings.Fields(line)...)...)
	if got != code {
		t.Errorf("%s: exit code %d, want %d", line, got, code)
	}
	for _, part := range parts {
		if !strings.Contains(stdout+stderr, part) {
			t.Errorf("%s: no %q in\n%s%s", line, part, stdout, stderr)
		}
	}
	return stdout
}

func (p *person) testNotInstalled(t *testing.T) {
	for _, line := range []string{"report", "report some", "status -A"} {
		p.expect(t, line, 3, "this cluster (context test) does not know connpolicy's kinds", "dist/install.yaml")
	}
	p.expect(t, "status --context other", 3, "context was not found for specified context: other")
	p.expect(t, "status -s https://127.0.0.1:1 --insecure-skip-tls-verify --certificate-authority=", 3, "cannot be reached", "read saved reports with -f")
}

// create puts the saved reports into the cluster, as the operator would.
func (p *person) create(t *testing.T) {
	t.Helper()
	for _, namespace := range []string{"shop", "web", "orders"} {
		if err := p.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(saved, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		objects, err := apiserver.ReadManifests(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			status := object.Object["status"]
			if err := p.admin.Create(t.Context(), object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			object.Object["status"] = status
			if err := p.admin.Status().Update(t.Context(), object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
	}
}

// testReport wants of the cluster what the files say.
func (p *person) testReport(t *testing.T) {
	live := p.expect(t, "report client-to-server", 0, "ERROR CP401: Local ports towards one destination are running short", "Tuning of Deployment client")
	fromFile := p.expect(t, "report client-to-server -f "+saved+"/exhausted.yaml", 0)
	if live != fromFile {
		t.Errorf("the cluster says\n%s\nand the file\n%s", live, fromFile)
	}
	p.expect(t, "report", 0, "shop/checkout-to-payments", "shop/client-to-server")
	p.expect(t, "report -A -o html", 0, "<!DOCTYPE html>", "orders/api-to-postgres", "web/edge-to-node")
	p.expect(t, "report client-to-serve", 3, "namespace shop has no ConnectionPolicy client-to-serve; did you mean client-to-server?")
	p.expect(t, "report -n default client-to-server", 3, "namespace default has no ConnectionPolicy client-to-server", "status -A")
	again := p.expect(t, "report -A -o yaml", 0)
	code, stdout, stderr := p.kubectl(t, again, "connpolicy", "report", "-f", "-")
	if all := p.expect(t, "report -A", 0); code != 0 || stdout != all {
		t.Errorf("what was saved says something else: %s\n%s", stderr, stdout)
	}
	if code, stdout, stderr = p.kubectl(t, again, "connpolicy", "lint", "-f", "-"); code != 0 {
		t.Errorf("what was saved has faults: %s%s", stdout, stderr)
	}
}

func (p *person) testStatus(t *testing.T) {
	lines := strings.Split(p.expect(t, "status -A", 0), "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[1], "shop       client-to-server") || !strings.Contains(lines[4], "checkout-to-payments") {
		t.Errorf("%s", strings.Join(lines, "\n"))
	}
	p.expect(t, "status", 0, "checkout-to-payments")
	p.expect(t, "status -n default", 0, "There is no ConnectionPolicy here")
}

func (p *person) testForbidden(t *testing.T) {
	p.expect(t, "report --as somebody", 3, `User "somebody" cannot list resource "connectionpolicies"`, "ClusterRole view")
	p.expect(t, "status --as somebody", 3, "is forbidden")
	p.expect(t, "discover deploy/checkout --as somebody", 3, `cannot get resource "deployments"`)
}

func (p *person) testCompletion(t *testing.T) {
	for words, want := range map[string]string{
		"report c":            "checkout-to-payments\nclient-to-server\n:4\n",
		"report -n ord":       "orders\n",
		"status --context t":  "test\n:4\n",
		"report -n orders a":  "api-to-postgres\n:4\n",
		"report --output htm": "html\n",
	} {
		_, stdout, stderr := p.kubectl(t, "", append([]string{"__complete", "connpolicy"}, strings.Fields(words)...)...)
		if !strings.Contains(stdout, want) {
			t.Errorf("%s: %q, want %q\n%s", words, stdout, want, stderr)
		}
	}
}

// testDiscover has no kubelet, and so no observer: what observers say comes out of a file, and their names from here.
func (p *person) testDiscover(t *testing.T) {
	ctx := t.Context()
	labels := map[string]string{"app": "checkout"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "c"}}}}
	for _, object := range []client.Object{
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"},
			Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "payments"},
			Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.77", Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}},
	} {
		if err := p.admin.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	p.expect(t, "discover deploy/chekout", 3, "namespace shop has no Deployment chekout")
	p.expect(t, "discover deploy/checkout", 3, "Deployment checkout has no running pod")

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout-a", Labels: labels}, Spec: template.Spec}
	if err := p.admin.Create(ctx, pod); err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodRunning
	if err := p.admin.Status().Update(ctx, pod); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "discover deploy/checkout", 3, "no observer tells what the pods of deploy/checkout connect to",
		"kubectl connpolicy discover -n shop deploy/checkout -f observation.json")
	p.testAdvice(t)

	policy := p.expect(t, "discover deploy/checkout -f "+p.observation(t), 0, "Service shop/payments:80", "192.0.2.7:443")
	p.applies(t, policy)

	p.grantDeployments(ctx, t)
	limited := p.expect(t, "discover deploy/checkout --as limited -f "+p.observation(t), 0, "Services could not be listed, so that addresses of theirs stay addresses: you may not", "host: 10.0.0.77")
	p.applies(t, limited)
}

// testAdvice does what the plugin says to do where no observer looks.
func (p *person) testAdvice(t *testing.T) {
	_, _, advice := p.kubectl(t, "", "connpolicy", "discover", "deploy/checkout")
	_, rest, found := strings.Cut(advice, "  kubectl -n shop debug ")
	line, _, _ := strings.Cut(rest, "\n")
	if !found {
		t.Fatalf("no advice in %s", advice)
	}
	if code, stdout, stderr := p.kubectl(t, "", append([]string{"-n", "shop", "debug"}, strings.Fields(line)...)...); code != 0 {
		t.Fatalf("kubectl debug: %s%s", stdout, stderr)
	}
	pod := &corev1.Pod{}
	if err := p.admin.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "checkout-a"}, pod); err != nil {
		t.Fatal(err)
	}
	if containers := pod.Spec.EphemeralContainers; len(containers) != 1 || containers[0].Name != "look" ||
		strings.Join(containers[0].Command, " ") != "/probe observe --seconds 120 -o json" {
		t.Errorf("ephemeral containers %+v", containers)
	}
}

// observation is the path of a file as `probe observe -o json` writes it.
func (p *person) observation(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(result.Observation{Version: result.Version, UptimeSeconds: 120, PortsAvailable: new(28232), Destinations: []result.Destination{
		{Address: "10.0.0.77:80", PortsInUse: 9000, PortsInUsePeak: 9100, TimeWait: 8900, OpensPerSecond: new(150.0)},
		{Address: "192.0.2.7:443", PortsInUse: 3, PortsInUsePeak: 3, OpensPerSecond: new(0.5)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.folder, "observation.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// grantDeployments lets a user called limited read Deployments, and nothing else.
func (p *person) grantDeployments(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, object := range []client.Object{
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "limited"},
			Rules: []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get"}}}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "limited"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "limited"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "limited"}}},
	} {
		if err := p.admin.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
}

// applies wants a policy admitted.
func (p *person) applies(t *testing.T, policy string) {
	t.Helper()
	if code, stdout, stderr := p.kubectl(t, policy, "apply", "--server-side", "--dry-run=server", "-f", "-"); code != 0 {
		t.Errorf("not admitted: %s%s\n%s", stdout, stderr, policy)
	}
}

// testLint wants the words of the API server for all that it refuses.
func (p *person) testLint(t *testing.T) {
	linter, err := lint.New()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(invalid, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	strict := client.WithFieldValidation(p.admin, metav1.FieldValidationStrict)
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		documents, faults := manifest.Read(path, file)
		file.Close()
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		object := documents[0].Object.DeepCopy()
		object.SetNamespace("shop")
		refused := strict.Create(t.Context(), object)
		if refused == nil {
			t.Errorf("%s is admitted", path)
			continue
		}
		messages := linter.Check(t.Context(), documents[0])
		if len(messages) == 0 {
			t.Errorf("%s: no fault, but the API server says: %v", path, refused)
		}
		// The API server ends at unknown fields.
		if strings.Contains(refused.Error(), "unknown field") {
			messages = messages[:1]
		}
		for _, message := range messages {
			if !strings.Contains(refused.Error(), message) {
				t.Errorf("%s: lint says\n%s\nthe API server\n%v", path, message, refused)
			}
		}
	}
}
