package sockdiag

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Closings tells of sockets when they are gone: each with its addresses and its last tcp_info, in state Close. A socket is
// gone when the kernel frees it: when its connection ended and its process closed it, not when TIME_WAIT ends. The kernel
// tells it without privilege (net/core/sock_diag.c, sock_diag_broadcast_destroy; NL_CFG_F_NONROOT_RECV).
//
// It is for one goroutine at a time. The namespace is that of the thread that called ListenClosings.
type Closings struct {
	fd     int
	buffer []byte
}

// Multicast groups of NETLINK_SOCK_DIAG (include/uapi/linux/sock_diag.h, enum sknetlink_groups).
const (
	groupTCPDestroy  = 1
	groupTCP6Destroy = 3
)

// closingsBufferBytes is asked for; the kernel grants what net.core.rmem_max allows, and counts it twice.
const closingsBufferBytes = 1 << 20

// ListenClosings begins to listen. The caller closes what it returns. The error wraps unix.EPERM on kernels that tell only
// root.
func ListenClosings() (*Closings, error) {
	flags := unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, flags, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open a NETLINK_SOCK_DIAG socket: %w", err)
	}
	if err := joinDestroy(fd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen to the ends of sockets: %w", err)
	}
	return &Closings{fd: fd, buffer: make([]byte, receiveBytes)}, nil
}

func joinDestroy(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, closingsBufferBytes); err != nil {
		return fmt.Errorf("set the receive buffer: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	for _, group := range []int{groupTCPDestroy, groupTCP6Destroy} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			return fmt.Errorf("join the multicast group %d: %w", group, err)
		}
	}
	return nil
}

// Read visits what the kernel has told since the last call, without waiting. lost is true if some of it was dropped because
// it was not read in time.
func (c *Closings) Read(visit func(Socket)) (lost bool, err error) {
	for {
		n, _, flags, from, err := unix.Recvmsg(c.fd, c.buffer, nil, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return lost, nil
		case errors.Is(err, unix.ENOBUFS):
			lost = true
			continue
		case err != nil:
			return lost, fmt.Errorf("receive the ends of sockets: %w", err)
		case flags&unix.MSG_TRUNC != 0:
			return lost, errors.New("a datagram of the kernel did not fit the buffer")
		}
		// Any process may send to a netlink socket; the kernel alone has port 0.
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		if _, err := parseDatagram(c.buffer[:n], visit); err != nil {
			return lost, fmt.Errorf("receive the ends of sockets: %w", err)
		}
	}
}

// Close stops listening.
func (c *Closings) Close() error {
	if err := unix.Close(c.fd); err != nil {
		return fmt.Errorf("stop listening to the ends of sockets: %w", err)
	}
	return nil
}
