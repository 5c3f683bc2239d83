package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQuantileIsTheNearestRank(t *testing.T) {
	sorted := []float64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}
	for _, c := range []struct{ q, want float64 }{{0, 10}, {0.1, 10}, {0.11, 20}, {0.5, 50}, {0.9, 90}, {0.99, 100}, {1, 100}} {
		if got := Quantile(sorted, c.q); got != c.want {
			t.Errorf("Quantile(%v) = %v, want %v", c.q, got, c.want)
		}
	}
	if got := Quantile([]float64{7}, 0.5); got != 7 {
		t.Errorf("the median of one sample is %v, want 7", got)
	}
}

// The ranks are those of the usual tables of 95 % intervals of the median.
func TestMedianRank(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 0, 5: 0, 6: 1, 8: 1, 9: 2, 10: 2, 20: 6, 50: 18, 100: 40} {
		if got := medianRank(n); got != want {
			t.Errorf("medianRank(%d) = %d, want %d", n, got, want)
		}
	}
	if got := medianRank(100_000); got < 49_600 || got > 49_700 {
		t.Errorf("medianRank(100000) = %d, want about 49,690", got)
	}
}

func TestMedianIntervalHoldsItsConfidence(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const runs, trueMedian = 4000, 0.5
	enclosed := 0
	for range runs {
		samples := make([]float64, 31)
		for i := range samples {
			samples[i] = random.Float64()
		}
		slices.Sort(samples)
		low, high, ok := MedianInterval(samples)
		if !ok {
			t.Fatal("31 samples give no interval")
		}
		if low <= trueMedian && trueMedian <= high {
			enclosed++
		}
	}
	if share := float64(enclosed) / runs; share < 0.94 {
		t.Errorf("the interval enclosed the true median in %.1f %% of the runs, want at least 95 %%", 100*share)
	}
}

func TestNarrow(t *testing.T) {
	if Narrow([]float64{1, 1, 1, 1, 1}, 0.05) {
		t.Error("five samples can bound no median")
	}
	if !Narrow([]float64{1, 1, 1, 1, 1, 1}, 0.05) {
		t.Error("six equal samples bound their median")
	}
	if Narrow([]float64{1, 2, 3, 4, 5, 6, 7, 8}, 0.05) {
		t.Error("eight spread samples do not bound their median to 5 %")
	}
}

func TestSummarise(t *testing.T) {
	if Summarise(nil) != nil {
		t.Error("no samples have no distribution")
	}
	samples := []float64{30, 10, 20}
	d := Summarise(samples)
	if d.Min != 10 || d.P50 != 20 || d.Max != 30 || d.P50Low != nil || d.P50High != nil {
		t.Errorf("Summarise = %+v", *d)
	}
	if samples[0] != 30 {
		t.Error("Summarise sorted the caller's slice")
	}
}

func TestHistogramHasClassesOfEqualRatio(t *testing.T) {
	var samples []float64
	for class := range histogramClasses { // from 1 to 2^32, with as many samples in the middle of a class as its number
		for range class {
			samples = append(samples, math.Pow(2, float64(class)+0.5))
		}
	}
	samples = append(samples, 1, math.Pow(2, histogramClasses))
	want := make([]int, histogramClasses)
	for class := range want {
		want[class] = class
	}
	want[0]++
	want[histogramClasses-1]++
	if got := Summarise(samples).Histogram; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, flat := range [][]float64{{7}, {7, 7, 7}, {0, 1}} {
		if got := Summarise(flat).Histogram; got != nil {
			t.Errorf("%v is spread over %v", flat, got)
		}
	}
}
