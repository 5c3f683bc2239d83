package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockBuilds lets one build at a time write into the checkout's directory of programs, and waits for its turn. The
// lock is on the directory itself (flock(2)), so it leaves nothing and ends with its holder.
func lockBuilds(ctx context.Context, l layout) (unlock func() error, err error) {
	if err := os.MkdirAll(l.stamps(), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory for stamps: %w", err)
	}
	dir, err := os.Open(l.stamps())
	if err != nil {
		return nil, fmt.Errorf("open the directory for stamps: %w", err)
	}
	const interval = 200 * time.Millisecond
	for first := true; ; first = false {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return dir.Close, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the directory for stamps: %w", err), dir.Close())
		}
		if first {
			say("waiting for another build in this checkout")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), dir.Close())
		case <-time.After(interval):
		}
	}
}
