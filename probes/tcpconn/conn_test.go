package tcpconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// listen serves one connection at a time on loopback.
func listen(t *testing.T, address string, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if tcp, ok := connection.(*net.TCPConn); ok {
				serve(tcp)
			}
			connection.Close()
		}
	}()
	return nstest.AddressOf(t, listener)
}

func connect(t *testing.T, remote netip.AddrPort) *tcpconn.Conn {
	t.Helper()
	c, took, err := tcpconn.Dialer{}.Connect(t.Context(), remote)
	if err != nil {
		t.Fatal(err)
	}
	if took <= 0 || took > 5*time.Second {
		t.Errorf("connect took %v", took)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEcho(t *testing.T) {
	for name, address := range map[string]string{"IPv4": "127.0.0.1:0", "IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			// More than the buffers of both sockets hold, so that both ends must wait.
			sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
			remote := listen(t, address, func(c *net.TCPConn) { _, _ = io.Copy(c, io.LimitReader(c, int64(len(sent)))) })
			c := connect(t, remote)
			written := make(chan error, 1)
			go func() { written <- c.Write(t.Context(), sent) }()
			var got bytes.Buffer
			buffer := make([]byte, 100_000)
			for {
				n, err := c.Read(t.Context(), buffer)
				got.Write(buffer[:n])
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), sent) {
				t.Errorf("%d of %d bytes came back, or others", got.Len(), len(sent))
			}
		})
	}
}

func TestRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	remote := nstest.AddressOf(t, listener)
	listener.Close()
	_, _, err = tcpconn.Dialer{}.Connect(t.Context(), remote)
	var operation *tcpconn.Error
	if !errors.Is(err, unix.ECONNREFUSED) || !errors.As(err, &operation) || operation.Op != "connect" {
		t.Errorf("connect to a closed port: %v", err)
	}
}

func TestInvalidAddresses(t *testing.T) {
	for _, remote := range []netip.AddrPort{{}, netip.MustParseAddrPort("[fe80::1%no-such-device]:80")} {
		if c, _, err := (tcpconn.Dialer{}).Connect(t.Context(), remote); err == nil {
			c.Close()
			t.Errorf("connected to %v", remote)
		}
	}
}

// The other end neither reads, nor writes, nor closes.
func TestWaitsEnd(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	remote := listen(t, "127.0.0.1:0", func(*net.TCPConn) { <-hold })
	c := connect(t, remote)
	for name, operation := range map[string]func(context.Context) error{
		"read": func(ctx context.Context) error {
			_, err := c.Read(ctx, make([]byte, 1))
			return err
		},
		"write": func(ctx context.Context) error { return c.Write(ctx, make([]byte, 64<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := operation(ctx); !errors.Is(err, tcpconn.ErrTimeout) {
				t.Errorf("after the deadline: %v", err)
			}
			if took := time.Since(begin); took < 100*time.Millisecond || took > 5*time.Second {
				t.Errorf("the deadline was 150 ms, it took %v", took)
			}

			cause := errors.New("stopped by SIGTERM")
			stopped, stop := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { stop(cause) })
			begin = time.Now()
			if err := operation(stopped); !errors.Is(err, cause) {
				t.Errorf("after a stop: %v", err)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("a stop took %v", took)
			}
		})
	}
}

func TestEnded(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(*net.TCPConn)
		want  error
	}{
		"closed": {func(c *net.TCPConn) { c.Close() }, io.EOF},
		"reset":  {func(c *net.TCPConn) { _ = c.SetLinger(0) }, unix.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			connection := connect(t, listen(t, "127.0.0.1:0", func(tcp *net.TCPConn) {
				<-release
				c.serve(tcp)
			}))
			if err := connection.Ended(); err != nil {
				t.Errorf("an open connection has ended: %v", err)
			}
			close(release)
			var err error
			for deadline := time.Now().Add(2 * time.Second); err == nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				err = connection.Ended()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("ended with %v, want %v", err, c.want)
			}
		})
	}
}

func TestDataIsNotTheEnd(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	connection := connect(t, listen(t, "127.0.0.1:0", func(tcp *net.TCPConn) {
		_, _ = tcp.Write([]byte("x"))
		<-hold
	}))
	time.Sleep(20 * time.Millisecond)
	if err := connection.Ended(); err != nil {
		t.Errorf("ended: %v", err)
	}
	buffer := make([]byte, 2)
	if n, err := connection.Read(t.Context(), buffer); n != 1 || err != nil || buffer[0] != 'x' {
		t.Errorf("the byte that Ended saw was read as %q, %v", buffer[:n], err)
	}
}

func TestInfoAndLocalAddress(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	connection := connect(t, listen(t, "127.0.0.1:0", func(*net.TCPConn) { <-hold }))
	info, err := connection.Info()
	if err != nil || info.RTTMicroseconds == nil || *info.RTTMicroseconds == 0 {
		t.Errorf("info %+v, %v", info, err)
	}
	local, err := connection.LocalAddress()
	if err != nil || local.Addr() != netip.MustParseAddr("127.0.0.1") || local.Port() == 0 {
		t.Errorf("local address %v, %v", local, err)
	}
}

// Without the option the first half of the ports is of one parity; with it they come one after the other. Either way all
// of them are used, and then none is free.
func TestPortsRunOut(t *testing.T) {
	const ports = 40
	for name, all := range map[string]bool{"one parity first": false, "all ports": true} {
		t.Run(name, func(t *testing.T) {
			pair := nstest.New(t)
			pair.Sysctl(t, "net.ipv4.ip_local_port_range", "40000 40039")
			listener := pair.Listen(t)
			nstest.Hold(t, listener)
			pair.InClient(t, func() {
				even := 0
				for i := range ports {
					c, _, err := tcpconn.Dialer{SearchAllPorts: all}.Connect(t.Context(), nstest.AddressOf(t, listener))
					if err != nil {
						t.Errorf("connection %d of %d: %v", i+1, ports, err)
						return
					}
					defer c.Close()
					local, err := c.LocalAddress()
					if err != nil {
						t.Error(err)
						return
					}
					if i < ports/2 && local.Port()%2 == 0 {
						even++
					}
				}
				if _, _, err := (tcpconn.Dialer{SearchAllPorts: all}).Connect(t.Context(), nstest.AddressOf(t, listener)); !errors.Is(err, unix.EADDRNOTAVAIL) {
					t.Errorf("with all ports taken: %v", err)
				}
				if !all && even != ports/2 {
					t.Errorf("%d of the first %d ports are even, want all", even, ports/2)
				}
			})
		})
	}
}

// What this end asks for is what the other end keeps to, and far less than what loopback allows.
func TestMaximumSegmentBytes(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	remote := listen(t, "127.0.0.1:0", func(c *net.TCPConn) { _, _ = c.Write(sent) })
	const timestamps = 12
	for _, maximum := range []int{88, 536, 1460} {
		connection, _, err := tcpconn.Dialer{MaximumSegmentBytes: maximum}.Connect(t.Context(), remote)
		if err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, len(sent))
		for received := 0; received < len(sent); {
			n, err := connection.Read(t.Context(), buffer)
			if err != nil {
				t.Fatal(err)
			}
			received += n
		}
		info, err := connection.Info()
		connection.Close()
		if err != nil || info.DataSegmentsIn == nil || info.AdvertisedMSS == nil {
			t.Fatalf("%+v, %v", info, err)
		}
		least := uint32((len(sent) + maximum - 1) / maximum)
		if *info.DataSegmentsIn < least || *info.AdvertisedMSS != uint32(maximum-timestamps) {
			t.Errorf("%d bytes came in %d segments of at most %d, want at least %d of %d", len(sent), *info.DataSegmentsIn, *info.AdvertisedMSS, least, maximum-timestamps)
		}
	}
	if c, _, err := (tcpconn.Dialer{MaximumSegmentBytes: 87}).Connect(t.Context(), remote); !errors.Is(err, unix.EINVAL) {
		if err == nil {
			c.Close()
		}
		t.Errorf("a segment that is too short: %v", err)
	}
}
