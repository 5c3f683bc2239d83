package ports

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	for text, want := range map[string]Range{"32768\t60999\n": {32768, 60999}, "1024 65535": {1024, 65535}, " 1\t1 ": {1, 1}} {
		if got, err := ParseRange(text); err != nil || got != want {
			t.Errorf("ParseRange(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1024", "1024 65536", "60999 32768", "a b", "-1 5", "1 2 3", "1-2"} {
		if got, err := ParseRange(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("ParseRange(%q) = %v, %v", text, got, err)
		}
	}
}

func TestParseSetJoinsWhatOverlapsOrTouches(t *testing.T) {
	for text, want := range map[string]Set{
		"":                       nil,
		"\n":                     nil,
		"8080":                   {{8080, 8080}},
		"9,1-3,4-6,5":            {{1, 6}, {9, 9}},
		"30000-32767, 8080\n":    {{8080, 8080}, {30000, 32767}},
		"1-100,50-60,65535,1024": {{1, 100}, {1024, 1024}, {65535, 65535}},
	} {
		if got, err := ParseSet(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseSet(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{",", "1,", "5-1", "1-2-3", "x", "70000", "1-"} {
		if got, err := ParseSet(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("ParseSet(%q) = %v, %v", text, got, err)
		}
	}
}

func TestAvailable(t *testing.T) {
	for _, c := range []struct {
		r        Range
		reserved string
		want     int
	}{
		{Range{32768, 60999}, "", 28232},
		{Range{32768, 60999}, "8080,30000-32767", 28232},
		{Range{32768, 60999}, "32000-32769,60999,61000-61010", 28229},
		{Range{1024, 65535}, "30000-32767", 61744},
		{Range{10, 12}, "1-100", 0},
	} {
		reserved, err := ParseSet(c.reserved)
		if err != nil {
			t.Fatal(err)
		}
		if got := Available(c.r, reserved); got != c.want {
			t.Errorf("Available(%v, %s) = %d, want %d", c.r, c.reserved, got, c.want)
		}
	}
}

func TestSetAgreesWithAListOfItsPorts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	randomRange := func() Range { first := random.IntN(120); return Range{first, first + random.IntN(12) - 1} }
	for range 2000 {
		var ranges []Range
		member := map[int]bool{}
		for range random.IntN(12) {
			r := randomRange()
			ranges = append(ranges, r)
			for port := r.First; port <= r.Last; port++ {
				member[port] = true
			}
		}
		set, window := NewSet(ranges...), randomRange()
		items := 1 + random.IntN(4)
		compact := set.Compact(items)
		inWindow := 0
		for port := range 140 {
			if set.Contains(port) != member[port] {
				t.Fatalf("%v: port %d is wrong in %v", ranges, port, set)
			}
			if member[port] && !compact.Contains(port) {
				t.Fatalf("%v compacted to %v lost port %d", set, compact, port)
			}
			if member[port] && window.Contains(port) {
				inWindow++
			}
		}
		if set.Count() != len(member) || set.Within(window).Count() != inWindow || len(compact) > items {
			t.Fatalf("%v within %v, compacted to %v", set, window, compact)
		}
		for i := 1; i < len(set); i++ {
			if set[i].First <= set[i-1].Last+1 {
				t.Fatalf("%v overlaps or touches", set)
			}
		}
	}
}

func TestCompactFillsTheSmallestGapFirst(t *testing.T) {
	set := NewSet(Range{1, 1}, Range{10, 10}, Range{12, 12}, Range{100, 100})
	if got := set.Compact(3).String(); got != "1,10-12,100" {
		t.Error(got)
	}
	if got := set.Compact(1).String(); got != "1-100" {
		t.Error(got)
	}
	if got := set.String(); got != "1,10,12,100" {
		t.Errorf("the set itself became %s", got)
	}
}

// FuzzParse feeds what the kernel might show, and what it never would.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"32768\t60999", "1024\t65535\n", "", "\n", "8080,9148", "30000-32767,36000", "4140,4143,4190-4191,9964,15000-15090",
		"0-65535", "65535", "1,2,3,4", ",", "-", "1-", "99999", "1\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRange(text); err == nil && (r.First < 0 || r.Last > Highest || r.First > r.Last) {
			t.Errorf("ParseRange(%q) = %v", text, r)
		}
		set, err := ParseSet(text)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Errorf("ParseSet(%q): %v", text, err)
			}
			return
		}
		if count := set.Count(); count > Highest+1 || (count == 0) != (strings.TrimSpace(text) == "") {
			t.Errorf("ParseSet(%q) has %d ports", text, count)
		}
		again, err := ParseSet(set.String())
		if err != nil || !reflect.DeepEqual(again, set) {
			t.Errorf("%q became %v, and that %v, %v", text, set, again, err)
		}
	})
}
