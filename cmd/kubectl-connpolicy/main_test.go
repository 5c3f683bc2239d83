package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/probes/result"
)

const saved = "../../internal/report/testdata"

// try runs a command line without a cluster.
func try(t *testing.T, input string, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv(inCluster, "")
	var out, errOut bytes.Buffer
	now := func() time.Time { return time.Date(2026, 11, 26, 9, 46, 12, 0, time.UTC) }
	code = run(t.Context(), append([]string{"kubectl-connpolicy"}, arguments...), genericiooptions.IOStreams{In: strings.NewReader(input), Out: &out, ErrOut: &errOut}, now)
	return code, out.String(), errOut.String()
}

func TestCommandLines(t *testing.T) {
	for line, want := range map[string]struct {
		code           int
		stdout, stderr string
	}{
		"":                                       {exitDone, "Exit codes: 0 done", ""},
		"reprot":                                 {exitUsage, "", `unknown command "reprot"`},
		"report --no-such-flag":                  {exitUsage, "", "unknown flag: --no-such-flag"},
		"report -o pdf":                          {exitUsage, "", "the forms are text, html, json, yaml"},
		"report a b":                             {exitUsage, "", "accepts at most 1 arg"},
		"report a -A":                            {exitUsage, "", "exclude each other"},
		"report":                                 {exitFailure, "", "no kubeconfig names a cluster: set KUBECONFIG or --kubeconfig, or read saved reports with -f"},
		"status":                                 {exitFailure, "", "no kubeconfig names a cluster"},
		"report -f " + saved + "/exhausted.yaml": {exitDone, "ERROR CP401: Local ports towards one destination are running short", ""},
		"report -f " + saved + " edge-to-node":   {exitDone, "web/edge-to-node", ""},
		"report -f " + saved + " edge-to-nod":    {exitFailure, "", "did you mean edge-to-node?"},
		"report -f " + saved + "/exhausted.txt":  {exitFailure, "", "exhausted.txt:1: "},
		"report -f ../../config/samples/demo":    {exitDone, "Nothing was seen yet", ""},
		"report -f ../../config/manager":         {exitFailure, "", "no ConnectionReport, ConnectionPolicy or ConnectionTuning in"},
		"report -f /no/such/file":                {exitFailure, "", "no such file"},
		"report -o html -f " + saved:             {exitDone, "<!DOCTYPE html>", ""},
		"status -f " + saved:                     {exitDone, "NAMESPACE  POLICY", ""},
		"explain cp401":                          {exitDone, "# CP401: Local ports", ""},
		"explain":                                {exitDone, "Set-up\n  CP101", ""},
		"explain CP999":                          {exitFailure, "", "no rule CP999"},
		"explain user/fast":                      {exitFailure, "", "spec.audit.rules of the policy"},
		"lint":                                   {exitUsage, "", "name what is to be checked with -f"},
		"lint -f ../../test/invalid/to_empty.yaml": {exitFaults, `to_empty.yaml:1: ConnectionPolicy "invalid": spec.to: Invalid value: 0: spec.to in body should have at least 1 items`, "1 fault in 1 object."},
		"lint -f ../../config/samples":             {exitDone, "", "objects, no fault."},
		"lint -f ../../config/manager":             {exitFailure, "", "nothing to check"},
		"discover":                                 {exitUsage, "", "name a workload, such as deploy/checkout"},
		"discover checkout":                        {exitUsage, "", "write kind/name"},
		"discover job/checkout":                    {exitUsage, "", "deploy, sts and ds are"},
		"discover deploy/checkout":                 {exitFailure, "", "no kubeconfig names a cluster"},
		"discover -f " + saved + "/healthy.yaml":   {exitFailure, "", "not what 'probe observe --seconds N -o json' writes"},
	} {
		t.Run(line, func(t *testing.T) {
			code, stdout, stderr := try(t, "", strings.Fields(line)...)
			if code != want.code || !strings.Contains(stdout, want.stdout) || !strings.Contains(stderr, want.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, want.code, stdout, stderr)
			}
			if want.code == exitUsage && !strings.Contains(stderr, "--help") {
				t.Errorf("a wrong command line does not name the help: %s", stderr)
			}
		})
	}
}

// explain prints what the pages of docs/rules say.
func TestExplain(t *testing.T) {
	for _, rule := range audit.Rules() {
		page, err := os.ReadFile(filepath.Join("../../docs/rules", rule.ID+".md"))
		if err != nil {
			t.Fatal(err)
		}
		_, want, _ := strings.Cut(string(page), "\n") // behind the line that says how it was generated
		if code, stdout, _ := try(t, "", "explain", rule.ID); code != exitDone || stdout != want {
			t.Errorf("%s: %d\n%s\nwant\n%s", rule.ID, code, stdout, want)
		}
	}
}

func TestStandardInput(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(saved, "healthy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := try(t, string(text), "report", "-f", "-"); code != exitDone || !strings.Contains(stdout, "No finding on 1 link") {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
	if code, stdout, _ := try(t, string(text)+"---\n"+string(text)+"more: fields\n", "lint", "-f", "-"); code != exitFaults || stdout != "-:4: ConnectionReport \"checkout-to-payments-payments\": unknown field \"more\"\n" {
		t.Errorf("%d\n%s", code, stdout)
	}
}

// What report writes as YAML and JSON tells it the same when it is read again.
func TestSavedAgain(t *testing.T) {
	_, want, _ := try(t, "", "report", "-f", saved)
	for _, form := range []string{"yaml", "json"} {
		code, text, stderr := try(t, "", "report", "-o", form, "-f", saved)
		if code != exitDone {
			t.Fatal(stderr)
		}
		if _, got, stderr := try(t, text, "report", "-f", "-"); got != want {
			t.Errorf("%s: %s\n%s", form, stderr, got)
		}
	}
}

// The worst comes first, and what was not judged before what is well.
func TestStatus(t *testing.T) {
	const unjudged = "\n---\napiVersion: connpolicy.dev/v1alpha1\nkind: ConnectionPolicy\nmetadata: {name: fresh, namespace: new}\nspec: {to: [{name: a}, {name: b}]}\n"
	_, text, _ := try(t, "", "report", "-o", "yaml", "-f", saved)
	_, stdout, stderr := try(t, text+unjudged, "status", "-f", "-", "-o", "json")
	var rows []standing
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var names []string
	for _, row := range rows {
		names = append(names, row.Name)
	}
	if want := []string{"client-to-server", "api-to-postgres", "edge-to-node", "fresh", "checkout-to-payments"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	if rows[3].Findings != nil || rows[3].Links != 2 || rows[0].Findings.Error != 1 || !strings.HasPrefix(rows[0].Worst, "server: CP401") {
		t.Errorf("%+v", rows)
	}
	if _, stdout, _ = try(t, text+unjudged, "status", "-f", "-"); !strings.Contains(stdout, "new        fresh                 2      -      unknown") {
		t.Errorf("what is unknown is not named:\n%s", stdout)
	}
}

// No finding is not the last word while something is still being measured.
func TestStatusSaysWhatIsNotJudged(t *testing.T) {
	const policy = `apiVersion: connpolicy.dev/v1alpha1
kind: ConnectionPolicy
metadata: {name: fresh, namespace: new}
spec: {to: [{name: a}]}
status: {conditions: [{type: Compliant, status: Unknown, reason: Progressing, message: "nothing fails and 14 verdicts pass; silence is being measured until about 12:18 UTC, for a CP205"}]}
---
apiVersion: connpolicy.dev/v1alpha1
kind: ConnectionReport
metadata: {name: fresh-a, namespace: new}
spec: {policyName: fresh, linkName: a}
status: {findings: {total: 0, error: 0, warning: 0, info: 0}}
`
	_, stdout, stderr := try(t, policy, "status", "-f", "-")
	if want := "nothing fails and 14 verdicts pass; silence is being measured until about 12:18 UTC, for a"; !strings.Contains(stdout, want) {
		t.Errorf("%s%s, want %s", stdout, stderr, want)
	}
}

// observation is as `kubectl logs` shows it, with a line of the log before it.
func observation(t *testing.T) string {
	t.Helper()
	text, err := json.MarshalIndent(result.Observation{Version: result.Version, UptimeSeconds: 120, PortsAvailable: new(28232),
		Destinations: []result.Destination{{Address: "10.96.0.10:80", PortsInUse: 9000, PortsInUsePeak: 9000, TimeWait: 9000, OpensPerSecond: new(150.0)}}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return "time=2026-11-26T09:41:12Z level=WARN msg=\"{ hm\"\n" + string(text) + "\n"
}

func TestDiscoverFromFile(t *testing.T) {
	code, stdout, stderr := try(t, observation(t), "discover", "sts/api", "-n", "shop", "-f", "-")
	if code != exitDone || stderr != "" {
		t.Fatalf("%d\n%s", code, stderr)
	}
	for _, want := range []string{"10.96.0.10:80  150    9,000       9,000", "no cluster could be asked for its Services", "kind: StatefulSet", "namespace: shop", "host: 10.96.0.10"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if code, stdout, stderr = try(t, stdout, "lint", "-f", "-"); code != exitDone {
		t.Errorf("the policy has faults: %s%s", stdout, stderr)
	}
}

func FuzzReadObservation(f *testing.F) {
	f.Add([]byte("{\"version\":\"" + result.Version + "\",\"destinations\":[{\"address\":\"10.0.0.1:80\"}]}"))
	f.Add([]byte("level=WARN\n{"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		seen, err := readObservation(bytes.NewReader(text))
		if err == nil && seen.Version != result.Version {
			t.Errorf("took version %q", seen.Version)
		}
	})
}

// The observer is asked at its port through the API server.
func TestAskObserver(t *testing.T) {
	metrics, err := os.ReadFile("../../internal/observer/testdata/client.prom")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces/shop/pods/http:checkout-a:9964/proxy/metrics" {
			http.NotFound(w, r)
			return
		}
		if _, err := w.Write(metrics); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	api, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout-a"}}
	seen, err := ask(t.Context(), api, pod, result.DefaultObserverPort)
	if err != nil || len(seen.Destinations) != 1 || seen.At.IsZero() {
		t.Errorf("%+v, %v", seen, err)
	}
	if _, err := ask(t.Context(), api, pod, 1); err == nil {
		t.Error("an observer where nothing answers")
	}
}

func TestCompletion(t *testing.T) {
	var out bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &bytes.Buffer{}}
	if code := run(t.Context(), []string{"/usr/bin/" + completion, "explain", "CP4"}, streams, time.Now); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(out.String(), "CP401\tLocal ports") || !strings.HasSuffix(out.String(), ":4\n") {
		t.Errorf("%s", &out)
	}
	if _, stdout, _ := try(t, "", "__complete", "discover", "d"); !strings.HasPrefix(stdout, "deploy/\n") {
		t.Errorf("%s", stdout)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"checkout-to-payments", "edge", "orders"}
	for wanted, want := range map[string][]string{"ordres": {"orders"}, "checkout": {"checkout-to-payments"}, "zzzzzzzz": nil, "edge": {"edge"}, "": nil} {
		if got := nearest(wanted, names); !slices.Equal(got, want) && wanted != "" {
			t.Errorf("%q: %v, want %v", wanted, got, want)
		}
	}
	if edits("kitten", "sitting") != 3 {
		t.Error("edits of kitten and sitting")
	}
}
