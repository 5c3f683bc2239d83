package procnet

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RunDelay is how long the calling thread has been ready to run and waited for a processor since it began
// (/proc/<pid>/schedstat, Documentation/scheduler/sched-stats.rst).
func (fs FS) RunDelay() (time.Duration, error) {
	path := filepath.Join(fs.root, "thread-self", "schedstat")
	text, err := readAtOnce(path)
	if err != nil {
		return 0, fmt.Errorf("read how long the thread waited for a processor: %w", err)
	}
	delay, err := parseSchedstat(string(text))
	if err != nil {
		return 0, fmt.Errorf("read how long the thread waited for a processor: %s: %w", path, err)
	}
	return delay, nil
}

// parseSchedstat reads the second of three numbers: time on a processor, time waiting for one, both in nanoseconds, and
// the number of turns.
func parseSchedstat(text string) (time.Duration, error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return 0, fmt.Errorf("%d numbers instead of 3", len(fields))
	}
	nanoseconds, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || nanoseconds < 0 {
		return 0, fmt.Errorf("%q is no time", fields[1])
	}
	return time.Duration(nanoseconds), nil
}
