package columns_test

import (
	"slices"
	"strings"
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

func TestTable(t *testing.T) {
	head := []string{"", "node-1", "requests that one connection carried"}
	rows := [][]string{{"how it ended", "announced by Connection: close", "341"}, {"kept", "yes", "an unbreakableword"}}
	for most, want := range map[int]string{
		0: `              node-1                          requests that one
                                              connection carried
how it ended  announced by Connection: close  341
kept          yes                             an unbreakableword`,
		50: `              node-1             requests that one
                                 connection
                                 carried
how it ended  announced by       341
              Connection: close
kept          yes                an
                                 unbreakableword`,
		10: `       node-1       requests that
                    one connection
                    carried
how    announced    341
it     by
ended  Connection:
       close
kept   yes          an
                    unbreakableword`,
	} {
		if got := strings.Join(columns.Table(head, rows, most), "\n"); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", most, got, want)
		}
	}
	if got := columns.Table([]string{"A", "B"}, nil, 80); len(got) != 1 || got[0] != "A  B" {
		t.Errorf("%q", got)
	}
}
