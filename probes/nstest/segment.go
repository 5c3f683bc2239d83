package nstest

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

const hopLimit = 64

// segment is a TCP segment without payload or options that a hop makes up itself, with its IP header (RFC 9293 section 3.1).
func segment(source, destination netip.AddrPort, flags TCPFlags, sequence, acknowledgment uint32) []byte {
	tcp := make([]byte, tcpHeaderBytes)
	binary.BigEndian.PutUint16(tcp[0:], source.Port())
	binary.BigEndian.PutUint16(tcp[2:], destination.Port())
	binary.BigEndian.PutUint32(tcp[4:], sequence)
	binary.BigEndian.PutUint32(tcp[8:], acknowledgment)
	tcp[12] = tcpHeaderBytes / 4 << 4
	tcp[13] = byte(flags)
	// A window of its own would only matter to who still sends; the other end of this segment is told to stop.
	binary.BigEndian.PutUint16(tcp[14:], 0xffff)
	binary.BigEndian.PutUint16(tcp[16:], transportChecksum(source.Addr(), destination.Addr(), unix.IPPROTO_TCP, tcp))
	return append(ipHeader(source.Addr(), destination.Addr(), unix.IPPROTO_TCP, len(tcp)), tcp...)
}

// ipHeader is the header of a packet with this much behind it (RFC 791 section 3.1, RFC 8200 section 3).
func ipHeader(source, destination netip.Addr, protocol uint8, payloadBytes int) []byte {
	if source.Is6() {
		header := make([]byte, ipv6HeaderBytes)
		header[0] = 6 << 4
		binary.BigEndian.PutUint16(header[4:], uint16(payloadBytes)) //nolint:gosec // packets of our own, all small
		header[6], header[7] = protocol, hopLimit
		copy(header[8:], source.AsSlice())
		copy(header[24:], destination.AsSlice())
		return header
	}
	header := make([]byte, ipv4HeaderBytes)
	header[0] = 4<<4 | ipv4HeaderBytes/4
	binary.BigEndian.PutUint16(header[2:], uint16(ipv4HeaderBytes+payloadBytes)) //nolint:gosec // as above
	header[8], header[9] = hopLimit, protocol
	copy(header[12:], source.AsSlice())
	copy(header[16:], destination.AsSlice())
	binary.BigEndian.PutUint16(header[10:], ^onesComplementSum(0, header))
	return header
}

// transportChecksum is the checksum over the pseudo header and the transport's own bytes, whose checksum field must be zero
// to make one; over a packet that has one it is 0 where it is right (RFC 9293 section 3.1, RFC 8200 section 8.1).
func transportChecksum(source, destination netip.Addr, protocol uint8, transport []byte) uint16 {
	sum := onesComplementSum(0, source.AsSlice())
	sum = onesComplementSum(sum, destination.AsSlice())
	sum = onesComplementSum(sum, []byte{0, protocol, byte(len(transport) >> 8), byte(len(transport))}) //nolint:gosec // the two bytes of a length
	return ^onesComplementSum(sum, transport)
}

// onesComplementSum goes on from a sum with further bytes, a last odd one padded with zero (RFC 1071).
func onesComplementSum(from uint16, data []byte) uint16 {
	sum := uint32(from)
	for ; len(data) >= 2; data = data[2:] {
		sum += uint32(binary.BigEndian.Uint16(data))
		sum = sum>>16 + sum&0xffff
	}
	if len(data) == 1 {
		sum += uint32(data[0]) << 8
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum) //nolint:gosec // folded above
}
