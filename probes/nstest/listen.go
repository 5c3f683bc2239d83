package nstest

import (
	"net"
	"strconv"
	"sync"
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
	if err := raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), backlog) }); err != nil { //nolint:gosec // a file descriptor
		t.Fatal(err)
	}
	if listenErr != nil {
		t.Fatal(listenErr)
	}
}

// Hold accepts all that knocks at a listener and keeps it open, without reading, until the test ends. A connection that
// nothing refers to would be closed by the garbage collector.
func Hold(t *testing.T, listener net.Listener) {
	t.Helper()
	var held sync.WaitGroup
	var connections []net.Conn
	held.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections = append(connections, connection)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		held.Wait()
		for _, connection := range connections {
			_ = connection.Close()
		}
	})
}

// Serve accepts all that knocks at a listener and runs handle for each connection, which is closed when handle returns.
// The end of the test closes the listener and all connections, and waits for handle.
func Serve(t *testing.T, listener net.Listener, handle func(net.Conn)) {
	t.Helper()
	var running sync.WaitGroup
	var mutex sync.Mutex
	open := map[net.Conn]struct{}{}
	ended := false
	enter := func(connection net.Conn) bool {
		mutex.Lock()
		defer mutex.Unlock()
		if !ended {
			open[connection] = struct{}{}
		}
		return !ended
	}
	leave := func(connection net.Conn) {
		mutex.Lock()
		defer mutex.Unlock()
		delete(open, connection)
	}
	running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = connection.Close() }()
				if !enter(connection) {
					return
				}
				defer leave(connection)
				handle(connection)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mutex.Lock()
		ended = true
		for connection := range open {
			_ = connection.Close()
		}
		mutex.Unlock()
		running.Wait()
	})
}

// Follow closes each connection after the client did; until then it reads and drops what comes.
func Follow(t *testing.T, listener net.Listener) {
	t.Helper()
	Serve(t, listener, func(connection net.Conn) {
		buffer := make([]byte, 1<<16)
		for {
			if _, err := connection.Read(buffer); err != nil {
				return
			}
		}
	})
}
