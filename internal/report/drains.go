package report

import (
	"slices"
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
	s := Section{Title: "When endpoints left", Table: &Table{Head: []string{"UTC"}, Rows: drainFigures()}}
	var all, gone bool
	for _, d := range drains {
		when := d.StartTime.UTC().Format(time.DateTime) + " to " + d.EndTime.UTC().Format(time.TimeOnly)
		s.Table.add(when, slices.Concat([]string{count(int64(d.Endpoints)), count(int64(d.Pods))}, countsInWords(d.During)))
		if d.Before == nil {
			gone = true
			continue
		}
		all = true
		s.Table.add("before it", slices.Concat([]string{"", count(int64(d.Pods))}, countsInWords(*d.Before)))
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

// drainFigures are the rows of the table, before any drain has a column.
func drainFigures() [][]string {
	return [][]string{
		{"endpoints that left"}, {"observed pods"}, {"connections begun"}, {"never established"}, {"ended"}, {"in order"},
		{"of these without an answer"}, {"reset by the peer"}, {"reset by the pods"}, {"no answer any more"}, {"open at the end"},
	}
}

// countsInWords are the cells of a column.
func countsInWords(c v1alpha1.ConnectionCounts) []string {
	cells := []string{count(c.Opened), count(c.Failed), count(c.Closed)}
	if e := c.Ends; e != nil {
		cells = append(cells, count(e.Orderly), count(e.Unanswered), count(e.Reset), count(e.ResetHere), count(e.Silent))
	} else {
		cells = append(cells, "unknown", "unknown", "unknown", "unknown", "unknown")
	}
	return append(cells, count(c.Open))
}

// add adds a column.
func (t *Table) add(head string, cells []string) {
	t.Head = append(t.Head, head)
	for i := range t.Rows {
		t.Rows[i] = append(t.Rows[i], cells[i])
	}
}

func count(connections int64) string { return figure.Count(int(connections)) }
