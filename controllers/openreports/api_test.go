package openreports_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	reportsapi "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/openreports"
	"github.com/connpolicy/connpolicy/test/apiserver"
)

const (
	patience = 60 * time.Second
	// definitionModule holds the real definition of the kind.
	definitionModule = "github.com/openreports/reports-api"
	definitionFile   = "config/crd/openreports.io_reports.yaml"
)

// cluster is an API server with the operator's manifests, and nothing that collects garbage.
type cluster struct {
	config            *rest.Config
	admin, asOperator client.Client
	definition        string
}

// The controller on a real API server, with the operator's rights and the real definition of the kind.
func TestOnAnAPIServer(t *testing.T) {
	c := startCluster(t)
	c.startManager(t)
	policy := c.addPolicy(t, "checkout")
	c.report(t, policy, "payments", v1alpha1.Verdict{Rule: "CP101", Title: "Set-up", Result: v1alpha1.VerdictPass})
	if _, err := c.find(t, "checkout"); !apimeta.IsNoMatchError(err) {
		t.Fatalf("a Report before its kind was there: %v", err)
	}

	apiserver.Install(t.Context(), t, c.admin, c.definition)
	c.waitForReport(t, "checkout", "payments CP101 pass, bank  error")
	report, err := c.find(t, "checkout")
	if err != nil {
		t.Fatal(err)
	}
	if !metav1.IsControlledBy(report, policy) {
		t.Errorf("it does not go with its policy: %+v", report.OwnerReferences)
	}
	c.waitUntilItRests(t, "checkout")

	c.report(t, policy, "bank", v1alpha1.Verdict{
		Rule: "CP401", Title: "Ports", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityError, Message: "full", Cure: "Reuse.",
		Evidence: map[string]string{"percent": "100"},
	}, v1alpha1.Verdict{Rule: "CP403", Title: "Listeners", Result: v1alpha1.VerdictUnknown})
	c.waitForReport(t, "checkout", "payments CP101 pass, bank CP401 fail, bank CP403 error")

	t.Run("a link that goes takes its results along", func(t *testing.T) {
		eventually(t, func(ctx context.Context) string {
			var changed v1alpha1.ConnectionPolicy
			if err := c.admin.Get(ctx, client.ObjectKeyFromObject(policy), &changed); err != nil {
				return err.Error()
			}
			changed.Spec.To = changed.Spec.To[1:]
			return complaint(c.admin.Update(ctx, &changed))
		})
		c.waitForReport(t, "checkout", "bank CP401 fail, bank CP403 error")
	})

	t.Run("a policy that comes later gets its own", func(t *testing.T) {
		c.addPolicy(t, "later")
		c.waitForReport(t, "later", "payments  error, bank  error")
	})

	t.Run("a policy that is made anew takes the Report over", func(t *testing.T) {
		if err := c.admin.Delete(t.Context(), policy); err != nil {
			t.Fatal(err)
		}
		anew := c.addPolicy(t, "checkout")
		c.waitForReport(t, "checkout", "payments  error, bank  error")
		report, err := c.find(t, "checkout")
		if err != nil {
			t.Fatal(err)
		}
		if len(report.OwnerReferences) != 1 || !metav1.IsControlledBy(report, anew) {
			t.Errorf("owners %+v, want the new policy alone", report.OwnerReferences)
		}
	})

	t.Run("the kind goes and comes again", func(t *testing.T) {
		definitions, err := apiserver.ReadManifests(c.definition)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.admin.Delete(t.Context(), definitions[0]); err != nil {
			t.Fatal(err)
		}
		eventually(t, func(ctx context.Context) string {
			err := c.admin.Get(ctx, client.ObjectKeyFromObject(definitions[0]), definitions[0].DeepCopy())
			if !apierrors.IsNotFound(err) {
				return fmt.Sprintf("the definition is still there: %v", err)
			}
			return ""
		})
		c.addPolicy(t, "meanwhile")
		apiserver.Install(t.Context(), t, c.admin, c.definition)
		for _, name := range []string{"checkout", "later", "meanwhile"} {
			c.waitForReport(t, name, "payments  error, bank  error")
		}
	})
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{config: apiserver.Start(t), definition: filepath.Join(moduleFolder(t, definitionModule), definitionFile)}
	c.admin = c.client(t, c.config)
	c.asOperator = c.client(t, apiserver.As(c.config, apiserver.Operator))
	apiserver.Install(t.Context(), t, c.admin, "../../dist/install.yaml")
	return c
}

// moduleFolder is where Go keeps the files of a module that this one needs.
func moduleFolder(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("find the module %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}

// client sends what it writes with strict checks of field names: what the definition does not know is an error.
func (c *cluster) client(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	return client.WithFieldValidation(apiserver.NewClient(t, config, apiserver.NewScheme(t, reportsapi.Install)), metav1.FieldValidationStrict)
}

// startManager runs the controller until the test ends.
func (c *cluster) startManager(t *testing.T) {
	t.Helper()
	mgr := apiserver.NewManager(t, c.config, ctrl.Options{
		Scheme: apiserver.NewScheme(t, reportsapi.Install),
		Cache:  cache.Options{ByObject: map[client.Object]cache.ByObject{openreports.Definition(): openreports.DefinitionAlone()}},
	})
	reconciler := &openreports.Reconciler{Client: mgr.GetClient(), Live: c.asOperator}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(apiserver.Run(t, mgr))
}

// addPolicy creates a policy of a workload with the links payments and bank.
func (c *cluster) addPolicy(t *testing.T, name string) *v1alpha1.ConnectionPolicy {
	t.Helper()
	policy := &v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	policy.Spec.From = &v1alpha1.WorkloadReference{Kind: "Deployment", Name: "web"}
	for _, link := range []string{"payments", "bank"} {
		policy.Spec.To = append(policy.Spec.To, v1alpha1.Link{
			Name: link, Protocol: v1alpha1.ProtocolHTTP, Service: &v1alpha1.ServiceReference{Name: link}})
	}
	if err := c.admin.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	return policy
}

// report plays the policy controller, which writes what was found on a link.
func (c *cluster) report(t *testing.T, policy *v1alpha1.ConnectionPolicy, link string, verdicts ...v1alpha1.Verdict) {
	t.Helper()
	report := &v1alpha1.ConnectionReport{ObjectMeta: metav1.ObjectMeta{
		Namespace: policy.Namespace, Name: policy.Name + "-" + link,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(policy, v1alpha1.GroupVersion.WithKind("ConnectionPolicy"))},
	}}
	report.Spec = v1alpha1.ConnectionReportSpec{PolicyName: policy.Name, LinkName: link}
	eventually(t, func(ctx context.Context) string { return complaint(c.asOperator.Create(ctx, report)) })
	before := report.DeepCopy()
	report.Status = v1alpha1.ConnectionReportStatus{ObservedTime: new(metav1.Now()), Verdicts: verdicts}
	if err := c.asOperator.Status().Patch(t.Context(), report, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) find(t *testing.T, policy string) (*reportsapi.Report, error) {
	t.Helper()
	report := &reportsapi.Report{}
	err := c.admin.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "connpolicy-" + policy}, report)
	return report, err
}

// waitForReport waits until the Report of a policy says this: link, rule and result, one after the other.
func (c *cluster) waitForReport(t *testing.T, policy, want string) {
	t.Helper()
	eventually(t, func(context.Context) string {
		report, err := c.find(t, policy)
		if err != nil {
			return err.Error()
		}
		var results []string
		for _, result := range report.Results {
			results = append(results, result.Properties["link"]+" "+result.Rule+" "+string(result.Result))
		}
		if got := strings.Join(results, ", "); got != want {
			return fmt.Sprintf("the Report of %s says %q, want %q", policy, got, want)
		}
		return ""
	})
}

// waitUntilItRests asks for what is there already: it is written again, and nothing changes.
func (c *cluster) waitUntilItRests(t *testing.T, policy string) {
	t.Helper()
	before, err := c.find(t, policy)
	if err != nil {
		t.Fatal(err)
	}
	var report v1alpha1.ConnectionReport
	key := client.ObjectKey{Namespace: "default", Name: policy + "-payments"}
	if err := c.asOperator.Get(t.Context(), key, &report); err != nil {
		t.Fatal(err)
	}
	old := report.DeepCopy()
	report.Status.WorstFinding = "none of it is told in a Report"
	if err := c.asOperator.Status().Patch(t.Context(), &report, client.MergeFrom(old)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		after, err := c.find(t, policy)
		if err != nil {
			t.Fatal(err)
		}
		if after.ResourceVersion != before.ResourceVersion {
			t.Fatalf("a Report that says so already was written: %+v, then %+v", before, after)
		}
	}
}

func complaint(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// eventually waits until the check returns no complaint.
func eventually(t *testing.T, check func(context.Context) string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if last = check(t.Context()); last == "" {
			return
		}
	}
	t.Fatal(last)
}
