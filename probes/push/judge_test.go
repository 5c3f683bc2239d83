package push

import (
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

func TestMadeAt(t *testing.T) {
	at := time.UnixMilli(1_795_747_410_250)
	for text, says := range map[string]bool{
		"1795747410250":                                        true,
		" 1795747410250\n":                                     true,
		"1795747410250 price 12.3":                             true,
		"2026-11-27T02:43:30.25Z":                              true,
		"2026-11-27T03:43:30.25+01:00 x":                       true,
		`{"id": 7, "time": "2026-11-27T02:43:30.25Z"}`:         true,
		`{"time": 1795747410250}`:                              true,
		`{"timestamp":"1795747410250","time":null}`:            true,
		`{"timestamp": "2026-11-27T02:43:30.25Z", "time": ""}`: true,
		"":                                     false,
		"1795747410":                           false,
		"17957474102500":                       false,
		"999999999999999999999999999999999999": false,
		"-1795747410250":                       false,
		"1795747410.250":                       false,
		`{"time": 1795747410`:                  false,
		`{"time": {"x": 1}}`:                   false,
		`["1795747410250"]`:                    false,
		"price 1795747410250":                  false,
		"2026-11-27":                           false,
	} {
		made, ok := madeAt([]byte(text))
		if ok != says || ok && !made.Equal(at) {
			t.Errorf("%q: %v, %v", text, made, ok)
		}
	}
}

func FuzzMadeAt(f *testing.F) {
	f.Add([]byte(`{"id": 17957474100, "time": "2026-11-27T02:43:30Z"}`))
	f.Add([]byte("1795747410250 x"))
	f.Add([]byte(`{"timestamp":1795747410250}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if made, ok := madeAt(text); ok && made.IsZero() && !strings.Contains(string(text), "0001-01-01") {
			t.Errorf("%q was made at no time", text)
		}
	})
}

// split gives a splitter pieces of so many bytes.
func split(s splitter, text string, piece int) []string {
	var messages []string
	for text != "" {
		n := min(piece, len(text))
		for _, message := range s.add([]byte(text[:n])) {
			messages = append(messages, string(message))
		}
		text = text[n:]
	}
	return messages
}

func TestSplit(t *testing.T) {
	long := strings.Repeat("x", keptBytes+10)
	for name, c := range map[string]struct {
		events bool
		text   string
		want   []string
	}{
		"events":                    {true, "data: a\n\ndata:b\n\n", []string{"a", "b"}},
		"carriage returns":          {true, "data: a\r\n\r\ndata: b\r\rdata: c\n\n", []string{"a", "b", "c"}},
		"several lines of data":     {true, "data: a\ndata:  b\ndata\n\n", []string{"a\n b\n"}},
		"other fields and comments": {true, ": hello\nretry: 10\n\nid: 7\nevent: x\ndata: a\n\n:\n\n", []string{"a"}},
		"data that is empty":        {true, "data:\n\n", []string{""}},
		"an event without an end":   {true, "data: a\n", nil},
		"an event too long":         {true, "data: " + long + "\n\ndata: b\n\n", []string{long[:keptBytes-len("data: ")], "b"}},
		"lines":                     {false, "a\n\nb\r\n", []string{"a", "b"}},
		"a line too long":           {false, "a\n" + long + "\nb\n", []string{"a", long[:keptBytes], "b"}},
	} {
		for _, piece := range []int{1, 2, 1 << 20} {
			var s splitter = &events{}
			if !c.events {
				// That lines end is seen first.
				s = &records{ended: true}
			}
			if got := split(s, c.text, piece); strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
				t.Errorf("%s, in pieces of %d: %q, want %q", name, piece, got, c.want)
			}
		}
	}
	if got := split(&records{}, "abcdef", 2); len(got) != 3 {
		t.Errorf("pieces without an end of a line: %q", got)
	}
}

func FuzzEvents(f *testing.F) {
	// What `probe serve` and nginx in front of it sent.
	f.Add("data: {\"id\": 5985824700, \"time\": \"2026-11-27T02:43:30.3Z\"}\n\ndata: {\"id\": 5985824701, \"time\": \"2026-11-27T02:43:30.6Z\"}\n\n")
	f.Add(": ping\r\n\r\nevent: price\rid: 1\rdata: 12.3\rdata: 12.4\r\r")
	f.Add("retry\ndata\n\n\xef\xbb\xbfdata: x\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		whole, bytewise := split(&events{}, text, len(text)+1), split(&events{}, text, 1)
		if strings.Join(whole, "\x00") != strings.Join(bytewise, "\x00") || len(whole) != len(bytewise) {
			t.Errorf("at once %q, byte by byte %q", whole, bytewise)
		}
		for _, message := range whole {
			if len(message) > keptBytes {
				t.Errorf("a message of %d bytes", len(message))
			}
		}
	})
}

// row builds arrivals of messages that were made so many milliseconds after the first, and arrived so many after it.
func row(times ...[2]int) []arrival {
	zero := time.UnixMilli(1_795_747_410_000)
	after := func(milliseconds int) time.Time { return zero.Add(time.Duration(milliseconds) * time.Millisecond) }
	var all []arrival
	for i, one := range times {
		all = append(all, arrival{made: after(one[0]), at: after(one[1]), first: i == 0})
	}
	return all
}

func TestTogether(t *testing.T) {
	unsaid := row([2]int{0, 1}, [2]int{100, 101}, [2]int{200, 201}, [2]int{300, 301})
	for i := range unsaid {
		unsaid[i].made = time.Time{}
	}
	read := row([2]int{0, 500}, [2]int{100, 500}, [2]int{200, 500}, [2]int{300, 501}, [2]int{400, 502}, [2]int{500, 602}, [2]int{600, 702}, [2]int{700, 802})
	for i := range 5 {
		read[i].late = true
	}
	for name, c := range map[string]struct {
		arrivals []arrival
		buffered *bool
		count    *result.Count
	}{
		"as they are made":   {row([2]int{0, 1}, [2]int{100, 101}, [2]int{200, 203}, [2]int{300, 301}), new(false), &result.Count{Got: 0, Of: 3}},
		"in goes":            {row([2]int{0, 500}, [2]int{100, 500}, [2]int{200, 501}, [2]int{500, 1000}, [2]int{600, 1000}), new(true), &result.Count{Got: 3, Of: 4}},
		"by twos":            {row([2]int{0, 100}, [2]int{100, 100}, [2]int{200, 300}, [2]int{300, 300}), new(true), &result.Count{Got: 2, Of: 3}},
		"one late":           {row([2]int{0, 1}, [2]int{100, 101}, [2]int{200, 301}, [2]int{300, 302}, [2]int{400, 401}, [2]int{500, 501}), new(false), &result.Count{Got: 1, Of: 5}},
		"made together":      {row([2]int{0, 1}, [2]int{1, 1}, [2]int{2, 2}, [2]int{3, 3}, [2]int{4, 4}), nil, nil},
		"too few":            {row([2]int{0, 1}, [2]int{100, 101}), nil, nil},
		"without any times":  {unsaid, nil, nil},
		"read late":          {read[:5], nil, nil},
		"read late at first": {append(read, row([2]int{800, 902}, [2]int{900, 1002})[1]), new(false), &result.Count{Got: 0, Of: 3}},
	} {
		buffered, count := together(c.arrivals)
		if (buffered == nil) != (c.buffered == nil) || buffered != nil && (*buffered != *c.buffered || *count != *c.count) {
			t.Errorf("%s: %v, %+v", name, buffered, count)
		}
	}
}

// A message that arrives before it was made shows that the clocks disagree, and then no age is known.
func TestDelays(t *testing.T) {
	if got, ahead := delays(row([2]int{0, 5}, [2]int{100, 130})); len(got) != 2 || got[0] != 5000 || got[1] != 30_000 || ahead != 0 {
		t.Errorf("%v, ahead %v", got, ahead)
	}
	if got, ahead := delays(row([2]int{0, 5}, [2]int{100, 70})); got != nil || ahead != 30*time.Millisecond {
		t.Errorf("%v, ahead %v", got, ahead)
	}
	if got := gaps(row([2]int{0, 5}, [2]int{0, 7}, [2]int{0, 10})); len(got) != 2 || got[0] != 2000 || got[1] != 3000 {
		t.Errorf("gaps %v", got)
	}
}

func TestMarkLate(t *testing.T) {
	arrivals := row([2]int{0, 10}, [2]int{0, 150}, [2]int{0, 160}, [2]int{0, 210}, [2]int{0, 300})
	zero := time.UnixMilli(1_795_747_410_000)
	markLate(arrivals, []pause{{zero.Add(100 * time.Millisecond), zero.Add(155 * time.Millisecond)}, {zero.Add(250 * time.Millisecond), zero.Add(290 * time.Millisecond)}})
	for i, late := range []bool{false, true, true, false, true} {
		if arrivals[i].late != late {
			t.Errorf("arrival %d is late: %v", i, arrivals[i].late)
		}
	}
}
