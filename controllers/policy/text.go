package policy

// Bounds of texts in the API, in bytes.
const (
	maximumCauseBytes   = 512
	maximumMessageBytes = 1024
	maximumRequestBytes = 256
)
