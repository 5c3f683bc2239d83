package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/history"
	"github.com/connpolicy/connpolicy/internal/report/plot"
	"github.com/connpolicy/connpolicy/probes/result"
)

// keyFigure is one of the figures that the history keeps.
type keyFigure struct {
	// name stands at the head of a column, unit beside it.
	name, unit string
	// factor turns the report's unit into unit.
	factor float64
	value  func(v1alpha1.KeyFigures) *float64
	// bound that the policy or the kernel sets. Nil: none.
	bound func(*v1alpha1.Objectives) []plot.Bound
}

func keyFigures() []keyFigure {
	return []keyFigure{
		{"connect() p99", "ms", 1e-3, func(k v1alpha1.KeyFigures) *float64 { return number(k.HandshakeP99Microseconds) },
			func(o *v1alpha1.Objectives) []plot.Bound {
				return objective(number(o.HandshakeP99Microseconds), 1e-3, "ms")
			}},
		{"set-up share", "%", 1, func(k v1alpha1.KeyFigures) *float64 { return number(k.SetupSharePercent) },
			func(o *v1alpha1.Objectives) []plot.Bound { return objective(number(o.SetupSharePercent), 1, "%") }},
		{"requests a connection", unitAtLeast, 1, func(k v1alpha1.KeyFigures) *float64 { return number(k.RequestsAtLeast) }, nil},
		{"new connections", "per s", 1, func(k v1alpha1.KeyFigures) *float64 { return number(k.ConnectionsPerSecond) }, nil},
		{"ports held", "%", 1, func(k v1alpha1.KeyFigures) *float64 { return number(k.PortUtilizationPercent) },
			func(o *v1alpha1.Objectives) []plot.Bound {
				if bounds := objective(number(o.PortUtilizationPercent), 1, "%"); bounds != nil {
					return bounds
				}
				return []plot.Bound{{Value: slowPercent, Text: "connect() slows down"}}
			}},
		{"silence that cuts", "s", 1, func(k v1alpha1.KeyFigures) *float64 { return number(k.IdleCutSeconds) }, nil},
		{"silence survived", "s", 1, func(k v1alpha1.KeyFigures) *float64 { return number(k.IdleSurvivedSeconds) }, nil},
		{"stall of small writes", "ms", 1e-3, func(k v1alpha1.KeyFigures) *float64 { return number(k.StallMicroseconds) }, nil},
		{"first flight", "segments", 1, func(k v1alpha1.KeyFigures) *float64 { return number(k.InitialWindowSegments) }, nil},
	}
}

// unitAtLeast stands where a figure is a count, of which there may be more.
const unitAtLeast = "at least"

// says is a figure with its name and unit.
func (k keyFigure) says(value float64) string {
	if k.unit == unitAtLeast {
		return fmt.Sprintf("%s %s %s", k.name, k.unit, plain(value))
	}
	return fmt.Sprintf("%s %s %s", k.name, plain(value), k.unit)
}

// unchanged says whether all points say the same.
func unchanged(points []plot.Point) bool {
	return !slices.ContainsFunc(points, func(p plot.Point) bool { return p.Value != points[0].Value })
}

// slowPercent of the ports is where connect() begins to search long (net/ipv4/inet_hashtables.c, __inet_hash_connect).
const slowPercent = 50

func number[T int32 | int64](value *T) *float64 {
	if value == nil {
		return nil
	}
	return new(float64(*value))
}

// objective is the bound that the policy sets, if it does.
func objective(value *float64, factor float64, unit string) []plot.Bound {
	if value == nil {
		return nil
	}
	return []plot.Bound{{Value: *value * factor, Text: fmt.Sprintf("objective %s %s", plain(*value*factor), unit)}}
}

func plain(value float64) string { return strconv.FormatFloat(value, 'g', 4, 64) }

// figuresSection is the history of the key figures, the newest first, with a plot each; those that were the same at all looks
// are told in a sentence.
func figuresSection(report *v1alpha1.ConnectionReport, policy *v1alpha1.ConnectionPolicy) []Section {
	looks := history.Looks(report.Status.History)
	if len(looks) == 0 && report.Status.KeyFigures != nil && report.Status.ObservedTime != nil {
		looks = append(looks, history.Look{Time: *report.Status.ObservedTime, KeyFigures: *report.Status.KeyFigures})
	}
	var objectives v1alpha1.Objectives
	if policy != nil && policy.Spec.Objectives != nil {
		objectives = *policy.Spec.Objectives
	}
	s := Section{Title: "Key figures", Table: &Table{Head: []string{"Time (UTC)"}}}
	for _, look := range looks {
		s.Table.Rows = append(s.Table.Rows, []string{look.Time.UTC().Format("2006-01-02 15:04")})
	}
	var same []string
	for i, k := range keyFigures() {
		var points []plot.Point
		cells := make([]string, len(looks))
		for row, look := range looks {
			value := k.value(look.KeyFigures)
			if value == nil {
				cells[row] = "unknown"
				continue
			}
			cells[row] = plain(*value * k.factor)
			points = append(points, plot.Point{Time: look.Time.Time, Value: *value * k.factor})
		}
		if len(points) == 0 {
			continue
		}
		if len(points) > 1 && len(points) == len(looks) && unchanged(points) {
			same = append(same, k.says(points[0].Value))
			continue
		}
		s.Table.Head = append(s.Table.Head, fmt.Sprintf("%s, %s", k.name, k.unit))
		for row := range s.Table.Rows {
			s.Table.Rows[row] = append(s.Table.Rows[row], cells[row])
		}
		if len(points) > 1 {
			slices.Reverse(points)
			var bounds []plot.Bound
			if k.bound != nil {
				bounds = k.bound(&objectives)
			}
			s.Plots = append(s.Plots, plot.History(plotID(report, "history-"+strconv.Itoa(i)), capital(k.name), k.unit, points, bounds))
		}
	}
	if len(same) > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("The same at each of the %d looks: %s.", len(looks), strings.Join(same, ", ")))
	}
	switch {
	case len(s.Table.Head) == 1 && len(same) == 0:
		return nil
	case len(s.Table.Head) == 1:
		s.Table = nil
	}
	return []Section{s}
}

// plotID is unique on a page.
func plotID(report *v1alpha1.ConnectionReport, name string) string {
	return strings.Join([]string{report.Namespace, report.Spec.PolicyName, report.Spec.LinkName, name}, "-")
}

// capital begins a text with a capital letter.
func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// portsSection is the local ports that the observed pods hold.
func portsSection(report *v1alpha1.ConnectionReport, views []view) []Section {
	s := Section{Title: "Local ports", Table: &Table{Head: []string{"Pod", "Towards", "Held", "Of them TIME_WAIT", "Peak of 5 min", "Available", "Peak share", "New connections"}}}
	var pods []plot.PodPorts
	for _, o := range report.Status.Observers {
		if o.PortsInUse == nil || o.PortsAvailable == nil || *o.PortsAvailable <= 0 {
			continue
		}
		held, peak, waiting := int(*o.PortsInUse), int(*o.PortsInUse), 0
		if o.PortsInUsePeak != nil {
			peak = max(peak, int(*o.PortsInUsePeak))
		}
		if o.TimeWait != nil {
			waiting = min(int(*o.TimeWait), held)
		}
		rate := "unknown"
		if o.ConnectionsPerSecond != nil {
			rate = figure.Count(int(*o.ConnectionsPerSecond)) + "/s"
		}
		available := int(*o.PortsAvailable)
		s.Table.Rows = append(s.Table.Rows, []string{o.Pod, o.Address, figure.Count(held), figure.Count(waiting), figure.Count(peak),
			figure.Count(available), figure.PercentDown(peak, available), rate})
		pods = append(pods, plot.PodPorts{Pod: o.Pod, Address: o.Address, Open: held - waiting, TimeWait: waiting, Peak: peak, Available: available})
	}
	if len(pods) == 0 {
		return nil
	}
	for _, v := range views {
		if w := v.found.Measurements.TimeWait; w != nil && w.ConnectionsPerSecondCeiling != nil && w.Ports != nil && w.ConnectionsPerSecondSmooth != nil {
			s.Notes = append(s.Notes, fmt.Sprintf("With the node's default of %s ports, a pod that closes first can open %s connections a second to one address, and up to %s before connect() slows down.",
				figure.Count(*w.Ports), figure.Rate(*w.ConnectionsPerSecondCeiling), figure.Rate(*w.ConnectionsPerSecondSmooth)))
			break
		}
	}
	s.Plots = []plot.Plot{plot.Ports(plotID(report, "ports"), "Local ports in use against the ceiling", pods)}
	return []Section{s}
}

// silenceSection is what becomes of connections that nobody uses, on one line of time.
func silenceSection(report *v1alpha1.ConnectionReport, views []view) []Section {
	s := Section{Title: "Silence", Table: &Table{Head: []string{"Who", "What happens", "After"}}, Beside: true}
	var lanes []plot.Lane
	var cuts []plot.Cut
	add := func(who, does string, seconds float64) {
		s.Table.Rows = append(s.Table.Rows, []string{who, does, duration(seconds)})
		lanes = append(lanes, plot.Lane{Name: who, AtSeconds: seconds, Does: fmt.Sprintf("%s %s", does, duration(seconds))})
	}
	for _, v := range views {
		from := ""
		if len(views) > 1 {
			from = " (" + v.node + ")"
		}
		if i := v.found.Measurements.Idle; i != nil && i.Outcome == result.Measured {
			cut, row := idleRow(*i)
			s.Table.Rows = append(s.Table.Rows, append([]string{"path and server" + from}, row...))
			if cut != nil {
				cuts = append(cuts, *cut)
			}
			for name, ladder := range map[string]*result.Ladder{"request": i.RequestLadder, "keepalive": i.KeepaliveLadder} {
				if ladder != nil && len(ladder.Rungs) > 0 {
					lanes = append(lanes, plot.Lane{Name: name + from, Ladder: ladder})
				}
			}
		}
		if r := v.found.Measurements.Reuse; r != nil && r.KeepAliveHeader != nil && r.KeepAliveHeader.TimeoutSeconds != nil {
			add("server's header"+from, "promises to close after", float64(*r.KeepAliveHeader.TimeoutSeconds))
		}
	}
	if len(lanes) == 0 && len(cuts) == 0 {
		return nil
	}
	slices.SortStableFunc(lanes, func(a, b plot.Lane) int { return strings.Compare(a.Name, b.Name) })
	for _, o := range report.Status.Observers {
		if value, err := strconv.Atoi(o.Sysctls[keepaliveTime]); err == nil {
			add("pod's keepalive", "speaks first after", float64(value))
			break
		}
	}
	s.Notes = append(s.Notes, "Keepalive speaks only on sockets whose application turns it on; a socket's own options override the pod's setting.")
	s.Plots = []plot.Plot{plot.Silence(plotID(report, "silence"), "What happens to a silent connection", lanes, cuts)}
	return []Section{s}
}

const keepaliveTime = "net.ipv4.tcp_keepalive_time"

// idleRow says what cuts idle connections, if anything does.
func idleRow(i result.Idle) (*plot.Cut, []string) {
	if i.Cut == nil {
		return nil, []string{"not found out", "unknown"}
	}
	if !*i.Cut {
		return nil, []string{"nothing is cut", "up to " + duration(i.LookedSeconds) + ", as far as was looked"}
	}
	how := cutting(i.How)
	if i.AfterSecondsAtMost == nil {
		return nil, []string{how, "unknown"}
	}
	cut := plot.Cut{AtMostSeconds: *i.AfterSecondsAtMost}
	after := "at most " + duration(*i.AfterSecondsAtMost)
	if i.AfterSecondsAtLeast != nil {
		cut.AtLeastSeconds = *i.AfterSecondsAtLeast
		after = duration(*i.AfterSecondsAtLeast) + " to " + duration(*i.AfterSecondsAtMost)
	}
	cut.Text = how + " after " + after
	return &cut, []string{how, after}
}

// duration writes seconds as people say them.
func duration(seconds float64) string {
	if seconds > 0 && seconds < 1 {
		return figure.Microseconds(1e6 * seconds)
	}
	if seconds < 1000 {
		return plain(seconds) + " s"
	}
	return figure.Count(int(math.Round(seconds))) + " s"
}

// settingsSection are the sysctls in force in the observed pods.
func settingsSection(report *v1alpha1.ConnectionReport) []Section {
	t := &Table{Head: []string{"Setting"}}
	names := map[string]bool{}
	var pods []v1alpha1.ObserverReading
	for _, o := range report.Status.Observers {
		if len(o.Sysctls) == 0 {
			continue
		}
		pods = append(pods, o)
		t.Head = append(t.Head, o.Pod)
		for name := range o.Sysctls {
			names[name] = true
		}
	}
	if len(pods) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		row := []string{name}
		for _, o := range pods {
			value, known := o.Sysctls[name]
			switch {
			case !known:
				value = "unknown"
			case value == "":
				value = "(empty)"
			}
			row = append(row, value)
		}
		t.Rows = append(t.Rows, row)
	}
	return []Section{{Title: "Settings in force in the pods", Table: t.merged()}}
}

// merged has one column where all columns of figures say the same.
func (t *Table) merged() *Table {
	if len(t.Head) < 3 {
		return t
	}
	for _, row := range t.Rows {
		for _, cell := range row[2:] {
			if cell != row[1] {
				return t
			}
		}
	}
	one := &Table{Head: []string{t.Head[0], strings.Join(t.Head[1:], " and ")}}
	for _, row := range t.Rows {
		one.Rows = append(one.Rows, row[:2])
	}
	return one
}

// tuningSection is what is changed on a workload, and why.
func tuningSection(tuning *v1alpha1.ConnectionTuning, now time.Time) Section {
	target := tuning.Spec.TargetRef
	s := Section{Title: fmt.Sprintf("Tuning of %s %s", target.Kind, target.Name)}
	for _, c := range tuning.Status.Conditions {
		s.Notes = append(s.Notes, fmt.Sprintf("%s is %s, %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	if hash := tuning.Status.Hash; hash != "" && tuning.Spec.Revision == "" {
		s.Notes = append(s.Notes, fmt.Sprintf("To approve it, put %s into tuning.approve of the policy.", hash))
	}
	if len(tuning.Status.Recommendations) > 0 {
		s.Table = &Table{Head: []string{"Knob", "In force", "Recommended", "Would serve", "Confidence"}}
	}
	for _, r := range tuning.Status.Recommendations {
		s.Table.Rows = append(s.Table.Rows, []string{string(r.Knob), orUnknown(r.Current), r.Recommended,
			fmt.Sprintf("%s to %s", orUnknown(r.LowerBound), orUnknown(r.UpperBound)), string(r.Confidence)})
		s.Notes = append(s.Notes, fmt.Sprintf("%s: %s", r.Knob, r.Reason))
		if r.ExpectedEffect != "" {
			s.Notes = append(s.Notes, "Expected: "+r.ExpectedEffect)
		}
	}
	if r := tuning.Status.Rollout; r != nil {
		s.Notes = append(s.Notes, fmt.Sprintf("Revision %s: %d of %s created with it, read back in %d.", r.Revision, r.Stamped,
			figure.Plural(int(r.Pods), "pod was", "pods were"), r.ReadBack))
	}
	if len(tuning.Status.History) > 0 {
		last := tuning.Status.History[0]
		s.Notes = append(s.Notes, fmt.Sprintf("Last: %s, %s. %s", moment(last.Time.Time, now), last.Reason, last.Message))
	}
	return s
}

func orUnknown(value string) string {
	if value == "" {
		return "unknown"
	}
	return value
}
