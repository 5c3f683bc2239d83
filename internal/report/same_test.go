package report

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"testing"
)

// told are all texts of a page.
func told(p Page) []string {
	texts := append([]string{p.Title, p.Summary, p.First}, p.Intro...)
	table := func(t *Table) {
		if t == nil {
			return
		}
		for _, head := range t.Head {
			texts = append(texts, strings.Fields(head)...) // the text breaks them where their column is narrow
		}
		for _, row := range t.Rows {
			texts = append(texts, row...)
		}
	}
	section := func(s Section) {
		texts = append(append(texts, s.Title), s.Notes...)
		table(s.Table)
	}
	if p.Standing != nil {
		for _, row := range p.Standing.Rows {
			texts = append(texts, row...)
		}
	}
	for _, l := range p.Links {
		texts = append(append(append(texts, l.Title), l.Intro...), l.Troubles...)
		for _, f := range l.Findings {
			texts = append(append(append(texts, strings.ToUpper(string(f.Severity)), f.Rule, f.Title, f.Message, f.Why), f.Cures...), f.Evidence...)
		}
		for _, r := range append(l.Unknown, l.Passed...) {
			texts = append(texts, strings.Join(r.By, ", "), r.Message)
		}
		texts = append(append(texts, l.NotApplicable...), l.Disabled...)
		for _, s := range l.Sections {
			section(s)
		}
	}
	for _, s := range p.Tunings {
		section(s)
	}
	return texts
}

// oneLine has all white space as one blank.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// The text and the page of HTML say the same.
func TestBothTellAll(t *testing.T) {
	tags := regexp.MustCompile(`<[^>]*>`)
	for _, name := range append(names(), "everything") {
		pages := pagesNamed(t, name, rules())
		var asText, asHTML bytes.Buffer
		if err := WriteText(&asText, pages, 0); err != nil {
			t.Fatal(err)
		}
		if err := WriteHTML(&asHTML, pages, now()); err != nil {
			t.Fatal(err)
		}
		text, page := oneLine(asText.String()), oneLine(html.UnescapeString(tags.ReplaceAllString(asHTML.String(), "")))
		for _, p := range pages {
			for _, want := range told(p) {
				if want = oneLine(want); !strings.Contains(text, want) {
					t.Errorf("%s: the text does not say %q", name, want)
				}
				if !strings.Contains(page, want) {
					t.Errorf("%s: the HTML does not say %q", name, want)
				}
			}
		}
	}
}

// Nothing that a report holds becomes markup.
func TestNothingIsMarkup(t *testing.T) {
	const bad = `<script>alert(1)</script>`
	objects := saved(t, "exhausted.yaml")
	r := &objects.Reports[0]
	r.Status.Verdicts[0].Message, r.Status.Verdicts[0].Title, r.Status.Vantages[0].Node = bad, bad, bad
	r.Status.Observers[0].Pod, r.Status.Observers[0].Address, r.Status.Target.Name = bad, bad, bad
	r.Status.Observers[0].Sysctls = map[string]string{bad: bad}
	r.Namespace, r.Spec.PolicyName, r.Spec.LinkName = bad, bad, bad
	var page bytes.Buffer
	if err := WriteHTML(&page, pagesOf(objects, rules()), now()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<script") {
		t.Error("a script of a report's own")
	}
}
