package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/columns"
	"github.com/connpolicy/connpolicy/internal/report"
)

// standing is how a policy stands: a row of the table.
type standing struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Ready and Tuned are the statuses of the conditions with their reason; empty while there is none.
	Ready string `json:"ready"`
	Tuned string `json:"tuned"`
	Links int    `json:"links"`
	// Findings by severity. Nil: nothing was judged yet.
	Findings *v1alpha1.FindingCount `json:"findings,omitempty"`
	// Worst is the gravest finding, with the link that it is on.
	Worst string `json:"worst,omitempty"`
	// NotJudged says, where nothing fails, why that is not the last word: what is still being measured, or is not known.
	NotJudged string `json:"notJudged,omitempty"`
}

func (p *plugin) status() *cobra.Command {
	var form string
	var files []string
	var everywhere bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell how all policies stand, the worst first",
		Example: `  kubectl connpolicy status
  kubectl connpolicy status -A -o json`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			objects, err := p.reported(c.Context(), files, "", everywhere)
			if err != nil {
				return err
			}
			return p.writeStatus(form, standings(objects.Subjects()))
		},
	}
	formFlag(c, &form, "text", "json", "yaml")
	filesFlag(c, &files, "file with ConnectionPolicies and ConnectionReports to read in place of a cluster")
	everywhereFlag(c, &everywhere)
	return c
}

// standings are those of all policies, the worst first.
func standings(subjects []report.Subject) []standing {
	list := []standing{}
	for _, s := range subjects {
		if s.Policy == nil && len(s.Reports) == 0 {
			continue // a tuning alone
		}
		list = append(list, standingOf(s))
	}
	slices.SortStableFunc(list, func(a, b standing) int {
		return cmp.Or(compareFindings(b.Findings, a.Findings), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return list
}

func standingOf(s report.Subject) standing {
	row := standing{Namespace: s.Namespace, Name: s.Name, Links: len(s.Reports)}
	if s.Policy != nil {
		row.Links = len(s.Policy.Spec.To)
		if c := apimeta.FindStatusCondition(s.Policy.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			row.Ready = string(c.Status)
			if c.Status != "True" {
				row.Ready += ", " + c.Reason
			}
		}
		if c := apimeta.FindStatusCondition(s.Policy.Status.Conditions, v1alpha1.ConditionTuned); c != nil {
			row.Tuned = c.Reason
		}
		if c := apimeta.FindStatusCondition(s.Policy.Status.Conditions, v1alpha1.ConditionCompliant); c != nil && c.Status == metav1.ConditionUnknown {
			row.NotJudged = c.Message
		}
	}
	var gravest *v1alpha1.FindingCount
	for i := range s.Reports {
		findings := s.Reports[i].Status.Findings
		if findings == nil {
			continue
		}
		if row.Findings == nil {
			row.Findings = &v1alpha1.FindingCount{}
		}
		row.Findings.Total += findings.Total
		row.Findings.Error += findings.Error
		row.Findings.Warning += findings.Warning
		row.Findings.Info += findings.Info
		if findings.Total > 0 && (gravest == nil || compareFindings(findings, gravest) > 0) {
			gravest, row.Worst = findings, s.Reports[i].Spec.LinkName+": "+s.Reports[i].Status.WorstFinding
		}
	}
	return row
}

// compareFindings is above 0 if a weighs more than b. What was not judged weighs more than what has no finding.
func compareFindings(a, b *v1alpha1.FindingCount) int {
	weigh := func(f *v1alpha1.FindingCount) []int32 {
		if f == nil {
			return []int32{0, 0, 0, 1}
		}
		return []int32{f.Error, f.Warning, f.Info, 0}
	}
	return slices.Compare(weigh(a), weigh(b))
}

// worstColumns bound the last column: a table is to be taken in at a glance, and the report tells the rest. A terminal that is narrower
// leaves it what the others do not take, fewestColumns at the least.
const worstColumns, fewestColumns = 92, 24

func (p *plugin) writeStatus(form string, list []standing) error {
	if form != "text" {
		return writeObject(p.Out, form, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(p.ErrOut, "There is no ConnectionPolicy here; -A looks in all namespaces, and 'kubectl connpolicy discover' writes one.")
		return nil
	}
	const last = "WORST, OR NOT JUDGED"
	rows := [][]string{{"NAMESPACE", "POLICY", "LINKS", "READY", "ERRORS", "WARNINGS", "REMARKS", "TUNED", last}}
	var worst []string
	for _, s := range list {
		errors, warnings, remarks := "unknown", "unknown", "unknown"
		if f := s.Findings; f != nil {
			errors, warnings, remarks = strconv.Itoa(int(f.Error)), strconv.Itoa(int(f.Warning)), strconv.Itoa(int(f.Info))
		}
		worst = append(worst, cmp.Or(s.Worst, s.NotJudged))
		rows = append(rows, []string{orDash(s.Namespace), s.Name, strconv.Itoa(s.Links), orDash(s.Ready), errors, warnings, remarks, orDash(s.Tuned), ""})
	}
	room := worstColumns
	if width := p.columns(); width > 0 {
		room = max(fewestColumns, min(room, width-utf8.RuneCountInString(columns.Align(rows)[0])+len(last)))
	}
	for i := range worst {
		rows[1+i][len(rows[0])-1] = beginning(worst[i], room)
	}
	_, err := fmt.Fprintln(p.Out, strings.Join(columns.Align(rows), "\n"))
	return err
}

// beginning is as much of a text as there is room for.
func beginning(text string, room int) string {
	const more = " …"
	lines := columns.Wrap(text, room)
	if len(lines) == 1 {
		return lines[0]
	}
	return columns.Wrap(text, room-utf8.RuneCountInString(more))[0] + more
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
