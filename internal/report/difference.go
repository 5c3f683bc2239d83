package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/spread"
)

// differenceSection names what is not the same from all nodes, beyond what chance brings.
func differenceSection(views []view) []Section {
	s := Section{Title: "Where the nodes differ", Table: &Table{Head: []string{"Figure", "Least", "Most", "Apart from the others"}}}
	places := make([]spread.Place, len(views))
	for i, v := range views {
		places[i] = spread.Place{Node: v.node, Result: v.found}
	}
	for _, f := range spread.Of(places) {
		if f.Differs != "" {
			s.Table.Rows = append(s.Table.Rows, []string{spreadName(f.Name), spreadValue(f.Name, f.Least()), spreadValue(f.Name, f.Most()), f.Differs})
		}
	}
	path := spread.PathOf(places)
	if len(path.Kernels) > 1 {
		s.Notes = append(s.Notes, "Kernels: "+strings.Join(path.Kernels, ", ")+".")
	}
	for _, name := range slices.Sorted(maps.Keys(path.Differing)) {
		s.Notes = append(s.Notes, fmt.Sprintf("%s: %s.", name, path.Differing[name]))
	}
	if len(s.Table.Rows) == 0 {
		s.Table = nil
	}
	if s.Table == nil && len(s.Notes) == 0 {
		return nil
	}
	return []Section{s}
}

// spreadName is how people call a figure of internal/spread: as its section does.
func spreadName(name string) string {
	words, known := map[string]string{
		"dnsP50Microseconds": "resolve, median", "handshakeP50Microseconds": "connect(), median", "handshakeP99Microseconds": "connect(), p99",
		"tlsFullP50Microseconds": "TLS, full, median", "setupSharePercent": "set-up share", "newRequestP50Microseconds": "request on a new connection, median",
		"reusedRequestP50Microseconds": "request on a reused one, median", "requestsPerConnection": "requests a connection",
		"idleCutSeconds": "silence that cuts", "timeWaitHolder": "TIME_WAIT held by", "initialWindowSegments": "first flight of a new connection, segments",
		"stallMicroseconds": "stall of a request", "http2RequestP50Microseconds": "HTTP/2 request, median",
		"webSocketHandshakeP50Microseconds": "WebSocket handshake, median",
	}[name]
	if !known {
		return name
	}
	return words
}

// spreadValue writes a value in the unit that the figure's name ends with.
func spreadValue(name string, v spread.Value) string {
	switch {
	case v.Word != "":
		return v.Word
	case strings.HasSuffix(name, "Microseconds"):
		return figure.Microseconds(v.Number)
	case strings.HasSuffix(name, "Seconds"):
		return duration(v.Number)
	case strings.HasSuffix(name, "Percent"):
		return figure.Percent(v.Number)
	}
	return figure.Rate(v.Number)
}
