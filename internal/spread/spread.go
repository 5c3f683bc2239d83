// Package spread merges what was measured from several places: how far the figures lie apart, which place differs from the
// others beyond doubt, and the facts of the path that they share. It is pure.
package spread

import (
	"cmp"
	"math"
	"slices"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Place is what was measured from one node.
type Place struct {
	Node   string
	Result result.Result
}

// Figure is one figure over all places that know it.
type Figure struct {
	// Name of the figure, with its unit.
	Name string
	// Values, one a place, in the order of the places.
	Values []Value
	// Differs is the place that differs from the others by more than the figures are uncertain: the one where it is worst.
	// Empty: none does, or it cannot be told.
	Differs string
}

// Value of a figure at one place.
type Value struct {
	Node string
	// Number, or Word where the figure is none.
	Number float64
	Word   string
	// Low and High are what the figure may truly be. They are not a number where that is not known.
	Low, High float64
}

// Least is the value that is lowest, Most the one that is highest. A figure has one value at the least.
func (f Figure) Least() Value { return slices.MinFunc(f.Values, compare) }

// Most is the value that is highest.
func (f Figure) Most() Value { return slices.MaxFunc(f.Values, compare) }

func compare(a, b Value) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Word, b.Word))
}

// known is one figure: its name, whether a low one is worse, and how to read it from a result. Without a value it is
// unknown there.
type known struct {
	name        string
	lowIsWorse  bool
	measurement string
	value       func(m result.Measurements) *Value
}

// figures in the order in which people read them.
func figures() []known {
	return []known{
		{name: "dnsP50Microseconds", measurement: "dns", value: func(m result.Measurements) *Value { return median(m.DNS.ResolveMicroseconds) }},
		{name: "handshakeP50Microseconds", measurement: "handshake", value: func(m result.Measurements) *Value { return median(m.Handshake.ConnectMicroseconds) }},
		{name: "handshakeP99Microseconds", measurement: "handshake", value: func(m result.Measurements) *Value {
			if m.Handshake.ConnectMicroseconds == nil {
				return nil
			}
			return uncertain(&m.Handshake.ConnectMicroseconds.P99)
		}},
		{name: "tlsFullP50Microseconds", measurement: "handshake", value: func(m result.Measurements) *Value {
			if m.Handshake.TLS == nil {
				return nil
			}
			return median(m.Handshake.TLS.FullMicroseconds)
		}},
		{name: "setupSharePercent", measurement: "handshake", value: func(m result.Measurements) *Value { return uncertain(m.Handshake.SetupSharePercent) }},
		{name: "newRequestP50Microseconds", measurement: "reuse", value: func(m result.Measurements) *Value { return median(m.Reuse.NewMicroseconds) }},
		{name: "reusedRequestP50Microseconds", measurement: "reuse", value: func(m result.Measurements) *Value { return median(m.Reuse.ReusedMicroseconds) }},
		{name: "requestsPerConnection", lowIsWorse: true, measurement: "reuse", value: requests},
		{name: "idleCutSeconds", lowIsWorse: true, measurement: "idle", value: func(m result.Measurements) *Value { return cutAfter(*m.Idle) }},
		{name: "timeWaitHolder", measurement: "timeWait", value: func(m result.Measurements) *Value { return word(string(m.TimeWait.Holder)) }},
		{name: "initialWindowSegments", lowIsWorse: true, measurement: "slowStart", value: func(m result.Measurements) *Value {
			return within(m.SlowStart.InitialWindowSegments, 0.5)
		}},
		{name: "stallMicroseconds", measurement: "smallWrites", value: func(m result.Measurements) *Value { return stall(m.SmallWrites.StallMicroseconds) }},
		{name: "http2RequestP50Microseconds", measurement: "http2", value: func(m result.Measurements) *Value { return median(m.HTTP2.RequestMicroseconds) }},
		{name: "webSocketHandshakeP50Microseconds", measurement: "websocket", value: func(m result.Measurements) *Value {
			return median(m.WebSocket.HandshakeMicroseconds)
		}},
	}
}

// Of merges the places. Figures that no place knows are left out.
func Of(places []Place) []Figure {
	var merged []Figure
	for _, f := range figures() {
		figure := Figure{Name: f.name}
		for _, p := range places {
			if !measured(p.Result.Measurements, f.measurement) {
				continue
			}
			if value := f.value(p.Result.Measurements); value != nil {
				value.Node = p.Node
				figure.Values = append(figure.Values, *value)
			}
		}
		if len(figure.Values) > 0 {
			figure.Differs = differs(figure, f.lowIsWorse)
			merged = append(merged, figure)
		}
	}
	return merged
}

// measured says whether a measurement has figures.
func measured(m result.Measurements, name string) bool {
	outcome, asked := m.Outcomes()[name]
	return asked && outcome.Outcome == result.Measured
}

// differs names the worst place, if what it may truly be lies apart from what all the others may be. Of words that are not
// the same, none is worse: the first place that differs from the one before it is named.
func differs(f Figure, lowIsWorse bool) string {
	for i, v := range f.Values[1:] {
		if v.Word != f.Values[i].Word {
			return v.Node
		}
	}
	worst := f.Most()
	if lowIsWorse {
		worst = f.Least()
	}
	for _, v := range f.Values {
		if v == worst {
			continue
		}
		if apart := v.High < worst.Low || v.Low > worst.High; !apart { // nor is it where a bound is not a number
			return ""
		}
	}
	if len(f.Values) < 2 || f.Least().Number == f.Most().Number {
		return ""
	}
	return worst.Node
}

// median of a distribution, with its confidence interval.
func median(d *result.Distribution) *Value {
	if d == nil {
		return nil
	}
	if d.P50Low == nil || d.P50High == nil {
		return uncertain(&d.P50)
	}
	return &Value{Number: d.P50, Low: *d.P50Low, High: *d.P50High}
}

// uncertain is a figure of which nobody said how well it is known.
func uncertain(number *float64) *Value {
	if number == nil {
		return nil
	}
	return &Value{Number: *number, Low: math.NaN(), High: math.NaN()}
}

// within is a figure that is known to that much.
func within(number *float64, to float64) *Value {
	if number == nil {
		return nil
	}
	return &Value{Number: *number, Low: *number - to, High: *number + to}
}

func word(text string) *Value {
	if text == "" {
		return nil
	}
	return &Value{Word: text}
}

// requests that one connection carried: exactly so many where the server ended it, else so many or more.
func requests(m result.Measurements) *Value {
	if m.Reuse.RequestsAtLeast == nil {
		return nil
	}
	number := float64(*m.Reuse.RequestsAtLeast)
	if m.Reuse.RequestsPerConnection != nil {
		return &Value{Number: number, Low: number, High: number}
	}
	return &Value{Number: number, Low: number, High: math.Inf(1)}
}

// cutAfter is the shortest silence that cut a connection. Where none was cut it is longer than the longest one survived,
// and that is no figure of a cut-off.
func cutAfter(i result.Idle) *Value {
	switch {
	case i.AfterSecondsAtMost != nil && i.AfterSecondsAtLeast != nil:
		return &Value{Number: *i.AfterSecondsAtMost, Low: *i.AfterSecondsAtLeast, High: *i.AfterSecondsAtMost}
	case i.AfterSecondsAtMost != nil:
		return &Value{Number: *i.AfterSecondsAtMost, Low: 0, High: *i.AfterSecondsAtMost}
	}
	return nil
}

// stall is there or not: the probe says zero unless it is beyond doubt. How long it is, is a timer's choice.
func stall(number *float64) *Value {
	switch {
	case number == nil:
		return nil
	case *number == 0:
		return &Value{}
	}
	return &Value{Number: *number, Low: 1, High: math.Inf(1)}
}
