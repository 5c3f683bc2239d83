// Package report tells people what was seen on the links of a policy and how it was judged, as text and as a page of HTML
// with plots, and what each rule is about.
package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/report/plot"
)

// Page is what is told about a policy, in the order in which it is told. The text and the HTML are written from the same
// page, so that neither says what the other does not; plots are of the HTML alone, beside the tables with their figures.
type Page struct {
	// Title names the policy.
	Title string
	// Summary says in a sentence or two how it stands.
	Summary string
	// First is what to do first about the worst finding; empty if there is none.
	First string
	// Worst is the gravest severity of a finding; empty if there is none.
	Worst v1alpha1.Severity
	// Intro are sentences on what is asked for.
	Intro []string
	// Standing is how the policy's conditions stand; nil if the policy itself is not known.
	Standing *Table
	Links    []Link
	Tunings  []Section
}

// Link is what is told about one link.
type Link struct {
	Name, Title string
	Intro       []string
	// Troubles are what kept somebody from looking.
	Troubles []string
	Findings []Finding
	// Unknown could not be judged, Passed do not fail.
	Unknown, Passed []Remark
	// NotApplicable and Disabled are ids of rules.
	NotApplicable, Disabled []string
	Sections                []Section
}

// Finding is a rule that fails.
type Finding struct {
	Rule, Title, Message string
	Severity             v1alpha1.Severity
	// Why is the mechanism, empty for a rule that this version does not know.
	Why string
	// Cures are what helps, the best for what was seen first.
	Cures []string
	// Evidence are figures in words.
	Evidence []string
}

// Remark is what rules say that do not fail, or nodes that could not be measured from.
type Remark struct {
	By      []string
	Message string
}

// Section is a table with what belongs to it.
type Section struct {
	Title string
	Notes []string
	Table *Table
	Plots []plot.Plot
	// Beside says that the table is narrow enough to stand beside the plot.
	Beside bool
}

// Table has a head and rows of as many cells. The first cell of a row names it.
type Table struct {
	Head []string
	Rows [][]string
}

// NewPage says what is told about a subject at a time, with what rules say about themselves.
func NewPage(s Subject, rules []audit.Rule, now time.Time) Page {
	p := Page{Title: s.Namespace + "/" + s.Name}
	if s.Namespace == "" {
		p.Title = s.Name
	}
	if s.Policy != nil {
		p.Intro = policyIntro(s.Policy)
	}
	for i := range s.Reports {
		p.Links = append(p.Links, newLink(&s.Reports[i], s.Policy, rules, now))
	}
	p.Links = append(p.Links, unseen(s)...)
	for i := range s.Tunings {
		p.Tunings = append(p.Tunings, tuningSection(&s.Tunings[i], now))
	}
	if s.Policy != nil {
		p.Standing = standing(s.Policy, p.Links)
	}
	p.summarise()
	return p
}

// Judged says whether any rule could be judged.
func (p Page) Judged() bool {
	return p.Worst != "" || slices.ContainsFunc(p.Links, func(l Link) bool { return len(l.Passed) > 0 })
}

// policyIntro says what a policy asks for.
func policyIntro(policy *v1alpha1.ConnectionPolicy) []string {
	spec := policy.Spec
	who := "The policy names no workload, so the servers alone are measured."
	if spec.From != nil {
		who = fmt.Sprintf("%s %s connects to %s.", spec.From.Kind, spec.From.Name, plural(len(spec.To), "target"))
	}
	sentences := []string{who}
	switch spec.Tuning.Mode {
	case v1alpha1.ModeApply:
		sentences = append(sentences, "Mode Apply: what is proposed is carried out.")
	case v1alpha1.ModeRecommend:
		sentences = append(sentences, "Mode Recommend: a proposal is carried out once its hash stands in tuning.approve.")
	default:
		sentences = append(sentences, "Mode Observe: nothing is changed.")
	}
	if spec.Suspend {
		sentences = append(sentences, "The policy is suspended: nothing is measured, judged or changed.")
	}
	return sentences
}

// standing are a policy's conditions. What the findings on its links say is not said again.
func standing(policy *v1alpha1.ConnectionPolicy, links []Link) *Table {
	if len(policy.Status.Conditions) == 0 {
		return nil
	}
	t := &Table{Head: []string{"Condition", "Status", "Why"}}
	for _, c := range policy.Status.Conditions {
		message := c.Message
		if rules := breached(links); c.Reason == v1alpha1.ReasonFindings && len(rules) > 0 {
			message = strings.Join(rules, ", ")
		}
		t.Rows = append(t.Rows, []string{c.Type, string(c.Status), c.Reason + ": " + message})
	}
	return t
}

// breached are the rules that keep a policy from being compliant, the gravest first, each once.
func breached(links []Link) []string {
	var rules []string
	for _, severity := range []v1alpha1.Severity{v1alpha1.SeverityError, v1alpha1.SeverityWarning} {
		for _, l := range links {
			for _, f := range l.Findings {
				if f.Severity == severity && !slices.Contains(rules, f.Rule) {
					rules = append(rules, f.Rule)
				}
			}
		}
	}
	return rules
}

// severities from the gravest on.
func severities() []v1alpha1.Severity {
	return []v1alpha1.Severity{v1alpha1.SeverityError, v1alpha1.SeverityWarning, v1alpha1.SeverityInfo}
}

// summarise says how all links stand, and what to do first.
func (p *Page) summarise() {
	counts := map[v1alpha1.Severity]int{}
	passed, unknown, first := 0, 0, ""
	for _, severity := range severities() {
		for _, l := range p.Links {
			for _, f := range l.Findings {
				if f.Severity != severity {
					continue
				}
				counts[severity]++
				if first == "" {
					p.Worst, first = severity, fmt.Sprintf("The worst, on link %s, is %s: %s", l.Name, f.Rule, f.Message)
					if len(f.Cures) > 0 {
						p.First = f.Cures[0]
					}
				}
			}
		}
	}
	for _, l := range p.Links {
		passed += ruleCount(l.Passed)
		unknown += ruleCount(l.Unknown)
	}
	switch {
	case len(p.Links) == 0:
		p.Summary = "Nothing was seen yet."
		return
	case first == "" && passed == 0:
		p.Summary = fmt.Sprintf("Nothing could be judged on %s yet.", plural(len(p.Links), "link")) + trouble(p.Links)
		return
	case first == "":
		p.Summary = fmt.Sprintf("No finding on %s: %s%s.", plural(len(p.Links), "link"), figure.Plural(passed, "verdict passes", "verdicts pass"), notJudged(unknown))
		return
	}
	var parts []string
	for _, severity := range severities() {
		if counts[severity] > 0 {
			noun := string(severity)
			if severity == v1alpha1.SeverityInfo {
				noun = "remark"
			}
			parts = append(parts, plural(counts[severity], noun))
		}
	}
	p.Summary = fmt.Sprintf("%s on %s; %s%s. %s", strings.Join(parts, ", "), plural(len(p.Links), "link"),
		figure.Plural(passed, "verdict passes", "verdicts pass"), notJudged(unknown), first)
}

// ruleCount is how many rules say something.
func ruleCount(remarks []Remark) int {
	count := 0
	for _, r := range remarks {
		count += len(r.By)
	}
	return count
}

// trouble is the first thing that kept somebody from looking, as a sentence behind others.
func trouble(links []Link) string {
	for _, l := range links {
		if len(l.Troubles) > 0 {
			return " Link " + l.Name + ": " + l.Troubles[0]
		}
	}
	return ""
}

func notJudged(unknown int) string {
	if unknown == 0 {
		return ""
	}
	return fmt.Sprintf(", %d could not be judged", unknown)
}

// plural writes a count of things whose name takes an s.
func plural(n int, noun string) string { return figure.Plural(n, noun, noun+"s") }

// moment writes a time with its age.
func moment(at, now time.Time) string {
	return at.UTC().Format("2006-01-02 15:04:05 UTC") + " (" + age(now.Sub(at)) + ")"
}

func age(d time.Duration) string {
	switch {
	case d < 0:
		return "in the future by this machine's clock"
	case d < 2*time.Minute:
		return plural(int(d.Seconds()), "second") + " ago"
	case d < 2*time.Hour:
		return plural(int(d.Minutes()), "minute") + " ago"
	case d < 48*time.Hour:
		return plural(int(d.Hours()), "hour") + " ago"
	}
	return plural(int(d.Hours()/24), "day") + " ago"
}

// evidence writes figures in the order of their names.
func evidence(figures map[string]string) []string {
	list := make([]string, 0, len(figures))
	for name, value := range figures {
		list = append(list, name+" "+value)
	}
	slices.Sort(list)
	return list
}
