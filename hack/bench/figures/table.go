package figures

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Table writes figures for people. Where there are rounds, the median stands with the smallest and the largest behind it.
func Table(out io.Writer, all []Figure) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tours\tyardstick\tratio (95 % interval)\tbound\tverdict\trounds")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%s %s\t%s\t%s\t%s\t%s\t%d\n",
			f.Name, f.Ours, f.Unit, f.yardstick(), f.ratio(), f.Bound, f.Verdict, f.Rounds)
	}
	return w.Flush()
}

func (f Figure) yardstick() string {
	if f.Yardstick == nil {
		return ""
	}
	return fmt.Sprintf("%s %s", f.Yardstick, f.Against)
}

func (f Figure) ratio() string {
	switch {
	case f.Ratio == nil:
		return ""
	case f.Ratio.Low == nil:
		return fmt.Sprintf("%.3f", f.Ratio.Median)
	}
	return fmt.Sprintf("%.3f (%.3f to %.3f)", f.Ratio.Median, *f.Ratio.Low, *f.Ratio.High)
}

func (s Spread) String() string {
	if s.Min == s.Max {
		return number(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", number(s.Median), number(s.Min), number(s.Max))
}

// number writes a value with three significant digits or more.
func number(value float64) string {
	if value >= 100 {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.3g", value)
}

func (b Bound) String() string {
	switch {
	case b.AtMost > 0:
		return fmt.Sprintf("≤ %g", b.AtMost)
	case b.AtLeast > 0:
		return fmt.Sprintf("≥ %g", b.AtLeast)
	}
	return ""
}
