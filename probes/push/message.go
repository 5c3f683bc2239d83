package push

import (
	"bytes"
	"encoding/json"
	"time"
)

// keptBytes is how much of a message is kept to look for its time.
const keptBytes = 4 << 10

// Times that are taken for such in milliseconds since 1970: those of thirteen digits, the years 2001 to 2286.
const (
	leastMilliseconds = 1_000_000_000_000
	mostMilliseconds  = 9_999_999_999_999
)

// madeAt is when a message says that it was made: the message is a time, or begins with one and a space, or is a JSON object
// with one in its field time or timestamp. A time is one of RFC 3339 or the milliseconds since 1970. False: it does not say.
func madeAt(text []byte) (time.Time, bool) {
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] == '{' {
		var object struct {
			Time      json.RawMessage `json:"time"`
			Timestamp json.RawMessage `json:"timestamp"`
		}
		// What is no object has no field, and neither has one that was cut.
		if json.Unmarshal(text, &object) != nil {
			return time.Time{}, false
		}
		if made, found := parseTime(object.Time); found {
			return made, true
		}
		return parseTime(object.Timestamp)
	}
	if end := bytes.IndexAny(text, " \t\r\n"); end >= 0 {
		text = text[:end]
	}
	return parseTime(text)
}

// parseTime reads one time, which may be in quotes.
func parseTime(text []byte) (time.Time, bool) {
	text = bytes.Trim(text, `"`)
	if made, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
		return made, true
	}
	var milliseconds int64
	for _, digit := range text {
		if digit < '0' || digit > '9' || milliseconds > mostMilliseconds {
			return time.Time{}, false
		}
		milliseconds = 10*milliseconds + int64(digit-'0')
	}
	return time.UnixMilli(milliseconds), milliseconds >= leastMilliseconds && milliseconds <= mostMilliseconds
}
