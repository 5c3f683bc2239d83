package main

import (
	"fmt"
	"os"
	"time"
)

// say tells the person at the terminal what happens. It writes to standard error, so that the output of a command
// stays free for its result.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "lab: "+format+"\n", args...)
}

// sayEvery calls report at every interval until the returned function is called.
func sayEvery(interval time.Duration, report func()) (stop func()) {
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				report()
			}
		}
	}()
	return func() {
		close(done)
		<-finished
	}
}
