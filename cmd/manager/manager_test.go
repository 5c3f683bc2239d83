package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/test/apiserver"
)

const patience = 60 * time.Second

// The manager's program on a real API server, with the operator's manifests and rights: what it tells Prometheus, and whom.
func TestMetricsOfTheManager(t *testing.T) {
	config := apiserver.Start(t)
	address := freeAddress(t)
	admin := startManager(t, config, address)

	policy := &v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}}
	policy.Spec.To = []v1alpha1.Link{{Name: "l", Protocol: v1alpha1.ProtocolTCP, Service: &v1alpha1.ServiceReference{Name: "absent"}}}
	if err := admin.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	const absent = `connpolicy_policy_condition{namespace="default",policy="p",reason="ServiceNotFound",status="False",type="Probed"} 1`
	reader := token(t, admin, "prometheus", true)
	for _, want := range []string{
		absent,
		`connpolicy_policies{mode="Observe"} 1`,
		`connpolicy_policy_probe_interval_seconds{namespace="default",policy="p"} 600`,
		`connpolicy_probe_pods_total{outcome="failed"} 0`,
		`controller_runtime_reconcile_total{controller="policy",result="success"} `,
		`controller_runtime_reconcile_total{controller="openreports",result="success"} `,
		`controller_runtime_reconcile_time_seconds_bucket{controller="policy",le="60"} `,
		`workqueue_depth{controller="policy",name="policy",priority=`, // which depends on whether the policy was there before
	} {
		eventually(t, func() string {
			if status, text := scrape(t, address, reader); status != http.StatusOK || !strings.Contains(text, "\n"+want) {
				return fmt.Sprintf("status %d, without %s:\n%s", status, want, ofOperator(text))
			}
			return ""
		})
	}
	for name, bearer := range map[string]string{"nobody": "", "somebody without the right": token(t, admin, "tenant", false)} {
		if status, text := scrape(t, address, bearer); status != http.StatusUnauthorized && status != http.StatusForbidden || strings.Contains(text, "connpolicy_") {
			t.Errorf("%s got status %d", name, status)
		}
	}

	if err := admin.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if _, text := scrape(t, address, reader); strings.Contains(text, `policy="p"`) {
			return "a policy that is gone is told of:\n" + ofOperator(text)
		}
		return ""
	})
}

// asManager is the variable that makes the test's program the manager itself, so that each test has a process of its own:
// the metrics of controller-runtime are of a process.
const asManager = "CONNPOLICY_TEST_MANAGER"

func TestMain(m *testing.M) {
	if os.Getenv(asManager) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// startManager installs the operator and runs its manager, as its ServiceAccount, until the test ends. The client is an
// administrator's.
func startManager(t *testing.T, config *rest.Config, address string) client.Client {
	t.Helper()
	admin := apiserver.NewClient(t, config, apiserver.NewScheme(t))
	apiserver.Install(t.Context(), t, admin, "../../dist/install.yaml")

	manager := exec.Command(os.Args[0], "--open-reports", "--metrics-bind-address="+address, "--health-probe-bind-address=0")
	manager.Env = append(os.Environ(), asManager+"=yes", "KUBECONFIG="+kubeconfig(t, config))
	manager.Stderr = t.Output()
	if err := manager.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := manager.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := manager.Wait(); err != nil {
			t.Errorf("the manager stopped: %v", err)
		}
	})
	return admin
}

// kubeconfig writes how the operator's ServiceAccount comes to the API server.
func kubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	const name = "operator"
	made := clientcmdapi.NewConfig()
	made.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	made.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
		Impersonate: apiserver.Operator, ImpersonateGroups: []string{"system:authenticated"},
	}
	made.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	made.CurrentContext = name
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*made, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// token is that of a new ServiceAccount, which may read the metrics or may not.
func token(t *testing.T, admin client.Client, name string, mayRead bool) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	if err := admin.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if mayRead {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "connpolicy-metrics-reader"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: name}},
		}
		if err := admin.Create(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
	request := &authenticationv1.TokenRequest{}
	if err := admin.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// scrape reads the metrics as Prometheus does. Status 0: nobody answers yet.
func scrape(t *testing.T, address, bearer string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	// The manager signs its certificate itself.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() {
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// ofOperator are the lines of an exposition that tell of connpolicy.
func ofOperator(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "connpolicy_") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
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
