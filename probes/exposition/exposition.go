// Package exposition writes metrics in the text format of Prometheus, version 0.0.4. It holds no state: who has the
// figures writes them when asked.
package exposition

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ContentType of the format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Kind is the type of a metric.
type Kind string

// The kinds in use.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Label is a name and a value that tell the series of one metric apart.
type Label struct{ Name, Value string }

// Writer gathers metrics.
type Writer struct {
	text bytes.Buffer
}

// Metric begins the metric name; its samples follow.
func (w *Writer) Metric(name string, kind Kind, help string) {
	fmt.Fprintf(&w.text, "# HELP %s %s\n# TYPE %s %s\n", name, escapeHelp(help), name, kind)
}

// Sample writes one value.
func (w *Writer) Sample(name string, value float64, labels ...Label) {
	w.text.WriteString(name)
	for i, label := range labels {
		if i == 0 {
			w.text.WriteByte('{')
		} else {
			w.text.WriteByte(',')
		}
		w.text.WriteString(label.Name + `="` + escapeLabel(label.Value) + `"`)
	}
	if len(labels) > 0 {
		w.text.WriteByte('}')
	}
	w.text.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

// Bytes returns what was written so far.
func (w *Writer) Bytes() []byte { return w.text.Bytes() }

// Handler serves the metrics that write gathers for each request.
func Handler(write func(*Writer)) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		var w Writer
		write(&w)
		response.Header().Set("Content-Type", ContentType)
		// A client that went away needs no answer.
		_, _ = response.Write(w.Bytes())
	})
}

// escapeLabel writes a value as it stands between quotes. The format is UTF-8, and one broken value would have a reader
// refuse all metrics.
func escapeLabel(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(value, "\uFFFD"))
}

// escapeHelp writes a text to the end of a line. Quotes stand for themselves there.
func escapeHelp(text string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(text)
}
