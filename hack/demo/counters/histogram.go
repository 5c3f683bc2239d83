package counters

import (
	"math"
	"time"
)

// Bucket counts the observations up to a bound.
type Bucket struct {
	UpperSeconds float64
	Cumulative   float64
}

// Histogram is a Prometheus histogram: buckets by ascending bound, the last one without bound.
type Histogram []Bucket

// since returns the histogram of what was observed after an earlier one of the same client.
func (h Histogram) since(earlier Histogram) Histogram {
	difference := make(Histogram, len(h))
	for i, bucket := range h {
		difference[i] = bucket
		if i < len(earlier) {
			difference[i].Cumulative -= earlier[i].Cumulative
		}
	}
	return difference
}

// plus returns the sum of two histograms with the same bounds.
func (h Histogram) plus(other Histogram) Histogram {
	if len(h) == 0 {
		return other
	}
	sum := make(Histogram, len(h))
	for i, bucket := range h {
		sum[i] = bucket
		if i < len(other) {
			sum[i].Cumulative += other[i].Cumulative
		}
	}
	return sum
}

// Quantile estimates the time below which the share q (0 to 1) of the observations lie, as if they were spread evenly in
// each bucket. It is nil if nothing was observed, and the highest bound if the quantile lies above it.
func (h Histogram) Quantile(q float64) *time.Duration {
	if len(h) == 0 || h[len(h)-1].Cumulative == 0 {
		return nil
	}
	rank := q * h[len(h)-1].Cumulative
	var lowerSeconds, below float64
	for _, bucket := range h {
		if math.IsInf(bucket.UpperSeconds, 1) {
			return seconds(lowerSeconds)
		}
		if bucket.Cumulative >= rank {
			inside := bucket.Cumulative - below
			if inside == 0 {
				return seconds(bucket.UpperSeconds)
			}
			return seconds(lowerSeconds + (bucket.UpperSeconds-lowerSeconds)*(rank-below)/inside)
		}
		lowerSeconds, below = bucket.UpperSeconds, bucket.Cumulative
	}
	return seconds(lowerSeconds)
}

func seconds(s float64) *time.Duration {
	duration := time.Duration(s * float64(time.Second))
	return &duration
}
