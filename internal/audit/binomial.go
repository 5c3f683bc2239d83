package audit

import (
	"math"

	"github.com/connpolicy/connpolicy/probes/result"
)

// errorProbability is how likely a judgement from samples may be wrong.
const errorProbability = 0.05

// mostTrials bounds the work of a binomial bound. With so many the bound lies within one per cent of what was
// seen, and with fewer trials of the same share it only becomes wider.
const mostTrials = 10_000

// provenAbove says that so many events in n trials are too unlikely if their share were not above share.
func provenAbove(events, n int64, share float64) bool {
	return provenAboveAmong(1, events, n, share)
}

// provenAboveAmong says the same of one of so many rows of trials that are looked at: one of them may show many events by
// chance, so that each has to be as many times less likely (Bonferroni).
func provenAboveAmong(rows int, events, n int64, share float64) bool {
	k, trials := fewerTrials(events, n)
	return k > 0 && float64(rows)*(1-atMost(k-1, trials, share)) <= errorProbability
}

// provenBelow says that so few events in n trials are too unlikely if their share were not below share.
func provenBelow(events, n int64, share float64) bool {
	k, trials := fewerTrials(events, n)
	return trials > 0 && atMost(k, trials, share) <= errorProbability
}

// fewerTrials scales events and trials down to at most mostTrials.
func fewerTrials(events, n int64) (k, trials int) {
	if n <= mostTrials {
		return int(events), int(n)
	}
	return int(math.Round(float64(events) / float64(n) * mostTrials)), mostTrials
}

// moreThanBefore says that so many events in n trials are too unlikely beside those of before if their share had not grown, when
// so many rows of trials are looked at. Given how many events there were in all, they are drawn from all trials (Fisher's exact
// test, one-sided).
func moreThanBefore(rows int, events, n, eventsBefore, nBefore int64) bool {
	n, nBefore = max(n, events), max(nBefore, eventsBefore)
	all, total := events+eventsBefore, n+nBefore
	if nBefore <= 0 || float64(events)*float64(total) <= float64(all)*float64(n) {
		return false
	}
	return float64(rows)*atLeastDrawn(events, n, all, total) <= errorProbability
}

// atLeastDrawn returns the probability that at least k of n that are drawn from total are among marked ones of it. k is above
// the mean, so that each further term is smaller.
func atLeastDrawn(k, n, marked, total int64) float64 {
	choose := func(n, k int64) float64 { return logChoose(int(n), int(k)) }
	term := math.Exp(choose(marked, k) + choose(total-marked, n-k) - choose(total, n))
	sum := 0.0
	for i := k; i <= min(n, marked) && term > sum*1e-12; i++ {
		sum += term
		term *= float64(marked-i) * float64(n-i) / (float64(i+1) * float64(total-marked-n+i+1))
	}
	return min(sum, 1)
}

// noneOf returns the share, in per cent, that is excluded with 95 % confidence when none of n samples showed an event:
// the p for which (1-p)^n is 5 %.
func noneOf(n int) float64 { return 100 * (1 - math.Pow(errorProbability, 1/float64(n))) }

// enoughToSeeNone is the number of samples below which it says nothing that none of them showed an event: with ten, more
// than a quarter is excluded.
const enoughToSeeNone = 10

// savesAtLeast returns by how many microseconds the median of fast lies below that of slow at least, by the intervals of
// both. It is not known where there are too few samples for an interval.
func savesAtLeast(slow, fast *result.Distribution) (microseconds float64, known bool) {
	if slow == nil || fast == nil || slow.P50Low == nil || fast.P50High == nil {
		return 0, false
	}
	return *slow.P50Low - *fast.P50High, true
}

// atMost returns the probability that at most k of n independent trials succeed, each with probability p.
func atMost(k, n int, p float64) float64 {
	sum := 0.0
	for i := 0; i <= k && i <= n; i++ {
		sum += math.Exp(logChoose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(sum, 1)
}

// logChoose returns the logarithm of the number of ways to choose k of n.
func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// rarity says how a number of events among trials stands to one in a hundred.
type rarity int

const (
	// tooFewTrials: more than one in a hundred were seen, but in so few trials that it may be chance.
	tooFewTrials rarity = iota
	// rare: no more than one in a hundred were seen.
	rare
	// common: more than one in a hundred are to be expected, so that a 99th percentile feels them.
	common
)

// rarityOf judges events among trials.
func rarityOf(events, trials int64) rarity {
	switch {
	case trials <= 0 || events > trials:
		return tooFewTrials
	case float64(events) <= objectiveShare*float64(trials):
		return rare
	case provenAbove(events, trials, objectiveShare):
		return common
	}
	return tooFewTrials
}
