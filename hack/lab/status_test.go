package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestProblems(t *testing.T) {
	whole := func() *statusReport {
		return &statusReport{
			record:    &record{Complete: true, Processes: []startedProcess{{Name: "etcd"}, {Name: "kubelet-node-1"}}},
			dead:      map[string]bool{},
			readiness: map[string]bool{"node-1": true, "node-2": true},
		}
	}
	for name, test := range map[string]struct {
		change func(*statusReport)
		want   string
	}{
		"all is up":           {func(*statusReport) {}, ""},
		"a dead program":      {func(s *statusReport) { s.dead["etcd"] = true }, "etcd has ended"},
		"an unfinished start": {func(s *statusReport) { s.record.Complete = false }, "its start did not come to an end"},
		"no kubeconfig":       {func(s *statusReport) { s.kubeconfig, s.unreachable = "/k", true }, "/k is missing"},
		"a node not ready":    {func(s *statusReport) { s.readiness["node-2"] = false }, "node-2 is not ready"},
		"a node unknown":      {func(s *statusReport) { delete(s.readiness, "node-1") }, "node-1 is not ready"},
		"no answer":           {func(s *statusReport) { s.nodesError = errors.New("no answer") }, "no answer"},
		"no DNS":              {func(s *statusReport) { s.dnsError = errors.New("refused") }, "cluster DNS is not ready: refused"},
	} {
		report := whole()
		test.change(report)
		if got := strings.Join(report.problems(), "; "); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestDecodeNodeReadiness(t *testing.T) {
	list := `{"items": [
		{"metadata": {"name": "a"}, "status": {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]}},
		{"metadata": {"name": "b"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
		{"metadata": {"name": "c"}, "status": {}}]}`
	got, err := decodeNodeReadiness(json.NewDecoder(strings.NewReader(list)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a": true, "b": false, "c": false} {
		if ready, known := got[name]; !known || ready != want {
			t.Errorf("%s: ready is %v, known is %v", name, ready, known)
		}
	}
	if _, err := decodeNodeReadiness(json.NewDecoder(strings.NewReader("<html>"))); err == nil {
		t.Error("no error from an answer that is no list")
	}
}
