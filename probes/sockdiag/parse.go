package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

const (
	// messageBytes is the size of struct inet_diag_msg.
	messageBytes = 72
	// attributeInfo is INET_DIAG_INFO, the attribute that holds struct tcp_info.
	attributeInfo = 2
)

var errShort = errors.New("a message of the kernel is shorter than it says")

// parseDatagram visits the sockets of one netlink datagram and says whether it ends the dump.
func parseDatagram(data []byte, visit func(Socket)) (done bool, err error) {
	for len(data) > 0 {
		if len(data) < unix.SizeofNlMsghdr {
			return false, errShort
		}
		length := int(binary.NativeEndian.Uint32(data[0:]))
		kind := binary.NativeEndian.Uint16(data[4:])
		flags := binary.NativeEndian.Uint16(data[6:])
		if length < unix.SizeofNlMsghdr || length > len(data) {
			return false, errShort
		}
		if flags&unix.NLM_F_DUMP_INTR != 0 {
			return false, errInterrupted
		}
		body := data[unix.SizeofNlMsghdr:length]
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			return true, parseStatus(kind, body)
		// What the kernel tells of its own accord, the ends of sockets, has the second type.
		case dumpAllFamilies, unix.SOCK_DIAG_BY_FAMILY:
			socket, err := parseSocket(body)
			if err != nil {
				return false, err
			}
			visit(socket)
		default:
			return false, fmt.Errorf("the kernel sent a message of the unknown type %d", kind)
		}
		data = data[min(align(length), len(data)):]
	}
	return false, nil
}

// parseStatus reads the errno that ends a dump, negative or zero. NLMSG_DONE may come without one; NLMSG_ERROR, which ends
// a dump that failed, may not.
func parseStatus(kind uint16, body []byte) error {
	if len(body) < 4 {
		if kind == unix.NLMSG_ERROR {
			return errShort
		}
		return nil
	}
	if status := binary.NativeEndian.Uint32(body); status > math.MaxInt32 {
		return unix.Errno(-status)
	}
	return nil
}

// parseSocket reads struct inet_diag_msg and the attributes behind it.
func parseSocket(body []byte) (Socket, error) {
	if len(body) < messageBytes {
		return Socket{}, errShort
	}
	s := Socket{
		// Two 32-bit words, the low one first (net/core/sock_diag.c, sock_diag_save_cookie).
		Cookie:       uint64(binary.NativeEndian.Uint32(body[48:]))<<32 | uint64(binary.NativeEndian.Uint32(body[44:])),
		State:        State(body[1]),
		Timer:        Timer(body[2]),
		Expires:      time.Duration(binary.NativeEndian.Uint32(body[52:])) * time.Millisecond,
		ReceiveQueue: binary.NativeEndian.Uint32(body[56:]),
		SendQueue:    binary.NativeEndian.Uint32(body[60:]),
		UserID:       binary.NativeEndian.Uint32(body[64:]),
		Inode:        binary.NativeEndian.Uint32(body[68:]),
	}
	local, err := parseAddress(body[0], body[8:24])
	if err != nil {
		return Socket{}, err
	}
	remote, err := parseAddress(body[0], body[24:40])
	if err != nil {
		return Socket{}, err
	}
	s.Local = netip.AddrPortFrom(local, binary.BigEndian.Uint16(body[4:]))
	s.Remote = netip.AddrPortFrom(remote, binary.BigEndian.Uint16(body[6:]))
	s.Info, err = parseInfo(body[messageBytes:])
	return s, err
}

func parseAddress(family uint8, data []byte) (netip.Addr, error) {
	switch family {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(data)), nil
	case unix.AF_INET6:
		return netip.AddrFrom16([16]byte(data)).Unmap(), nil
	}
	return netip.Addr{}, fmt.Errorf("the kernel sent a socket of the unknown address family %d", family)
}

// parseInfo looks for tcp_info among the attributes. Its length decides which fields are known.
func parseInfo(attributes []byte) (*tcpinfo.Info, error) {
	for len(attributes) > 0 {
		if len(attributes) < unix.SizeofNlAttr {
			return nil, errShort
		}
		length := int(binary.NativeEndian.Uint16(attributes[0:]))
		kind := binary.NativeEndian.Uint16(attributes[2:])
		if length < unix.SizeofNlAttr || length > len(attributes) {
			return nil, errShort
		}
		// Remainders such as TIME_WAIT have no such attribute, or an empty one.
		if kind == attributeInfo && length > unix.SizeofNlAttr {
			return new(tcpinfo.Parse(attributes[unix.SizeofNlAttr:length])), nil
		}
		attributes = attributes[min(align(length), len(attributes)):]
	}
	return nil, nil
}

// align rounds a length up to the four bytes that netlink messages and attributes are aligned to.
func align(length int) int { return (length + 3) &^ 3 }
