package report

import (
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/figure"
)

// drainsSection is what connections came to while endpoints left, the last time first, beside how they went before.
func drainsSection(report *v1alpha1.ConnectionReport) []Section {
	drains := report.Status.Drains
	if len(drains) == 0 {
		return nil
	}
	s := Section{Title: "When endpoints left", Table: &Table{Head: []string{"Time (UTC)", "Endpoints", "Pods", "Connects", "Failed", "Ended",
		"In order", "Of these, unanswered", "Reset", "Reset here", "Silent", "Open at the end"}}}
	var all, gone bool
	for _, d := range drains {
		s.Table.Rows = append(s.Table.Rows, append([]string{
			d.StartTime.UTC().Format(time.DateTime) + " to " + d.EndTime.UTC().Format(time.TimeOnly),
			figure.Count(int(d.Endpoints)), figure.Count(int(d.Pods)),
		}, countsInWords(d.During)...))
		if d.Before == nil {
			gone = true
			continue
		}
		all = true
		s.Table.Rows = append(s.Table.Rows, append([]string{"before it", "", figure.Count(int(d.Pods))}, countsInWords(*d.Before)...))
	}
	if all {
		s.Notes = append(s.Notes, "Sockets name the Service's virtual address, so these are the connections to all of its endpoints.")
	}
	if gone {
		s.Notes = append(s.Notes, "Sockets name the endpoints themselves: these are the connections to those that left.")
	}
	if target := report.Status.Target; target == nil || target.Protocol != v1alpha1.ProtocolHTTP {
		s.Notes = append(s.Notes, "An end without an answer is a lost request over HTTP alone: over TLS, HTTP/2 and others the client's farewell looks the same.")
	}
	return []Section{s}
}

// countsInWords are the cells of a row.
func countsInWords(c v1alpha1.ConnectionCounts) []string {
	cells := []string{count(c.Opened), count(c.Failed), count(c.Closed)}
	if e := c.Ends; e != nil {
		cells = append(cells, count(e.Orderly), count(e.Unanswered), count(e.Reset), count(e.ResetHere), count(e.Silent))
	} else {
		cells = append(cells, "unknown", "unknown", "unknown", "unknown", "unknown")
	}
	return append(cells, count(c.Open))
}

func count(connections int64) string { return figure.Count(int(connections)) }
