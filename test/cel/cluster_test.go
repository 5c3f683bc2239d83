// Package cel tests, on a real kube-apiserver, what the shipped manifests make it admit, default, mutate and refuse.
package cel

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/test/apiserver"
)

const (
	installApply = "../../dist/install-apply.yaml"
	installPlain = "../../dist/install.yaml"
	operator     = apiserver.Operator

	// activeSeconds bounds how long the API server may take to follow a change of an admission policy or its parameters.
	activeSeconds = 30
)

// cluster is an API server with dist/install-apply.yaml applied.
type cluster struct {
	config *rest.Config
	scheme *runtime.Scheme
	admin  client.Client
}

func TestAPI(t *testing.T) {
	c := startCluster(t)
	t.Run("samples", c.testSamples)
	t.Run("invalid", c.testInvalid)
	t.Run("defaults", c.testDefaults)
	t.Run("columns", c.testColumns)
	t.Run("immutable", c.testImmutable)
	t.Run("author", c.testAuthor)
	t.Run("operator only", c.testOperatorOnly)
	t.Run("probe pods", c.testProbePods)
	t.Run("observers", c.testObservers)
	t.Run("user roles", c.testUserRoles)
	t.Run("tuning", c.testTuning)
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{config: apiserver.Start(t), scheme: apiserver.NewScheme(t)}
	c.admin = c.as(t, "")
	apiserver.Install(t.Context(), t, c.admin, installApply)
	c.waitForAdmission(t)
	c.waitForOperator(t)
	return c
}

// as returns a client of a user, with strict checks of field names as kubectl has them. The empty name is the
// administrator.
func (c *cluster) as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	config := c.config
	if user != "" {
		config = apiserver.As(config, user, groups...)
	}
	return client.WithFieldValidation(apiserver.NewClient(t, config, c.scheme), metav1.FieldValidationStrict)
}

// waitForAdmission waits until each of the ValidatingAdmissionPolicies refuses what it is there to refuse.
func (c *cluster) waitForAdmission(t *testing.T) {
	t.Helper()
	probe := newPod("default", "sentinel")
	probe.Labels = map[string]string{v1alpha1.LabelProbe: "x"}
	c.grant(t, "default", "sentinel", rule("connpolicy.dev", "connectionpolicies", "create"))
	for object, refused := range map[client.Object]struct {
		by   client.Client
		with string
	}{
		probe:                            {c.admin, "only the operator may set it"},
		newReport("default", "sentinel"): {c.admin, "written by the operator alone"},
		newPolicy("default", "sentinel"): {c.as(t, "sentinel"), "may not create pods"},
	} {
		eventually(t, func(ctx context.Context) string {
			err := refused.by.Create(ctx, object.DeepCopyObject().(client.Object), client.DryRunAll)
			return mismatch(err, refused.with)
		})
	}
}

// waitForOperator waits until the operator has its rights.
func (c *cluster) waitForOperator(t *testing.T) {
	t.Helper()
	eventually(t, func(ctx context.Context) string {
		return mismatch(c.as(t, operator).Create(ctx, newReport("default", "sentinel"), client.DryRunAll), "")
	})
}

// eventually waits until the check returns no complaint.
func eventually(t *testing.T, check func(context.Context) string) {
	t.Helper()
	var complaint string
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, activeSeconds*time.Second, true,
		func(ctx context.Context) (bool, error) {
			if latest := check(ctx); ctx.Err() == nil || latest == "" {
				complaint = latest
			}
			return complaint == "", nil
		})
	if err != nil {
		t.Fatalf("after %d s: %s", activeSeconds, complaint)
	}
}

// mismatch says how an error differs from what is wanted: a part of its message, or none if that is empty.
func mismatch(err error, want string) string {
	switch {
	case err == nil && want == "":
		return ""
	case err == nil:
		return "was admitted; want a refusal with: " + want
	case want == "":
		return "was refused: " + err.Error()
	case !strings.Contains(err.Error(), want):
		return "was refused with: " + err.Error() + "; want: " + want
	}
	return ""
}

// expect fails the test if an error is not what is wanted.
func expect(t *testing.T, err error, want string) {
	t.Helper()
	if complaint := mismatch(err, want); complaint != "" {
		t.Error(complaint)
	}
}

func (c *cluster) namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	if err := c.admin.Create(t.Context(), newNamespace(name, labels)); err != nil {
		t.Fatal(err)
	}
}
