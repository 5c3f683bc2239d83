package nstest

import (
	"net"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// ListenOptions say how to listen in the server's namespace.
type ListenOptions struct {
	// Address is ServerAddress or ServerAddressIPv6; empty is ServerAddress.
	Address string
	// Port is 0 for one that the kernel chooses.
	Port int
	// Backlog is listen()'s argument, nil for Go's (net.core.somaxconn). A queue of one more fits (net/sock.h,
	// sk_acceptq_is_full): with a backlog of 0 and nobody who accepts, the first connection is taken and the SYN of the
	// next is dropped.
	Backlog *int
}

// Listen opens a listener in the server's namespace, on a port that the kernel chooses, and closes it when the test ends.
func (p *Pair) Listen(t *testing.T) net.Listener {
	t.Helper()
	return p.ListenWith(t, ListenOptions{})
}

// ListenWith does as Listen, with options.
func (p *Pair) ListenWith(t *testing.T, options ListenOptions) net.Listener {
	t.Helper()
	address := options.Address
	if address == "" {
		address = ServerAddress
	}
	var listener net.Listener
	var err error
	p.InServer(t, func() {
		var config net.ListenConfig
		listener, err = config.Listen(t.Context(), "tcp", net.JoinHostPort(address, strconv.Itoa(options.Port)))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if options.Backlog != nil {
		setBacklog(t, listener.(*net.TCPListener), *options.Backlog)
	}
	return listener
}

// setBacklog calls listen() again, which on a listening socket changes the backlog and nothing else (net/ipv4/af_inet.c,
// inet_listen).
func setBacklog(t *testing.T, listener *net.TCPListener, backlog int) {
	t.Helper()
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), backlog) }); err != nil {
		t.Fatal(err)
	}
	if listenErr != nil {
		t.Fatal(listenErr)
	}
}
