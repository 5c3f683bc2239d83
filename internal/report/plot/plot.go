// Package plot lays out plots: it turns figures into shapes with a place, and leaves it to a template to write them as SVG
// and to a style sheet to colour them, so that one drawing suits light, dark and paper.
package plot

import (
	"math"
)

// Plot is a drawing with two axes.
type Plot struct {
	// ID is unique on a page.
	ID string
	// Title says what is drawn, Description in a sentence or two what there is to see, for those who do not see it.
	Title, Description string
	// Width and Height of the drawing, in the unit of all places in it.
	Width, Height float64
	X, Y          Axis
	// Numeric says that the upright axis has figures, not names.
	Numeric bool
	Legend  []Entry
	Shapes  []Shape
}

// Axis is one of the two axes.
type Axis struct {
	// Label says what is told along the axis, Unit in which unit; the unit of names is what they name: pod, node.
	Label, Unit string
	Ticks       []Tick
	// From and To are the ends of the axis, At is where it lies in the other direction.
	From, To, At float64
}

// Middle of the axis, where its label stands.
func (a Axis) Middle() float64 { return place((a.From + a.To) / 2) }

// LabelAt is where the label of an upright axis stands in the other direction: at the edge of the drawing.
func (Axis) LabelAt() float64 { return labelX }

// Says is the label with its unit.
func (a Axis) Says() string {
	if a.Unit == a.Label || a.Unit == "" {
		return a.Label
	}
	return a.Label + " (" + a.Unit + ")"
}

// Tick is a mark on an axis.
type Tick struct {
	At    float64
	Label string
}

// Entry explains one colour.
type Entry struct {
	At          float64
	Class, Text string
}

// ShapeKind is what is drawn.
type ShapeKind string

// What is drawn.
const (
	// Line from X, Y to X2, Y2.
	Line ShapeKind = "line"
	// Box with the corners X, Y and X2, Y2.
	Box ShapeKind = "box"
	// Dot around X, Y.
	Dot ShapeKind = "dot"
	// Way through Points.
	Way ShapeKind = "way"
	// Text at X, Y.
	Text ShapeKind = "text"
)

// Shape is one thing that is drawn.
type Shape struct {
	Kind ShapeKind
	// Class names the colour: see the style sheet.
	Class        string
	X, Y, X2, Y2 float64
	// Points of a way, as SVG writes them.
	Points string
	Text   string
	// Anchor of a text: start, middle or end.
	Anchor string
	// Tip is shown where the mouse rests.
	Tip string
}

// DX is the width of a box.
func (s Shape) DX() float64 { return place(s.X2 - s.X) }

// DY is the height of a box.
func (s Shape) DY() float64 { return place(s.Y2 - s.Y) }

// LegendY is where the legend stands.
func (Plot) LegendY() float64 { return legendY }

// TitleY is where the title stands.
func (Plot) TitleY() float64 { return titleY }

// The frame that all plots share.
const (
	width       = 600
	titleY      = 18
	labelX      = 14
	legendY     = 38
	top         = 54
	left        = 62
	right       = 18
	bottom      = 48
	charWidth   = 6.9 // of a text of the plots' size, on the wide side
	swatchWidth = 16
)

// legend puts entries side by side.
func legend(entries ...Entry) []Entry {
	at := float64(left)
	for i := range entries {
		entries[i].At = place(at)
		at += swatchWidth + charWidth*float64(len([]rune(entries[i].Text))) + 14
	}
	return entries
}

// scale maps figures to places.
type scale struct {
	min, max, from, to float64
	log                bool
}

func (s scale) at(value float64) float64 {
	low, high := s.min, s.max
	if s.log {
		value, low, high = math.Log(math.Max(value, s.min)), math.Log(low), math.Log(high)
	}
	if high <= low {
		return place(s.from)
	}
	return place(s.from + (value-low)/(high-low)*(s.to-s.from))
}

// place rounds to a tenth, which no eye sees.
func place(value float64) float64 { return math.Round(value*10) / 10 }

// niceStep is the least of 1, 2 and 5 times a power of ten that divides span into at most count steps.
func niceStep(span float64, count int) float64 {
	rough := span / float64(count)
	power := math.Pow10(int(math.Floor(math.Log10(rough))))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= rough*(1-1e-9) {
			return factor * power
		}
	}
	return 10 * power
}
