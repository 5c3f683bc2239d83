package plot

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/internal/figure"
)

// Point is a figure and when it was seen.
type Point struct {
	Time  time.Time
	Value float64
}

// Bound is a value that a figure should not exceed.
type Bound struct {
	Value float64
	Text  string
}

// percent is the unit that has an end.
const percent = "%"

// History draws a figure over time. Points are given in the order of time, at least one.
func History(id, title, unit string, points []Point, bounds []Bound) Plot {
	const wide, height = 312, 216
	p := Plot{ID: id, Title: title, Width: wide, Height: height, Numeric: true}
	highest := 0.0
	for _, point := range points {
		highest = math.Max(highest, point.Value)
	}
	for _, bound := range bounds {
		highest = math.Max(highest, bound.Value)
	}
	if highest == 0 {
		highest = 1
	}
	step := niceStep(highest*1.05, 4)
	y := scale{min: 0, max: step * math.Ceil(highest*1.05/step), from: height - bottom, to: top}
	if unit == percent {
		step, y.max = 25, 100
	}
	first, last := points[0].Time, points[len(points)-1].Time
	if span := last.Sub(first); span < time.Hour {
		first, last = first.Add(-(time.Hour-span)/2), last.Add((time.Hour-span)/2)
	}
	x := scale{min: seconds(first), max: seconds(last), from: left + 8, to: wide - right}
	p.X = Axis{Label: "time", Unit: "UTC", From: left, To: wide - right, At: height - bottom, Ticks: timeTicks(x, first, last)}
	p.Y = Axis{Label: unit, Unit: unit, From: height - bottom, To: top, At: left}
	for value := 0.0; value <= y.max*(1+1e-9); value += step {
		p.Y.Ticks = append(p.Y.Ticks, Tick{At: y.at(value), Label: strconv.FormatFloat(math.Round(value*1e6)/1e6, 'f', -1, 64)})
	}
	for _, bound := range bounds {
		at := y.at(bound.Value)
		p.Shapes = append(p.Shapes, Shape{Kind: Line, Class: "slow", X: left, X2: wide - right, Y: at, Y2: at, Tip: bound.Text})
		p.Legend = append(p.Legend, Entry{Class: "slow", Text: bound.Text})
	}
	p.Legend = legend(p.Legend...)
	way := Shape{Kind: Way, Class: "series-a"}
	var dots []Shape
	for _, point := range points {
		dot := Shape{Kind: Dot, Class: "series-a", X: x.at(seconds(point.Time)), Y: y.at(point.Value),
			Tip: fmt.Sprintf("%s: %s %s", point.Time.UTC().Format(time.DateTime), number(point.Value), unit)}
		dots = append(dots, dot)
		way.Points += fmt.Sprintf("%g,%g ", dot.X, dot.Y)
	}
	way.Points = strings.TrimSpace(way.Points)
	p.Shapes = append(append(p.Shapes, way), dots...)
	newest := points[len(points)-1]
	p.Description = fmt.Sprintf("%d values from %s to %s UTC; the newest is %s %s.", len(points), points[0].Time.UTC().Format(time.DateTime),
		newest.Time.UTC().Format(time.DateTime), number(newest.Value), unit)
	return p
}

func number(value float64) string {
	if value == math.Trunc(value) {
		return figure.Count(int(value))
	}
	return figure.Rate(value)
}

func seconds(t time.Time) float64 { return float64(t.Unix()) }

// hourOrDay is the time of a tick; midnight is named by its day.
func hourOrDay(at time.Time) string {
	if at.Equal(at.Truncate(24 * time.Hour)) {
		return at.Format("Jan 2")
	}
	return at.Format("15:04")
}

// timeTicks are whole minutes, hours or days.
func timeTicks(x scale, first, last time.Time) []Tick {
	const most = 4
	step := 10 * time.Minute
	for _, candidate := range []time.Duration{10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour,
		12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 96 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour} {
		step = candidate
		if last.Sub(first) <= most*candidate {
			break
		}
	}
	var ticks []Tick
	for at := first.UTC().Truncate(step); !at.After(last); at = at.Add(step) {
		if !at.Before(first) {
			ticks = append(ticks, Tick{At: x.at(seconds(at)), Label: hourOrDay(at)})
		}
	}
	return ticks
}
