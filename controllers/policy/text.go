package policy

import "strings"

// Bounds of texts in the API, in bytes.
const (
	maximumCauseBytes   = 512
	maximumMessageBytes = 1024
	maximumRequestBytes = 256
)

// clip cuts text to a number of bytes, at a whole character, and shows that it did.
func clip(text string, bytes int) string {
	const more = "…"
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes-len(more)], "") + more
}
