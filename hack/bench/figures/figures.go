// Package figures holds what a benchmark found against the bounds that it should keep. It is pure.
package figures

import (
	"math"
	"slices"

	"github.com/connpolicy/connpolicy/probes/stats"
)

// Spread is how values lay over the rounds.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// Ratio is ours divided by the yardstick's, taken in each round, where both met the same weather.
type Ratio struct {
	Median float64 `json:"median"`
	// Low and High enclose the median with 95 % confidence. They are absent where there were too few rounds to tell.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}

// Bound is what a figure should keep, in the unit of what is judged. The zero Bound judges nothing.
type Bound struct {
	AtMost  float64 `json:"atMost,omitempty"`
	AtLeast float64 `json:"atLeast,omitempty"`
}

// Verdict is what became of a bound.
type Verdict string

// The verdicts.
const (
	Kept   Verdict = "kept"
	Missed Verdict = "missed"
	// Shown: there is no bound; the figure stands there for comparison.
	Shown Verdict = "shown"
)

// Figure is one figure of the benchmark.
type Figure struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Ours is the figure itself; Against names the yardstick and Yardstick is its figure.
	Ours      Spread  `json:"ours"`
	Against   string  `json:"against,omitempty"`
	Yardstick *Spread `json:"yardstick,omitempty"`
	Ratio     *Ratio  `json:"ratio,omitempty"`
	// Bound is that of the ratio's median, or without a yardstick that of the largest value.
	Bound   Bound   `json:"bound"`
	Verdict Verdict `json:"verdict"`
	Rounds  int     `json:"rounds"`
}

// Compare judges the ratio of two figures that were taken in the same rounds. There is at least one round.
func Compare(name, unit string, ours []float64, against string, yardstick []float64, bound Bound) Figure {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / yardstick[i]
	}
	slices.Sort(ratios)
	ratio := Ratio{Median: stats.Quantile(ratios, 0.5)}
	if low, high, ok := stats.MedianInterval(ratios); ok {
		ratio.Low, ratio.High = &low, &high
	}
	return Figure{
		Name: name, Unit: unit,
		Ours: spread(ours), Against: against, Yardstick: new(spread(yardstick)), Ratio: &ratio,
		Bound: bound, Verdict: bound.judge(ratio.Median), Rounds: len(ours),
	}
}

// Alone judges a figure that has no yardstick by its largest value. There is at least one.
func Alone(name, unit string, values []float64, bound Bound) Figure {
	s := spread(values)
	return Figure{Name: name, Unit: unit, Ours: s, Bound: bound, Verdict: bound.judge(s.Max), Rounds: len(values)}
}

func (b Bound) judge(value float64) Verdict {
	switch {
	case b == Bound{}:
		return Shown
	case math.IsNaN(value), b.AtMost > 0 && value > b.AtMost, value < b.AtLeast:
		return Missed
	}
	return Kept
}

func spread(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	return Spread{Min: sorted[0], Median: stats.Quantile(sorted, 0.5), Max: sorted[len(sorted)-1]}
}
