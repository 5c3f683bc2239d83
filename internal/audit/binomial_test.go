package audit

import (
	"math"
	"testing"
)

func TestRarityStandsToOneInAHundred(t *testing.T) {
	for _, c := range []struct {
		events, trials int64
		want           rarity
	}{
		{0, 0, tooFewTrials}, {0, 1, rare}, {1, 20, tooFewTrials}, {1, 5, common}, {1, 99, tooFewTrials}, {1, 100, rare}, {6, 200, common},
		{5, 4, tooFewTrials}, {1000, 100_000, rare}, {1200, 100_000, common}, {1_000_100, 100_000_000, tooFewTrials}, {1_200_000, 100_000_000, common},
	} {
		if got := rarityOf(c.events, c.trials); got != c.want {
			t.Errorf("%d of %d: %v, want %v", c.events, c.trials, got, c.want)
		}
	}
}

// The probabilities are those of all ways to draw, counted.
func TestMoreThanBeforeIsExact(t *testing.T) {
	for _, c := range []struct {
		k, n, marked, total int64
		want                float64
	}{
		{4, 4, 4, 8, 1.0 / 70}, {3, 4, 4, 8, 17.0 / 70}, {2, 4, 2, 8, 6.0 / 28}, {1, 1, 1, 1000, 0.001}, {3, 3, 3, 6, 1.0 / 20}, {20, 20, 20, 40, 1.0 / 137846528820},
	} {
		if got := atLeastDrawn(c.k, c.n, c.marked, c.total); math.Abs(got-c.want) > 1e-9*c.want {
			t.Errorf("%d of %d from %d in %d: %g, want %g", c.k, c.n, c.marked, c.total, got, c.want)
		}
	}
	for _, c := range []struct {
		events, n, eventsBefore, before int64
		want                            bool
	}{
		{0, 40, 0, 1200, false}, {2, 40, 0, 1200, true}, {1, 40, 0, 1200, false}, {1, 40, 0, 12_000, true}, {12, 40, 300, 1000, false}, {20, 20, 0, 0, false},
		{4, 4, 0, 4, true}, {3, 3, 0, 3, false}, {5, 3, 0, 4000, true}, {1, 1, 9, 4, false}, {40_000_000, 1_000_000_000, 1_000_000, 1_000_000_000, true},
	} {
		if got := moreThanBefore(2, c.events, c.n, c.eventsBefore, c.before); got != c.want {
			t.Errorf("%d of %d after %d of %d: %t", c.events, c.n, c.eventsBefore, c.before, got)
		}
	}
}
