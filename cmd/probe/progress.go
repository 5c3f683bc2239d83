package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/runner"
)

// clearLine takes the cursor of a terminal to the beginning of the line and empties the line (ECMA-48, EL).
const clearLine = "\r\x1b[K"

// showProgress returns what shows on a terminal how far a run has come, on one line, and what takes the line away. Where
// w is none, the first is nil.
func showProgress(w io.Writer) (show func(runner.Progress), wipe func()) {
	file, is := w.(*os.File)
	if !is {
		return nil, func() {}
	}
	if _, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS); err != nil {
		return nil, func() {}
	}
	return func(p runner.Progress) { fmt.Fprint(w, clearLine, progress(p, time.Now())) }, func() { fmt.Fprint(w, clearLine) }
}

func progress(p runner.Progress, now time.Time) string {
	return fmt.Sprintf("%s, for %.0f s at most; %d connections, %d requests so far",
		p.Measurement, max(0, p.End.Sub(now).Seconds()), p.Spent.Connections, p.Spent.Requests)
}
