package policy

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/history"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

func distribution() *result.Distribution {
	return &result.Distribution{Min: 10, P50: 20, P90: 30, P99: 40, Max: 50, P50Low: new(18.0), P50High: new(22.0)}
}

func fullResult() result.Result {
	measured := result.Meta{Outcome: result.Measured, Samples: 67}
	return result.Result{
		Version: result.Version,
		Target:  result.Target{Protocol: "HTTP", Address: "198.19.0.1:80"},
		Host:    result.Host{Kernel: "6.18"},
		Spent:   result.Spent{Connections: 200, Requests: 541},
		Measurements: result.Measurements{
			Handshake: &result.Handshake{Meta: measured, ConnectMicroseconds: distribution(), KernelRTTMicroseconds: distribution(),
				SynRetransmissions: new(0), SetupSharePercent: new(25.0)},
			Reuse: &result.Reuse{Meta: measured, Kept: new(true), RequestsAtLeast: new(342), RequestsPerConnection: new(342),
				CloseCause: result.CloseAnnounced, KeepAliveHeader: &result.KeepAliveHeader{TimeoutSeconds: new(5), Max: new(100)},
				NewMicroseconds: distribution(), ReusedMicroseconds: distribution()},
			TimeWait: &result.TimeWait{Meta: measured, Holder: result.SideServer,
				Scenarios: map[string]result.Side{"clientFirst": result.SideClient}, Seconds: new(60.0), Ports: new(28232),
				ConnectionsPerSecondCeiling: new(471.0), ConnectionsPerSecondSmooth: new(235.0)},
		},
	}
}

// vantageOf is a vantage at which r was found.
func vantageOf(t *testing.T, node, pod string, r result.Result) v1alpha1.Vantage {
	t.Helper()
	v, err := vantage.Of(node, pod, r, metav1.NewTime(begin))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// largest is a result that takes all the room that a probe's message has.
func largest(t *testing.T) result.Result {
	t.Helper()
	const room = 4096
	r := fullResult()
	r.Host.Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "32768 60999", "net.ipv4.tcp_slow_start_after_idle": "1"}
	r.Measurements.SlowStart = &result.SlowStart{Meta: result.Meta{Outcome: result.Failed, Cause: "x"}}
	short, err := result.EncodeMessage(r, room)
	if err != nil {
		t.Fatal(err)
	}
	r.Measurements.SlowStart.Cause = strings.Repeat("x", room-len(short))
	message, err := result.EncodeMessage(r, room)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := result.DecodeMessage(message)
	if err != nil || len(sent.Dropped) != 0 || len(message) < room-10 {
		t.Fatalf("%v: a message of %d bytes, dropped %v", err, len(message), sent.Dropped)
	}
	return sent
}

// longReport is a report of so many verdicts of each kind, each as long as it may be, with all that stands beside them.
func longReport(t *testing.T, vantages []result.Result, counts map[v1alpha1.VerdictResult]int, severities ...v1alpha1.Severity) v1alpha1.ConnectionReportStatus {
	t.Helper()
	long := strings.Repeat("x", 512)
	now := metav1.NewTime(begin)
	figures := v1alpha1.KeyFigures{HandshakeP99Microseconds: new(int64(123456)), SetupSharePercent: new(int32(50)), RequestsAtLeast: new(int32(1000)),
		ConnectionsPerSecond: new(int32(490)), PortUtilizationPercent: new(int32(100))}
	status := v1alpha1.ConnectionReportStatus{
		ObservedTime: &now, WorstFinding: long, KeyFigures: &figures, Findings: &v1alpha1.FindingCount{Total: 5, Error: 1, Warning: 3, Info: 1},
		Source: &v1alpha1.WorkloadReference{Group: "apps", Kind: "Deployment", Name: "checkout"},
		Target: &v1alpha1.ReportTarget{Name: "shop/payments:80", Protocol: v1alpha1.ProtocolHTTP, URL: "http://payments.shop.svc:80/healthz",
			Key: "198.19.130.18:80", Addresses: []string{"198.19.130.18:80"}},
	}
	for _, kind := range []v1alpha1.VerdictResult{v1alpha1.VerdictFail, v1alpha1.VerdictPass, v1alpha1.VerdictUnknown, v1alpha1.VerdictNotApplicable} {
		for i := range counts[kind] {
			v := v1alpha1.Verdict{Rule: fmt.Sprintf("CP%03d", len(status.Verdicts)), Title: long[:80], Result: kind, Message: long[:300],
				Evidence: map[string]string{"connectionsPerSecond": "490", "requestsAtLeast": "327", "pod": "checkout-58fddc7d8d-l2vdb"}}
			if kind == v1alpha1.VerdictFail {
				v.Severity, v.Cure = severities[i%len(severities)], long[:300]
			}
			status.Verdicts = append(status.Verdicts, v)
		}
	}
	status.History = history.Of(slices.Repeat([]history.Look{{Time: now, KeyFigures: figures}}, maximumHistory))
	for i := range 12 {
		spread := v1alpha1.FigureSpread{Name: fmt.Sprintf("figure%dMicroseconds", i), Least: "100.4", Most: "104.5"}
		if i == 3 {
			spread.Differs = "node-1"
		}
		status.Spread = append(status.Spread, spread)
	}
	status.Path = &v1alpha1.PathFacts{Kernels: []string{"6.18.44"}, Addresses: []string{"198.19.130.18:80"},
		DifferingSysctls: map[string]string{"net.ipv4.tcp_tw_reuse": "0 on node-0, 2 on node-1"}}
	status.Delta = &v1alpha1.FiguresDelta{Since: now, Figures: []v1alpha1.FigureDelta{{Name: "setupSharePercent", Before: 20, After: 50}}}
	for i, r := range vantages {
		status.Vantages = append(status.Vantages, vantageOf(t, fmt.Sprintf("node-%d", i), "checkout-to-payments-payments-d4472c-42e5a837-0", r))
	}
	many := v1alpha1.ConnectionCounts{Opened: 1_234_567, Failed: 1234, Closed: 1_234_567, Open: 1234,
		Ends: &v1alpha1.ConnectionEnds{Orderly: 1_234_567, Unanswered: 1234, Reset: 1234, ResetHere: 1234, Silent: 1234}}
	for range maximumDrains {
		status.Drains = append(status.Drains, v1alpha1.Drain{StartTime: now, EndTime: now, Endpoints: 1000, StillListed: 100, Pods: 2, During: many, Before: &many})
	}
	for i := range 2 {
		status.Observers = append(status.Observers, v1alpha1.ObserverReading{
			Pod: fmt.Sprintf("checkout-58fddc7d8d-%d", i), Node: "node-1", Outcome: "measured", Time: &now, PortsInUse: new(int32(29705)),
			ListeningPorts: []int32{9090, 9964}, Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "1024 65535",
				"net.ipv4.ip_local_reserved_ports": "4140,4143,4190-4191,9090,9964,15000-15090,30000-32767", "net.ipv4.tcp_keepalive_time": "7200"},
		})
	}
	return status
}

// results are what the vantages of a report found.
func results(t *testing.T, vantages []v1alpha1.Vantage) (found []result.Result) {
	t.Helper()
	for _, v := range vantage.Whole(vantages) {
		r, err := vantage.Result(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, r)
	}
	return found
}

// What a whole set of rules says of a link with as much measured as there is room for: every finding keeps its words, every
// vantage its measurements.
func TestFitKeepsWhatExplainsFindings(t *testing.T) {
	status := longReport(t, slices.Repeat([]result.Result{largest(t)}, 2), map[v1alpha1.VerdictResult]int{
		v1alpha1.VerdictFail: 4, v1alpha1.VerdictPass: 18, v1alpha1.VerdictUnknown: 4, v1alpha1.VerdictNotApplicable: 24,
	}, v1alpha1.SeverityError, v1alpha1.SeverityWarning)
	before := *status.DeepCopy()
	fitted := fit(status)
	if got := size(fitted); got > reportBytes {
		t.Errorf("%d bytes, from %d", got, size(before))
	}
	if !reflect.DeepEqual(status, before) {
		t.Error("the report that was to be fitted changed")
	}
	if !reflect.DeepEqual(results(t, fitted.Vantages), results(t, status.Vantages)) || !reflect.DeepEqual(fitted.Observers, status.Observers) ||
		len(fitted.Drains) == 0 || !reflect.DeepEqual(fitted.Drains[0], status.Drains[0]) {
		t.Error("what was seen was cut")
	}
	for i, v := range fitted.Judgements() {
		was := status.Verdicts[i]
		if v.Rule != was.Rule || v.Result != was.Result || v.Severity != was.Severity {
			t.Errorf("%+v was %+v", v, was)
		}
		if v.Result == v1alpha1.VerdictFail && (v.Title != was.Title || len(v.Message) < 240 || len(v.Cure) < 160) {
			t.Errorf("a finding of severity %s says %q, cure %q", v.Severity, v.Message, v.Cure)
		}
	}
	if !reflect.DeepEqual(fitted.History, status.History) {
		t.Error("history was cut")
	}
}

// Two vantages as probes bring them leave room for all that explains, and for history.
func TestFitOfTheUsual(t *testing.T) {
	status := longReport(t, []result.Result{usual(), usual()}, map[v1alpha1.VerdictResult]int{
		v1alpha1.VerdictFail: 3, v1alpha1.VerdictPass: 16, v1alpha1.VerdictUnknown: 5, v1alpha1.VerdictNotApplicable: 26,
	}, v1alpha1.SeverityWarning)
	if got := len(status.Vantages[0].Measurements.Raw); got < 2000 || got > 2500 {
		t.Fatalf("%d bytes of measurements are not the usual", got)
	}
	fitted := fit(status)
	if got := size(fitted); got > reportBytes {
		t.Errorf("%d bytes", got)
	}
	if !reflect.DeepEqual(fitted.Path, status.Path) || !reflect.DeepEqual(fitted.Delta, status.Delta) ||
		len(fitted.Spread) == 0 || fitted.Spread[0].Differs != "node-1" || !reflect.DeepEqual(fitted.History, status.History) {
		t.Errorf("path %+v, delta %+v, spread %+v, history %+v", fitted.Path, fitted.Delta, fitted.Spread, fitted.History)
	}
	for i, v := range fitted.Judgements() {
		if v.Result == v1alpha1.VerdictFail && (v.Message != status.Verdicts[i].Message || v.Cure != status.Verdicts[i].Cure) {
			t.Errorf("a finding says %q, cure %q", v.Message, v.Cure)
		}
	}
}

// usual is what a probe finds over HTTP, as long as it usually is.
func usual() result.Result {
	r := fullResult()
	measured := result.Meta{Outcome: result.Measured, Samples: 79, ElapsedSeconds: 2.195}
	five := func() *result.Distribution {
		return &result.Distribution{Min: 90.62, P50: 184.3, P90: 273.2, P99: 827.1, Max: 827.1, P50Low: new(171.1), P50High: new(223.6)}
	}
	r.Host.Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "32768 60999", "net.ipv4.tcp_fin_timeout": "60", "net.ipv4.tcp_tw_reuse": "2",
		"net.ipv4.tcp_keepalive_time": "7200", "net.ipv4.tcp_keepalive_intvl": "75", "net.ipv4.tcp_slow_start_after_idle": "1"}
	r.Measurements.SmallWrites = &result.SmallWrites{Meta: measured, StallMicroseconds: new(0.0), Side: result.SideNone, DelayedMicroseconds: five(),
		QuickMicroseconds: five(), Segments: new(1)}
	r.Measurements.SlowStart = &result.SlowStart{Meta: measured, ColdMicroseconds: five(), WarmMicroseconds: five(), InitialWindowSegments: new(10.0)}
	r.Measurements.Identity = &result.Identity{Meta: measured, ClientLocal: "198.18.1.7:58922", ClientRemote: "198.19.130.18:80"}
	rungs := []result.Rung{{Seconds: 281.2, Alive: 4}, {Seconds: 340, Alive: 4}, {Seconds: 351, BlackHole: 4}}
	r.Measurements.Idle = &result.Idle{Meta: measured, Cut: new(true), How: result.CutBlackHole, AfterSecondsAtLeast: new(340.0), AfterSecondsAtMost: new(351.0),
		KeepaliveLadder: &result.Ladder{Rungs: rungs}, RequestLadder: &result.Ladder{Rungs: rungs}}
	return r
}

func TestFitIsBounded(t *testing.T) {
	all := []v1alpha1.Severity{v1alpha1.SeverityError, v1alpha1.SeverityWarning, v1alpha1.SeverityInfo}
	for name, counts := range map[string]map[v1alpha1.VerdictResult]int{
		"all fail":    {v1alpha1.VerdictFail: 100},
		"all pass":    {v1alpha1.VerdictPass: 100},
		"all unknown": {v1alpha1.VerdictUnknown: 100},
		"half fail":   {v1alpha1.VerdictFail: 50, v1alpha1.VerdictNotApplicable: 50},
	} {
		for vantages := range maximumVantages + 1 {
			status := longReport(t, slices.Repeat([]result.Result{largest(t)}, vantages), counts, all...)
			fitted := fit(status)
			if got := size(fitted); got > reportBytes {
				t.Errorf("%s, %d vantages: %d bytes, from %d", name, vantages, got, size(status))
			}
			for i, v := range fitted.Judgements() {
				if was := status.Verdicts[i]; v.Rule != was.Rule || v.Result != was.Result || v.Severity != was.Severity {
					t.Errorf("%s: %+v was %+v", name, v, was)
				}
			}
			if !reflect.DeepEqual(fitted.History, status.History) {
				t.Errorf("%s, %d vantages: the history was cut", name, vantages)
			}
			if len(fitted.Drains) == 0 {
				t.Errorf("%s: the drain that was judged was lost", name)
			}
			for _, v := range vantage.Whole(fitted.Vantages) {
				if !vantage.Readable(v) {
					t.Errorf("%s: a vantage cannot be read any more", name)
				}
			}
			if again := fit(fitted); !reflect.DeepEqual(again, fitted) {
				t.Errorf("%s: a report that fits was cut", name)
			}
		}
	}
}

// Of more vantages than a run needs, those that measured stay before those that brought nothing, wherever they stand.
func TestFewerVantages(t *testing.T) {
	var status v1alpha1.ConnectionReportStatus
	for i, outcome := range []result.Outcome{result.Failed, result.Measured, result.Lost, result.Measured, result.Measured} {
		v := v1alpha1.Vantage{Pod: fmt.Sprint(i), Outcome: string(outcome)}
		if outcome == result.Measured {
			v = vantageOf(t, "n", v.Pod, usual())
		}
		status.Vantages = append(status.Vantages, v)
	}
	vantage.Shorten(status.Vantages)
	fewerVantages(&status)
	var pods []string
	for _, v := range vantage.Whole(status.Vantages) {
		pods = append(pods, v.Pod)
		if v.Outcome == string(result.Measured) && !vantage.Readable(v) {
			t.Errorf("%s cannot be read any more", v.Pod)
		}
	}
	if got := strings.Join(pods, ""); got != "0123" {
		t.Errorf("%s stay", got)
	}
}

// How much room there is for words changes from run to run, and is not worth a write.
func TestRoomForWordsIsNotSignificant(t *testing.T) {
	whole := longReport(t, nil, map[v1alpha1.VerdictResult]int{v1alpha1.VerdictFail: 4, v1alpha1.VerdictPass: 4, v1alpha1.VerdictUnknown: 2, v1alpha1.VerdictNotApplicable: 2},
		v1alpha1.SeverityError)
	whole.Verdicts[8].Severity = v1alpha1.SeverityWarning // of a finding that stood before
	for _, sacrifice := range sacrifices() {
		cut := *whole.DeepCopy()
		sacrifice(&cut)
		if verdictsDiffer(whole.Judgements(), cut.Judgements()) || verdictsDiffer(cut.Judgements(), whole.Judgements()) {
			t.Errorf("verdicts differ: %+v", cut.Judgements())
		}
	}
	other := *whole.DeepCopy()
	other.Verdicts[0].Cure = "Something else."
	if !verdictsDiffer(whole.Verdicts, other.Verdicts) {
		t.Error("another cure is the same")
	}
}

// TestReportHasTheTargetsKey: canaries read from the report under which key probes take their place at the target.
func TestReportHasTheTargetsKey(t *testing.T) {
	s := &scope{policy: &v1alpha1.ConnectionPolicy{}, now: begin}
	l := &link{target: target{name: "shop/server:80", url: "tcp://server.shop.svc:80", key: "198.19.0.1:80"}}
	status, err := reportStatus(s, l, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := status.Target; got.Key != l.target.key || got.Name != l.target.name || got.URL != l.target.url {
		t.Errorf("the report's target is %+v, want that of %+v", got, l.target)
	}
}

func TestSignificant(t *testing.T) {
	base := func() *v1alpha1.ConnectionReportStatus {
		return &v1alpha1.ConnectionReportStatus{
			ObservedTime: &metav1.Time{Time: begin},
			Target:       &v1alpha1.ReportTarget{Name: "t", Addresses: []string{"198.19.0.1:80"}},
			KeyFigures:   &v1alpha1.KeyFigures{HandshakeP99Microseconds: new(int64(1000)), PortUtilizationPercent: new(int32(40))},
			Verdicts:     []v1alpha1.Verdict{{Rule: "CP401", Result: v1alpha1.VerdictPass, Message: "40 %"}},
			Vantages:     []v1alpha1.Vantage{{Node: "n1", Pod: "a", Outcome: "measured"}},
			Observers: []v1alpha1.ObserverReading{{Pod: "c", Outcome: "measured", PortsInUsePeak: new(int32(10000)), PortsAvailable: new(int32(28232)),
				Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "32768 60999"}}},
		}
	}
	for _, test := range []struct {
		name   string
		change func(*v1alpha1.ConnectionReportStatus)
		after  time.Duration
		want   bool
	}{
		{"nothing", func(*v1alpha1.ConnectionReportStatus) {}, time.Minute, false},
		{"an hour", func(*v1alpha1.ConnectionReportStatus) {}, time.Hour, true},
		{"figures in a message", func(s *v1alpha1.ConnectionReportStatus) { s.Verdicts[0].Message = "41 %" }, time.Minute, false},
		{"a verdict", func(s *v1alpha1.ConnectionReportStatus) { s.Verdicts[0].Result = v1alpha1.VerdictFail }, time.Minute, true},
		{"a graver verdict", func(s *v1alpha1.ConnectionReportStatus) { s.Verdicts[0].Severity = v1alpha1.SeverityError }, time.Minute, true},
		{"a figure by 9 %", func(s *v1alpha1.ConnectionReportStatus) { s.KeyFigures.HandshakeP99Microseconds = new(int64(1090)) }, time.Minute, false},
		{"a figure too soon", func(s *v1alpha1.ConnectionReportStatus) { s.KeyFigures.HandshakeP99Microseconds = new(int64(1250)) }, time.Second, false},
		{"a verdict soon", func(s *v1alpha1.ConnectionReportStatus) { s.Verdicts[0].Result = v1alpha1.VerdictFail }, time.Second, true},
		{"ports become unknown soon", func(s *v1alpha1.ConnectionReportStatus) { s.Observers[0].PortsInUsePeak = nil }, time.Second, true},
		{"a figure by 20 %", func(s *v1alpha1.ConnectionReportStatus) { s.KeyFigures.HandshakeP99Microseconds = new(int64(1250)) }, time.Minute, true},
		{"a figure unknown", func(s *v1alpha1.ConnectionReportStatus) { s.KeyFigures.HandshakeP99Microseconds = nil }, time.Minute, true},
		{"ports by 2 points", func(s *v1alpha1.ConnectionReportStatus) { s.KeyFigures.PortUtilizationPercent = new(int32(42)) }, time.Minute, false},
		{"ports by 8 points", func(s *v1alpha1.ConnectionReportStatus) { s.KeyFigures.PortUtilizationPercent = new(int32(48)) }, time.Minute, true},
		{"another run of the same kind", func(s *v1alpha1.ConnectionReportStatus) { s.Vantages[0].Pod = "b" }, time.Minute, false},
		{"another node", func(s *v1alpha1.ConnectionReportStatus) { s.Vantages[0].Node = "n2" }, time.Minute, true},
		{"another address", func(s *v1alpha1.ConnectionReportStatus) { s.Target.Addresses = []string{"198.19.0.2:80"} }, time.Minute, true},
		{"another key", func(s *v1alpha1.ConnectionReportStatus) { s.Target.Key = "198.19.0.2:80" }, time.Minute, true},
		{"another pod", func(s *v1alpha1.ConnectionReportStatus) { s.Observers[0].Pod = "d" }, time.Minute, true},
		{"a stamp", func(s *v1alpha1.ConnectionReportStatus) { s.Observers[0].Tuning = "t.1" }, time.Minute, true},
		{"a drain", func(s *v1alpha1.ConnectionReportStatus) {
			s.Drains = []v1alpha1.Drain{{StartTime: metav1.NewTime(begin), EndTime: metav1.NewTime(begin), Endpoints: 2, Pods: 1}}
		}, time.Second, true},
		{"a sysctl", func(s *v1alpha1.ConnectionReportStatus) {
			s.Observers[0].Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "1024 65535"}
		}, time.Minute, true},
		{"the ports of a pod that is not the fullest", func(s *v1alpha1.ConnectionReportStatus) { s.Observers[0].PortsInUsePeak = new(int32(20000)) }, time.Minute, true},
	} {
		next := base()
		test.change(next)
		if got := significant(base(), next, begin.Add(test.after)); got != test.want {
			t.Errorf("%s: significant %t", test.name, got)
		}
	}
	if !significant(&v1alpha1.ConnectionReportStatus{}, base(), begin) {
		t.Error("the first report is not significant")
	}
}

func TestMergeVantages(t *testing.T) {
	measured := func(node, pod string, minute int) v1alpha1.Vantage {
		return v1alpha1.Vantage{Node: node, Pod: pod, Outcome: "measured", Time: metav1.NewTime(begin.Add(time.Duration(minute) * time.Minute))}
	}
	failing := running(pod("y", "n2", result.Failed))
	for _, test := range []struct {
		name  string
		known []v1alpha1.Vantage
		fresh []v1alpha1.Vantage
		run   *v1alpha1.ProbeRunStatus
		nodes []string
		// enough vantages. 0: as many as for a workload.
		enough int
		want   string
	}{
		{"first", nil, []v1alpha1.Vantage{measured("n1", "a", 1)}, nil, []string{"n1"}, 0, "a"},
		{"newer on the same node", []v1alpha1.Vantage{measured("n1", "a", 1)}, []v1alpha1.Vantage{measured("n1", "b", 2)}, nil, []string{"n1"}, 0, "b"},
		{"the other node stays", []v1alpha1.Vantage{measured("n1", "a", 1), measured("n2", "b", 1)}, []v1alpha1.Vantage{measured("n1", "c", 2)}, nil, []string{"n1", "n2"}, 0, "c b"},
		{"a node that was left goes", []v1alpha1.Vantage{measured("n1", "a", 1), measured("n2", "b", 1)}, nil, nil, []string{"n1"}, 0, "a"},
		{"the last one stays", []v1alpha1.Vantage{measured("n2", "b", 1)}, nil, nil, []string{"n1"}, 0, "b"},
		{"anywhere", []v1alpha1.Vantage{measured("n1", "a", 1), measured("n2", "b", 2)}, []v1alpha1.Vantage{measured("n3", "c", 3)}, nil, []string{anywhere}, 1, "c"},
		{"the newest of a server", []v1alpha1.Vantage{measured("n1", "a", 1)}, []v1alpha1.Vantage{measured("n2", "b", 2)}, nil, []string{"n1", "n2"}, 1, "b"},
		{"no node that takes no pods any more, of a server", []v1alpha1.Vantage{measured("n1", "a", 1), measured("n2", "b", 2)}, nil, nil, []string{"n1", "n3"}, 1, "a"},
		{"a failure beside", []v1alpha1.Vantage{measured("n1", "a", 1)}, nil, failing, []string{"n1", "n2"}, 0, "a y"},
		{"no failure over a result", []v1alpha1.Vantage{measured("n2", "a", 1)}, nil, failing, []string{"n2"}, 0, "a"},
	} {
		var pods []string
		from := vantageChoice{nodes: test.nodes, enough: cmp.Or(test.enough, vantagesPerRun)}
		for _, v := range mergeVantages(test.known, test.fresh, test.run, from, metav1.NewTime(begin)) {
			pods = append(pods, v.Pod)
		}
		if got := strings.Join(pods, " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestAddLook(t *testing.T) {
	look := func(minute int, p99 int64) history.Look {
		return history.Look{Time: metav1.NewTime(begin.Add(time.Duration(minute) * time.Minute)),
			KeyFigures: v1alpha1.KeyFigures{HandshakeP99Microseconds: &p99}}
	}
	looks := addLook(nil, look(0, 1000))
	if looks = addLook(looks, look(1, 1001)); len(looks) != 1 {
		t.Error("the same was said twice")
	}
	if looks = addLook(looks, look(61, 1001)); len(looks) != 2 {
		t.Error("nothing was said for an hour")
	}
	if looks = addLook(looks, look(62, 5000)); len(looks) != 2 || *looks[0].HandshakeP99Microseconds != 1001 {
		t.Error("the same minutes were told twice")
	}
	more := look(63, 1001)
	more.SetupSharePercent = new(int32(30))
	if looks = addLook(looks, more); len(looks) != 2 || looks[0].SetupSharePercent == nil {
		t.Error("a figure that became known was left out")
	}
	for i := range 40 {
		looks = addLook(looks, look(70+6*i, int64(1000*(i%2+1))))
	}
	if len(looks) != maximumHistory || *looks[0].HandshakeP99Microseconds != 2000 {
		t.Errorf("%d entries, first %v", len(looks), looks[0])
	}
}

// What moved is told by its name, from what to what, and nothing else is.
func TestDelta(t *testing.T) {
	look := func(minute int, figures v1alpha1.KeyFigures) history.Look {
		return history.Look{Time: metav1.NewTime(begin.Add(time.Duration(minute) * time.Minute)), KeyFigures: figures}
	}
	before := v1alpha1.KeyFigures{HandshakeP99Microseconds: new(int64(1000)), SetupSharePercent: new(int32(20)),
		StallMicroseconds: new(int64(0)), IdleCutSeconds: new(int32(900))}
	for _, test := range []struct {
		name   string
		change func(*v1alpha1.KeyFigures)
		want   string
	}{
		{"nothing", func(*v1alpha1.KeyFigures) {}, ""},
		{"a little", func(k *v1alpha1.KeyFigures) { k.HandshakeP99Microseconds = new(int64(1100)) }, ""},
		{"a stall appears", func(k *v1alpha1.KeyFigures) { k.StallMicroseconds = new(int64(41000)) }, "stallMicroseconds 0 41000"},
		{"two", func(k *v1alpha1.KeyFigures) { k.SetupSharePercent, k.IdleCutSeconds = new(int32(50)), new(int32(350)) },
			"setupSharePercent 20 50, idleCutSeconds 900 350"},
		{"a figure is not known any more", func(k *v1alpha1.KeyFigures) { k.IdleCutSeconds = nil }, ""},
		{"a figure becomes known", func(k *v1alpha1.KeyFigures) { k.PortUtilizationPercent = new(int32(90)) }, ""},
	} {
		after := before
		test.change(&after)
		d := delta([]history.Look{look(20, after), look(10, before), look(0, v1alpha1.KeyFigures{})})
		var said []string
		if d != nil {
			for _, f := range d.Figures {
				said = append(said, fmt.Sprint(f.Name, " ", f.Before, " ", f.After))
			}
			if !d.Since.Time.Equal(begin.Add(10 * time.Minute)) {
				t.Errorf("%s: since %s", test.name, d.Since)
			}
		}
		if got := strings.Join(said, ", "); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if delta([]history.Look{look(0, before)}) != nil || delta(nil) != nil {
		t.Error("something moved though nothing stood there before")
	}
}

// Every key figure of the API is listed, under its own name, so that none is left out where they are compared.
func TestEveryKeyFigureIsListed(t *testing.T) {
	fields := reflect.TypeFor[v1alpha1.KeyFigures]()
	var k v1alpha1.KeyFigures
	for i := range fields.NumField() {
		field := reflect.ValueOf(&k).Elem().Field(i)
		field.Set(reflect.New(field.Type().Elem()))
		field.Elem().SetInt(int64(i + 1))
	}
	list := listed(k)
	if len(list) != fields.NumField() {
		t.Fatalf("%d figures are listed, there are %d", len(list), fields.NumField())
	}
	for i, f := range list {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		if f.name != name || f.value == nil || *f.value != int64(i+1) || f.floor < 1 {
			t.Errorf("%s is listed as %+v", name, f)
		}
	}
}

func TestReportMergesItsVantages(t *testing.T) {
	s := newScope(&v1alpha1.ConnectionPolicy{Spec: v1alpha1.ConnectionPolicySpec{To: []v1alpha1.Link{{Name: "server", Protocol: v1alpha1.ProtocolHTTP}}}}, begin)
	near, far := fullResult(), fullResult()
	far.Host.Kernel = "6.12"
	far.Measurements.Handshake.ConnectMicroseconds = &result.Distribution{Min: 100, P50: 1234.567, P90: 2000, P99: 4000, Max: 5000, P50Low: new(1100.0), P50High: new(1300.0)}
	far.Measurements.TimeWait.Holder = result.SideClient
	near.Host.Sysctls, far.Host.Sysctls = map[string]string{"net.ipv4.tcp_tw_reuse": "2"}, map[string]string{"net.ipv4.tcp_tw_reuse": "0"}
	s.observed = []observed{
		{pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, seen: sighting{outcome: result.Measured,
			observation: &result.Observation{Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "32768 60999"}}}},
		{pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, seen: sighting{outcome: result.Measured,
			observation: &result.Observation{Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "1024 65535"}}}},
	}
	status, err := reportStatus(s, s.links[0], []v1alpha1.Vantage{vantageOf(t, "n1", "a", near), vantageOf(t, "n2", "b", far)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	spreads := map[string]v1alpha1.FigureSpread{}
	for _, f := range status.Spread {
		spreads[f.Name] = f
	}
	for name, want := range map[string]v1alpha1.FigureSpread{
		"handshakeP50Microseconds": {Least: "20", Most: "1235", Differs: "n2"},
		"setupSharePercent":        {Least: "25", Most: "25"},
		"timeWaitHolder":           {Least: "client", Most: "server", Differs: "n2"},
	} {
		if want.Name = name; spreads[name] != want {
			t.Errorf("%+v, want %+v", spreads[name], want)
		}
	}
	wantPath := v1alpha1.PathFacts{Kernels: []string{"6.12", "6.18"}, Addresses: []string{"198.19.0.1:80"}, DifferingSysctls: map[string]string{
		"net.ipv4.tcp_tw_reuse":        "0 on n2, 2 on n1",
		"net.ipv4.ip_local_port_range": "1024 65535 on b, 32768 60999 on a",
	}}
	if status.Path == nil || !reflect.DeepEqual(*status.Path, wantPath) {
		t.Errorf("path %+v, want %+v", status.Path, wantPath)
	}

	alone, err := reportStatus(s, s.links[0], []v1alpha1.Vantage{vantageOf(t, "n1", "a", near)}, nil)
	if err != nil || len(alone.Spread) != 0 {
		t.Errorf("%v: one vantage is apart from itself: %+v", err, alone.Spread)
	}
}

func TestPortsJudged(t *testing.T) {
	all := verdicts(audit.Judge(audit.Input{Protocol: "HTTP"}))
	if portsJudged(all) {
		t.Error("ports were judged though nothing was seen")
	}
	for i := range all {
		all[i].Result = v1alpha1.VerdictPass
	}
	if !portsJudged(all) || portsJudged(nil) {
		t.Error("ports were not judged though all rules pass, or without any rule")
	}
}

func TestTroublesOfObserversAreJudged(t *testing.T) {
	s := newScope(&v1alpha1.ConnectionPolicy{Spec: v1alpha1.ConnectionPolicySpec{To: []v1alpha1.Link{{Name: "server"}}}}, begin)
	s.observed = []observed{
		{seen: sighting{}},
		{seen: sighting{outcome: result.Failed, cause: "refused"}},
		{pod: &corev1.Pod{}, seen: sighting{outcome: result.Measured, observation: &result.Observation{}}},
	}
	if in, err := auditInput(s, s.links[0], nil); err != nil || !slices.Equal(in.ObserverTroubles, []string{"refused"}) || len(in.Observations) != 1 {
		t.Errorf("troubles %v, %d observations", in.ObserverTroubles, len(in.Observations))
	}
}

// The rules judge the last hour, where an observer tells of it, and know the totals beside it; the report's readings are those
// of now in both.
func TestLastHourIsJudged(t *testing.T) {
	s := newScope(&v1alpha1.ConnectionPolicy{Spec: v1alpha1.ConnectionPolicySpec{To: []v1alpha1.Link{{Name: "server"}}}}, begin)
	total, recent := &result.Observation{UptimeSeconds: 864000}, &result.Observation{UptimeSeconds: 864000, PeriodSeconds: new(3900.0)}
	s.observed = []observed{
		{pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, seen: sighting{outcome: result.Measured, observation: total, recent: recent}},
		{pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "old"}}, seen: sighting{outcome: result.Measured, observation: total}},
	}
	in, err := auditInput(s, s.links[0], nil)
	if err != nil || len(in.Observations) != 2 {
		t.Fatalf("%+v, %v", in.Observations, err)
	}
	if o := in.Observations[0]; o.Pod != "new" || o.Observation.PeriodSeconds == nil || o.Totals != total {
		t.Errorf("%+v", o)
	}
	if o := in.Observations[1]; o.Pod != "old" || o.Observation.PeriodSeconds != nil || o.Totals != nil {
		t.Errorf("%+v", o)
	}
}
