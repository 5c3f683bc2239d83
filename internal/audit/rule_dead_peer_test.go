package audit

import (
	"math"
	"testing"
)

func TestRetransmissionsEndWhenTheKernelSays(t *testing.T) {
	// ip-sysctl.rst: the default of 15 is a hypothetical timeout of 924.6 seconds.
	for retries, want := range map[int]float64{15: 924.6, 8: 102.2, 0: 0.2} {
		if got := givenUpAfter(retries); math.Abs(got-want) > 1e-6 {
			t.Errorf("tcp_retries2 = %d: %v s, want %v", retries, got, want)
		}
	}
}
