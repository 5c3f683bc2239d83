package handshake

import "testing"

func TestAbove(t *testing.T) {
	samples := []float64{50, 100, 100.5, 2000}
	for limit, want := range map[float64]int{49: 4, 50: 3, 100: 2, 100.5: 1, 2000: 0, 5000: 0} {
		got := above(samples, limit)
		if got == nil || got.Got != want || got.Of != 4 || got.Microseconds != limit {
			t.Errorf("above %v: %+v, want %d of 4", limit, got, want)
		}
	}
	if above(samples, 0) != nil || above(nil, 100) != nil {
		t.Error("nothing was asked, or nothing sampled, and yet it was counted")
	}
}
