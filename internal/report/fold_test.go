package report

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/connpolicy/connpolicy/internal/audit"
)

// Folded, a page says the same in lines that a terminal has room for; whatever stands in one line for a reason stays.
func TestFold(t *testing.T) {
	const width = 80
	for _, rule := range audit.Rules() {
		page := RulePage(rule)
		folded := Fold(page, width)
		if oneLine(folded) != oneLine(page) {
			t.Errorf("%s says\n%s\nand said\n%s", rule.ID, folded, page)
		}
		for line := range strings.SplitSeq(folded, "\n") {
			if utf8.RuneCountInString(line) > width && !strings.HasPrefix(line, "|") && strings.Contains(line, " ") {
				t.Errorf("%s: %q", rule.ID, line)
			}
		}
	}
	if got := Fold("1. Long words here.\n| a | b | c |\n", 11); got != "1. Long words here.\n| a | b | c |\n" {
		t.Errorf("%q", got) // no terminal is as narrow as that
	}
	if got, want := Fold("12. "+strings.Repeat("word ", 9), leastColumns), "12. word word word word word word word\n    word word"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// On a narrow screen no line is longer than it, but for single words, and nothing is left unsaid.
func TestNarrowScreen(t *testing.T) {
	for _, screen := range []int{60, 80, 120} {
		for _, name := range append(names(), "everything") {
			pages := pagesNamed(t, name, rules())
			var narrow, wide bytes.Buffer
			if err := WriteText(&narrow, pages, screen); err != nil {
				t.Fatal(err)
			}
			if err := WriteText(&wide, pages, 0); err != nil {
				t.Fatal(err)
			}
			said := oneLine(narrow.String())
			for _, p := range pages {
				for _, want := range told(p) {
					for word := range strings.FieldsSeq(want) { // cells are broken between them
						if !strings.Contains(said, word) {
							t.Errorf("%s on %d columns: %q is missing of %q", name, screen, word, want)
						}
					}
				}
			}
			for line := range strings.SplitSeq(narrow.String(), "\n") {
				if utf8.RuneCountInString(line) > screen && len(strings.Fields(line)) > 2 && !strings.HasPrefix(line, "Link ") {
					t.Errorf("%s on %d columns: %q", name, screen, line)
				}
			}
		}
	}
}
