package report

import (
	"fmt"
	"strings"

	"github.com/connpolicy/connpolicy/internal/audit"
)

const (
	indexName = "README.md"
	// generated says, in the files alone, where the text comes from.
	generated = "<!-- Generated from internal/audit by `go run ./hack/ruledocs`. Do not edit. -->\n"
)

// RuleFiles returns the pages of docs/rules by file name: an index and a page a rule.
func RuleFiles(rules []audit.Rule) map[string]string {
	files := map[string]string{indexName: generated + ruleIndex(rules)}
	for _, r := range rules {
		files[r.ID+".md"] = generated + RulePage(r)
	}
	return files
}

// RuleList names the rules by category, for the terminal.
func RuleList(rules []audit.Rule) string {
	var b strings.Builder
	var category audit.Category
	for _, r := range rules {
		if r.Category != category {
			category = r.Category
			fmt.Fprintf(&b, "%s\n", category)
		}
		fmt.Fprintf(&b, "  %s  %-7s  %s\n", r.ID, r.Severity, r.Title)
	}
	return b.String()
}

func ruleIndex(rules []audit.Rule) string {
	var b strings.Builder
	b.WriteString(`# Rules

Each rule judges what was measured on a link. The verdict is

- ` + "`pass`" + `: what was measured meets the rule,
- ` + "`fail`" + `: it does not; this is a finding, with the evidence and the first cure,
- ` + "`unknown`" + `: too little was measured to say,
- ` + "`notApplicable`" + `: the rule has nothing to say about this link,
- ` + "`disabled`" + `: the policy names the rule in ` + "`spec.audit.disable`" + `.

| Rule | Category | Severity | What it finds |
| --- | --- | --- | --- |
`)
	for _, r := range rules {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s |\n", r.ID, r.ID, r.Category, r.Severity, r.Title)
	}
	return b.String()
}

// RulePage is the page about one rule, in Markdown.
func RulePage(r audit.Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n", r.ID, r.Title)
	fmt.Fprintf(&b, "| Category | Gravest severity | Needs | Helps |\n| --- | --- | --- | --- |\n| %s | %s | %s | %s |\n\n",
		r.Category, r.Severity, strings.Join(r.Needs, ", "), strings.Join(r.Helps, ", "))
	fmt.Fprintf(&b, "## Why it matters\n\n%s\n\n## What helps\n\n", r.Why)
	for i, cure := range r.Cures {
		fmt.Fprintf(&b, "%d. %s\n", i+1, cure)
	}
	fmt.Fprintf(&b, "\n## When it does not apply\n\n%s\n\n## Source\n\n%s\n\n## How to switch it off\n\nName it in the policy:\n\n```yaml\nspec:\n  audit:\n    disable: [%s]\n```\n", r.AppliesNot, r.Source, r.ID)
	return b.String()
}
