package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func boundSource() Rule {
	return Rule{
		ID: "CP413", Title: "Outgoing connections are bound before they connect",
		Category: CategoryPorts, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, pods that hold no port towards the link, and destinations towards which more than half of the ports are held, or were in the last five minutes: there connect() takes ports of both parities itself.",
		Why: "bind() to an address and port 0 takes a local port before the kernel knows the destination, and so takes it from all destinations: " +
			"every such connection, and TIME_WAIT after it, counts against one range that all of them share. connect() takes ports of the parity of the range's low end first and bind() the others, which gives it away.",
		Cures: []string{
			"Do not bind where the source address does not matter. Else set IP_BIND_ADDRESS_NO_PORT before bind() (Linux 4.2), so that connect() takes the port: in Go in Dialer.Control beside LocalAddr; in Envoy's upstream_bind_config a socket option (level 0, name 24, int_value 1, STATE_PREBIND) where its version does not set it itself. nginx (proxy_bind) and HAProxy (source) set it, unless they are given a port or a range of ports.",
		},
		Source: "net/ipv4/inet_connection_sock.c, inet_csk_find_open_port; net/ipv4/inet_hashtables.c, __inet_hash_connect; man 7 ip, IP_BIND_ADDRESS_NO_PORT; envoyproxy/envoy#44747; measured on Linux 6.18",
		judge:  judgeBoundSource,
	}
}

// eitherParity is the share of the ports that have the parity which connect() takes last where ports are chosen without
// regard to it: by kernels before 4.2, by sockets with IP_LOCAL_PORT_RANGE, or by the application. What connect() took
// while more than half was held is no larger share either.
const eitherParity = 0.5

func judgeBoundSource(in Input) judgement {
	rows := linkDestinations(in)
	return perUse(in, func(o PodObservation, d result.Destination, _ *result.Connections) judgement {
		available := o.Observation.PortsAvailable
		switch {
		case d.PortsInUse == 0:
			return notApplicable("No observed pod holds a port towards this link.")
		case available == nil || *available <= 0:
			return unknown(fmt.Sprintf("How many local ports pod %s may use could not be read.", o.Pod))
		case 2*max(d.PortsInUse, d.PortsInUsePeak) > *available:
			return notApplicable("More than half of the ports are held, so connect() takes those of both parities (CP401).")
		case d.PortsOfOtherParity == nil:
			return unknown(fmt.Sprintf("The observer in pod %s does not tell the parity of the ports towards %s: it is of an older version, could not read the range, or still sees ports from a time when more than half were held.", o.Pod, d.Address))
		}
		other, held := *d.PortsOfOtherParity, d.PortsInUse
		evidence := map[string]string{"pod": o.Pod, "address": d.Address, "portsHeld": strconv.Itoa(held),
			"portsOfOtherParity": strconv.Itoa(other), "portsAvailable": strconv.Itoa(*available)}
		seen := fmt.Sprintf("Pod %s holds %s towards %s, %s of them with the parity that connect() takes last",
			o.Pod, plural(int64(held), "local port"), d.Address, figure.Count(other))
		switch {
		case float64(other) <= objectiveShare*float64(held):
			return pass(seen+".", evidence)
		case !provenAboveAmong(rows, int64(other), int64(held), eitherParity):
			return unknown(seen + ": no more than where ports are chosen without regard to parity, so it is not known whether the connections are bound before they connect.")
		}
		together := boundPorts(o)
		share := float64(together) / float64(*available)
		evidence["portsOfOtherParityTogether"] = strconv.Itoa(together)
		seen += fmt.Sprintf(": its connections are bound before they connect. Ports so taken are gone for all destinations together: %s of %s (%s) at the moment",
			figure.Count(together), figure.Count(*available), figure.PercentDown(together, *available))
		// One port in a hundred shortens the range by too little to cost anything yet.
		if share <= objectiveShare {
			return fail(Info, seen+".", evidence, 0)
		}
		return fail(Warning, seen+".", evidence, 0)
	})
}

// linkDestinations counts the destinations of all observed pods that belong to the link.
func linkDestinations(in Input) int {
	count := 0
	for _, o := range in.Observations {
		for _, d := range o.Observation.Destinations {
			if ofLink(d, in.Addresses) {
				count++
			}
		}
	}
	return count
}

// boundPorts counts the ports of a pod, towards anywhere, that connect() would have taken last.
func boundPorts(o PodObservation) int {
	sum := 0
	for _, d := range o.Observation.Destinations {
		if d.PortsOfOtherParity != nil {
			sum += *d.PortsOfOtherParity
		}
	}
	if others := o.Observation.OtherDestinations; others != nil && others.PortsOfOtherParity != nil {
		sum += *others.PortsOfOtherParity
	}
	return sum
}
