package figure

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 28232: "28,232", 1234567: "1,234,567", -1000: "-1,000", -12: "-12"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestMicroseconds(t *testing.T) {
	for us, want := range map[float64]string{0: "0 µs", 0.04: "0.04 µs", 12.54: "12.5 µs", 999.4: "999 µs", 999.6: "1 ms", 4800: "4.8 ms", 1031000: "1.03 s", 61000000: "61 s"} {
		if got := Microseconds(us); got != want {
			t.Errorf("Microseconds(%v) = %q, want %q", us, got, want)
		}
	}
}

func TestLasting(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0 s", 0.44: "0.44 s", 119: "119 s", 120: "2 minutes", 3600: "60 minutes", 7199: "120 minutes", 7200: "2 hours", 108000: "30 hours", 9000: "2.5 hours", 259199: "72 hours", 259200: "3 days", 864000: "10 days"} {
		if got := Lasting(seconds); got != want {
			t.Errorf("Lasting(%v) = %q, want %q", seconds, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	for rate, want := range map[float64]string{0: "0", 0.016: "0.02", 12.54: "12.5", 470.2: "470", 1075.2: "1,075"} {
		if got := Rate(rate); got != want {
			t.Errorf("Rate(%v) = %q, want %q", rate, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	if got := Percent(62.34); got != "62.3 %" {
		t.Errorf("Percent = %q", got)
	}
	for part, want := range map[int]string{28232: "100 %", 28231: "99 %", 14115: "49 %", 14116: "50 %"} {
		if got := PercentDown(part, 28232); got != want {
			t.Errorf("PercentDown(%d, 28232) = %q, want %q", part, got, want)
		}
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 pods", 1: "1 pod", 2: "2 pods", 1000: "1,000 pods"} {
		if got := Plural(n, "pod", "pods"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
