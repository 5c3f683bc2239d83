package report

import (
	"fmt"
	"slices"

	"github.com/connpolicy/connpolicy/probes/result"
)

// bars are the heights of a histogram's classes, from the lowest that is not empty.
const bars = "▁▂▃▄▅▆▇█"

// histogram draws how the samples lie between the least and the most, on a scale of equal ratios.
func (t *text) histogram(d *result.Distribution) {
	if len(d.Histogram) == 0 {
		return
	}
	heights := []rune(bars)
	most := slices.Max(d.Histogram)
	drawn := make([]rune, len(d.Histogram))
	for i, count := range d.Histogram {
		drawn[i] = ' '
		if count > 0 {
			drawn[i] = heights[(count*len(heights)-1)/most]
		}
	}
	t.line("  %-18s %s", "", fmt.Sprintf("%.0f |%s| %.0f", d.Min, string(drawn), d.Max))
}
