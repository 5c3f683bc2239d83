package columns_test

import (
	"slices"
	"testing"

	"github.com/connpolicy/connpolicy/internal/columns"
)

func TestWrap(t *testing.T) {
	for text, want := range map[string][]string{
		"":                    {""},
		"one":                 {"one"},
		"one two":             {"one two"},
		"one two three":       {"one two", "three"},
		"  one\ntwo  three ":  {"one two", "three"},
		"a muchtoolongword b": {"a", "muchtoolongword", "b"},
		"µµµ µµµ":             {"µµµ µµµ"},
	} {
		if got := columns.Wrap(text, 7); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAlign(t *testing.T) {
	got := columns.Align([][]string{{"a", "long", "end"}, {"µs", "b", ""}})
	if want := []string{"a   long  end", "µs  b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := columns.Align(nil); got != nil {
		t.Errorf("no rows: %q", got)
	}
}
