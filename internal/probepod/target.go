package probepod

import (
	"crypto/sha256"
	"encoding/hex"
)

// TargetHash is the value of the label connpolicy.dev/target for a target, named by its address and port as far as they
// are resolved (10.96.0.17:80, bank.example:443). Links of any policy to the same target have the same hash.
func TargetHash(hostPort string) string {
	sum := sha256.Sum256([]byte(hostPort))
	return hex.EncodeToString(sum[:])[:16]
}
