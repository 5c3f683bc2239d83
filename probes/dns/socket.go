package dns

import (
	"context"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// socket speaks to one server over UDP, by non-blocking system calls on the caller's own thread as tcpconn does. It is
// connected as that of the C library, so that the kernel passes on what comes from the server's address alone, and says
// if nothing listens there.
type socket struct{ fd int }

func openSocket(server netip.AddrPort) (*socket, error) {
	address, family, err := tcpconn.SocketAddress(server)
	if err != nil {
		return nil, &tcpconn.Error{Op: "socket", Err: err}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return nil, &tcpconn.Error{Op: "socket", Err: err}
	}
	s := &socket{fd: fd}
	if err := unix.Connect(fd, address); err != nil {
		s.close()
		return nil, &tcpconn.Error{Op: "connect", Err: err}
	}
	return s, nil
}

func (s *socket) send(packet []byte) error {
	for {
		err := unix.Send(s.fd, packet, unix.MSG_NOSIGNAL)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &tcpconn.Error{Op: "write", Err: err}
		}
	}
}

// receive waits for a datagram until the context's deadline. What does not fit the buffer is cut off.
func (s *socket) receive(ctx context.Context, buffer []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, buffer)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if err := tcpconn.Await(ctx, s.fd, unix.POLLIN); err != nil {
				return 0, &tcpconn.Error{Op: "read", Err: err}
			}
		default:
			return 0, &tcpconn.Error{Op: "read", Err: err}
		}
	}
}

func (s *socket) close() {
	// The error of close() on a socket says nothing that a caller could act on.
	_ = unix.Close(s.fd)
}
