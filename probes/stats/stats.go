// Package stats summarises samples by order statistics. Latencies are skewed and have outliers of seconds (a lost SYN), so
// nothing here takes a mean.
package stats

import (
	"math"
	"slices"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Confidence of the interval of the median.
const confidence = 0.95

// Quantile returns the q-quantile of sorted by the nearest rank: the smallest sample that at least the share q of all
// samples does not exceed. It is always a value that was seen. The slice must be sorted and not empty; q is 0 to 1.
func Quantile(sorted []float64, q float64) float64 {
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// MedianInterval bounds the median of the population behind sorted with at least 95 % confidence, by binomial order
// statistics. It assumes no distribution. With fewer than six samples there is no such bound and ok is false.
func MedianInterval(sorted []float64) (low, high float64, ok bool) {
	k := medianRank(len(sorted))
	if k == 0 {
		return 0, 0, false
	}
	return sorted[k-1], sorted[len(sorted)-k], true
}

// medianRank returns the largest k for which the k-th smallest and the k-th largest of n samples enclose the median with
// the confidence asked for: the probability that at most k-1 of n fair coins show heads is at most half of the rest.
// It returns 0 if no k does.
func medianRank(n int) int {
	tail := (1 - confidence) / 2
	cumulative := 0.0
	logHalf := float64(n) * math.Log(0.5)
	logFactorialN, _ := math.Lgamma(float64(n + 1))
	for i := 0; i <= n/2; i++ {
		logFactorialI, _ := math.Lgamma(float64(i + 1))
		logFactorialRest, _ := math.Lgamma(float64(n - i + 1))
		cumulative += math.Exp(logFactorialN - logFactorialI - logFactorialRest + logHalf)
		if cumulative > tail {
			return i
		}
	}
	return n / 2
}

// Narrow says whether the interval of the median of samples is known to lie within the share of the median on both
// sides, for example 0.05 for ±5 %. The samples may come in any order.
func Narrow(samples []float64, share float64) bool {
	sorted := slices.Sorted(slices.Values(samples))
	low, high, ok := MedianInterval(sorted)
	if !ok {
		return false
	}
	median := Quantile(sorted, 0.5)
	return median-low <= share*median && high-median <= share*median
}

// Summarise returns the distribution of samples, or nil if there is none. The samples may come in any order and are left
// as they are.
func Summarise(samples []float64) *result.Distribution {
	if len(samples) == 0 {
		return nil
	}
	sorted := slices.Clone(samples)
	slices.Sort(sorted)
	d := &result.Distribution{
		Min: sorted[0],
		P50: Quantile(sorted, 0.50),
		P90: Quantile(sorted, 0.90),
		P99: Quantile(sorted, 0.99),
		Max: sorted[len(sorted)-1],

		Histogram: histogram(sorted),
	}
	if low, high, ok := MedianInterval(sorted); ok {
		d.P50Low, d.P50High = &low, &high
	}
	return d
}

// histogramClasses fit on a line of a report, and tell one hump from two.
const histogramClasses = 32

// histogram counts sorted samples in classes of equal ratio, since latencies spread over powers of ten. Nil if there is
// nothing to spread.
func histogram(sorted []float64) []int {
	least, most := sorted[0], sorted[len(sorted)-1]
	if least <= 0 || least == most {
		return nil
	}
	counts := make([]int, histogramClasses)
	for _, sample := range sorted {
		class := int(histogramClasses * math.Log(sample/least) / math.Log(most/least))
		counts[min(class, histogramClasses-1)]++
	}
	return counts
}
