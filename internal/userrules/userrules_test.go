package userrules

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/probes/result"
)

func environment(t testing.TB) *Environment {
	t.Helper()
	env, err := NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func measured() result.Meta { return result.Meta{Outcome: result.Measured, Samples: 50} }

// vantage measured handshake and reuse, and was not asked for more.
func vantage(node string, p50 float64) audit.ProbeResult {
	return audit.ProbeResult{Node: node, Result: result.Result{
		Host:     result.Host{Kernel: "6.18.0", Sysctls: map[string]string{"net.ipv4.tcp_keepalive_time": "7200"}},
		Statuses: map[string]int{"200": 50},
		Measurements: result.Measurements{
			Handshake: &result.Handshake{
				Meta: measured(), ConnectMicroseconds: &result.Distribution{P50: p50, P99: 5 * p50}, SynRetransmissions: new(0),
			},
			Reuse: &result.Reuse{Meta: measured(), Kept: new(true), RequestsAtLeast: new(623)},
		},
	}}
}

func pod(name string, opensPerSecond float64) audit.PodObservation {
	return audit.PodObservation{Pod: name, Observation: result.Observation{
		OpensPerSecond: &opensPerSecond,
		Destinations: []result.Destination{
			{Address: "198.18.0.1:80", PortsInUse: 10},
			{Address: "198.18.0.2:80", PortsInUse: 900, OpensPerSecond: &opensPerSecond},
		},
	}}
}

func TestVerdict(t *testing.T) {
	link := audit.Input{
		Probes:       []audit.ProbeResult{vantage("n1", 100), vantage("n2", 2000)},
		Observations: []audit.PodObservation{pod("a", 5), pod("b", 50)},
	}
	for expression, want := range map[string]struct {
		result  audit.Result
		message string
	}{
		"handshake.connectMicroseconds.p50 < 3000":                               {audit.Pass, "From node n1: The rule is met."},
		"handshake.connectMicroseconds.p50 < 1000":                               {audit.Fail, "From node n2: too slow"},
		"handshake.samples >= 50 && handshake.outcome == 'measured'":             {audit.Pass, ""},
		"reuse.requestsAtLeast > 100 && reuse.kept":                              {audit.Pass, ""},
		"handshake.setupSharePercent < 50.0":                                     {audit.Unknown, "The rule reads handshake.setupSharePercent, which is not known."},
		"handshake.tls.version == 'TLS 1.3'":                                     {audit.Unknown, "handshake.tls"},
		"handshake.setupSharePercent < 50 || handshake.synRetransmissions == 0":  {audit.Pass, ""},
		"handshake.setupSharePercent < 50 && handshake.synRetransmissions > 0":   {audit.Fail, "too slow"},
		"reuse.closeCause != 'reset'":                                            {audit.Unknown, "reuse.closeCause"},
		"idle.afterSecondsAtLeast > 60.0":                                        {audit.NotApplicable, "The rule reads idle.afterSecondsAtLeast, which this link is not measured for."},
		"idle.afterSecondsAtLeast > 60.0 || reuse.kept":                          {audit.Pass, ""},
		"host.kernel.startsWith('6.') && statuses['200'] == 50":                  {audit.Pass, ""},
		"int(host.sysctls['net.ipv4.tcp_keepalive_time']) <= 300":                {audit.Fail, "From node n1: too slow"},
		"host.sysctls['net.ipv4.tcp_nothing'] == '1'":                            {audit.Unknown, "host.sysctls[net.ipv4.tcp_nothing], which is not known"},
		"has(handshake.tls) && handshake.tls.version == 'TLS 1.3'":               {audit.Fail, "too slow"},
		"observer.destinations.all(d, d.opensPerSecond < 1000)":                  {audit.Unknown, "In pod a: The rule could not be evaluated: opensPerSecond is not known."},
		"observer.destinations.all(d, has(d.connections))":                       {audit.Fail, "In pod a"},
		"statuses['503'] == 0":                                                   {audit.Unknown, "statuses[503], and there is no such status; '503' in statuses asks"},
		"!('503' in statuses)":                                                   {audit.Pass, ""},
		"int(host.kernel) > 6":                                                   {audit.Unknown, "could not be evaluated"},
		"observer.opensPerSecond < 10":                                           {audit.Fail, "In pod b: too slow"},
		"observer.destinations.all(d, d.portsInUse < 1000)":                      {audit.Pass, "In pod a: The rule is met."},
		"observer.destinations.exists(d, d.portsInUse > 1000)":                   {audit.Fail, "In pod a"},
		"observer.portsAvailable > 1":                                            {audit.Unknown, "observer.portsAvailable"},
		"observer.periodSeconds < 4200":                                          {audit.Unknown, "observer.periodSeconds"},
		"handshake.connectMicroseconds.p50 < 1000 || observer.opensPerSecond<10": {audit.Fail, "From node n2, in pod b: too slow"},
	} {
		compiled, err := environment(t).Compile(Rule{Name: "fast", Expression: expression, Message: "too slow", Severity: audit.Warning})
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		v := compiled.Verdict(link)
		if v.Result != want.result || !strings.Contains(v.Message, want.message) || v.Rule != "user/fast" {
			t.Errorf("%s: %s of %s: %q, want %s: %q", expression, v.Result, v.Rule, v.Message, want.result, want.message)
		}
		if (v.Result == audit.Fail) != (v.Severity == audit.Warning && v.Cure != "" && len(v.Evidence) > 0) {
			t.Errorf("%s: a %s with severity %q, cure %q and evidence %v", expression, v.Result, v.Severity, v.Cure, v.Evidence)
		}
	}
}

func TestNothingMeasuredIsUnknown(t *testing.T) {
	for _, expression := range []string{"handshake.samples > 0", "host.kernel != ''", "observer.timeWaitUnknown == 0", "statuses['200'] > 0"} {
		compiled, err := environment(t).Compile(Rule{Name: "r", Expression: expression, Severity: audit.Error})
		if err != nil {
			t.Fatal(err)
		}
		if v := compiled.Verdict(audit.Input{}); v.Result != audit.Unknown {
			t.Errorf("%s is %s where nothing was measured: %s", expression, v.Result, v.Message)
		}
	}
}

func TestWhereNobodyLooksARuleOnSocketsDoesNotApply(t *testing.T) {
	compiled, err := environment(t).Compile(Rule{Name: "r", Expression: "observer.opensPerSecond < 10", Severity: audit.Error})
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []audit.Input{{ServerOnly: true}, {Unobserved: true}} {
		if v := compiled.Verdict(in); v.Result != audit.NotApplicable || !strings.Contains(v.Message, "nobody look into pods") {
			t.Errorf("%s: %s", v.Result, v.Message)
		}
	}
}

func TestDoubts(t *testing.T) {
	for expression, want := range map[string]string{
		"1 < 2":                                          "reads no figure",
		"handshake.tls != null":                          "handshake.tls is never null: has(handshake.tls) asks whether it is known",
		"idle.how != 'reset'":                            `idle.how is never "reset": it is one of fin, rst, blackhole, mixed`,
		"'ok' == handshake.outcome":                      `it is one of measured, unsupported, skipped, failed, lost`,
		"idle.how == 'rst'":                              "",
		"handshake.tls.version == 'TLS'":                 "",
		"observer.destinations.all(d, d.portsInUse < 5)": "",
	} {
		compiled, err := environment(t).Compile(Rule{Name: "r", Expression: expression})
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := strings.Join(compiled.Doubts(), "\n"); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}

func TestAMeasurementThatDidNotFitIsUnknown(t *testing.T) {
	probe := vantage("n1", 100)
	probe.Result.Dropped = []string{"idle"}
	compiled, err := environment(t).Compile(Rule{Name: "r", Expression: "idle.lookedSeconds > 60", Severity: audit.Error})
	if err != nil {
		t.Fatal(err)
	}
	if v := compiled.Verdict(audit.Input{Probes: []audit.ProbeResult{probe}}); v.Result != audit.Unknown {
		t.Errorf("%s: %s", v.Result, v.Message)
	}
}

func TestEvidenceNamesTheFiguresRead(t *testing.T) {
	compiled, err := environment(t).Compile(Rule{Name: "r", Severity: audit.Info,
		Expression: "handshake.connectMicroseconds.p50 < 1 && observer.destinations[0].portsInUse < 5"})
	if err != nil {
		t.Fatal(err)
	}
	v := compiled.Verdict(audit.Input{Probes: []audit.ProbeResult{vantage("n1", 100)}, Observations: []audit.PodObservation{pod("a", 5)}})
	if got := v.Evidence["handshake.connectMicroseconds.p50"]; got != "100" || v.Result != audit.Fail {
		t.Errorf("%s with the evidence %v", v.Result, v.Evidence)
	}
	if !strings.Contains(v.Message, "The rule is not met: handshake.connectMicroseconds.p50 < 1 &&") {
		t.Errorf("a rule without a message says %q", v.Message)
	}
}

func TestWhatDoesNotCompileSaysWhereAndWhy(t *testing.T) {
	for expression, want := range map[string]string{
		"handshake.connectMicroseconds.p5 < 1000":                     "audit rule fast: line 1, column 30: undefined field 'p5'; there are min, p50, p90, p99, max, p50Low, p50High",
		"handshake.connect.p50 < 1000":                                "undefined field 'connect'; there are connectMicroseconds, connectAbove,",
		"observer.destinations.all(d, d.connections.opened > d.idle)": "undefined field 'idle'; there are address, portsInUse,",
		"observer.listeners.exists(l, l.accepted.keepalive.on > 3)":   "undefined field 'on'; there are armed, notArmed, unknown",
		"observer.destinations[0].connections.closedhere > 3":         "undefined field 'closedhere'; there are open, openPeak,",
		"observer.destinations.map(d, d.portsInUse).total() < 100":    "undeclared reference to 'total'; there is no such function",
		"handshake.connectMicroseconds < 1000":                        "'(result.Distribution, int)'; it has the fields min, p50, p90,",
		"handshake.connectMicroseconds.p50 < '1ms'":                   `a figure is a number in the unit of its name (1000, not "1ms")`,
		"handshake.connectMicroseconds.p50 < duration('1ms')":         "a figure is a number in the unit of its name",
		"observer.sysctls['net.ipv4.tcp_tw_reuse'] == 2":              "int(…) makes a number of a text",
		"handshake.connectMicroseconds.p50 == null":                   "nothing is ever null: has(…) asks whether it is known",
		"handshake.samples > 3 and reuse.kept":                        "write && for and",
		"handshake.samples > 3 or reuse.kept":                         "write || for or",
		"reuse.kept = true":                                           "write == to compare",
		"has(handshake)":                                              "has(handshake.tls)",
		"observer.destinations.exists(d, d.address.matches('('))":     "no regular expression",
		"handshak.samples > 1":                                        "undeclared reference to 'handshak'; there are backlog, closing, dns, handshake,",
		"handshake.samples":                                           "must be a condition, true or false, and is of type int",
		"handshake.Meta.samples > 1":                                  "undefined field 'Meta'",
		"handshake.outcome > 3":                                       "no matching overload",
		"handshake.samples >":                                         "the expression ends too soon",
		"":                                                            "line 1, column",
		"[1].all(a, [1].all(b, [1].all(c, c == handshake.samples)))":  "comprehension exceeds nesting limit; no more than two lists may be nested",
	} {
		_, err := environment(t).Compile(Rule{Name: "fast", Expression: expression})
		var problem *Error
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", expression, err, want)
		}
	}
}

func TestAnExpensiveConditionIsStopped(t *testing.T) {
	numbers := "[1" + strings.Repeat(",1", 199) + "]"
	compiled, err := environment(t).Compile(Rule{Name: "r", Expression: numbers + ".all(a, " + numbers + ".all(b, handshake.samples > a + b))"})
	if err != nil {
		t.Fatal(err)
	}
	v := compiled.Verdict(audit.Input{Probes: []audit.ProbeResult{vantage("n1", 100)}})
	if v.Result != audit.Unknown || !strings.Contains(v.Message, "takes too much work") {
		t.Errorf("%s: %s", v.Result, v.Message)
	}
}

// A field of the contract that is renamed or that no expression can name would break users' rules without a word.
func TestTheEnvironmentKnowsTheContract(t *testing.T) {
	for _, f := range result.Fields() {
		if !slices.Contains(Variables(), f.Name) {
			t.Errorf("no expression can name %s", f.Name)
		}
		if _, err := environment(t).Compile(Rule{Name: "r", Expression: f.Name + ".samples > 0 && " + f.Name + ".elapsedSeconds > 0.0"}); err != nil {
			t.Error(err)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"handshake.connectMicroseconds.p50 < 1000", "observer.destinations.all(d, d.portsInUse < 3)", "{'a': reuse.kept}['a']", "idle.how in ['fin', 'rst']", "\"\xff\" == ''"} {
		f.Add(seed)
	}
	env := environment(f)
	link := audit.Input{Probes: []audit.ProbeResult{vantage("n1", 100)}, Observations: []audit.PodObservation{pod("a", 5)}}
	f.Fuzz(func(t *testing.T, expression string) {
		compiled, err := env.Compile(Rule{Name: "r", Expression: expression, Severity: audit.Warning})
		if err != nil {
			return
		}
		if v := compiled.Verdict(link); v.Message == "" {
			t.Errorf("%q says nothing", expression)
		}
	})
}
