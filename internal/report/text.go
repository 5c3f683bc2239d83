package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/connpolicy/connpolicy/internal/columns"
)

// textColumns is how wide sentences are written at the most, leastColumns at the least.
const textColumns, leastColumns = 100, 40

// WriteText writes pages one after the other, for a terminal of so many columns. 0: for something else, in which tables are
// as wide as their figures. The error is that of the writer.
func WriteText(w io.Writer, pages []Page, columns int) error {
	t := text{width: textColumns, screen: columns}
	if columns > 0 {
		t.width = max(leastColumns, min(textColumns, columns))
	}
	for i, p := range pages {
		if i > 0 {
			t.line("")
		}
		t.page(p)
	}
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct {
	strings.Builder
	// width of sentences, and of the screen; 0: there is none.
	width, screen int
}

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
	t.sentences("", fmt.Sprintf("%s %s: %s", strings.ToUpper(string(f.Severity)), f.Rule, f.Title))
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
		if len(r.By) == 1 {
			t.hanging("  "+r.By[0]+"   ", r.Message)
			continue
		}
		t.hanging("  ", r.Message)
		t.hanging("          ", strings.Join(r.By, ", "))
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
	const indent = "  "
	lines := columns.Table(table.Head, table.Rows, max(0, t.screen-len(indent)))
	wide := slices.ContainsFunc(lines, func(line string) bool { return utf8.RuneCountInString(indent+line) > t.screen })
	if wide && t.screen > 0 {
		t.stacked(table)
		return
	}
	for _, line := range lines {
		t.line(indent + line)
	}
}

// stacked writes a table whose words are too long for the screen with the cells of a row below each other, or, if there are
// two columns or all nodes say the same, behind the row's name.
func (t *text) stacked(table Table) {
	named := func(name, value string) string { return strings.TrimPrefix(name+": "+value, ": ") }
	if len(table.Head) == 2 {
		t.hanging("  ", named(table.Head[0], table.Head[1]))
	}
	for _, row := range table.Rows {
		if len(row) == 2 {
			t.hanging("    ", named(row[0], row[1]))
			continue
		}
		if table.Head[0] == "" && len(slices.Compact(slices.Clone(row[1:]))) == 1 {
			t.hanging("  ", named(row[0], row[1]))
			continue
		}
		t.hanging("  ", named(table.Head[0], row[0]))
		for i, cell := range row[1:] {
			t.hanging("    ", named(table.Head[1+i], cell))
		}
	}
}

// sentences writes a text in lines of the text's width.
func (t *text) sentences(indent, sentences string) {
	for _, line := range columns.Wrap(sentences, t.width-len(indent)) {
		t.line(indent + line)
	}
}

// hanging writes a text behind a head, with all its lines below each other.
func (t *text) hanging(head, sentences string) {
	width := utf8.RuneCountInString(head)
	for i, line := range columns.Wrap(sentences, max(t.width-width, leastColumns/2)) {
		if i > 0 {
			head = strings.Repeat(" ", width)
		}
		t.line(head + line)
	}
}
