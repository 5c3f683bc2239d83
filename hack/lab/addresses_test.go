package main

import (
	"net/netip"
	"testing"
)

func TestAddressesLieInTheBenchmarkRange(t *testing.T) {
	benchmark := netip.MustParsePrefix("198.18.0.0/15")
	for _, address := range []string{
		controlAddress, hostAddress, controlOutsideAddress, apiServerServiceAddress, dnsServiceAddress,
	} {
		if !benchmark.Contains(netip.MustParseAddr(address)) {
			t.Errorf("%s is outside of %s", address, benchmark)
		}
	}
}

func TestNetworksDoNotOverlap(t *testing.T) {
	networks := []netip.Prefix{
		netip.MustParsePrefix(nodesCIDR),
		netip.MustParsePrefix(servicesCIDR),
		netip.PrefixFrom(netip.MustParseAddr(hostAddress), hostLinkPrefixBits).Masked(),
	}
	for _, n := range nodes() {
		networks = append(networks, netip.MustParsePrefix(n.podsCIDR))
	}
	for i, a := range networks {
		for _, b := range networks[:i] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps %s", a, b)
			}
		}
	}
}

func TestEveryNodeFitsItsNetworks(t *testing.T) {
	pods := netip.MustParsePrefix(podsCIDR)
	names := map[string]bool{}
	for _, n := range nodes() {
		if !netip.MustParsePrefix(nodesCIDR).Contains(netip.MustParseAddr(n.address)) {
			t.Errorf("%s: %s is not on the nodes' network", n.name, n.address)
		}
		if own := netip.MustParsePrefix(n.podsCIDR); !pods.Overlaps(own) || own.Bits() < pods.Bits() {
			t.Errorf("%s: %s is not within %s", n.name, own, pods)
		}
		names[n.name] = true
	}
	if len(names) != 2 {
		t.Errorf("the nodes' names are %v, want two", names)
	}
}

func TestServiceAddressesAreServices(t *testing.T) {
	services := netip.MustParsePrefix(servicesCIDR)
	if first := services.Addr().Next().String(); first != apiServerServiceAddress {
		t.Errorf("the API server takes %s for itself, but the plan says %s", first, apiServerServiceAddress)
	}
	if !services.Contains(netip.MustParseAddr(dnsServiceAddress)) {
		t.Errorf("%s is not in %s", dnsServiceAddress, services)
	}
}

func TestOnPrefix(t *testing.T) {
	if got, want := onPrefix("198.18.0.11", "198.18.0.0/24"), "198.18.0.11/24"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// IFNAMSIZ (linux/if.h) is 16 with the zero at the end.
func TestLinkNamesFit(t *testing.T) {
	names := []string{hostLinkName, controlLinkName, bridgeName, nodeLinkName}
	names = append(names, nodes()[0].name, nodes()[1].name)
	for _, name := range names {
		if len(name) > 15 {
			t.Errorf("the link name %s has %d characters", name, len(name))
		}
	}
}
