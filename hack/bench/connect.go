package main

import (
	"context"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/bed"
	"github.com/connpolicy/connpolicy/hack/bench/figures"
)

const (
	serverPort = "8000"
	// connectBlock is short, so that the contenders of a round meet the same weather, and the server's queue holds its
	// connections: a server slower than the client would otherwise drop SYNs.
	connectBlock = 100 * time.Millisecond
	// connectPause lets the server empty its queue.
	connectPause  = 30 * time.Millisecond
	connectQueue  = 16384
	connectWarmup = 200
)

// benchConnect compares how the probe opens connections with a plain loop in C, and shows Go's own dialer beside them.
func benchConnect(ctx context.Context, s *stand) ([]figures.Figure, error) {
	// Without TIME_WAIT no port is used up, and connect() need not search for a free one.
	if err := s.bed.Client.Sysctl("net.ipv4.tcp_max_tw_buckets", "0"); err != nil {
		return nil, err
	}
	if err := s.bed.Server.Sysctl("net.core.somaxconn", strconv.Itoa(connectQueue)); err != nil {
		return nil, err
	}
	server, err := s.bed.Server.StartReady(ctx, s.yardstick("take"), bed.ServerAddress, serverPort)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	remote := bed.ServerAddress + ":" + serverPort
	var plain, probe, measured, dial blocks
	var contenders []func() error
	for _, c := range []struct {
		into      *blocks
		path      string
		arguments []string
	}{
		{&plain, s.yardstick("connect"), []string{bed.ServerAddress, serverPort}},
		{&probe, s.worker, []string{"connect", remote}},
		{&measured, s.worker, []string{"measure", remote}},
		{&dial, s.worker, []string{"dial", remote}},
	} {
		program, err := s.bed.Client.Start(ctx, c.path, c.arguments...)
		if err != nil {
			return nil, err
		}
		defer program.Stop()
		contenders = append(contenders, func() error {
			<-time.After(connectPause)
			return c.into.ask(program, connectWarmup, connectBlock)
		})
	}
	if err := interleave(ctx, s.length, contenders...); err != nil {
		return nil, err
	}
	const c = "plain C"
	return []figures.Figure{
		figures.Compare("connect, as measured, p50", "µs", measured.p50Microseconds, c, plain.p50Microseconds, figures.Bound{AtMost: 1.10}),
		figures.Compare("connections on one thread", "/s", probe.perSecond, c, plain.perSecond, figures.Bound{AtLeast: 0.9}),
		figures.Compare("connections with tcp_info, as measured", "/s", measured.perSecond, c, plain.perSecond, figures.Bound{}),
		figures.Compare("connect by Go's net.Dial, p50", "µs", dial.p50Microseconds, c, plain.p50Microseconds, figures.Bound{}),
		figures.Compare("connections by net.Dial", "/s", dial.perSecond, c, plain.perSecond, figures.Bound{}),
	}, nil
}
