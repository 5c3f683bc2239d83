package plot

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// check fails the test unless a plot can be read: it has titles, units, ticks in order on both axes, and all that is drawn
// lies in it.
func check(t *testing.T, name string, p Plot) {
	t.Helper()
	if p.Title == "" || p.Description == "" || p.X.Label == "" || p.X.Unit == "" || p.Y.Label == "" || p.Y.Unit == "" {
		t.Errorf("%s: %+v", name, p)
	}
	if len(p.X.Ticks) < 2 || len(p.Y.Ticks) < 1 {
		t.Errorf("%s: %d and %d ticks", name, len(p.X.Ticks), len(p.Y.Ticks))
	}
	for i, tick := range p.X.Ticks {
		if tick.At < p.X.From-0.1 || tick.At > p.X.To+0.1 || i > 0 && tick.At <= p.X.Ticks[i-1].At || tick.Label == "" {
			t.Errorf("%s: tick %+v after %+v", name, tick, p.X.Ticks[max(i-1, 0)])
		}
	}
	for _, s := range p.Shapes {
		for _, place := range []float64{s.X, s.Y, s.X2, s.Y2} {
			if math.IsNaN(place) || math.IsInf(place, 0) || place < -0.1 || place > math.Max(p.Width, p.Height)+0.1 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if s.Kind == Box && (s.DX() < 0 || s.DY() < 0) {
			t.Errorf("%s: a box of negative size: %+v", name, s)
		}
		if strings.ContainsAny(s.Points, "NI") {
			t.Errorf("%s: %s", name, s.Points)
		}
	}
}

// ascending are n random figures between 10 to the power of low and high.
func ascending(random *rand.Rand, n int, low, high float64) []float64 {
	figures := make([]float64, n)
	for i := range figures {
		figures[i] = math.Pow(10, low+random.Float64()*(high-low))
	}
	slices.Sort(figures)
	return figures
}

func TestDistributions(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		from := random.Float64()*9 - 2
		var series []Series
		for n := range 1 + i%6 {
			f := ascending(random, 5, from, from+random.Float64()*4)
			series = append(series, Series{Name: fmt.Sprintf("name %d", n%3), Node: "n", Distribution: result.Distribution{Min: f[0], P50: f[1], P90: f[2], P99: f[3], Max: f[4]}})
		}
		check(t, fmt.Sprint(series), Distributions("id", "title", "time", series, true))
	}
	same := result.Distribution{Min: 7, P50: 7, P90: 7, P99: 7, Max: 7}
	check(t, "all the same", Distributions("id", "title", "time", []Series{{Name: "a", Distribution: same}}, true))
	check(t, "all zero", Distributions("id", "title", "time", []Series{{Name: "a"}}, true))
}

func TestDistanceOfMedians(t *testing.T) {
	at := func(median float64) result.Distribution {
		return result.Distribution{Min: median / 2, P50: median, P90: 2 * median, P99: 3 * median, Max: 4 * median}
	}
	p := Distributions("id", "title", "time", []Series{{"new", "a", at(420)}, {"reused", "b", at(100)}, {"reused", "a", at(164)}}, true)
	var texts []string
	for _, s := range p.Shapes {
		if s.Kind == Text {
			texts = append(texts, s.Text)
		}
	}
	if !slices.Equal(texts, []string{"256 µs apart at the median", "a", "b"}) {
		t.Errorf("%q: the medians of one node are compared, and the nodes are named", texts)
	}
	known := func(low, median, high float64) result.Distribution {
		d := at(median)
		d.P50Low, d.P50High = &low, &high
		return d
	}
	for _, high := range []float64{370, 380} {
		reused, want := known(100, 164, high), 0
		if high < 375 {
			want = 1
		}
		p = Distributions("id", "title", "time", []Series{{"new", "a", known(375, 420, 499)}, {"reused", "a", reused}}, true)
		if got := len(slices.DeleteFunc(p.Shapes, func(s Shape) bool { return s.Kind != Text })); got != want {
			t.Errorf("medians up to %g and from 375 on: %d texts, want %d", high, got, want)
		}
	}
}

func TestPorts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		available := 1 + random.IntN(64000)
		held := random.IntN(available + 1)
		waiting := random.IntN(held + 1)
		pod := PodPorts{Pod: strings.Repeat("long-", i%40), Address: "a", Open: held - waiting, TimeWait: waiting, Peak: held + random.IntN(available), Available: available}
		check(t, fmt.Sprint(pod), Ports("id", "title", []PodPorts{pod, pod}))
	}
}

func TestSilence(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		from := random.Float64()*5.5 - 1
		f := ascending(random, 8, from, from+random.Float64()*random.Float64()*5)
		var ladder result.Ladder
		for _, seconds := range f {
			ladder.Rungs = append(ladder.Rungs, result.Rung{Seconds: seconds, Alive: random.IntN(2), RST: random.IntN(2), Unknown: random.IntN(2)})
		}
		lanes := []Lane{{Name: "request", Ladder: &ladder}, {Name: "header", AtSeconds: f[3], Does: "closes"}}
		check(t, fmt.Sprint(f), Silence("id", "title", lanes, []Cut{{AtLeastSeconds: f[2], AtMostSeconds: f[3], Text: "cut"}, {AtMostSeconds: f[0], Text: "cut"}}))
	}
}

func TestRungs(t *testing.T) {
	x := scale{min: 1, max: 100, from: 0, to: 100, log: true}
	for class, rung := range map[string]result.Rung{
		"alive": {Seconds: 1, Alive: 2}, "gone": {Seconds: 1, FIN: 1}, "some": {Seconds: 1, Alive: 1, BlackHole: 1}, "unknown": {Seconds: 1, Unknown: 1},
	} {
		if got := rungs(result.Ladder{Rungs: []result.Rung{rung}}, x, 0)[0]; got.Class != class {
			t.Errorf("%+v is drawn as %q, want %q", rung, got.Class, class)
		}
	}
}

func TestHistory(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(random.Int64N(int64(365 * 24 * time.Hour))))
		step := time.Duration(math.Pow(10, 1+random.Float64()*5.5)) * time.Second
		var points []Point
		for i := range 2 + random.IntN(19) {
			points = append(points, Point{at.Add(time.Duration(i) * step), math.Pow(10, random.Float64()*6-3)})
		}
		p := History("id", "title", "ms", points, []Bound{{Value: points[0].Value * 2, Text: "objective"}})
		check(t, fmt.Sprintf("%v every %v", at, step), p)
		if len(p.Y.Ticks) < 2 {
			t.Errorf("%d ticks", len(p.Y.Ticks))
		}
	}
	check(t, "zero", History("id", "title", percent, []Point{{time.Unix(0, 0), 0}, {time.Unix(60, 0), 0}}, nil))
}

func TestTickLabel(t *testing.T) {
	for value, want := range map[float64]string{1: "1", 1000: "1000", 0.1: "0.1", 1.23456: "1.23", 0.000123456: "0.000123", 20000: "20000"} {
		if got := tickLabel(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}
