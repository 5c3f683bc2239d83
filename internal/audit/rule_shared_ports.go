package audit

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/ports"
	"github.com/connpolicy/connpolicy/probes/result"
)

func virtualAddressShortage() Rule {
	return Rule{
		ID: "CP405", Title: "One virtual address makes many endpoints share one set of local ports",
		Category: CategoryPorts, Severity: Info, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, targets that are not behind a Service's virtual address or have a single endpoint, and targets on loopback.",
		Why: "A socket to a Service names its virtual address, whichever endpoint is chosen behind it. " +
			"So all endpoints together have the local ports of one destination, and more endpoints do not raise the ceiling of new connections.",
		Cures: []string{
			"Reuse connections first (CP401). Then let the client address the endpoints themselves: a headless Service (clusterIP: None) with balancing in the client (gRPC: dns:/// and round_robin; Envoy: STRICT_DNS or EDS) gives every endpoint a set of ports of its own.",
		},
		Source: "net/ipv4/inet_hashtables.c, __inet_check_established (ports are unique for each remote address and port); kubernetes.io, Virtual IPs and Service Proxies",
		judge:  judgeVirtualAddress,
	}
}

func judgeVirtualAddress(in Input) judgement {
	if j, none := notObserved(in); none {
		return j
	}
	switch {
	case !in.Virtual:
		return notApplicable("Sockets to this link do not name a Service's virtual address.")
	case in.ReadyEndpoints == nil:
		return unknown("How many endpoints stand behind the virtual address is not known.")
	case *in.ReadyEndpoints < 2:
		return notApplicable("Behind the virtual address stands one endpoint, so nothing is shared.")
	case !slices.ContainsFunc(in.Addresses, func(a string) bool { return !onLoopback(a) }):
		return notApplicable("On loopback the kernel takes ports back from TIME_WAIT after a second or two.")
	}
	return perPod(in, func(o PodObservation) judgement {
		if o.Observation.PortsAvailable == nil || *o.Observation.PortsAvailable <= 0 {
			return unknown(fmt.Sprintf("How many local ports pod %s may use could not be read.", o.Pod))
		}
		use, endpoints := portUse(o, in.Addresses), *in.ReadyEndpoints
		evidence := map[string]string{"pod": o.Pod, "address": use.Address, "readyEndpoints": strconv.Itoa(endpoints),
			"percent": strconv.Itoa(int(use.percent()))}
		seen := fmt.Sprintf("Pod %s held %s of %s local ports (%s) towards the one virtual address %s of %d endpoints", o.Pod,
			figure.Count(use.InUsePeak), figure.Count(use.Available), figure.PercentDown(use.InUsePeak, use.Available), use.Address, endpoints)
		if use.percent() < portWarningPercent {
			return pass(seen+".", evidence)
		}
		return fail(Info, fmt.Sprintf("%s. Addressed each by its own address, they would take %s of the ports of each.",
			seen, figure.Percent(use.percent()/float64(endpoints))), evidence, 0)
	})
}

// translatedPorts is how many source ports Linux chooses from for a port of 1024 and above that is taken
// (net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple). Gateways of clouds have fewer: 55,000 (AWS), 1,024 an
// instance by default (Azure).
const translatedPorts = 65535 - 1024 + 1

func sourceTranslation() Rule {
	return Rule{
		ID: "CP406", Title: "Address translation makes many pods share one set of ports",
		Category: CategoryPorts, Severity: Warning, Needs: []string{needIdentity, needObserver},
		AppliesNot: "Policies without `from`, or that do not ask for the measurement identity, and targets that do not tell which address they see (`probe serve` does).",
		Why: "Where the source address is translated, all pods behind the translator appear as one source, and the target's tuple has room for 64,512 connections of all of them together. " +
			"When ports run out there, SYNs disappear or hit the server's TIME_WAIT, and no pod sees a shortage of its own.",
		Cures: []string{
			"Reuse connections first. Then avoid the translation: leave the target's addresses out of masquerading (ip-masq-agent: nonMasqueradeCIDRs; Cilium: ipv4-native-routing-cidr; AWS VPC CNI: AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS). Else give the translator more addresses, or spread the pods over more nodes.",
		},
		Source: "net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple; RFC 6056 (choice of ports)",
		judge:  judgeSourceTranslation,
	}
}

func judgeSourceTranslation(in Input) judgement {
	if j, none := notObserved(in); none && j.result == NotApplicable {
		return j
	}
	return perFigures(in, identitySource(), func(_ ProbeResult, i *result.Identity) judgement {
		switch {
		case i.SourceTranslated == nil:
			return notApplicable("The target does not tell which source address it sees, so a translation does not show.")
		case !*i.SourceTranslated:
			return pass("The target sees each pod's own address, so each has ports of its own.", map[string]string{"serverSees": i.ServerRemote})
		}
		evidence := map[string]string{"clientLocal": i.ClientLocal, "serverSees": i.ServerRemote}
		seen := fmt.Sprintf("The target sees %s instead of the pod's address", i.ServerRemote)
		uses := PortUses(in)
		if in.PodsPerNode == nil || len(uses) == 0 {
			return unknown(seen + "; how many ports the pods hold together is not known.")
		}
		held := 0
		for _, use := range uses {
			held = max(held, use.InUsePeak)
		}
		together := held * *in.PodsPerNode
		evidence["portsHeldTogether"], evidence["podsPerNode"] = strconv.Itoa(together), strconv.Itoa(*in.PodsPerNode)
		seen = fmt.Sprintf("%s. The fullest pod held %s ports, and %d pods share a node: up to %s of at most %s (%s)", seen,
			figure.Count(held), *in.PodsPerNode, figure.Count(together), figure.Count(translatedPorts), figure.PercentDown(together, translatedPorts))
		// This workload is not alone behind the translator: from half on, one more like it takes all.
		if 100*float64(together)/translatedPorts < portWarningPercent {
			return pass(seen+".", evidence)
		}
		return fail(Warning, seen+".", evidence, 0)
	})
}

const (
	sysctlConntrackMax = "net.netfilter.nf_conntrack_max"
	// conntrackSeconds is how long the node's table keeps a closed connection (nf_conntrack_tcp_timeout_time_wait).
	conntrackSeconds = 120
	// conntrackPercent is the share of the node's table from which on one workload is a risk to all others of the node: a
	// quarter, so that what is seen may double for a moment, and another like it stand beside it, before the table is full.
	conntrackPercent = 25
)

func conntrackShare() Rule {
	return Rule{
		ID: "CP407", Title: "The link takes a large share of the node's connection table",
		Category: CategoryPorts, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and nodes whose kernel tracks no connections.",
		Why: "Where kube-proxy, masquerading or a stateful filter tracks connections, each takes an entry of one table of the node for as long as it lives and for two minutes after. " +
			"When the table is full the node drops new connections of everybody (nf_conntrack: table full, dropping packet).",
		Cures: []string{
			"Reuse connections: each that is not opened saves an entry for two minutes. Spread the pods over more nodes (topologySpreadConstraints). Last, let the administrator raise nf_conntrack_max (kube-proxy: conntrack.maxPerCore), which costs about 300 bytes of memory an entry.",
		},
		Source: "Documentation/networking/nf_conntrack-sysctl.rst, nf_conntrack_max and nf_conntrack_tcp_timeout_time_wait; net/netfilter/nf_conntrack_core.c, __nf_conntrack_alloc",
		judge:  judgeConntrackShare,
	}
}

func judgeConntrackShare(in Input) judgement {
	return perPod(in, func(o PodObservation) judgement {
		most, known := setting(o, sysctlConntrackMax)
		opens := opensTo(o, in.Addresses)
		available := o.Observation.PortsAvailable
		switch {
		case !known && readsWorkload(o):
			return notApplicable("The kernel of the pod's node does not track connections.")
		case !known || most <= 0:
			return notRead(o, sysctlConntrackMax)
		case opens == nil || available == nil || in.PodsPerNode == nil:
			return unknown(fmt.Sprintf("How many connections pod %s and its neighbours open is not known.", o.Pod))
		}
		// A tuple that is used again takes no second entry, so the ports bound what is left behind.
		each := int(min(opens.atMost*conntrackSeconds, float64(*available))) + linkSockets(o, in.Addresses).open()
		together := each * *in.PodsPerNode
		percent := 100 * float64(together) / float64(most)
		evidence := map[string]string{"pod": o.Pod, "entriesAtMost": strconv.Itoa(together), "entriesAllowed": strconv.Itoa(most),
			"podsPerNode": strconv.Itoa(*in.PodsPerNode), "connectionsPerSecondAtMost": figure.Rate(opens.atMost)}
		seen := fmt.Sprintf("Pod %s opens at most %s connections a second to the link; with %s on a node that is up to %s of the %s entries of its table (%s)",
			o.Pod, figure.Rate(opens.atMost), plural(int64(*in.PodsPerNode), "such pod"), figure.Count(together), figure.Count(most), figure.Percent(percent))
		if percent <= conntrackPercent {
			return pass(seen+".", evidence)
		}
		return fail(Warning, seen+", if its connections are tracked. That is a risk to every pod of the node.", evidence, 0)
	})
}

// readsWorkload says whether the observer is of a version that reads what the kernel has of conntrack: it reads timestamps,
// which every kernel has, since the same version.
func readsWorkload(o PodObservation) bool {
	_, read := o.Observation.Sysctls[sysctlTimestamps]
	return read
}

func nodePortsInRange() Rule {
	return Rule{
		ID: "CP408", Title: "Outgoing connections may take NodePorts",
		Category: CategoryPorts, Severity: Info, Needs: []string{needObserver}, Helps: []string{needIdentity},
		AppliesNot: "Policies without `from`.",
		Why: "Masquerading keeps a connection's source port where it can, so a pod's port in the range of NodePorts becomes one of the node's address. " +
			"What serves NodePorts on the node may then take the answers for its own, or refuse the port.",
		Cures: []string{
			"Name the NodePorts in net.ipv4.ip_local_reserved_ports of the pods, beside the listeners (the knob ephemeralPorts does that with every range that it sets), or end the range below them.",
		},
		Source: "Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports; docs.cilium.io, Kubernetes Without kube-proxy (NodePort range and ephemeral ports); net/netfilter/nf_nat_core.c, get_unique_tuple",
		judge:  judgeNodePorts,
	}
}

func judgeNodePorts(in Input) judgement {
	return perPod(in, func(o PodObservation) judgement {
		if in.NodePorts == nil {
			return unknown("The cluster's range of NodePorts is not known.")
		}
		chosenFrom, err := ports.ParseRange(o.Observation.Sysctls[sysctlPortRange])
		if err != nil {
			return notRead(o, sysctlPortRange)
		}
		text, read := o.Observation.Sysctls[sysctlReservedPorts]
		reserved, err := ports.ParseSet(text)
		if err != nil || !read {
			return notRead(o, sysctlReservedPorts)
		}
		overlap := in.NodePorts.Intersect(chosenFrom)
		taken := ports.Available(overlap, reserved)
		evidence := map[string]string{"pod": o.Pod, "range": chosenFrom.String(), "reserved": reserved.String(), "nodePorts": in.NodePorts.String()}
		if overlap.Count() == 0 || taken == 0 {
			return pass(fmt.Sprintf("connect() in pod %s chooses none of the NodePorts %s.", o.Pod, in.NodePorts), evidence)
		}
		seen := fmt.Sprintf("connect() in pod %s may choose %s of the NodePorts %s", o.Pod, figure.Count(taken), in.NodePorts)
		switch translated := isTranslated(in); {
		case translated == nil:
			return unknown(seen + "; whether connections leave the node under its own address is not known (measurement identity).")
		case !*translated:
			return pass(seen+", but the target sees the pod's own address, so they are not the node's ports.", evidence)
		}
		return fail(Info, seen+", and the node's address stands for the pod's on the path.", evidence, 0)
	})
}

// isTranslated says whether the source address is translated on the path from any vantage. Nil: not known.
func isTranslated(in Input) *bool {
	var translated *bool
	for _, p := range in.Probes {
		if i := beside(in, p, identitySource()); i != nil && i.SourceTranslated != nil {
			translated = new(*i.SourceTranslated || translated != nil && *translated)
		}
	}
	return translated
}
