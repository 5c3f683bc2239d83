package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// connector opens connections by the probe's dialer.
func connector(remote netip.AddrPort) work {
	return func() (time.Duration, error) {
		connection, took, err := tcpconn.Dialer{}.Connect(context.Background(), remote)
		if err != nil {
			return 0, err
		}
		connection.Close()
		return took, nil
	}
}

// measurer opens connections as every measurement does. The time that counts is the one that it would report.
func measurer(remote netip.AddrPort) work {
	peer := newPeer(remote)
	return func() (time.Duration, error) {
		connection, err := peer.Connect(context.Background())
		if err != nil {
			return 0, err
		}
		connection.Close()
		return connection.ConnectTook, nil
	}
}

// dialer opens connections as most programs in Go do.
func dialer(remote netip.AddrPort) work {
	var d net.Dialer
	address := remote.String()
	return func() (time.Duration, error) {
		begin := time.Now()
		connection, err := d.DialContext(context.Background(), "tcp", address)
		took := time.Since(begin)
		if err != nil {
			return 0, err
		}
		return took, connection.Close()
	}
}

// requestBlocks makes requests on one connection until standard input ends. The server takes one connection at a time, so a
// process must end before another can begin.
func requestBlocks(remote netip.AddrPort) error {
	connection, err := newPeer(remote).Connect(context.Background())
	if err != nil {
		return err
	}
	defer connection.Close()
	return answerBlocks(func() (time.Duration, error) {
		response, took, err := connection.Request(context.Background(), false)
		if err == nil && response.Status != 200 {
			err = fmt.Errorf("the server answered with status %d", response.Status)
		}
		return took, err
	})
}

// newPeer returns a target whose budget outlasts the benchmark. Nothing here asks it for turns, which hold the rate down.
func newPeer(remote netip.AddrPort) *exchange.Peer {
	return exchange.NewPeer(exchange.Options{
		Remote: remote,
		Request: &http1.Request{
			Method: "GET", Host: remote.String(), Target: "/", UserAgent: "connpolicy-bench",
		},
		Budget: budget.New(budget.Limits{Connections: 1, RequestsPerSecond: 1, Seconds: 3600}),
	})
}
