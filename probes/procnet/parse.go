package procnet

import (
	"fmt"
	"strconv"
	"strings"
)

// parseCounterTable reads the form of /proc/net/snmp and /proc/net/netstat: pairs of lines, first the names and then the
// values, both after the name of the protocol.
func parseCounterTable(text string) (Counters, error) {
	counters := Counters{}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines)%2 != 0 {
		return nil, fmt.Errorf("%d lines, but names and values come in pairs", len(lines))
	}
	for i := 0; i < len(lines); i += 2 {
		protocol, names, found := strings.Cut(lines[i], ":")
		other, values, foundToo := strings.Cut(lines[i+1], ":")
		if !found || !foundToo || protocol != other {
			return nil, fmt.Errorf("line %d has no values that match its names", i+1)
		}
		if err := counters.add(protocol, strings.Fields(names), strings.Fields(values)); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
	}
	return counters, nil
}

// parseSockstat reads the form of /proc/net/sockstat: a protocol, then names and values in turn.
func parseSockstat(text string) (Counters, error) {
	counters := Counters{}
	for number, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		protocol, rest, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("line %d names no protocol", number+1)
		}
		var names, values []string
		for i, field := range strings.Fields(rest) {
			if i%2 == 0 {
				names = append(names, field)
			} else {
				values = append(values, field)
			}
		}
		if err := counters.add(protocol, names, values); err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
	}
	return counters, nil
}

func (c Counters) add(protocol string, names, values []string) error {
	if len(names) != len(values) {
		return fmt.Errorf("%d names, %d values", len(names), len(values))
	}
	for i, name := range names {
		value, err := strconv.ParseInt(values[i], 10, 64)
		if err != nil {
			return fmt.Errorf("%s %s: %w", protocol, name, err)
		}
		c[protocol+"."+name] = value
	}
	return nil
}
