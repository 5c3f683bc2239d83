package nstest

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Direction is one way over a link, or both.
type Direction uint8

// The ways over a link.
const (
	ToServer Direction = 1 << iota
	ToClient
	BothWays = ToServer | ToClient
)

func (d Direction) opposite() Direction { return BothWays ^ d }

// index makes a single direction the index of a [2]array.
func (d Direction) index() int { return int(d >> 1) }

// TCPFlags are the flags of a TCP header (RFC 9293 section 3.1).
type TCPFlags uint8

// The flags of a TCP header.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Packet is what a link reads in a packet that it carries.
type Packet struct {
	Direction Direction
	// Source and Destination have port 0 where the packet is neither TCP nor UDP.
	Source, Destination netip.AddrPort
	// Protocol is a number of IANA's registry of protocol numbers: 6 is TCP, 17 is UDP.
	Protocol uint8
	// Flags, Sequence and Acknowledgment are those of the TCP header, 0 for other protocols.
	Flags                    TCPFlags
	Sequence, Acknowledgment uint32
	// PayloadBytes is what TCP or UDP carries; headers do not count.
	PayloadBytes int
	// Data is the whole packet from the IP header on. It must not be changed, nor kept.
	Data []byte
}

// IsTCP tells TCP from everything else.
func (p Packet) IsTCP() bool { return p.Protocol == unix.IPPROTO_TCP }

// Has tells whether all of these flags are set.
func (p Packet) Has(flags TCPFlags) bool { return p.Flags&flags == flags }

// client and server are the two ends of the packet's connection, whichever way it goes.
func (p Packet) client() netip.AddrPort {
	if p.Direction == ToServer {
		return p.Source
	}
	return p.Destination
}

func (p Packet) server() netip.AddrPort {
	if p.Direction == ToServer {
		return p.Destination
	}
	return p.Source
}

// following is the sequence number after the packet: SYN and FIN take one each (RFC 9293 section 3.4).
func (p Packet) following() uint32 {
	next := p.Sequence + uint32(p.PayloadBytes) //nolint:gosec // at most 65,535
	if p.Has(SYN) {
		next++
	}
	if p.Has(FIN) {
		next++
	}
	return next
}

// Lengths of headers without options (RFC 791, 8200, 9293, 768).
const (
	ipv4HeaderBytes = 20
	ipv6HeaderBytes = 40
	tcpHeaderBytes  = 20
	udpHeaderBytes  = 8
)

// parse reads a unicast packet. It is false for all else: the kernel's own multicast (router solicitations, listener
// reports) comes at times of its own, and a link that carried it would be less predictable.
func parse(direction Direction, data []byte) (Packet, bool) {
	p := Packet{Direction: direction, Data: data}
	var source, destination netip.Addr
	var transport []byte
	switch {
	case len(data) >= ipv4HeaderBytes && data[0]>>4 == 4:
		source, destination = netip.AddrFrom4([4]byte(data[12:16])), netip.AddrFrom4([4]byte(data[16:20]))
		header, total := int(data[0]&0x0f)*4, int(binary.BigEndian.Uint16(data[2:4]))
		if header < ipv4HeaderBytes || total < header || total > len(data) {
			return Packet{}, false
		}
		p.Protocol, transport = data[9], data[header:total]
		if fragmentOffset := binary.BigEndian.Uint16(data[6:8]) & 0x1fff; fragmentOffset != 0 {
			transport = nil
		}
	case len(data) >= ipv6HeaderBytes && data[0]>>4 == 6:
		source, destination = netip.AddrFrom16([16]byte(data[8:24])), netip.AddrFrom16([16]byte(data[24:40]))
		total := ipv6HeaderBytes + int(binary.BigEndian.Uint16(data[4:6]))
		if total > len(data) {
			return Packet{}, false
		}
		p.Protocol, transport = data[6], data[ipv6HeaderBytes:total]
	default:
		return Packet{}, false
	}
	if destination.IsMulticast() {
		return Packet{}, false
	}
	sourcePort, destinationPort := p.parseTransport(transport)
	p.Source, p.Destination = netip.AddrPortFrom(source, sourcePort), netip.AddrPortFrom(destination, destinationPort)
	return p, true
}

func (p *Packet) parseTransport(transport []byte) (sourcePort, destinationPort uint16) {
	switch {
	case p.Protocol == unix.IPPROTO_TCP && len(transport) >= tcpHeaderBytes:
		p.Sequence = binary.BigEndian.Uint32(transport[4:8])
		p.Acknowledgment = binary.BigEndian.Uint32(transport[8:12])
		p.Flags = TCPFlags(transport[13])
		p.PayloadBytes = max(0, len(transport)-int(transport[12]>>4)*4)
	case p.Protocol == unix.IPPROTO_UDP && len(transport) >= udpHeaderBytes:
		p.PayloadBytes = len(transport) - udpHeaderBytes
	default:
		return 0, 0
	}
	return binary.BigEndian.Uint16(transport[0:2]), binary.BigEndian.Uint16(transport[2:4])
}
