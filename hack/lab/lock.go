package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// lock makes sure that one command at a time starts or stops the lab. The lock is an abstract socket (unix(7)): it
// leaves no file, and the kernel frees it when its holder ends, however it ends.
func lock() (unlock func() error, err error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: "@connpolicy-lab", Net: "unix"})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, errors.New("another command is starting or stopping the lab right now: wait until it has ended")
	}
	if err != nil {
		return nil, fmt.Errorf("take the lab's lock: %w", err)
	}
	return listener.Close, nil
}
