package tcpconn

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls that open and close a connection never wait, since its socket is non-blocking. So the runtime need not
// be told of each, as package unix does, which would cost a twelfth of the connections that a thread can open (make bench).

// endpoint is an address as connect() takes it.
type endpoint struct {
	inet4 unix.RawSockaddrInet4
	inet6 unix.RawSockaddrInet6
	is6   bool
}

func newEndpoint(address unix.Sockaddr) endpoint {
	var e endpoint
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		e.inet4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(a.Port), Addr: a.Addr}
	case *unix.SockaddrInet6:
		e.is6 = true
		e.inet6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(a.Port), Addr: a.Addr, Scope_id: a.ZoneId}
	}
	return e
}

func networkOrder(port int) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, uint16(port))) //nolint:gosec // from a netip.AddrPort
}

// connect is connect(2).
func (e *endpoint) connect(fd int) error {
	address, length := unsafe.Pointer(&e.inet4), unix.SizeofSockaddrInet4 //nolint:gosec // what the system call takes
	if e.is6 {
		address, length = unsafe.Pointer(&e.inet6), unix.SizeofSockaddrInet6 //nolint:gosec // what the system call takes
	}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(address), uintptr(length))
	return failure(errno)
}

// openSocket is socket(2) for TCP.
func openSocket(family int) (int, error) {
	const kind = unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), kind, unix.IPPROTO_TCP)
	return int(fd), failure(errno)
}

// closeSocket is close(2). Its error says nothing of a socket that a caller could act on.
func closeSocket(fd int) {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

func failure(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
