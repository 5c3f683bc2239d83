package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/hack/bench/bed"
)

const (
	crowdFirstPort = 9000
	// crowdPorts keep the connections to one port far below half of the local ports, past which connect() takes milliseconds.
	crowdPorts = 8
	// crowdBacklog is the largest that the kernel allows.
	crowdBacklog = 1<<16 - 1
	// sparedFiles of those that a process may open are not for connections.
	sparedFiles = 100
)

// crowd is many connections that the client's namespace holds open. On the server's side nobody accepts them: they stand
// in the queues of listeners, where they need no descriptors.
type crowd struct {
	listeners []int
	holders   []*bed.Program
}

// disperse closes all.
func (c *crowd) disperse() {
	for _, holder := range c.holders {
		holder.Stop()
	}
	for _, fd := range c.listeners {
		_ = unix.Close(fd)
	}
}

// gather opens connections, from as many processes as their limit of open files asks for. The caller disperses the crowd.
func (s *stand) gather(ctx context.Context, connections int) (*crowd, error) {
	c := &crowd{}
	if err := c.fill(ctx, s, connections); err != nil {
		c.disperse()
		return nil, err
	}
	return c, nil
}

func (c *crowd) fill(ctx context.Context, s *stand, connections int) error {
	if err := s.bed.Server.Sysctl("net.core.somaxconn", strconv.Itoa(crowdBacklog)); err != nil {
		return err
	}
	if err := s.bed.Server.Do(c.listen); err != nil {
		return fmt.Errorf("listen for the crowd: %w", err)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	each := int(files.Max) - sparedFiles
	if each <= 0 {
		return fmt.Errorf("the hard limit of open files is %d: raise it (ulimit -Hn)", files.Max)
	}
	for left := connections; left > 0; left -= each {
		holder, err := s.bed.Client.StartReady(ctx, s.yardstick("hold"), bed.ServerAddress,
			strconv.Itoa(crowdFirstPort), strconv.Itoa(crowdPorts), strconv.Itoa(min(left, each)))
		if err != nil {
			return err
		}
		c.holders = append(c.holders, holder)
	}
	return nil
}

func (c *crowd) listen() error {
	address := netip.MustParseAddr(bed.ServerAddress).As4()
	for i := range crowdPorts {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		c.listeners = append(c.listeners, fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: address, Port: crowdFirstPort + i}); err != nil {
			return err
		}
		if err := unix.Listen(fd, crowdBacklog); err != nil {
			return err
		}
	}
	return nil
}
