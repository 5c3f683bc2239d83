package target

import (
	"fmt"
	"net/netip"
	"strings"
)

// Guard refuses addresses that a probe in a cluster must not reach: what only the node or the pod itself could reach, and
// those that the administrator names. The zero Guard refuses nothing, for the tool run by hand.
type Guard struct {
	refuseLocal bool
	refused     []netip.Addr
}

// NewGuard returns a guard that refuses loopback, link-local, unspecified and multicast addresses, and those listed in
// addresses, separated by commas.
func NewGuard(addresses string) (Guard, error) {
	g := Guard{refuseLocal: true}
	for text := range strings.SplitSeq(addresses, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		address, err := netip.ParseAddr(text)
		if err != nil {
			return Guard{}, fmt.Errorf("the list of refused addresses: %w", err)
		}
		g.refused = append(g.refused, address.Unmap().WithZone(""))
	}
	return g, nil
}

// Check returns an error that says why the address is refused, or nil.
func (g Guard) Check(address netip.Addr) error {
	if !g.refuseLocal {
		return nil
	}
	address = address.Unmap().WithZone("")
	switch {
	case address.IsLoopback():
		return fmt.Errorf("%s is a loopback address, which is not probed", address)
	case address.IsLinkLocalUnicast():
		return fmt.Errorf("%s is a link-local address, which is not probed", address)
	case address.IsUnspecified():
		return fmt.Errorf("%s is the unspecified address, which is not probed", address)
	case address.IsMulticast(), address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is a multicast or broadcast address, which is not probed", address)
	case address.Is4() && address.As4()[0] == 0:
		// Linux takes all of 0.0.0.0/8 but 0.0.0.0 for addresses of this network (RFC 1122 section 3.2.1.3).
		return fmt.Errorf("%s is an address of this network alone, which is not probed", address)
	}
	for _, refused := range g.refused {
		if address == refused {
			return fmt.Errorf("%s is refused by the cluster's administrator (a node's address)", address)
		}
	}
	return nil
}
