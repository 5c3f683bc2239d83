package plot

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Series is one distribution of times, in microseconds.
type Series struct {
	// Name of what was timed; series of one name, from several nodes, share a colour.
	Name string
	// Node that it was seen from.
	Node         string
	Distribution result.Distribution
}

// Distributions draws which share of the samples of each series took how long at the most. What is known of each are its
// least, median, 90th and 99th percentile and highest value: the dots. The lines between lead the eye alone. The distance of
// the medians of the first two names is written beside them, where that is what the plot is for.
func Distributions(id, title, what string, series []Series, compared bool) Plot {
	const width, height = 440, 290
	nodes := nodesOf(series)
	p := Plot{ID: id, Title: title, Width: width, Height: height, Numeric: true}
	low, high := math.Inf(1), 0.0
	for _, s := range series {
		low, high = math.Min(low, s.Distribution.Min), math.Max(high, s.Distribution.Max)
	}
	low = math.Max(low, leastMicroseconds)
	high = math.Max(high, low*leastRatio)
	unit, factor := unitOf(high)
	x := scale{min: low / margin, max: high * margin, from: left, to: width - right, log: true}
	y := scale{min: 0, max: 100, from: height - bottom, to: top}
	p.X = Axis{Label: what + ", logarithmic", Unit: unit, From: left, To: width - right, At: height - bottom, Ticks: logTicks(x, factor)}
	p.Y = Axis{Label: "samples that took no longer", Unit: "%", From: height - bottom, To: top, At: left}
	for _, share := range []float64{0, 25, 50, 75, 100} {
		p.Y.Ticks = append(p.Y.Ticks, Tick{At: y.at(share), Label: strconv.Itoa(int(share))})
	}

	var names []string
	var told []string
	for _, s := range series {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
			p.Legend = append(p.Legend, Entry{Class: class(len(names) - 1), Text: s.Name})
		}
		p.Shapes = append(p.Shapes, curve(s, class(slices.Index(names, s.Name)), stroke(slices.Index(nodes, s.Node)), x, y)...)
		told = append(told, fmt.Sprintf("%s from %s: median %s, 99th percentile %s", s.Name, s.Node,
			figure.Microseconds(s.Distribution.P50), figure.Microseconds(s.Distribution.P99)))
	}
	p.Legend = legend(p.Legend...)
	if compared && len(names) > 1 {
		p.Shapes = append(p.Shapes, distance(series, names, x, y)...)
	}
	if len(nodes) > 1 {
		p.Shapes = append(p.Shapes, strokes(nodes, height)...)
		p.Height += 7 + nodeHeight*float64(len(nodes))
	}
	p.Description = strings.Join(told, "; ") + ". The dots were measured; the lines between them lead the eye alone."
	return p
}

const (
	// leastMicroseconds that an axis begins at: a logarithm needs an end.
	leastMicroseconds = 0.1
	// leastRatio of the ends of an axis: samples that are all the same are seen to be.
	leastRatio = 1.2
	// margin is left before and behind what is drawn.
	margin = 1.15
)

// nodesOf are the nodes of series, each once.
func nodesOf(series []Series) []string {
	var nodes []string
	for _, s := range series {
		if !slices.Contains(nodes, s.Node) {
			nodes = append(nodes, s.Node)
		}
	}
	return nodes
}

// stroke is how the curves of the nth node are drawn.
func stroke(n int) string { return []string{"solid", "dashed", "dotted", "mixed"}[n%4] }

// nodeHeight is that of a line that explains the stroke of one node.
const nodeHeight = 16

// strokes explain which node is drawn how, below the plot.
func strokes(nodes []string, below float64) []Shape {
	const sample, letters = 30, 46
	var shapes []Shape
	for i, node := range nodes {
		y := below + 7 + nodeHeight*float64(i)
		shapes = append(shapes, Shape{Kind: Line, Class: "sample " + stroke(i), X: left, X2: left + sample, Y: y, Y2: y},
			Shape{Kind: Text, Class: "note", Anchor: "start", X: left + sample + 8, Y: y + 4, Text: short(node, letters)})
	}
	return shapes
}

func curve(s Series, class, stroke string, x, y scale) []Shape {
	d := s.Distribution
	way := Shape{Kind: Way, Class: class + " " + stroke}
	var dots []Shape
	for _, known := range []struct {
		share, value float64
		name         string
	}{{0, d.Min, "least"}, {50, d.P50, "median"}, {90, d.P90, "90th percentile"}, {99, d.P99, "99th percentile"}, {100, d.Max, "most"}} {
		dot := Shape{Kind: Dot, Class: class, X: x.at(known.value), Y: y.at(known.share),
			Tip: fmt.Sprintf("%s, %s: %s %s", s.Name, s.Node, known.name, figure.Microseconds(known.value))}
		dots = append(dots, dot)
		way.Points += fmt.Sprintf("%g,%g ", dot.X, dot.Y)
	}
	way.Points = strings.TrimSpace(way.Points)
	return append([]Shape{way}, dots...)
}

// distance is between the medians of the first two names, from the first node that has both, unless they may be the same.
func distance(series []Series, names []string, x, y scale) []Shape {
	for _, a := range series {
		for _, b := range series {
			if a.Name != names[0] || b.Name != names[1] || a.Node != b.Node {
				continue
			}
			if mayBeSame(a.Distribution, b.Distribution) {
				return nil
			}
			low, high := min(a.Distribution.P50, b.Distribution.P50), max(a.Distribution.P50, b.Distribution.P50)
			const share = 50
			text := Shape{Kind: Text, Class: "note", Anchor: "start", X: x.at(high) + 9, Y: y.at(share) + 14,
				Text: figure.Microseconds(high-low) + " apart at the median"}
			if text.X > (x.from+x.to)/2+20 {
				text.Anchor, text.X, text.Y = "end", x.at(low)-9, y.at(share)-8
			}
			return []Shape{{Kind: Line, Class: "distance", X: x.at(low), X2: x.at(high), Y: y.at(share), Y2: y.at(share)}, text}
		}
	}
	return nil
}

// mayBeSame says whether two medians are not apart, as far as they are known. Where nobody said how well, they are taken for
// apart.
func mayBeSame(a, b result.Distribution) bool {
	return a.P50Low != nil && a.P50High != nil && b.P50Low != nil && b.P50High != nil && *a.P50Low <= *b.P50High && *b.P50Low <= *a.P50High
}

// class is the colour of the nth series.
func class(n int) string { return []string{"series-a", "series-b", "series-c", "series-d"}[n%4] }

// unitOf is the unit that suits times up to high, and how many microseconds it has.
func unitOf(high float64) (unit string, microseconds float64) {
	switch {
	case high < 2e3:
		return "µs", 1
	case high < 2e6:
		return "ms", 1e3
	}
	return "s", 1e6
}

// tickLabel has three digits at the most.
func tickLabel(value float64) string {
	power := math.Pow10(2 - int(math.Floor(math.Log10(value))))
	return strconv.FormatFloat(math.Round(value*power)/power, 'f', -1, 64)
}

// logTicks are at 1, 2 and 5 times the powers of ten, at these alone where there are many, and at more where there are few.
func logTicks(x scale, factor float64) []Tick {
	var ticks []Tick
	for _, mantissas := range [][]float64{{1}, {1, 2, 5}, {1, 1.5, 2, 3, 4, 5, 7}} {
		ticks = nil
		for power := math.Floor(math.Log10(x.min)); power <= math.Ceil(math.Log10(x.max)); power++ {
			for _, mantissa := range mantissas {
				value := mantissa * math.Pow(10, power)
				if value >= x.min && value <= x.max {
					ticks = append(ticks, Tick{At: x.at(value), Label: tickLabel(value / factor)})
				}
			}
		}
		if len(ticks) > 2 {
			return ticks
		}
	}
	if len(ticks) > 1 {
		return ticks
	}
	ticks = nil // a narrow range: its ends
	for _, value := range []float64{x.min * margin, x.max / margin} {
		ticks = append(ticks, Tick{At: x.at(value), Label: tickLabel(value / factor)})
	}
	return ticks
}
