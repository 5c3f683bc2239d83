package nstest

import (
	"bytes"
	"net/netip"
	"testing"
)

var ends = map[string][2]netip.AddrPort{
	"IPv4": {netip.MustParseAddrPort(ClientAddress + ":40000"), netip.MustParseAddrPort(ServerAddress + ":80")},
	"IPv6": {netip.MustParseAddrPort("[" + ClientAddressIPv6 + "]:40000"), netip.MustParseAddrPort("[" + ServerAddressIPv6 + "]:80")},
}

func TestASegmentIsReadAsItWasMade(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			data := segment(end[0], end[1], FIN|ACK, 1<<31+5, 7)
			p, ok := parse(ToServer, data)
			if !ok {
				t.Fatal("not understood")
			}
			if !p.IsTCP() || p.Source != end[0] || p.Destination != end[1] || p.Flags != FIN|ACK ||
				p.Sequence != 1<<31+5 || p.Acknowledgment != 7 || p.PayloadBytes != 0 || p.following() != 1<<31+6 {
				t.Errorf("read as %+v", p)
			}
			if !hasRightChecksum(p) {
				t.Error("the checksum is wrong")
			}
			data[len(data)-1] ^= 1
			if hasRightChecksum(p) {
				t.Error("a changed segment has a right checksum")
			}
		})
	}
}

func hasRightChecksum(p Packet) bool {
	header := ipv6HeaderBytes
	if p.Source.Addr().Is4() {
		header = int(p.Data[0]&0x0f) * 4
	}
	return transportChecksum(p.Source.Addr(), p.Destination.Addr(), p.Protocol, p.Data[header:]) == 0
}

func FuzzParse(f *testing.F) {
	for _, end := range ends {
		f.Add(segment(end[0], end[1], SYN, 1, 0))
		f.Add(append(ipHeader(end[0].Addr(), end[1].Addr(), 17, 9), 1, 2, 3, 4, 0, 9, 0, 0, 'x'))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		p, ok := parse(ToClient, data)
		if !bytes.Equal(before, data) {
			t.Error("the packet was changed")
		}
		if ok && (p.PayloadBytes < 0 || p.PayloadBytes > len(data) || p.Destination.Addr().IsMulticast()) {
			t.Errorf("%d bytes were read as %+v", len(data), p)
		}
	})
}
