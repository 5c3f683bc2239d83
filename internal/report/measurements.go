package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/report/plot"
	"github.com/connpolicy/connpolicy/probes/result"
)

// fact is one thing that a measurement found: a name and a figure with its unit.
type fact struct{ name, value string }

// measurement is how people are told of one: the title of its section, its facts, and what can be drawn.
type measurement struct {
	// name as result.Fields has it.
	name, title string
	facts       func(*result.Measurements) []fact
	// drawing is what is timed in the plot, times what is drawn. Nil: nothing is.
	drawing string
	times   func(*result.Measurements) []timed
	// compared says that the first two of times are the same thing done in two ways.
	compared bool
}

// timed is a distribution and its name.
type timed struct {
	name         string
	distribution *result.Distribution
}

// known are the measurements in the order in which they are told.
func known() []measurement {
	return []measurement{
		{name: "dns", title: "Name resolution", facts: of(func(m *result.Measurements) *result.DNS { return m.DNS }, dnsFacts)},
		{name: "handshake", title: "Setting connections up", facts: of(func(m *result.Measurements) *result.Handshake { return m.Handshake }, handshakeFacts),
			drawing: "time of connect()", times: handshakeTimes},
		{name: "reuse", title: "Reuse of connections", facts: of(func(m *result.Measurements) *result.Reuse { return m.Reuse }, reuseFacts),
			drawing: "time of a whole request", times: reuseTimes, compared: true},
		{name: "closing", title: "End of connections", facts: of(func(m *result.Measurements) *result.Closing { return m.Closing }, closingFacts)},
		{name: "pipelining", title: "Pipelining", facts: of(func(m *result.Measurements) *result.Pipelining { return m.Pipelining }, pipeliningFacts)},
		{name: "pathMTU", title: "Path MTU", facts: of(func(m *result.Measurements) *result.PathMTU { return m.PathMTU }, pathMTUFacts)},
		{name: "timeWait", title: "TIME_WAIT", facts: of(func(m *result.Measurements) *result.TimeWait { return m.TimeWait }, timeWaitFacts)},
		{name: "idle", title: "Idle connections", facts: of(func(m *result.Measurements) *result.Idle { return m.Idle }, idleFacts)},
		{name: "websocket", title: "WebSocket", facts: of(func(m *result.Measurements) *result.WebSocket { return m.WebSocket }, webSocketFacts)},
		{name: "push", title: "Ways to be told of news", facts: of(func(m *result.Measurements) *result.Push { return m.Push }, pushFacts)},
		{name: "http2", title: "HTTP/2", facts: of(func(m *result.Measurements) *result.HTTP2 { return m.HTTP2 }, http2Facts)},
		{name: "slowStart", title: "Long responses", facts: of(func(m *result.Measurements) *result.SlowStart { return m.SlowStart }, slowStartFacts),
			drawing: "time of a long response", times: slowStartTimes, compared: true},
		{name: "smallWrites", title: "Small writes", facts: of(func(m *result.Measurements) *result.SmallWrites { return m.SmallWrites }, smallWritesFacts),
			drawing: "time of a request", times: smallWritesTimes, compared: true},
		{name: "parallel", title: "More connections at once", facts: of(func(m *result.Measurements) *result.Parallel { return m.Parallel }, parallelFacts)},
		{name: "identity", title: "Addresses", facts: of(func(m *result.Measurements) *result.Identity { return m.Identity }, identityFacts)},
		{name: "backlog", title: "Listen queue", facts: of(func(m *result.Measurements) *result.Backlog { return m.Backlog }, backlogFacts)},
	}
}

// of applies facts to a measurement that is there.
func of[T any](at func(*result.Measurements) *T, facts func(*T) []fact) func(*result.Measurements) []fact {
	return func(m *result.Measurements) []fact {
		if value := at(m); value != nil {
			return facts(value)
		}
		return nil
	}
}

// measurementSections are a section a measurement with a column a vantage, so that a node that differs is seen.
func measurementSections(report *v1alpha1.ConnectionReport, views []view) []Section {
	var sections []Section
	for _, m := range known() {
		s := Section{Title: m.title, Table: &Table{Head: []string{""}}, Beside: true}
		columns := make([][]fact, 0, len(views))
		var causes []Remark // of nodes
		var series []plot.Series
		for _, v := range views {
			meta, asked := v.found.Measurements.Outcomes()[m.name]
			if !asked {
				continue
			}
			s.Table.Head = append(s.Table.Head, v.node)
			if meta.Cause != "" {
				causes = add(causes, v.node, meta.Cause)
			}
			columns = append(columns, append(outcomeFacts(meta), m.facts(&v.found.Measurements)...))
			if m.times == nil {
				continue
			}
			for _, t := range m.times(&v.found.Measurements) {
				if t.distribution != nil {
					series = append(series, plot.Series{Name: t.name, Node: v.node, Distribution: *t.distribution})
				}
			}
		}
		if len(columns) == 0 {
			continue
		}
		s.Table.fill(columns)
		for _, cause := range causes {
			s.Notes = append(s.Notes, fmt.Sprintf("From %s: %s", strings.Join(cause.By, " and "), sentence(cause.Message)))
		}
		if len(series) > 0 {
			s.Plots = []plot.Plot{plot.Distributions(plotID(report, m.name), m.title+": "+m.drawing, m.drawing, series, m.compared)}
		}
		sections = append(sections, s)
	}
	return sections
}

// fill adds a row for each name that a column has, in the order in which they first come.
func (t *Table) fill(columns [][]fact) {
	for _, column := range columns {
		for _, f := range column {
			if slices.ContainsFunc(t.Rows, func(row []string) bool { return row[0] == f.name }) {
				continue
			}
			row := []string{f.name}
			for _, other := range columns {
				value := "unknown"
				if i := slices.IndexFunc(other, func(g fact) bool { return g.name == f.name }); i >= 0 {
					value = other[i].value
				}
				row = append(row, value)
			}
			t.Rows = append(t.Rows, row)
		}
	}
}

// outcomeFacts say how much is behind the figures.
func outcomeFacts(meta result.Meta) []fact {
	var facts facts
	outcome := string(meta.Outcome)
	if meta.Outcome == result.Measured {
		outcome = fmt.Sprintf("measured (%s)", figure.Count(meta.Samples))
	}
	facts.add("outcome (samples)", outcome)
	if meta.Errors > 0 {
		facts.add("failed attempts", figure.Count(meta.Errors))
	}
	return facts
}

// facts grows by what is known.
type facts []fact

func (f *facts) add(name, value string) { *f = append(*f, fact{name, value}) }

// time tells a distribution by its median, with its bounds if known, and its tail.
func (f *facts) time(name string, d *result.Distribution) {
	if d == nil {
		return
	}
	median := figure.Microseconds(d.P50)
	if d.P50Low != nil && d.P50High != nil {
		median += " (" + between(*d.P50Low, *d.P50High) + ")"
	}
	f.add(name+", median", median)
	f.add(name+", p99", figure.Microseconds(d.P99))
}

// between writes two bounds, with their unit once where it is the same.
func between(low, high float64) string {
	from, to := figure.Microseconds(low), figure.Microseconds(high)
	number, unit, _ := strings.Cut(from, " ")
	if strings.HasSuffix(to, " "+unit) {
		from = number
	}
	return from + " to " + to
}

func (f *facts) count(name string, n *int) {
	if n != nil {
		f.add(name, figure.Count(*n))
	}
}

func (f *facts) count64(name string, n *int64) {
	if n != nil {
		f.add(name, figure.Count(int(*n)))
	}
}

func (f *facts) seconds(name string, s *float64) {
	if s != nil {
		f.add(name, duration(*s))
	}
}

func (f *facts) yes(name string, holds *bool) {
	switch {
	case holds == nil:
	case *holds:
		f.add(name, "yes")
	default:
		f.add(name, "no")
	}
}

func (f *facts) text(name, value string) {
	if value != "" {
		f.add(name, value)
	}
}

func (f *facts) of(name string, c *result.Count) {
	if c != nil {
		f.add(name, fmt.Sprintf("%s of %s", figure.Count(c.Got), figure.Count(c.Of)))
	}
}

func dnsFacts(d *result.DNS) []fact {
	var f facts
	f.time("resolve", d.ResolveMicroseconds)
	f.time("resolve the full name", d.NeededMicroseconds)
	if d.SearchListMicroseconds != nil {
		f.add("the search list costs", figure.Microseconds(*d.SearchListMicroseconds))
	}
	f.text("full name", d.FullName)
	f.count("queries a name", d.QueriesPerName)
	f.count("needed, with a final dot", d.QueriesNeeded)
	if d.Lost != nil && d.Queries != nil {
		f.of("lost queries", &result.Count{Got: *d.Lost, Of: *d.Queries})
	}
	f.count("answers of no such name", d.Negative)
	f.count("refused or failed", d.Rejected)
	f.count("too long for UDP", d.Truncated)
	f.count("answers to nothing asked", d.Ignored)
	f.count("aliases", d.Aliases)
	if d.TimeToLiveSeconds != nil {
		f.add("time to live", duration(float64(*d.TimeToLiveSeconds)))
	}
	f.text("name servers", strings.Join(d.Servers, ", "))
	f.text("search list", strings.Join(d.Search, ", "))
	f.count("ndots", d.Ndots)
	if d.TimeoutSeconds != nil && d.Attempts != nil {
		f.add("asks again", fmt.Sprintf("after %s, %s a server", duration(float64(*d.TimeoutSeconds)), figure.Plural(*d.Attempts, "time", "times")))
	}
	return f
}

func handshakeFacts(h *result.Handshake) []fact {
	var f facts
	f.time("connect()", h.ConnectMicroseconds)
	f.time("kernel's RTT", h.KernelRTTMicroseconds)
	f.count("SYNs sent again", h.SynRetransmissions)
	if h.SetupSharePercent != nil {
		f.add("set-up share", figure.Percent(*h.SetupSharePercent))
	}
	if t := h.TLS; t != nil {
		f.text("TLS", t.Version)
		f.text("ALPN", t.ALPN)
		f.time("TLS, full", t.FullMicroseconds)
		f.time("TLS, resumed", t.ResumedMicroseconds)
		f.yes("resumption offered", t.ResumptionOffered)
		if t.Resumed != nil && t.ResumptionsTried != nil {
			f.add("resumed", fmt.Sprintf("%d of %d", *t.Resumed, *t.ResumptionsTried))
		}
		f.text("certificates end", minute(t.CertificateExpires))
	}
	return f
}

// minute writes a time to the minute. What is not RFC 3339 stays.
func minute(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}

func handshakeTimes(m *result.Measurements) []timed {
	if m.Handshake == nil {
		return nil
	}
	times := []timed{{"connect()", m.Handshake.ConnectMicroseconds}, {"RTT", m.Handshake.KernelRTTMicroseconds}}
	if t := m.Handshake.TLS; t != nil {
		times = append(times, timed{"TLS, full", t.FullMicroseconds}, timed{"TLS, resumed", t.ResumedMicroseconds})
	}
	return times
}

func reuseFacts(r *result.Reuse) []fact {
	var f facts
	f.yes("server keeps connections", r.Kept)
	if r.RequestsPerConnection != nil {
		f.add("requests a connection", "exactly "+figure.Count(*r.RequestsPerConnection))
	} else if r.RequestsAtLeast != nil {
		f.add("requests a connection", "at least "+figure.Count(*r.RequestsAtLeast))
	}
	f.text("how it ended", ending(r.CloseCause))
	if k := r.KeepAliveHeader; k != nil {
		if k.TimeoutSeconds != nil {
			f.add("Keep-Alive promises", duration(float64(*k.TimeoutSeconds)))
		}
		if k.Max != nil {
			f.add("Keep-Alive allows", plural(*k.Max, "more request"))
		}
	}
	f.text("not found out", r.Missing)
	f.time("on a new connection", r.NewMicroseconds)
	f.time("on a reused one", r.ReusedMicroseconds)
	if r.NewMicroseconds != nil && r.ReusedMicroseconds != nil {
		f.add("a new one costs, median", figure.Microseconds(r.NewMicroseconds.P50-r.ReusedMicroseconds.P50))
	}
	return f
}

func reuseTimes(m *result.Measurements) []timed {
	if m.Reuse == nil {
		return nil
	}
	return []timed{{"on a new connection", m.Reuse.NewMicroseconds}, {"on a reused connection", m.Reuse.ReusedMicroseconds}}
}

// ending says how the server ended a connection.
func ending(cause result.CloseCause) string {
	switch cause {
	case result.CloseNone:
		return "not by the server"
	case result.CloseAnnounced:
		return "announced by Connection: close"
	case result.CloseUnannounced:
		return "without announcing it"
	case result.CloseHTTP10:
		return "HTTP/1.0 without keep-alive"
	case result.CloseDelimited:
		return "the response has no length"
	case result.CloseReset:
		return "by a reset"
	}
	return string(cause)
}

func closingFacts(c *result.Closing) []fact {
	var f facts
	f.yes("answers a half-closed client", c.HalfClose)
	f.yes("close destroys a response", c.UnreadDataLost)
	f.seconds("reads on after its close for", c.LingerSeconds)
	f.yes("response cut short", c.Truncated)
	return f
}

func pipeliningFacts(p *result.Pipelining) []fact {
	var f facts
	if meaning, listed := map[result.PipeliningVerdict]string{
		result.PipeliningInOrder: "answered in order, and sooner", result.PipeliningSerial: "answered in order, but no sooner",
		result.PipeliningClosed: "ended before all are answered", result.PipeliningOutOfOrder: "answers belong to other requests",
		result.PipeliningRefused: "refused, or never answered",
	}[p.Verdict]; listed {
		f.add("requests at once", meaning)
	}
	f.of("answered", p.Answered)
	f.time("at once", p.PipelinedMicroseconds)
	f.time("one by one", p.SerialMicroseconds)
	return f
}

func pathMTUFacts(p *result.PathMTU) []fact {
	var f facts
	f.yes("large packets vanish", p.BlackHole)
	f.of("responses whole", p.Whole)
	f.of("whole in short segments", p.ClampedWhole)
	f.count("bytes of a full segment", p.SegmentBytes)
	f.count("bytes of the longest that arrived", p.ReceivedSegmentBytes)
	f.count("bytes of a short segment", p.ClampedSegmentBytes)
	f.yes("TLS handshake stalls", p.InTLSHandshake)
	return f
}

func timeWaitFacts(w *result.TimeWait) []fact {
	var f facts
	f.text("held by, of its own accord", string(w.Holder))
	for _, scenario := range slices.Sorted(maps.Keys(w.Scenarios)) {
		f.add("held by, "+scenario, string(w.Scenarios[scenario]))
	}
	f.seconds("lasts", w.Seconds)
	f.count("local ports", w.Ports)
	if w.ConnectionsPerSecondCeiling != nil {
		f.add("ceiling of new connections", figure.Rate(*w.ConnectionsPerSecondCeiling)+"/s")
	}
	if w.ConnectionsPerSecondSmooth != nil {
		f.add("connect() is fast up to", figure.Rate(*w.ConnectionsPerSecondSmooth)+"/s")
	}
	return f
}

func idleFacts(i *result.Idle) []fact {
	var f facts
	if i.Cut != nil {
		_, row := idleRow(*i)
		f.add("cut", row[0])
		f.add("after", row[1])
	}
	f.seconds("longest silence survived", i.SurvivedSeconds)
	f.of("survivors of it", i.SurvivedOf)
	f.yes("TCP keepalive helps", i.KeepaliveHelps)
	f.yes("pings help", i.PingHelps)
	f.ladder("by keepalive", i.KeepaliveLadder)
	f.ladder("by request", i.RequestLadder)
	return f
}

// ladder tells the rungs beside the cut.
func (f *facts) ladder(asked string, l *result.Ladder) {
	if l == nil {
		return
	}
	for _, rung := range l.Beside().Rungs {
		var became []string
		for _, kind := range []struct {
			name  string
			count int
		}{{"lived", rung.Alive}, {"closed", rung.FIN}, {"reset", rung.RST}, {"without an answer", rung.BlackHole}, {"unknown", rung.Unknown}} {
			if kind.count > 0 {
				became = append(became, fmt.Sprintf("%d %s", kind.count, kind.name))
			}
		}
		f.add(fmt.Sprintf("asked %s after %s", asked, duration(rung.Seconds)), strings.Join(became, ", "))
	}
}

// cutting says how idle connections are cut.
func cutting(how result.IdleCut) string {
	switch how {
	case result.CutFIN:
		return "closed (FIN)"
	case result.CutRST:
		return "reset (RST)"
	case result.CutBlackHole:
		return "forgotten without a word"
	}
	return "cut in different ways"
}

func webSocketFacts(w *result.WebSocket) []fact {
	var f facts
	f.yes("upgraded", w.Upgraded)
	f.count("status", w.Status)
	f.time("opening handshake", w.HandshakeMicroseconds)
	f.text("subprotocol", w.Subprotocol)
	f.text("extensions", strings.Join(w.Extensions, ", "))
	f.yes("messages come back", w.Echo)
	f.time("message", w.EchoMicroseconds)
	f.count("message closes with status", w.MessageCloseStatus)
	f.yes("both directions at once", w.FullDuplex)
	f.yes("pings are answered", w.Pong)
	f.yes("with other data", w.PongAltered)
	f.time("ping", w.PongMicroseconds)
	f.yes("close is answered", w.CloseHandshake)
	f.count("close status", w.CloseStatus)
	f.count("messages of the server's own", w.ServerMessages)
	f.count("pings of the server's own", w.ServerPings)
	if w.Idle != nil {
		f = append(f, idleFacts(w.Idle)...)
	}
	return f
}

func pushFacts(p *result.Push) []fact {
	var f facts
	for _, way := range []struct {
		name string
		way  *result.PushWay
	}{{"polling", p.Polling}, {"long polling", p.LongPolling}, {"streaming", p.Streaming}, {"WebSocket", p.WebSocket}} {
		if way.way == nil {
			continue
		}
		w := way.way
		if w.Outcome != result.Measured {
			f.add(way.name, strings.TrimSuffix(string(w.Outcome)+": "+w.Cause, ": "))
			continue
		}
		f.add(way.name, fmt.Sprintf("%s on %s with %s", plural(w.Messages, "message"), plural(w.Connections, "connection"), plural(w.Requests, "request")))
		f.time(way.name+", age of a message", w.DelayMicroseconds)
		f.time(way.name+", time between messages", w.GapMicroseconds)
		f.time(way.name+", answer", w.AnswerMicroseconds)
		if w.BytesPerMessage != nil {
			f.add(way.name+", bytes a message", figure.Rate(*w.BytesPerMessage))
		}
		f.yes(way.name+", held back by a hop", w.Buffered)
		f.of(way.name+", came with the one before", w.Together)
		f.text(way.name+", not found out", w.Missing)
		if w.CutAfterSeconds != nil {
			f.add(way.name+", cut", cutting(w.CutBy)+" after "+duration(*w.CutAfterSeconds))
		}
	}
	return f
}

func http2Facts(h *result.HTTP2) []fact {
	var f facts
	f.yes("spoken", h.Supported)
	f.count64("requests at once a connection", h.MaxConcurrentStreams)
	f.count64("initial window, bytes", h.InitialWindowBytes)
	f.count64("largest frame, bytes", h.MaxFrameBytes)
	f.time("request", h.RequestMicroseconds)
	if h.Streams != nil {
		f.time(fmt.Sprintf("%d requests on one connection", *h.Streams), h.ConcurrentMicroseconds)
		f.time(fmt.Sprintf("%d requests on as many", *h.Streams), h.ParallelMicroseconds)
	}
	f.yes("pings are answered", h.PingAnswered)
	f.time("ping", h.PingMicroseconds)
	f.count("requests a connection, at least", h.RequestsAtLeast)
	f.count("GOAWAY after requests", h.GoAwayAfterRequests)
	f.seconds("GOAWAY after", h.GoAwayAfterSeconds)
	f.text("GOAWAY says", h.GoAwayCode)
	return f
}

func slowStartFacts(s *result.SlowStart) []fact {
	var f facts
	f.count64("response, bytes", s.Bytes)
	if s.RoundTripMicroseconds != nil {
		f.add("round trip", figure.Microseconds(*s.RoundTripMicroseconds))
	}
	if s.InitialWindowSegments != nil {
		f.add("first flight of a new connection", figure.Rate(*s.InitialWindowSegments)+" segments")
	}
	f.count("round trips on a new connection", s.ColdRounds)
	f.count("round trips on one in use", s.WarmRounds)
	f.time("on a new connection", s.ColdMicroseconds)
	f.time("on one in use", s.WarmMicroseconds)
	f.yes("window lost after idling", s.WindowLostAfterIdle)
	if s.WarmSegments != nil && s.AfterIdleSegments != nil && s.IdleSeconds != nil {
		f.add("first flight in use", figure.Rate(*s.WarmSegments)+" segments")
		f.add("after idling for "+duration(*s.IdleSeconds), figure.Rate(*s.AfterIdleSegments)+" segments")
	}
	f.text("not found out", s.Missing)
	return f
}

func slowStartTimes(m *result.Measurements) []timed {
	if m.SlowStart == nil {
		return nil
	}
	return []timed{{"on a new connection", m.SlowStart.ColdMicroseconds}, {"on one in use", m.SlowStart.WarmMicroseconds}}
}

func smallWritesFacts(s *result.SmallWrites) []fact {
	var f facts
	if s.StallMicroseconds != nil {
		f.add("stall of a request", figure.Microseconds(*s.StallMicroseconds))
	}
	f.text("side that holds back", string(s.Side))
	f.count("segments a response", s.Segments)
	f.time("acknowledged late", s.DelayedMicroseconds)
	f.time("acknowledged at once", s.QuickMicroseconds)
	return f
}

func smallWritesTimes(m *result.Measurements) []timed {
	if m.SmallWrites == nil {
		return nil
	}
	return []timed{{"acknowledged late", m.SmallWrites.DelayedMicroseconds}, {"acknowledged at once", m.SmallWrites.QuickMicroseconds}}
}

func parallelFacts(p *result.Parallel) []fact {
	var f facts
	for _, level := range p.Levels {
		f.add(plural(level.Connections, "connection"), fmt.Sprintf("%s of %s requests/s, median %s, p99 %s", figure.Rate(level.RequestsPerSecond),
			figure.Rate(level.OfferedPerSecond), figure.Microseconds(level.P50Microseconds), figure.Microseconds(level.P99Microseconds)))
	}
	f.count("more than these gain nothing", p.Knee)
	f.text("stopped by", stopping(p.StoppedBy))
	return f
}

// stopping says what ended the climb to more connections.
func stopping(by string) string {
	words, known := map[string]string{
		"knee": "no more gained", "latency": "answers that took longer", "limit": "the probe's limits", "probe": "lack of time of the probe itself",
	}[by]
	if !known {
		return by
	}
	return words
}

func identityFacts(i *result.Identity) []fact {
	var f facts
	if i.ClientLocal != "" {
		f.add("seen from the probe", i.ClientLocal+" to "+i.ClientRemote)
	}
	if i.ServerRemote != "" {
		f.add("seen by the server", i.ServerRemote+" to "+i.ServerLocal)
	}
	f.yes("source is translated", i.SourceTranslated)
	f.yes("destination is translated", i.DestinationTranslated)
	f.text("proxies that name themselves", strings.Join(i.Via, "; "))
	return f
}

func backlogFacts(b *result.Backlog) []fact {
	var f facts
	if b.Port != nil {
		f.add("port", fmt.Sprint(*b.Port))
	}
	f.count("waiting at the peak", b.InUsePeak)
	f.count("may wait", b.Cap)
	f.count("net.core.somaxconn", b.Somaxconn)
	f.count64("found it full", b.Overflows)
	f.count64("found it full, ever", b.OverflowsTotal)
	f.count64("SYN cookies", b.SynCookies)
	return f
}
