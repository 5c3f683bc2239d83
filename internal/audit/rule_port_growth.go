package audit

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/internal/figure"
)

const (
	// fewestLooks is how many looks show a growth with 95 % confidence at the least: four that rise one after the other do so
	// by chance once in 4! = 24 times, three once in six.
	fewestLooks = 4
	// loadCycle is the time in which load goes up and down by itself. Less than that cannot tell growth from a morning.
	loadCycle = 24 * time.Hour
)

func portGrowth() Rule {
	return Rule{
		ID: "CP402", Title: "Local ports will run short if their use grows on",
		Category: CategoryPorts, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, links whose ports are short already (see CP401 and CP412), and histories of fewer than four looks.",
		Why: "Ports fill up with the rate of new connections, and nothing slows down until half of them are held; from there on connect() does. " +
			"The share that the fullest pod held is kept in the report's history; if it has risen from look to look so that half is reached within as long again as was looked, there is still time to act.",
		Cures: []string{
			"Act before half is reached: let the client reuse connections (CP204 says whether it does), then widen the range (tuning.mode Recommend or Apply with the knob ephemeralPorts), then spread the connections over more pods.",
			"See whether it goes down again with the time of the day. If not, let the client reuse connections (CP204 says whether it does), then widen the range: tuning.mode Recommend or Apply with the knob ephemeralPorts.",
		},
		Source: "Sen, Journal of the American Statistical Association 63 (1968), for the slope; Mann, Econometrica 13 (1945), for the test; net/ipv4/inet_hashtables.c, __inet_hash_connect, for half",
		judge:  judgePortGrowth,
	}
}

func judgePortGrowth(in Input) judgement {
	if j, none := notObserved(in); none && j.result == NotApplicable {
		return j
	}
	limit, whose := portWarningPercent, "CP401"
	if objective := in.Objectives.PortUtilizationPercent; objective != nil && *objective < limit {
		limit, whose = *objective, "CP412"
	}
	if len(in.History) < fewestLooks {
		return notApplicable(fmt.Sprintf("Growth shows in %d looks at the least; the history has %d yet.", fewestLooks, len(in.History)))
	}
	var looks []look
	for _, past := range in.History {
		if past.PortUtilizationPercent != nil {
			looks = append(looks, look{past.At, *past.PortUtilizationPercent})
		}
	}
	if len(looks) < fewestLooks {
		return unknown(fmt.Sprintf("Only %d of the %d looks in the history know how many ports were held.", len(looks), len(in.History)))
	}
	slices.SortFunc(looks, func(a, b look) int { return a.at.Compare(b.at) })
	first, last := looks[0], looks[len(looks)-1]
	if last.percent >= limit {
		return notApplicable(fmt.Sprintf("%d %% are held already, which %s judges.", last.percent, whose))
	}
	span := last.at.Sub(first.at)
	evidence := map[string]string{"percentFirst": strconv.Itoa(first.percent), "percentLast": strconv.Itoa(last.percent),
		"looks": strconv.Itoa(len(looks)), "hours": fmt.Sprintf("%.1f", span.Hours())}
	seen := fmt.Sprintf("The share of local ports that the fullest pod held went from %d %% to %d %% in %s",
		first.percent, last.percent, figure.Microseconds(float64(span.Microseconds())))
	if span >= 2*time.Hour {
		seen = fmt.Sprintf("The share of local ports that the fullest pod held went from %d %% to %d %% in %.0f hours",
			first.percent, last.percent, span.Hours())
	}
	if !rises(looks) {
		return pass(seen+", which is no steady growth.", evidence)
	}
	perHour := medianSlope(looks)
	hours := float64(limit-last.percent) / perHour
	evidence["percentPerHour"], evidence["hoursLeft"] = fmt.Sprintf("%.2f", perHour), fmt.Sprintf("%.1f", hours)
	switch {
	case perHour <= 0 || hours > span.Hours():
		return pass(seen+fmt.Sprintf(". At that rate %d %% are farther away than what was seen can foretell.", limit), evidence)
	case span < loadCycle:
		return fail(Info, fmt.Sprintf("%s. If it goes on, %d %% are reached in %.1f hours; from less than a day it cannot be told whether it is growth or the time of the day.", seen, limit, hours), evidence, 1)
	}
	return fail(Warning, fmt.Sprintf("%s. If it goes on, %d %% are reached in %.0f hours.", seen, limit, hours), evidence, 0)
}

// look is the share of the ports that was held at a time.
type look struct {
	at      time.Time
	percent int
}

// rises says whether looks, in their order, rise more often than chance would have it with 95 % confidence (Mann–Kendall).
// It counts how likely so many rising pairs are if any order were as likely as another; equal ones count as falling.
func rises(looks []look) bool {
	rising := 0
	for i := range looks {
		for _, later := range looks[i+1:] {
			if later.percent > looks[i].percent {
				rising++
			}
		}
	}
	return 1-belowRising(rising, len(looks)) <= errorProbability
}

// belowRising is the share of the orders of n different values in which fewer than rising pairs rise. The number of pairs
// that rise is that of inversions of a permutation: the k-th value adds 0 to k-1, each as likely.
func belowRising(rising, n int) float64 {
	chance := []float64{1} // by the number of pairs that rise
	for k := 2; k <= n; k++ {
		next := make([]float64, len(chance)+k-1)
		for pairs, p := range chance {
			for more := range k {
				next[pairs+more] += p / float64(k)
			}
		}
		chance = next
	}
	sum := 0.0
	for _, p := range chance[:rising] {
		sum += p
	}
	return sum
}

// medianSlope is the median of the slopes between any two looks, in per cent an hour (Theil–Sen), which single looks do not
// move.
func medianSlope(looks []look) float64 {
	var slopes []float64
	for i, earlier := range looks {
		for _, later := range looks[i+1:] {
			if apart := later.at.Sub(earlier.at).Hours(); apart > 0 {
				slopes = append(slopes, float64(later.percent-earlier.percent)/apart)
			}
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	slices.Sort(slopes)
	return (slopes[(len(slopes)-1)/2] + slopes[len(slopes)/2]) / 2
}
