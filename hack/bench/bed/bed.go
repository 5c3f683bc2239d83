// Package bed makes what the benchmark runs in: two network namespaces, a client's and a server's, joined by a veth pair.
// It needs root and the program ip of iproute2.
package bed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/hack/bench/pin"
)

// Addresses of the two ends, from the range set aside for benchmarks (RFC 2544).
const (
	ClientAddress = "198.18.98.1"
	ServerAddress = "198.18.98.2"
)

// Namespace is a network namespace.
type Namespace struct {
	name   string
	pinned bool
}

// Pinned returns the same namespace, with all that runs in it on the first processor.
func (n Namespace) Pinned() Namespace {
	n.pinned = true
	return n
}

// Bed is two namespaces joined by a veth pair.
type Bed struct {
	Client, Server Namespace
}

// New makes a bed with names of its own. The caller closes it.
func New(ctx context.Context) (*Bed, error) {
	name := "connpolicy-bench-" + strings.ToLower(rand.Text()[:8])
	b := &Bed{Client: Namespace{name: name + "c"}, Server: Namespace{name: name + "s"}}
	if err := b.build(ctx); err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	return b, nil
}

func (b *Bed) build(ctx context.Context) error {
	client, server := b.Client.name, b.Server.name
	for _, arguments := range [][]string{
		{"netns", "add", client},
		{"netns", "add", server},
		{"-n", client, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", server},
		{"-n", client, "addr", "add", ClientAddress + "/24", "dev", "eth0"},
		{"-n", server, "addr", "add", ServerAddress + "/24", "dev", "eth0"},
		{"-n", client, "link", "set", "lo", "up"},
		{"-n", server, "link", "set", "lo", "up"},
		{"-n", client, "link", "set", "eth0", "up"},
		{"-n", server, "link", "set", "eth0", "up"},
	} {
		if err := ip(ctx, arguments...); err != nil {
			return err
		}
	}
	return nil
}

// Close removes both namespaces, those of them that were made, also after the context has ended. All that runs in them
// must have ended.
func (b *Bed) Close(ctx context.Context) error {
	var errs []error
	for _, namespace := range []Namespace{b.Client, b.Server} {
		if _, err := os.Stat(namespace.path()); err == nil {
			errs = append(errs, ip(context.WithoutCancel(ctx), "netns", "del", namespace.name))
		}
	}
	return errors.Join(errs...)
}

func ip(ctx context.Context, arguments ...string) error {
	if output, err := exec.CommandContext(ctx, "ip", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

func (n Namespace) path() string { return filepath.Join("/run/netns", n.name) }

// Do runs work on a thread inside the namespace and waits for its end. Processes that it starts are in the namespace too.
func (n Namespace) Do(work func() error) error {
	done := make(chan error)
	go func() {
		// Never unlocked: the runtime ends the thread with the goroutine, and no other goroutine meets the namespace.
		runtime.LockOSThread()
		if err := n.enter(); err != nil {
			done <- fmt.Errorf("enter the network namespace %s: %w", n.name, err)
			return
		}
		done <- work()
	}()
	return <-done
}

func (n Namespace) enter() error {
	file, err := os.Open(n.path())
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if n.pinned {
		if err := pin.Thread(); err != nil {
			return err
		}
	}
	return unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
}

// Sysctl sets a sysctl of the namespace, given by its dotted name.
func (n Namespace) Sysctl(name, value string) error {
	return n.Do(func() error {
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s to %s: %w", name, value, err)
		}
		return nil
	})
}
