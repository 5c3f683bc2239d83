package cluster

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Transcript tells a person what happens, each line with the minutes and seconds since the beginning. It may be used by
// several goroutines at once.
type Transcript struct {
	mutex sync.Mutex
	out   io.Writer
	start time.Time
}

// NewTranscript returns a transcript that begins now.
func NewTranscript(out io.Writer) *Transcript {
	return &Transcript{out: out, start: time.Now()}
}

// Elapsed is the time since the beginning.
func (t *Transcript) Elapsed() time.Duration { return time.Since(t.start) }

// Say writes a text of one or several lines. What cannot be written is lost: there is nowhere else to say it.
func (t *Transcript) Say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	elapsed := t.Elapsed().Truncate(time.Second)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for line := range strings.Lines(text) {
		fmt.Fprintf(t.out, "[%02d:%02d] %s\n", int(elapsed.Minutes()), int(elapsed.Seconds())%60, strings.TrimRight(line, "\n"))
	}
}
