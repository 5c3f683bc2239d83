package plot

import (
	"fmt"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
)

// PodPorts is how many local ports one pod holds towards one address.
type PodPorts struct {
	Pod, Address string
	// Open are held by connections, TimeWait by those that are closed, Peak is the most of both in the last five minutes.
	Open, TimeWait, Peak int
	// Available is how many there are.
	Available int
}

// The marks on a row of ports: from half on connect() searches long, at the end it fails.
const slowShare = 0.5

// Ports draws the ports that each pod holds against those that it has.
func Ports(id, title string, pods []PodPorts) Plot {
	const rowHeight, bar = 46, 18
	height := float64(top + rowHeight*len(pods) + bottom)
	p := Plot{ID: id, Title: title, Width: width, Height: height}
	most := 1
	for _, pod := range pods {
		most = max(most, pod.Available, pod.Peak)
	}
	x := scale{min: 0, max: float64(most) * 1.02, from: left, to: width - right}
	p.X = Axis{Label: "local ports towards one address", Unit: "ports", From: left, To: width - right, At: height - bottom, Ticks: countTicks(x)}
	p.Y = Axis{Label: "pod", Unit: "pod", From: height - bottom, To: top, At: left}
	var told []string
	for i, pod := range pods {
		y := top + rowHeight*(float64(i)+0.5)
		p.Y.Ticks = append(p.Y.Ticks, Tick{At: place(y + 4), Label: fmt.Sprintf("%d", i+1)})
		above, below := place(y), place(y+bar)
		held := pod.Open + pod.TimeWait
		p.Shapes = append(p.Shapes,
			Shape{Kind: Text, Class: "note", Anchor: "start", X: left + 4, Y: place(y - 6), Text: fmt.Sprintf("%s → %s", short(pod.Pod, 46), pod.Address)},
			Shape{Kind: Box, Class: "room", X: left, Y: above, X2: x.at(float64(pod.Available)), Y2: below},
			Shape{Kind: Box, Class: "series-a", X: left, Y: above, X2: x.at(float64(pod.Open)), Y2: below,
				Tip: fmt.Sprintf("%s open connections", figure.Count(pod.Open))},
			Shape{Kind: Box, Class: "series-b", X: x.at(float64(pod.Open)), Y: above, X2: x.at(float64(held)), Y2: below,
				Tip: fmt.Sprintf("%s in TIME_WAIT", figure.Count(pod.TimeWait))},
			mark("slow", x.at(slowShare*float64(pod.Available)), above, below, "half of the ports: connect() becomes slow"),
			// The peak is the wider mark, so that the ceiling is seen upon it.
			mark("peak", x.at(float64(pod.Peak)), above, below, fmt.Sprintf("%s ports at the peak", figure.Count(pod.Peak))),
			mark("ceiling", x.at(float64(pod.Available)), above, below, fmt.Sprintf("%s ports: all there are", figure.Count(pod.Available))),
		)
		told = append(told, fmt.Sprintf("Row %d, pod %s: %s open, %s in TIME_WAIT, %s at the peak, of %s", i+1, pod.Pod,
			figure.Count(pod.Open), figure.Count(pod.TimeWait), figure.Count(pod.Peak), figure.Count(pod.Available)))
	}
	p.Legend = legend(
		Entry{Class: "series-a", Text: "open"}, Entry{Class: "series-b", Text: "TIME_WAIT"}, Entry{Class: "peak", Text: "peak of 5 min"},
		Entry{Class: "slow", Text: "connect() slows"}, Entry{Class: "ceiling", Text: "ceiling"})
	p.Description = strings.Join(told, ". ") + "."
	return p
}

// mark is a line across a bar.
func mark(class string, x, above, below float64, tip string) Shape {
	const beyond = 6 // below the bar, where no text stands
	return Shape{Kind: Line, Class: class, X: x, X2: x, Y: above, Y2: place(below + beyond), Tip: tip}
}

// countTicks are whole numbers.
func countTicks(x scale) []Tick {
	step := max(niceStep(x.max-x.min, 6), 1)
	var ticks []Tick
	for value := x.min; value <= x.max; value += step {
		ticks = append(ticks, Tick{At: x.at(value), Label: figure.Count(int(value))})
	}
	return ticks
}

// short cuts the middle of a long name out: pods of one workload differ at the end.
func short(name string, most int) string {
	letters := []rune(name)
	if len(letters) <= most {
		return name
	}
	half := (most - 1) / 2
	return string(letters[:half]) + "…" + string(letters[len(letters)-half:])
}
