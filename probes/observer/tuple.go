package observer

import (
	"net/netip"

	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

// tuple is the two ends of a connection without a pointer inside, since there are tens of thousands of them in memory.
type tuple struct {
	local, remote         [16]byte
	localPort, remotePort uint16
}

func tupleOf(s sockdiag.Socket) tuple {
	return tuple{
		local: s.Local.Addr().As16(), remote: s.Remote.Addr().As16(),
		localPort: s.Local.Port(), remotePort: s.Remote.Port(),
	}
}

func (t tuple) localAddress() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(t.local).Unmap(), t.localPort)
}

func (t tuple) remoteAddress() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(t.remote).Unmap(), t.remotePort)
}
