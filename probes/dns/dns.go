// Package dns measures how the target's name is resolved: by the resolver's configuration of the place that the probe
// stands at, as the GNU C library does it, query by query. What the workload's own runtime does may differ in part: musl
// asks all servers at once, Go and Java have resolvers of their own; the search list and ndots they all obey.
//
// The name as it is given and the full name that it leads to are resolved in turn, so that whatever drifts meets both: the
// difference is what the search list costs.
package dns

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
	"github.com/connpolicy/connpolicy/probes/target"
)

const (
	// minimumSamples are taken however much they agree, and no more than maximumSamples: name servers are shared.
	minimumSamples = 10
	maximumSamples = 20
	// enoughShare ends the sampling once the median is known this well on both sides.
	enoughShare = 0.1
)

// Measure resolves the name of a target. Each query takes a turn of the budget, so that the limit of requests per second
// holds for the name servers too; the queries of one resolution follow each other as they come, behind turns that were
// waited for before. The target itself gets nothing, and a server that fails is no error of the target.
func Measure(ctx context.Context, b *budget.Budget, place Place, host string, family target.Family) result.DNS {
	m := &measurement{budget: b, name: host, course: exchange.Course{Began: time.Now()}}
	if cause := unsupported(place, host); cause != "" {
		return result.DNS{Meta: result.Meta{Outcome: result.Unsupported, Cause: cause, ElapsedSeconds: time.Since(m.course.Began).Seconds()}}
	}
	configuration, err := place.configuration()
	if err != nil {
		m.course.Failed(err)
		return result.DNS{Meta: m.course.Conclude()}
	}
	m.resolver = resolver{configuration: configuration, kinds: kinds(configuration, family), end: b.End()}
	m.sample(ctx)
	return m.summarise()
}

// unsupported says why no server is asked for the name.
func unsupported(place Place, host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return "the target is an IP address, so that there is no name to resolve"
	}
	if place.hosts(host) {
		return fmt.Sprintf("the name stands in %s/hosts, so that no name server is asked for it", place.Etc)
	}
	return ""
}

// kinds are the records to ask for.
func kinds(c configuration, family target.Family) []dnsmessage.Type {
	switch {
	case family == target.IPv6:
		return []dnsmessage.Type{dnsmessage.TypeAAAA}
	case family == target.IPv4 || c.noAAAA:
		return []dnsmessage.Type{dnsmessage.TypeA}
	}
	return []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA}
}

type measurement struct {
	budget *budget.Budget
	name   string
	resolver
	course exchange.Course

	// turns were waited for and not yet used; below zero: queries were sent again.
	turns int
	// full is the name that had addresses, the last time.
	full   found
	failed int // resolutions in a row

	given, needed arm
}

// arm is one of the two ways to write the name.
type arm struct {
	took    []float64 // microseconds, of those that succeeded
	queries []float64 // of all that came to an end
}

func (m *measurement) sample(ctx context.Context) {
	for !m.enough() {
		if !m.take(ctx, m.name, &m.given) {
			return
		}
		if m.searches() && !m.take(ctx, m.full.name, &m.needed) {
			return
		}
	}
}

// enough says whether the medians are known well, or as many samples are taken as may be.
func (m *measurement) enough() bool {
	known := func(a arm) bool {
		return len(a.took) >= maximumSamples || len(a.took) >= minimumSamples && stats.Narrow(a.took, enoughShare)
	}
	return known(m.given) && (!m.searches() || known(m.needed))
}

// searches says whether the name as it is given is not the first that is asked for.
func (m *measurement) searches() bool {
	return m.full.name != "" && m.full.name != m.candidates(m.name)[0].name
}

// take resolves a name once, and says whether to go on.
func (m *measurement) take(ctx context.Context, name string, into *arm) bool {
	if m.failed >= budget.MaximumErrorsInRow {
		m.course.Stop = fmt.Errorf("%w, the last: %w", budget.ErrErrors, m.course.LastError)
		return false
	}
	for most := len(m.candidates(name)) * len(m.kinds); m.turns < most; m.turns++ {
		if m.course.Stop = m.budget.Turn(ctx, false); m.course.Stop != nil {
			return false
		}
	}
	before := m.queries
	begin := time.Now()
	f, err := m.resolve(ctx, name)
	took := time.Since(begin)
	sent := m.queries - before
	m.turns -= sent
	if over(err) {
		m.course.Failed(err)
		m.course.Stop = err
		return false
	}
	into.queries = append(into.queries, float64(sent))
	m.course.Failed(err)
	if err != nil {
		m.failed++
		return true
	}
	m.failed = 0
	into.took = append(into.took, float64(took)/float64(time.Microsecond))
	m.see(f)
	return true
}

// see keeps what an answer says: the shortest time to live and the longest chain of all.
func (m *measurement) see(f found) {
	if m.full.name != "" {
		f.timeToLive, f.aliases = min(f.timeToLive, m.full.timeToLive), max(f.aliases, m.full.aliases)
	}
	m.full = f
}

func (m *measurement) summarise() result.DNS {
	m.course.Samples = len(m.given.took) + len(m.needed.took)
	r := result.DNS{
		ResolveMicroseconds: stats.Summarise(m.given.took),
		NeededMicroseconds:  stats.Summarise(m.needed.took),
		QueriesPerName:      median(m.given.queries),
		QueriesNeeded:       median(m.needed.queries),
		Ndots:               &m.ndots,
		TimeoutSeconds:      new(int(m.timeout / time.Second)),
		Attempts:            &m.attempts,
	}
	r.SearchListMicroseconds = walk(r.ResolveMicroseconds, r.NeededMicroseconds)
	for _, server := range m.servers {
		r.Servers = append(r.Servers, server.Addr().String())
	}
	for _, domain := range m.search {
		r.Search = append(r.Search, cmp.Or(domain, "."))
	}
	if m.queries > 0 {
		r.Queries, r.Lost, r.Negative = &m.queries, &m.lost, &m.negative
		r.Rejected, r.Truncated, r.Ignored = &m.rejected, &m.truncated, &m.ignored
	}
	if m.full.name != "" {
		r.FullName, r.Aliases = m.full.name, &m.full.aliases
		r.TimeToLiveSeconds = new(int(m.full.timeToLive))
		if !m.searches() {
			r.QueriesNeeded = r.QueriesPerName
		}
	}
	r.Meta = m.course.Conclude()
	return r
}

// walk is what the name as it is given costs more than the full one, zero if that is in doubt, and nil if nobody knows.
func walk(given, needed *result.Distribution) *float64 {
	switch {
	case given == nil || needed == nil || given.P50Low == nil || needed.P50High == nil:
		return nil
	case *given.P50Low <= *needed.P50High:
		return new(0.0)
	}
	return new(given.P50 - needed.P50)
}

// median returns the median of whole numbers, nil if there are none.
func median(numbers []float64) *int {
	if len(numbers) == 0 {
		return nil
	}
	return new(int(stats.Quantile(slices.Sorted(slices.Values(numbers)), 0.5)))
}
