package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/history"
	"github.com/connpolicy/connpolicy/internal/observer"
	"github.com/connpolicy/connpolicy/internal/userrules"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

// richResults are what the probe found of nginx over HTTPS with every measurement named that HTTPS has, three times, and of
// names in the demo, as they arrive: with what a termination message has room for, and idle from a pod of its own.
func richResults(t *testing.T) []result.Result {
	t.Helper()
	text, err := os.ReadFile("testdata/rich.json")
	if err != nil {
		t.Fatal(err)
	}
	var whole, arrived []result.Result
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	for _, r := range whole {
		idle := r.Measurements.Idle
		r.Measurements.Idle = nil
		message, err := result.EncodeMessage(r, vantage.MaximumBytes)
		if err != nil {
			t.Fatal(err)
		}
		r, err = result.DecodeMessage(message)
		if err != nil || len(r.Dropped) == 0 {
			t.Fatalf("%v: all had room, which is not rich: %d bytes", err, len(message))
		}
		r.Measurements.Idle = idle
		arrived = append(arrived, r)
	}
	return arrived
}

// richScope is of a policy that asks for all there is, and rules of its own, with two pods that are looked into.
func richScope(t *testing.T) (*scope, *link) {
	t.Helper()
	p := &v1alpha1.ConnectionPolicy{Spec: v1alpha1.ConnectionPolicySpec{
		From:       &v1alpha1.WorkloadReference{Group: "apps", Kind: "Deployment", Name: "checkout"},
		To:         []v1alpha1.Link{{Name: "payments", Protocol: v1alpha1.ProtocolHTTPS}},
		Objectives: &v1alpha1.Objectives{HandshakeP99Microseconds: new(int64(50)), SetupSharePercent: new(int32(20)), PortUtilizationPercent: new(int32(45))},
		Audit: &v1alpha1.AuditSpec{Rules: []v1alpha1.AuditRule{
			{Name: "fast", Expression: "handshake.connectMicroseconds.p50 < 1000.0", Message: "connect() takes longer than a millisecond", Severity: v1alpha1.SeverityWarning},
			{Name: "slow", Expression: "handshake.connectMicroseconds.p50 > 100000.0", Message: "connect() takes less than it should", Severity: v1alpha1.SeverityInfo},
		}},
	}}
	s := newScope(p, begin)
	s.observed = richPods(t)
	environment, err := userrules.NewEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	s.rules = compileRules(environment, p.Spec.Audit)
	l := s.links[0]
	l.target = target{name: "shop-of-the-team/payments:https", url: "https://payments.shop-of-the-team.svc:443/healthz", key: "198.19.92.29:80",
		addresses: []string{"198.19.92.29:80"}, virtual: true, readyEndpoints: new(int32(3))}
	for i := range maximumDrains {
		began := metav1.NewTime(begin.Add(-time.Duration(i+1) * time.Hour))
		l.drains = append(l.drains, v1alpha1.Drain{StartTime: began, EndTime: began, Endpoints: 3, Pods: 2,
			During: v1alpha1.ConnectionCounts{Opened: 712, Failed: 9, Closed: 700, Open: 40, Ends: &v1alpha1.ConnectionEnds{Orderly: 652, Unanswered: 12, Reset: 48}},
			Before: &v1alpha1.ConnectionCounts{Opened: 48_120, Failed: 2, Closed: 48_078, Open: 40, Ends: &v1alpha1.ConnectionEnds{Orderly: 48_070, Reset: 8}}})
	}
	return s, l
}

func richPods(t *testing.T) []observed {
	t.Helper()
	var pods []observed
	for i := range 2 {
		file, err := os.Open("../../internal/observer/testdata/client.prom")
		if err != nil {
			t.Fatal(err)
		}
		seen, err := observer.Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, observed{
			pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("checkout-58fddc7d8d-l2vd%d", i)},
				Spec: corev1.PodSpec{NodeName: fmt.Sprintf("pool-a-of-the-cluster-%d", i)}},
			seen: sighting{outcome: result.Measured, at: begin, observation: &seen},
		})
	}
	return pods
}

// growingLooks are as many as a report remembers, six hours apart, with all key figures known; ever more ports are held.
func growingLooks() []history.Look {
	var looks []history.Look
	for i := range maximumHistory {
		looks = append(looks, history.Look{Time: metav1.NewTime(begin.Add(-time.Duration(i) * 6 * time.Hour)), KeyFigures: v1alpha1.KeyFigures{
			HandshakeP99Microseconds: new(int64(123456 - i)), SetupSharePercent: new(int32(56)), RequestsAtLeast: new(int32(1000 + i)),
			ConnectionsPerSecond: new(int32(490 - i)), PortUtilizationPercent: new(int32(42 - 2*i)), IdleCutSeconds: new(int32(900)),
			IdleSurvivedSeconds: new(int32(855)), StallMicroseconds: new(int64(41023 + i)), InitialWindowSegments: new(int32(10)),
		}})
	}
	return looks
}

// The richest report that a link brings about keeps its history whole, from however many places it was measured, and the
// rules say of it, once it was stored, what they said before: that its ports grow short among it.
func TestARichReportKeepsItsHistory(t *testing.T) {
	results := richResults(t)
	for count := range maximumVantages {
		s, l := richScope(t)
		var vantages []v1alpha1.Vantage
		for i := range count + 1 {
			r := results[i%len(results)]
			vantages = append(vantages, vantageOf(t, fmt.Sprintf("pool-a-of-the-cluster-%d", i), fmt.Sprintf("checkout-to-payments-payments-d4472c-42e5a837-%d", i), r))
			vantages[i].IdleFrom = &v1alpha1.IdleSource{Time: metav1.NewTime(begin), Node: vantages[i].Node, Pod: vantages[i].Pod}
		}
		if err := putSilence(vantages, vantage.SilenceIn(vantages[0])); err != nil {
			t.Fatal(err)
		}
		before := growingLooks()
		whole, err := reportStatus(s, l, vantages, before)
		if err != nil {
			t.Fatal(err)
		}
		stored := throughTheAPI(t, fit(whole))
		t.Logf("%d vantages: %d bytes, %d fitted: %s", count+1, size(whole), size(stored), sections(t, stored))
		if got := size(stored); got > reportBytes || size(whole) <= reportBytes {
			t.Errorf("%d vantages: %d bytes, from %d", count+1, got, size(whole))
		}
		if !reflect.DeepEqual(history.Looks(stored.History), history.Looks(throughTheAPI(t, whole).History)) || len(stored.History.Times) != maximumHistory {
			t.Errorf("%d vantages: the history was cut", count+1)
		}
		// As many vantages as a run brings leave room for all that a finding says, and for what to do first.
		for i, v := range stored.Judgements() {
			was := whole.Judgements()[i]
			if v.Result == v1alpha1.VerdictFail && v.Severity != v1alpha1.SeverityInfo && count < vantagesPerRun &&
				(v.Title != was.Title || v.Message != was.Message || v.Cure != was.Cure && len(v.Cure) < 150) {
				t.Errorf("%d vantages: a finding says %q, cure %q", count+1, v.Message, v.Cure)
			}
		}
		l.drains = stored.Drains
		again, err := reportStatus(s, l, vantage.Whole(stored.Vantages), history.Looks(stored.History))
		if err != nil {
			t.Fatal(err)
		}
		if count < vantagesPerRun && !reflect.DeepEqual(outcomes(again), outcomes(whole)) {
			t.Errorf("%d vantages: what was stored is judged\n%v\nand was\n%v", count+1, outcomes(again), outcomes(whole))
		}
		if growth := outcomes(again)["CP402"]; !strings.HasPrefix(growth, "fail") {
			t.Errorf("%d vantages: CP402 says %s", count+1, growth)
		}
	}
}

// outcomes are what the rules say, by rule.
func outcomes(status v1alpha1.ConnectionReportStatus) map[string]string {
	said := map[string]string{}
	for _, v := range status.Judgements() {
		said[v.Rule] = fmt.Sprint(v.Result, " ", v.Severity, " ", v.Message)
	}
	return said
}

// throughTheAPI is a status as the API server gives it back.
func throughTheAPI(t *testing.T, status v1alpha1.ConnectionReportStatus) (stored v1alpha1.ConnectionReportStatus) {
	t.Helper()
	text, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

// sections are the bytes that the parts of a status take.
func sections(t *testing.T, status v1alpha1.ConnectionReportStatus) string {
	t.Helper()
	text, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		t.Fatal(err)
	}
	var told []string
	for name, part := range parts {
		told = append(told, fmt.Sprintf("%s %d", name, len(part)))
	}
	slices.Sort(told)
	return strings.Join(told, ", ")
}
