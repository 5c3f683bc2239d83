// Package ports knows sets of TCP ports as Linux writes them in net.ipv4.ip_local_port_range and
// net.ipv4.ip_local_reserved_ports.
package ports

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Highest is the highest TCP port.
const Highest = 65535

// ErrSyntax is wrapped by the errors of ParseRange and ParseSet.
var ErrSyntax = errors.New("not a port range as the kernel writes it")

// Range is the ports from First to Last, both included.
type Range struct{ First, Last int }

// Count returns the number of ports in r, 0 if First is above Last.
func (r Range) Count() int { return max(r.Last-r.First+1, 0) }

// Contains says whether port lies in r.
func (r Range) Contains(port int) bool { return r.First <= port && port <= r.Last }

// Intersect returns what r and other have in common. Its Count is 0 if that is nothing.
func (r Range) Intersect(other Range) Range {
	return Range{First: max(r.First, other.First), Last: min(r.Last, other.Last)}
}

// String writes r as the kernel writes an item of ip_local_reserved_ports: 8080 or 30000-32767.
func (r Range) String() string {
	if r.First == r.Last {
		return strconv.Itoa(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// ParseRange reads the value of ip_local_port_range: two numbers with white space between them.
func ParseRange(text string) (Range, error) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return Range{}, fmt.Errorf("%w: %q has not two numbers", ErrSyntax, text)
	}
	return parseEnds(fields[0], fields[1])
}

func parseEnds(first, last string) (Range, error) {
	r := Range{}
	var err error
	if r.First, err = parsePort(first); err != nil {
		return Range{}, err
	}
	if r.Last, err = parsePort(last); err != nil {
		return Range{}, err
	}
	if r.First > r.Last {
		return Range{}, fmt.Errorf("%w: %s is above %s", ErrSyntax, first, last)
	}
	return r, nil
}

func parsePort(text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is not a port", ErrSyntax, text)
	}
	return int(port), nil
}

// Set is a set of ports: ranges in ascending order that neither overlap nor touch. The nil Set is empty.
type Set []Range

// NewSet returns the set of all ports in ranges. Empty ranges add nothing.
func NewSet(ranges ...Range) Set {
	sorted := slices.DeleteFunc(slices.Clone(ranges), func(r Range) bool { return r.Count() == 0 })
	slices.SortFunc(sorted, func(a, b Range) int { return a.First - b.First })
	var set Set
	for _, r := range sorted {
		if n := len(set); n > 0 && r.First <= set[n-1].Last+1 {
			set[n-1].Last = max(set[n-1].Last, r.Last)
			continue
		}
		set = append(set, r)
	}
	return set
}

// ParseSet reads the value of ip_local_reserved_ports: items such as 8080 and 30000-32767 with commas between them, in
// any order. An empty text is the empty set.
func ParseSet(text string) (Set, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	return ParseItems(strings.Split(text, ","))
}

// ParseItems reads items such as 8080 and 30000-32767, in any order.
func ParseItems(items []string) (Set, error) {
	ranges := make([]Range, 0, len(items))
	for _, item := range items {
		first, last, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			last = first
		}
		r, err := parseEnds(first, last)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return NewSet(ranges...), nil
}

// Items writes the set as the items of ip_local_reserved_ports.
func (s Set) Items() []string {
	items := make([]string, 0, len(s))
	for _, r := range s {
		items = append(items, r.String())
	}
	return items
}

// String writes the set as the kernel writes ip_local_reserved_ports.
func (s Set) String() string { return strings.Join(s.Items(), ",") }

// Contains says whether port is in s.
func (s Set) Contains(port int) bool {
	return slices.ContainsFunc(s, func(r Range) bool { return r.Contains(port) })
}

// Union returns the ports that are in s or in other.
func (s Set) Union(other Set) Set { return NewSet(slices.Concat(s, other)...) }

// Within returns the ports of s that lie in r.
func (s Set) Within(r Range) Set {
	parts := make([]Range, 0, len(s))
	for _, part := range s {
		parts = append(parts, part.Intersect(r))
	}
	return NewSet(parts...)
}

// Count returns the number of ports in s.
func (s Set) Count() int {
	count := 0
	for _, r := range s {
		count += r.Count()
	}
	return count
}

// Compact returns a set of at most items ranges that contains s. It fills the smallest gaps first, so that as few ports
// as possible are added. It panics if items is below 1.
func (s Set) Compact(items int) Set {
	set := slices.Clone(s)
	for len(set) > items {
		narrowest := 1
		for i := 2; i < len(set); i++ {
			if set[i].First-set[i-1].Last < set[narrowest].First-set[narrowest-1].Last {
				narrowest = i
			}
		}
		set[narrowest-1].Last = set[narrowest].Last
		set = slices.Delete(set, narrowest, narrowest+1)
	}
	return set
}

// Available returns the number of ports that connect() may choose from, where it chooses from r without reserved.
func Available(r Range, reserved Set) int { return r.Count() - reserved.Within(r).Count() }
