package scenario

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/hack/demo/counters"
)

// Summary is the whole outcome in words and tables.
func (o *Outcome) Summary() string {
	var text strings.Builder
	o.writeFigures(&text)
	o.writePorts(&text)
	fmt.Fprintf(&text, "\nThe policy, before the clients were replaced and in the end\n%s%s",
		indent(o.PolicyLineBefore), indent(o.PolicyLineAfter))
	writeFindings(&text, "Findings before", o.ReportBefore.Status.Verdicts)
	writeFindings(&text, "Findings in the end", o.Report.Status.Verdicts)
	o.writeTuning(&text)
	return text.String()
}

func (o *Outcome) writeFigures(out io.Writer) {
	fmt.Fprintf(out, "What the clients counted themselves: %d pods, each request on a new connection\n", o.Before.Pods)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, of func(counters.Figures) string) {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", name, of(o.Before), of(o.After))
	}
	fmt.Fprintf(table, "  \tbefore\tafter\n")
	row("errors/s", func(f counters.Figures) string { return fmt.Sprintf("%.1f", f.ErrorsPerSecond) })
	row("errors", func(f counters.Figures) string { return causes(f) })
	row("connections/s", func(f counters.Figures) string { return fmt.Sprintf("%.0f", f.ConnectionsPerSecond) })
	row("requests given up/s", func(f counters.Figures) string { return fmt.Sprintf("%.1f", f.NotSentPerSecond) })
	row("connect p50", func(f counters.Figures) string { return duration(f.ConnectP50) })
	row("connect p99", func(f counters.Figures) string { return duration(f.ConnectP99) })
	row("measured for", func(f counters.Figures) string { return fmt.Sprintf("%.0f s", f.Seconds) })
	table.Flush()
}

func (o *Outcome) writePorts(out io.Writer) {
	fmt.Fprintf(out, "\nLocal ports in use towards the server\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "  \tpod\tclient's own count\tseen by the observer\n")
	for _, row := range []struct {
		when string
		held []PortsHeld
	}{{"before", o.PortsBefore}, {"after", o.PortsAfter}} {
		for _, held := range row.held {
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", row.when, held.Pod, thousands(held.Client), thousands(held.Observer))
		}
	}
	table.Flush()
}

func writeFindings(out io.Writer, title string, verdicts []v1alpha1.Verdict) {
	fmt.Fprintf(out, "\n%s\n", title)
	none := true
	for _, verdict := range verdicts {
		if verdict.Result != v1alpha1.VerdictFail {
			continue
		}
		none = false
		fmt.Fprintf(out, "  %s %s: %s\n    %s\n    Cure: %s\n", verdict.Rule, verdict.Severity, verdict.Title, verdict.Message, verdict.Cure)
	}
	if none {
		fmt.Fprintf(out, "  none\n")
	}
}

func (o *Outcome) writeTuning(out io.Writer) {
	fmt.Fprintf(out, "\nConnectionTuning %s, as it was proposed\n", o.Proposal.Name)
	for _, recommendation := range o.Proposal.Status.Recommendations {
		fmt.Fprintf(out, "  %s: from %s to %s, confidence %s\n    %s\n", recommendation.Knob, cmp.Or(recommendation.Current, "unknown"),
			recommendation.Recommended, recommendation.Confidence, recommendation.Reason)
		if recommendation.ExpectedEffect != "" {
			fmt.Fprintf(out, "    Expected: %s\n", recommendation.ExpectedEffect)
		}
	}
	fmt.Fprintf(out, "\nConnectionTuning %s, in the end\n", o.Tuning.Name)
	if knobs := o.Tuning.Spec.Knobs; knobs != nil && knobs.EphemeralPorts != nil {
		fmt.Fprintf(out, "  revision %s: ports %d to %d, kept free for listeners: %s\n", o.Tuning.Spec.Revision,
			knobs.EphemeralPorts.First, knobs.EphemeralPorts.Last, strings.Join(knobs.EphemeralPorts.Reserved, ", "))
	}
	if rollout := o.Tuning.Status.Rollout; rollout != nil {
		fmt.Fprintf(out, "  pods: %d, created with the values: %d, values read back inside: %d\n", rollout.Pods, rollout.Stamped, rollout.ReadBack)
	}
	for _, condition := range o.Tuning.Status.Conditions {
		fmt.Fprintf(out, "  %s=%s (%s): %s\n", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
}

// causes counts errors by what caused them.
func causes(figures counters.Figures) string {
	if figures.Errors == 0 {
		return "0"
	}
	var parts []string
	for _, cause := range slices.Sorted(maps.Keys(figures.ErrorCauses)) {
		parts = append(parts, fmt.Sprintf("%s × %q", thousands(int(figures.ErrorCauses[cause])), cause))
	}
	return strings.Join(parts, ", ")
}

// ports lists the ports held by each client.
func ports(byPod map[string]int) string {
	var parts []string
	for _, pod := range slices.Sorted(maps.Keys(byPod)) {
		parts = append(parts, thousands(byPod[pod]))
	}
	return strings.Join(parts, " + ")
}

func duration(d *time.Duration) string {
	if d == nil {
		return "unknown"
	}
	if *d < 10*time.Millisecond {
		return fmt.Sprintf("%d µs", d.Microseconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// thousands writes a number with a comma between thousands, as in 28,232.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func indent(text string) string {
	var indented strings.Builder
	for line := range strings.Lines(text) {
		indented.WriteString("  " + line)
	}
	return indented.String()
}
