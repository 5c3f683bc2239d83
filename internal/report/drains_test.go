package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// What got no answer is a request that was lost over HTTP alone: elsewhere a farewell in data looks the same, and people are
// told so.
func TestWhatGotNoAnswerIsExplained(t *testing.T) {
	for protocol, want := range map[v1alpha1.Protocol]bool{
		v1alpha1.ProtocolHTTP: false, v1alpha1.ProtocolHTTPS: true, v1alpha1.ProtocolGRPC: true, v1alpha1.ProtocolTCP: true, "": true,
	} {
		report := everything(t).Reports[0]
		report.Status.Target = &v1alpha1.ReportTarget{Protocol: protocol}
		notes := drainsSection(&report)[0].Notes
		if got := slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "farewell") }); got != want {
			t.Errorf("over %q: %q", protocol, notes)
		}
	}
}
