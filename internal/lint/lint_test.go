package lint_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/internal/lint"
	"github.com/connpolicy/connpolicy/internal/manifest"
)

func read(t *testing.T, path string) []manifest.Document {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	documents, faults := manifest.Read(path, file)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return documents
}

func manifests(t *testing.T, folder string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".yaml" && entry.Name() != "kustomization.yaml" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d manifests, %v", folder, len(paths), err)
	}
	return paths
}

func newLinter(t *testing.T) *lint.Linter {
	t.Helper()
	l, err := lint.New()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What an API server admits (test/cel) has no fault.
func TestValid(t *testing.T) {
	l := newLinter(t)
	for _, folder := range []string{"../../config/samples", "../report/testdata"} {
		for _, path := range manifests(t, folder) {
			checked := 0
			for _, d := range read(t, path) {
				if !lint.Knows(d) {
					continue
				}
				checked++
				for _, message := range l.Check(t.Context(), d) {
					t.Errorf("%s: %s", d.Place(), message)
				}
			}
			if checked == 0 && strings.Contains(path, "testdata") {
				t.Errorf("%s holds nothing to check", path)
			}
		}
	}
}

// What an API server refuses (test/cel) is refused with the same words.
func TestInvalid(t *testing.T) {
	l := newLinter(t)
	for _, path := range manifests(t, "../../test/invalid") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(content), "\n")
		want := strings.TrimPrefix(first, "# expect: ")
		if got := strings.Join(l.Check(t.Context(), read(t, path)[0]), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", filepath.Base(path), got, want)
		}
	}
}

func TestPolicy(t *testing.T) {
	const head = "apiVersion: connpolicy.dev/v1alpha1\nkind: ConnectionPolicy\nmetadata: {name: a}\nspec:\n  to: [{name: b, endpoint: {host: c, port: 1}}]\n"
	for spec, want := range map[string]string{
		"": "",
		"  audit: {rules: [{name: fast, expression: handshake.connectMicroseconds.p50 < 1000.0}]}\n":                                             "",
		"  audit: {rules: [{name: fast, expression: handshakes.connectMicroseconds.p50 < 1000.0}]}\n":                                            "spec.audit.rules[0].expression: audit rule fast: line 1, column 1: undeclared reference",
		"  audit: {rules: [{name: fast, expression: handshake.connectMicroseconds.p50}]}\n":                                                      "must be a condition",
		"  audit: {rules: [{name: fast, expression: 'handshake.tls != null'}]}\n":                                                                "spec.audit.rules[0].expression: audit rule fast: handshake.tls is never null: has(handshake.tls) asks",
		"  probe: {measurements: [handshake]}\n  audit: {rules: [{name: kept, expression: reuse.kept}]}\n":                                       "audit rule kept: it reads reuse, which spec.probe.measurements does not name",
		"  audit: {rules: [{name: queue, expression: backlog.overflows == 0}]}\n":                                                                "audit rule queue: it reads backlog, which is measured only where a probe is run by hand",
		"  audit: {rules: [{name: few, expression: 'observer.uptimeSeconds > 3'}]}\n":                                                            "audit rule few: it reads observer, which looks into the pods of spec.from, and there is none",
		"  from: {kind: Deployment, name: d}\n  observe: {pods: 0}\n  audit: {rules: [{name: few, expression: 'observer.uptimeSeconds > 3'}]}\n": "it reads observer, and spec.observe.pods is 0",
		"  audit: {disable: [CP101]}\n":                                            "",
		"  audit: {disable: [CP999]}\n":                                            "spec.audit.disable[0]: no rule CP999",
		"  audit: {severities: [{rule: CP999, severity: info}]}\n":                 "spec.audit.severities[0].rule: no rule CP999",
		"  probe: {limits: {seconds: 60}, intervalSeconds: 30}\n  nothing: true\n": "unknown field \"spec.nothing\"\nspec.probe: Invalid value: ",
	} {
		documents, faults := manifest.Read("f", strings.NewReader(head+spec))
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		got := strings.Join(newLinter(t).Check(t.Context(), documents[0]), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", spec, got, want)
		}
	}
}

func TestKinds(t *testing.T) {
	documents, _ := manifest.Read("f", strings.NewReader("apiVersion: connpolicy.dev/v2\nkind: ConnectionPolicy\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"))
	if got := newLinter(t).Check(t.Context(), documents[0]); len(got) != 1 || got[0] != `no kind "ConnectionPolicy" in connpolicy.dev/v2` {
		t.Errorf("another version: %q", got)
	}
	if lint.Knows(documents[1]) {
		t.Error("a Pod is taken for one of connpolicy's kinds")
	}
}
