package audit

import "testing"

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
