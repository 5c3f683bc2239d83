package runner

import (
	"testing"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Readers of a result reckon with the parts that the measurements get (result.Weight), so the two are held together. Of
// what opens none, or few before all others, they reckon with no part.
func TestWeightsAreThoseThatReadersKnow(t *testing.T) {
	for _, m := range Measurements() {
		if known := result.Weight(m.Name); known != m.weight && known != 0 {
			t.Errorf("%s has the weight %d, readers know %d", m.Name, m.weight, known)
		}
	}
}
