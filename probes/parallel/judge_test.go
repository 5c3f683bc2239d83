package parallel

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	single := figures{offered: 80, answered: 80, rateLow: 75, rateHigh: 85, p50: 10_000, p50Low: 9_900, p50High: 10_200}
	for name, c := range map[string]struct {
		before, this figures
		want         string
	}{
		"twice as much, as soon":            {single, figures{offered: 160, answered: 160, rateLow: 155, rateHigh: 165, p50Low: 9_950}, ""},
		"keeps up, whatever the noise":      {single, figures{offered: 160, answered: 150, rateLow: 20, rateHigh: 300, p50Low: 9_950}, ""},
		"no more, within the noise":         {single, figures{offered: 160, answered: 84, rateLow: 80, rateHigh: 90, p50Low: 400_000}, stoppedByKnee},
		"less":                              {single, figures{offered: 160, answered: 60, rateLow: 50, rateHigh: 70, p50Low: 400_000}, stoppedByKnee},
		"a little more, but much later":     {single, figures{offered: 160, answered: 100, rateLow: 98, rateHigh: 102, p50Low: 400_000}, stoppedByLatency},
		"all, but later":                    {single, figures{offered: 160, answered: 160, rateLow: 155, rateHigh: 165, p50Low: 15_400}, stoppedByLatency},
		"a little later, and not for sure":  {single, figures{offered: 160, answered: 160, rateLow: 155, rateHigh: 165, p50: 15_400, p50Low: 15_200}, ""},
		"no more, for want of the probe":    {single, figures{offered: 160, answered: 84, rateLow: 80, rateHigh: 90, p50Low: 400_000, busy: 0.9}, stoppedByProbe},
		"later, for want of the probe":      {single, figures{offered: 160, answered: 160, p50Low: 15_400, busy: 0.9}, stoppedByProbe},
		"later, for want of a processor":    {single, figures{offered: 160, answered: 160, p50Low: 15_400, delayed: 0.3}, stoppedByProbe},
		"as soon, by a busy probe":          {single, figures{offered: 160, answered: 160, p50Low: 9_950, busy: 0.9}, ""},
		"nothing was answered within level": {single, figures{offered: 160, p50Low: 2_000_000}, stoppedByKnee},
	} {
		if got := judge(single, c.before, c.this); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	noisier := worse(single, figures{p50High: 16_000})
	if got := judge(noisier, single, figures{offered: 160, answered: 160, p50Low: 15_400}); got != "" {
		t.Errorf("what one connection shows too is not the load's doing: %q", got)
	}
	if worse(single, figures{p50High: 9_000}) != single {
		t.Error("a better second look does not make the first worse")
	}
}

func TestFigures(t *testing.T) {
	l := &level{taken: 200, interval: 10 * time.Millisecond, length: 2 * time.Second, waited: 1500 * time.Millisecond}
	for i := range 200 {
		l.answers = append(l.answers, time.Duration(i)*l.interval+5*time.Millisecond)
		l.took = append(l.took, 5000)
	}
	// What was answered after the end says nothing of the rate.
	for range 50 {
		l.answers = append(l.answers, l.length+time.Millisecond)
	}
	f, enough := l.figures()
	if !enough || f.offered != 100 || math.Abs(f.answered-100) > 1e-9 || f.rateLow != 100 || f.rateHigh != 100 || f.p50 != 5000 || f.p50Low != 5000 || f.busy != 0.25 {
		t.Errorf("%+v, %v", f, enough)
	}
	few := &level{interval: time.Second, length: 2 * time.Second, took: []float64{1, 2, 3, 4, 5}}
	if f, enough := few.figures(); enough {
		t.Errorf("five answers bound no median: %+v", f)
	}
	mute := &level{interval: 10 * time.Millisecond, length: 2 * time.Second, took: l.took}
	if f, enough := mute.figures(); !enough || f.answered != 0 {
		t.Errorf("%+v, %v", f, enough)
	}
}

// What waits at the end has waited for the target as long as no lane was free, and since then for the probe.
func TestWhatWaitsAtTheEnd(t *testing.T) {
	began := time.Now()
	for name, c := range map[string]struct {
		freeSince time.Time
		want      []float64
	}{
		"no lane is free":         {time.Time{}, []float64{40_000, 30_000, 20_000, 10_000}},
		"one has become free":     {began.Add(75 * time.Millisecond), []float64{15_000, 5_000}},
		"one was free all along":  {began, nil},
		"one becomes free at end": {began.Add(100 * time.Millisecond), []float64{40_000, 30_000, 20_000, 10_000}},
	} {
		l := &level{began: began, interval: 10 * time.Millisecond, length: 100 * time.Millisecond, taken: 6, freeSince: c.freeSince}
		l.close(began.Add(l.length))
		if !slices.Equal(l.took, c.want) || l.taken != 6+len(c.want) {
			t.Errorf("%s: %v, want %v", name, l.took, c.want)
		}
	}
}
