package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/connpolicy/connpolicy/internal/columns"
)

// textColumns is how wide sentences are written. Tables are as wide as their figures.
const textColumns = 100

// WriteText writes pages for a terminal, one after the other. The error is that of the writer.
func WriteText(w io.Writer, pages []Page) error {
	var t text
	for i, p := range pages {
		if i > 0 {
			t.line("")
		}
		t.page(p)
	}
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct{ strings.Builder }

func (t *text) line(line string) { fmt.Fprintln(t, strings.TrimRight(line, " ")) }

func (t *text) page(p Page) {
	t.line(p.Title)
	t.line(strings.Repeat("=", utf8.RuneCountInString(p.Title)))
	t.sentences("", p.Summary)
	if p.First != "" {
		t.hanging("Do first: ", p.First)
	}
	if len(p.Intro) > 0 {
		t.line("")
		t.sentences("", strings.Join(p.Intro, " "))
	}
	if p.Standing != nil {
		t.line("")
		for _, row := range p.Standing.Rows {
			t.hanging(fmt.Sprintf("  %-14s%-9s", row[0], row[1]), row[2])
		}
	}
	for _, l := range p.Links {
		t.link(l)
	}
	for _, s := range p.Tunings {
		t.section(s)
	}
}

func (t *text) link(l Link) {
	t.line("")
	t.line(l.Title)
	t.line(strings.Repeat("-", utf8.RuneCountInString(l.Title)))
	t.sentences("", strings.Join(l.Intro, " "))
	for _, trouble := range l.Troubles {
		t.hanging("! ", trouble)
	}
	for _, f := range l.Findings {
		t.finding(f)
	}
	t.remarks("Could not be judged", l.Unknown)
	t.remarks("Passes", l.Passed)
	t.rules("Does not apply here", l.NotApplicable)
	t.rules("Switched off by the policy", l.Disabled)
	for _, s := range l.Sections {
		t.section(s)
	}
}

func (t *text) finding(f Finding) {
	t.line("")
	t.line(fmt.Sprintf("%s %s: %s", strings.ToUpper(string(f.Severity)), f.Rule, f.Title))
	t.hanging("  seen    ", f.Message)
	if f.Why != "" {
		t.hanging("  why     ", f.Why)
	}
	for i, cure := range f.Cures {
		head := "          "
		if i == 0 {
			head = "  cure    "
		}
		number := ""
		if len(f.Cures) > 1 {
			number = fmt.Sprintf("%d. ", i+1)
		}
		t.hanging(head+number, cure)
	}
	if len(f.Evidence) > 0 {
		t.hanging("  figures ", strings.Join(f.Evidence, ", "))
	}
}

func (t *text) remarks(title string, remarks []Remark) {
	if len(remarks) == 0 {
		return
	}
	t.line("")
	t.line(title)
	for _, r := range remarks {
		if len(r.Rules) == 1 {
			t.hanging("  "+r.Rules[0]+"   ", r.Message)
			continue
		}
		t.hanging("  ", r.Message)
		t.hanging("          ", strings.Join(r.Rules, ", "))
	}
}

func (t *text) rules(title string, rules []string) {
	if len(rules) > 0 {
		t.line("")
		t.hanging(title+": ", strings.Join(rules, ", "))
	}
}

func (t *text) section(s Section) {
	t.line("")
	t.line(s.Title)
	for _, note := range s.Notes {
		t.sentences("  ", note)
	}
	if s.Table != nil {
		t.table(*s.Table)
	}
}

// table writes a table below its title.
func (t *text) table(table Table) {
	for _, line := range columns.Align(append([][]string{table.Head}, table.Rows...)) {
		t.line("  " + line)
	}
}

// sentences writes a text in lines of the text's width.
func (t *text) sentences(indent, sentences string) {
	for _, line := range columns.Wrap(sentences, textColumns-len(indent)) {
		t.line(indent + line)
	}
}

// hanging writes a text behind a head, with all its lines below each other.
func (t *text) hanging(head, sentences string) {
	width := utf8.RuneCountInString(head)
	for i, line := range columns.Wrap(sentences, textColumns-width) {
		if i > 0 {
			head = strings.Repeat(" ", width)
		}
		t.line(head + line)
	}
}
