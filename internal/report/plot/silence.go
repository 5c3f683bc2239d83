package plot

import (
	"fmt"
	"math"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Lane is one row of what becomes of silent connections.
type Lane struct {
	// Name of the row.
	Name string
	// Ladder of silences that were tried, if it is one.
	Ladder *result.Ladder
	// AtSeconds is a time that somebody acts at, and Does what happens then, if it is no ladder.
	AtSeconds float64
	Does      string
}

// Cut is between which two silences connections are cut.
type Cut struct {
	// AtLeastSeconds is 0 where no lower bound is known.
	AtLeastSeconds, AtMostSeconds float64
	// Text says how, in a few words.
	Text string
}

// Silence draws everything that happens to a connection which nobody uses, on one line of time.
func Silence(id, title string, lanes []Lane, cuts []Cut) Plot {
	const rowHeight, names = 34, 190
	height := float64(top + rowHeight*len(lanes) + bottom)
	p := Plot{ID: id, Title: title, Width: width, Height: height}
	low, high := reach(lanes, cuts)
	high = math.Max(high, low*leastRatio)
	x := scale{min: low / 1.3, max: high * 1.45, from: names, to: width - right, log: true}
	p.X = Axis{Label: "silence on the connection, logarithmic", Unit: "s, min, h", From: names, To: width - right, At: height - bottom, Ticks: durationTicks(x)}
	p.Y = Axis{Label: "who", Unit: "who", From: height - bottom, To: top, At: names}
	told := make([]string, 0, len(cuts)+len(lanes))
	for _, cut := range cuts {
		from := math.Max(cut.AtLeastSeconds, x.min)
		p.Shapes = append(p.Shapes, Shape{Kind: Box, Class: "cut", X: x.at(from), X2: math.Max(x.at(cut.AtMostSeconds), x.at(from)+2), Y: top, Y2: height - bottom, Tip: cut.Text})
		told = append(told, cut.Text)
	}
	for i, lane := range lanes {
		y := place(top + rowHeight*(float64(i)+0.5))
		p.Y.Ticks = append(p.Y.Ticks, Tick{At: place(y + 4), Label: lane.Name})
		p.Shapes = append(p.Shapes, Shape{Kind: Line, Class: "lane", X: names, X2: width - right, Y: y, Y2: y})
		if lane.Ladder != nil {
			p.Shapes = append(p.Shapes, rungs(*lane.Ladder, x, y)...)
			continue
		}
		p.Shapes = append(p.Shapes, acts(lane, x, y)...)
		told = append(told, lane.Name+": "+lane.Does)
	}
	p.Legend = legend(Entry{Class: "alive", Text: "lived"}, Entry{Class: "some", Text: "some cut"}, Entry{Class: "gone", Text: "all cut"},
		Entry{Class: "unknown", Text: "unknown"}, Entry{Class: "acts", Text: "acts"}, Entry{Class: "cut", Text: "cut-off"})
	p.Description = strings.Join(told, ". ") + "."
	return p
}

// acts is a mark where somebody acts, with its words on the side that has room.
func acts(lane Lane, x scale, y float64) []Shape {
	at := x.at(lane.AtSeconds)
	text := Shape{Kind: Text, Class: "note", Anchor: "end", X: at - 9, Y: y - 5, Text: lane.Does}
	if at-x.from < (x.to-x.from)/2 {
		text.Anchor, text.X = "start", at+9
	}
	return []Shape{{Kind: Dot, Class: "acts", X: at, Y: y, Tip: lane.Does}, text}
}

// reach is from the shortest to the longest silence that is spoken of.
func reach(lanes []Lane, cuts []Cut) (low, high float64) {
	low, high = math.Inf(1), 0
	add := func(seconds float64) {
		if seconds > 0 {
			low, high = math.Min(low, seconds), math.Max(high, seconds)
		}
	}
	for _, lane := range lanes {
		add(lane.AtSeconds)
		if lane.Ladder != nil {
			for _, rung := range lane.Ladder.Rungs {
				add(rung.Seconds)
			}
		}
	}
	for _, cut := range cuts {
		add(cut.AtLeastSeconds)
		add(cut.AtMostSeconds)
	}
	if high == 0 {
		return 1, 10
	}
	return low, high
}

// rungs are a dot for each silence.
func rungs(l result.Ladder, x scale, y float64) []Shape {
	shapes := make([]Shape, 0, len(l.Rungs))
	for _, rung := range l.Rungs {
		cut := rung.FIN + rung.RST + rung.BlackHole
		class := "alive"
		switch {
		case cut > 0 && rung.Alive == 0:
			class = "gone"
		case cut > 0:
			class = "some"
		case rung.Alive == 0:
			class = "unknown"
		}
		shapes = append(shapes, Shape{Kind: Dot, Class: class, X: x.at(rung.Seconds), Y: y,
			Tip: fmt.Sprintf("after %s: %d lived, %d closed, %d reset, %d without an answer, %d unknown", figure.Microseconds(1e6*rung.Seconds),
				rung.Alive, rung.FIN, rung.RST, rung.BlackHole, rung.Unknown)})
	}
	return shapes
}

// durationTicks are at times that people know.
func durationTicks(x scale) []Tick {
	const apart = 46 // so that labels do not touch
	var ticks []Tick
	for _, known := range []struct {
		seconds float64
		label   string
	}{{0.1, "0.1 s"}, {0.3, "0.3 s"}, {1, "1 s"}, {2, "2 s"}, {5, "5 s"}, {15, "15 s"}, {30, "30 s"}, {60, "1 min"}, {120, "2 min"}, {300, "5 min"}, {900, "15 min"},
		{1800, "30 min"}, {3600, "1 h"}, {7200, "2 h"}, {21600, "6 h"}, {86400, "24 h"}} {
		at := x.at(known.seconds)
		if known.seconds < x.min || known.seconds > x.max || len(ticks) > 0 && at-ticks[len(ticks)-1].At < apart {
			continue
		}
		ticks = append(ticks, Tick{At: at, Label: known.label})
	}
	if len(ticks) > 1 {
		return ticks
	}
	ticks = nil // all is of about the same length: the ends of the axis
	for _, value := range []float64{x.min * margin, x.max / margin} {
		ticks = append(ticks, Tick{At: x.at(value), Label: tickLabel(value) + " s"})
	}
	return ticks
}
