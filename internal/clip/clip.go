// Package clip shortens texts to what the API has room for.
package clip

import "strings"

// To cuts text to a number of bytes, at a whole character, and shows that it did.
func To(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	if bytes < len(more) {
		return ""
	}
	return strings.ToValidUTF8(text[:bytes-len(more)], "") + more
}

// Same says whether two texts are the same, or would be had neither been cut.
func Same(a, b string) bool {
	a, cutA := strings.CutSuffix(a, more)
	b, cutB := strings.CutSuffix(b, more)
	return a == b || cutA && strings.HasPrefix(b, a) || cutB && strings.HasPrefix(a, b)
}

const more = "…"
