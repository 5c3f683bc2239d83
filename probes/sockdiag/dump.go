package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// errInterrupted says that by the kernel's word a dump is inconsistent (NLM_F_DUMP_INTR).
var errInterrupted = errors.New("the sockets changed while the kernel listed them")

const (
	// receiveBytes holds the largest datagram of a dump: the kernel fills at most 32 KiB (net/netlink/af_netlink.c,
	// netlink_recvmsg).
	receiveBytes = 64 << 10
	// receiveSeconds bounds the wait for one datagram. The kernel answers from its own tables at once.
	receiveSeconds = 10
)

// Dump calls visit for each TCP socket, of IPv4 and of IPv6, that the query asks for. After an error, what was visited is
// incomplete and must not be used.
func Dump(query Query, visit func(Socket)) error {
	if err := dump(query, visit); err != nil {
		return fmt.Errorf("dump the TCP sockets: %w", err)
	}
	return nil
}

func dump(query Query, visit func(Socket)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return fmt.Errorf("open a NETLINK_SOCK_DIAG socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	timeout := unix.Timeval{Sec: receiveSeconds}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fmt.Errorf("set the receive timeout: %w", err)
	}
	if err := unix.Sendto(fd, request(query), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send the request: %w", err)
	}
	buffer := make([]byte, receiveBytes)
	for {
		n, flags, err := receive(fd, buffer)
		if err != nil {
			return err
		}
		if flags&unix.MSG_TRUNC != 0 {
			return errors.New("a datagram of the kernel did not fit the buffer")
		}
		done, err := parseDatagram(buffer[:n], visit)
		if done || err != nil {
			return err
		}
	}
}

func receive(fd int, buffer []byte) (n, flags int, err error) {
	for {
		n, _, flags, from, err := unix.Recvmsg(fd, buffer, nil, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			return 0, 0, fmt.Errorf("the kernel did not answer within %d seconds", receiveSeconds)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("receive: %w", err)
		}
		// Any process may send to a netlink socket; the kernel alone has port 0.
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		return n, flags, nil
	}
}

// dumpAllFamilies is TCPDIAG_GETSOCK, the first of the kernel's two kinds of dump requests. It lists IPv4 and IPv6 in one
// walk through the host's table of connections (net/ipv4/inet_diag.c, inet_diag_dump_compat). The second,
// SOCK_DIAG_BY_FAMILY, needs a walk for each, and the table may have a hundred times as many places as there are sockets.
const dumpAllFamilies = 18

// request builds a dump request: struct nlmsghdr and struct inet_diag_req with an empty socket id.
func request(query Query) []byte {
	const (
		requestBytes  = unix.SizeofNlMsghdr + 60
		inetDiagInfo  = 2 // INET_DIAG_INFO
		infoExtension = 1 << (inetDiagInfo - 1)
	)
	r := make([]byte, requestBytes)
	binary.NativeEndian.PutUint32(r[0:], requestBytes)
	binary.NativeEndian.PutUint16(r[4:], dumpAllFamilies)
	binary.NativeEndian.PutUint16(r[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := r[unix.SizeofNlMsghdr:]
	if query.WithInfo {
		body[3] = infoExtension
	}
	binary.NativeEndian.PutUint32(body[52:], uint32(query.States))
	return r
}
