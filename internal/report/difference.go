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
	s := Section{Title: "Where the nodes differ", Table: &Table{Head: []string{"Figure", "Least", "Most", "Differs on"}}}
	for _, f := range spread.Of(places(views)) {
		if f.Differs != "" {
			s.Table.Rows = append(s.Table.Rows, []string{spreadName(f.Name), spreadValue(f.Name, f.Least()), spreadValue(f.Name, f.Most()), f.Differs})
		}
	}
	path := spread.PathOf(places(views))
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

func places(views []view) []spread.Place {
	list := make([]spread.Place, len(views))
	for i, v := range views {
		list[i] = spread.Place{Node: v.node, Result: v.found}
	}
	return list
}

// whoDiffers names the nodes that differ from the others in any figure. Empty: none does.
func whoDiffers(views []view) string {
	var nodes []string
	for _, f := range spread.Of(places(views)) {
		if f.Differs != "" && !slices.Contains(nodes, f.Differs) {
			nodes = append(nodes, f.Differs)
		}
	}
	switch {
	case len(nodes) == 0:
		return ""
	case len(nodes) == 1 && len(views) == 2:
		return nodes[0] + " differs from the other node."
	case len(nodes) == 1:
		return nodes[0] + " differs from the other nodes."
	}
	return strings.Join(nodes, " and ") + " differ from the other nodes."
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
