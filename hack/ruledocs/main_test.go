package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/report"
)

func TestPagesAreFresh(t *testing.T) {
	root := filepath.Join("..", "..", directory)
	pages := report.RuleFiles(audit.Rules())
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%v: run `go run ./hack/ruledocs`", err)
			continue
		}
		if string(got) != want {
			t.Errorf("%s does not say what the rule says: run `go run ./hack/ruledocs`", name)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, known := pages[entry.Name()]; !known {
			t.Errorf("%s belongs to no rule: run `go run ./hack/ruledocs`", entry.Name())
		}
	}
}

func TestWriteReplacesWhatWasThere(t *testing.T) {
	root := filepath.Join(t.TempDir(), "rules")
	for _, pages := range []map[string]string{{"CP101.md": "old", "CP999.md": "gone"}, {"CP101.md": "new"}} {
		if err := write(root, pages); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(filepath.Join(root, "CP101.md"))
	if err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(root, "CP999.md")); !os.IsNotExist(err) {
		t.Errorf("the page of a rule that is gone: %v", err)
	}
}
