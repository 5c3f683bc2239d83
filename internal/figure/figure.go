// Package figure writes figures for people to read: one way for all messages.
package figure

import (
	"fmt"
	"math"
	"strconv"
)

// Count writes a whole number with a comma between groups of three digits: 28,232.
func Count(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Plural writes a count of things: 1 pod, 2 pods.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

// Microseconds writes a duration given in microseconds with three significant digits at the most, in the unit that suits
// it: 12.5 µs, 4.8 ms, 1.03 s.
func Microseconds(us float64) string {
	switch {
	case math.Abs(us) < 999.5:
		return significant(us) + " µs"
	case math.Abs(us) < 999.5e3:
		return significant(us/1e3) + " ms"
	}
	return significant(us/1e6) + " s"
}

// Lasting writes for how long something has lasted, given in seconds, in the unit that people would say: 0.4 s, 12 s,
// 25 minutes, 2.5 hours, 10 days.
func Lasting(seconds float64) string {
	const minute, hour, day = 60, 3600, 24 * 3600
	tenths := func(unit float64) string { return strconv.FormatFloat(math.Round(10*seconds/unit)/10, 'f', -1, 64) }
	switch {
	case math.Abs(seconds) < 2*minute:
		return significant(seconds) + " s"
	case math.Abs(seconds) < 2*hour:
		return strconv.Itoa(int(math.Round(seconds/minute))) + " minutes"
	case math.Abs(seconds) < 3*day:
		return tenths(hour) + " hours"
	}
	return tenths(day) + " days"
}

// Rate writes a number of events per second: 470, 12.5, 0.02.
func Rate(perSecond float64) string {
	if math.Abs(perSecond) >= 999.5 {
		return Count(int(math.Round(perSecond)))
	}
	return significant(perSecond)
}

// Percent writes a share of 100: 99 %, 0.35 %.
func Percent(share float64) string { return significant(share) + " %" }

// PercentDown writes how many per cent part is of whole, rounded down, so that 100 % means all and 49.9 % is not yet half.
func PercentDown(part, whole int) string { return fmt.Sprintf("%d %%", 100*part/whole) }

// significant writes a number with three significant digits and at most two decimals, without zeros at the end.
func significant(value float64) string {
	decimals := 2
	for _, limit := range []float64{9.995, 99.95, 999.5} {
		if math.Abs(value) >= limit {
			decimals--
		}
	}
	scale := math.Pow10(max(decimals, 0))
	return strconv.FormatFloat(math.Round(value*scale)/scale, 'f', -1, 64)
}
