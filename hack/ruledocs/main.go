// Command ruledocs writes a page about each audit rule, and an index, to docs/rules. Run it from the root of the module:
//
//	go run ./hack/ruledocs
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/report"
)

const directory = "docs/rules"

func main() {
	if err := write(directory, report.RuleFiles(audit.Rules())); err != nil {
		fmt.Fprintln(os.Stderr, "ruledocs:", err)
		os.Exit(1)
	}
}

// write makes root hold pages, by file name, and no other pages.
func write(root string, pages map[string]string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make the directory of the pages: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		return fmt.Errorf("list the pages that are there: %w", err)
	}
	for _, path := range old {
		if _, stays := pages[filepath.Base(path)]; stays {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the page of a rule that is gone: %w", err)
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write a page: %w", err)
		}
	}
	return nil
}
