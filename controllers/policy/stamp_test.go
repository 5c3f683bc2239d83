package policy

import (
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

func TestALongStampDoesNotSpoilTheReport(t *testing.T) {
	pod := sourcePod("a", "n1", 1, "s")
	pod.Annotations[v1alpha1.AnnotationTuning] = strings.Repeat("x", 4000)
	readings := observerReadings([]observed{{pod: &pod, seen: sighting{at: begin, outcome: result.Failed}}}, nil)
	if len(readings) != 1 || len(readings[0].Tuning) != 300 {
		t.Errorf("readings %+v", readings)
	}
}
