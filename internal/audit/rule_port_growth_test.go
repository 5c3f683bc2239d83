package audit

import (
	"math"
	"testing"
)

func TestChanceOfRisingPairs(t *testing.T) {
	// Of the 24 orders of four values one rises throughout (6 pairs), and four have 5 rising pairs or more.
	for _, c := range []struct {
		rising, n int
		want      float64
	}{{6, 4, 23.0 / 24}, {5, 4, 20.0 / 24}, {0, 4, 0}, {3, 3, 5.0 / 6}} {
		if got := belowRising(c.rising, c.n); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("fewer than %d of %d: %v, want %v", c.rising, c.n, got, c.want)
		}
	}
}
