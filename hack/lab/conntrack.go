package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	// closedConnectionSetting is how long a node remembers a connection that is closed. Each network namespace has its
	// own value, but how many connections may be remembered (nf_conntrack_max) belongs to the machine.
	closedConnectionSetting = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait"
	// closedConnectionSeconds instead of the usual 120: on a machine with little memory the table of a node, through
	// which 1,000 connections a second go, would be full, and the kernel would drop packets.
	closedConnectionSeconds = "20"
)

// forgetClosedConnections makes the nodes forget closed connections sooner. The setting is there once kube-proxy has made
// its first rules.
func forgetClosedConnections(ctx context.Context, launch *launcher, all []node) error {
	for _, n := range all {
		set := func(context.Context) (bool, error) {
			err := inNetwork(n.name, func() error {
				return os.WriteFile(closedConnectionSetting, []byte(closedConnectionSeconds), 0o644)
			})
			return err == nil, err
		}
		if err := launch.await(ctx, "connection tracking in "+n.name, time.Minute, set); err != nil {
			return err
		}
	}
	return nil
}

// inNetwork does something in a network namespace of the lab.
func inNetwork(name string, do func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread stays in the namespace, so it is never given back: it ends with this goroutine.
		runtime.LockOSThread()
		if err := joinNetwork(name); err != nil {
			done <- fmt.Errorf("enter the network of %s: %w", name, err)
			return
		}
		done <- do()
	}()
	return <-done
}
