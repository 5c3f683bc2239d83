package main

import "net/netip"

// All addresses lie in 198.18.0.0/15, the range that RFC 2544 sets aside for benchmarks, so that nothing of the lab
// can be mistaken for a machine on a real network.
const (
	nodesCIDR    = "198.18.0.0/24"
	podsCIDR     = "198.18.16.0/20"
	servicesCIDR = "198.19.0.0/16"

	controlAddress = "198.18.0.1" // of the control plane on the nodes' network; CoreDNS listens here too

	// The link between the machine and the control plane is the only one that leaves the lab's namespaces.
	hostLinkPrefixBits    = 30
	hostAddress           = "198.18.255.1"
	controlOutsideAddress = "198.18.255.2"

	apiServerPort           = "6443"
	apiServerServiceAddress = "198.19.0.1" // the first of the Service range: the API server takes it for itself
	dnsServiceAddress       = "198.19.0.10"
	dnsReadyPort            = "8181"

	clusterDomain = "cluster.local"
)

// node is one machine of the cluster, which in the lab is a network namespace and a mount namespace.
type node struct {
	name     string
	address  string // on the nodes' network
	podsCIDR string // the addresses of its pods
}

func nodes() []node {
	return []node{
		{name: "node-1", address: "198.18.0.11", podsCIDR: "198.18.17.0/24"},
		{name: "node-2", address: "198.18.0.12", podsCIDR: "198.18.18.0/24"},
	}
}

// onPrefix returns the address with the prefix length of the network, as in 198.18.0.11/24.
func onPrefix(address, cidr string) string {
	return netip.PrefixFrom(netip.MustParseAddr(address), netip.MustParsePrefix(cidr).Bits()).String()
}
