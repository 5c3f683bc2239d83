package figures

import (
	"bytes"
	"strings"
	"testing"
)

func TestCompareJudgesTheMedianOfTheRatios(t *testing.T) {
	// The machine became ten times as slow for the last round, for both.
	ours, yardstick := []float64{11, 12, 110}, []float64{10, 10, 100}
	for name, c := range map[string]struct {
		bound Bound
		want  Verdict
	}{
		"kept":               {Bound{AtMost: 1.10}, Kept},
		"missed":             {Bound{AtMost: 1.09}, Missed},
		"kept from below":    {Bound{AtLeast: 0.9}, Kept},
		"missed from below":  {Bound{AtLeast: 1.2}, Missed},
		"nothing to be kept": {Bound{}, Shown},
	} {
		f := Compare("connect", "µs", ours, "C", yardstick, c.bound)
		if f.Verdict != c.want || f.Ratio.Median != 1.1 || f.Rounds != 3 {
			t.Errorf("%s: %+v, ratio %+v", name, f, f.Ratio)
		}
		if f.Ratio.Low != nil {
			t.Errorf("%s: an interval from three rounds", name)
		}
		if f.Ours != (Spread{Min: 11, Median: 12, Max: 110}) || *f.Yardstick != (Spread{Min: 10, Median: 10, Max: 100}) {
			t.Errorf("%s: spreads %v and %v", name, f.Ours, *f.Yardstick)
		}
	}
}

func TestAloneJudgesTheLargest(t *testing.T) {
	if f := Alone("memory", "MiB", []float64{12, 31, 13}, Bound{AtMost: 30}); f.Verdict != Missed {
		t.Errorf("%+v", f)
	}
	if f := Alone("memory", "MiB", []float64{12, 13}, Bound{AtMost: 30}); f.Verdict != Kept {
		t.Errorf("%+v", f)
	}
}

func TestTable(t *testing.T) {
	many := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	var out bytes.Buffer
	err := Table(&out, []Figure{
		Compare("connect", "µs", many, "plain C", many, Bound{AtMost: 1.1}),
		Alone("memory", "MiB", []float64{13.71}, Bound{AtMost: 30}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"5 (1 to 10) µs", "5 (1 to 10) plain C", "1.000 (1.000 to 1.000)", "≤ 1.1", "13.7 MiB", "kept"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
