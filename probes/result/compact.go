package result

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// significantDigits that a message keeps of a figure with a fraction. No figure of a probe is known better.
const significantDigits = 4

// compact renders r as JSON with its figures rounded, without histograms, its ladders cut to the rungs that matter, and
// without the resolver's configuration and what another figure sums up, since a message has little room.
func compact(r Result) ([]byte, error) {
	r.Measurements.Idle = r.Measurements.Idle.shorter()
	if w := r.Measurements.WebSocket; w != nil {
		shorter := *w
		shorter.Idle = w.Idle.shorter()
		r.Measurements.WebSocket = &shorter
	}
	if dns := r.Measurements.DNS; dns != nil {
		shorter := *dns
		shorter.NeededMicroseconds, shorter.Servers, shorter.Search, shorter.Attempts = nil, nil, nil, nil
		r.Measurements.DNS = &shorter
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(rounded(value))
}

// shorter returns the same with the rungs that matter. Nil for nil.
func (i *Idle) shorter() *Idle {
	if i == nil {
		return nil
	}
	shorter := *i
	for _, l := range []**Ladder{&shorter.KeepaliveLadder, &shorter.RequestLadder} {
		if *l != nil {
			*l = new((*l).Beside())
		}
	}
	return &shorter
}

// histogramField is the one field that no message holds.
const histogramField = "histogram"

// rounded returns a JSON value with its numbers rounded, whole ones excepted, and without histograms. It changes value.
func rounded(value any) any {
	switch v := value.(type) {
	case map[string]any:
		delete(v, histogramField)
		for key := range v {
			v[key] = rounded(v[key])
		}
	case []any:
		for i := range v {
			v[i] = rounded(v[i])
		}
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return v
		}
		if number, err := v.Float64(); err == nil {
			shorter, err := strconv.ParseFloat(strconv.FormatFloat(number, 'g', significantDigits, 64), 64)
			if err == nil {
				return shorter
			}
		}
	}
	return value
}
