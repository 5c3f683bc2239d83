package clip

import "testing"

func TestTo(t *testing.T) {
	for _, test := range []struct {
		text  string
		bytes int
		want  string
	}{
		{"", 8, ""},
		{"12345678", 8, "12345678"},
		{"123456789", 8, "12345…"},
		{"123456789", 2, ""},
		{"1234ä678", 8, "1234…"}, // not half of a character
	} {
		if got := To(test.text, test.bytes); got != test.want || len(got) > test.bytes {
			t.Errorf("%q in %d bytes: %q, want %q", test.text, test.bytes, got, test.want)
		}
	}
}

func TestSame(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{"pool", "pool", true},
		{"pool", "pools", false},
		{"pool", "", false},
		{"po…", "pool", true},
		{"pool", "po…", true},
		{"p…", "poo…", true},
		{"pa…", "pool", false},
		{"pool…", "po", false},
	} {
		if got := Same(test.a, test.b); got != test.want {
			t.Errorf("%q and %q: %t", test.a, test.b, got)
		}
	}
}
