// Command pause holds a pod's namespaces: it waits for the signal to end and, being process 1 of pods that share
// their process namespace, reaps the orphans there.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A channel of its own for the end: it would be lost in one that the ends of children have filled.
	end, childEnded := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(childEnded, syscall.SIGCHLD)
	for {
		select {
		case <-end:
			return
		case <-childEnded:
			if err := reap(); err != nil {
				fmt.Fprintln(os.Stderr, "pause:", err)
				os.Exit(1)
			}
		}
	}
}

// reap waits for every child that has ended; signals of the same kind merge, so one signal may stand for many.
func reap() error {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ECHILD), err == nil && pid == 0:
			return nil
		case err != nil:
			return fmt.Errorf("wait for a child: %w", err)
		}
	}
}
