package tuner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const (
	revisionDigits = 8
	hashDigits     = 16
)

// Revision identifies values: the first 8 hexadecimal digits of the SHA-256 of their JSON, whose fields have a fixed
// order.
func Revision(v v1alpha1.KnobValues) string { return digest(v)[:revisionDigits] }

// Hash identifies values for a workload, in the form that a policy approves: sha256-<16 hexadecimal digits>.
func Hash(target v1alpha1.WorkloadReference, v v1alpha1.KnobValues) string {
	return "sha256-" + digest(struct {
		Kind, Name string
		Values     v1alpha1.KnobValues
	}{target.Kind, target.Name, v})[:hashDigits]
}

func digest(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil { // plain numbers and texts always encode
		panic(fmt.Sprintf("encode knob values: %v", err))
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}
