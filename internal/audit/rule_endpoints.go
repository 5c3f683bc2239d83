package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func leavingEndpoints() Rule {
	return Rule{
		ID: "CP808", Title: "Connections stay on endpoints that are not ready any more",
		Category: CategoryHealth, Severity: Info, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, targets behind a virtual address, where sockets do not show the endpoint, and Services all of whose endpoints are ready.",
		Why: "An endpoint that is not ready gets no new connections, but those that it has go on until somebody closes them. " +
			"What is still there when the pod ends is reset in the midst of requests, and a client that resolved the name once never learns of the others.",
		Cures: []string{
			"Let the server end its connections in order when it is told to stop: HTTP/1.1 `Connection: close`, HTTP/2 GOAWAY, and a terminationGracePeriodSeconds that leaves the time. Let the client resolve the name anew (gRPC: MaxConnectionAge at the server; Java: networkaddress.cache.ttl; pools: maxLifetime).",
		},
		Source: "kubernetes.io, Pod Lifecycle (termination) and EndpointSlices (conditions); RFC 9113 section 6.8 (GOAWAY)",
		judge:  judgeLeavingEndpoints,
	}
}

func judgeLeavingEndpoints(in Input) judgement {
	switch {
	case in.ServerOnly:
		j, _ := notObserved(in)
		return j
	case in.Virtual:
		return notApplicable("Sockets name the Service's virtual address, so they do not show which endpoint they lead to.")
	case len(in.NotReady) == 0:
		return notApplicable("No endpoint is known that is not ready.")
	}
	return perPod(in, func(o PodObservation) judgement {
		if o.Observation.Destinations == nil {
			return unknown(fmt.Sprintf("The sockets of pod %s could not be listed.", o.Pod))
		}
		open, addresses := 0, 0
		var one string
		for _, d := range o.Observation.Destinations {
			if !ofLink(d, in.NotReady) {
				continue
			}
			if d.Connections == nil {
				return unknown(fmt.Sprintf("The observer in pod %s does not tell open connections from others.", o.Pod))
			}
			if d.Connections.Open > 0 {
				open, addresses, one = open+d.Connections.Open, addresses+1, d.Address
			}
		}
		evidence := map[string]string{"pod": o.Pod, "open": strconv.Itoa(open), "notReady": strconv.Itoa(len(in.NotReady))}
		if open == 0 {
			return pass(fmt.Sprintf("Pod %s holds no connection to any of %s that the Service lists as not ready.", o.Pod, plural(int64(len(in.NotReady)), "endpoint")), evidence)
		}
		evidence["address"] = one
		// During a roll-out that goes well it looks the same for some seconds.
		return fail(Info, fmt.Sprintf("Pod %s holds %s open to %d of %s that the Service lists as not ready, among them %s. Unless a roll-out is under way, they stay there.", o.Pod,
			plural(int64(open), "connection"), addresses, plural(int64(len(in.NotReady)), "endpoint"), one), evidence, 0)
	})
}

const (
	// sameAge is the spread of lifetimes, the 99th percentile over the median, up to which connections count as ended by a
	// clock. The jitter that gRPC adds to an age, 10 % each way, makes it 1.1; half of that is not jitter.
	sameAge = 1.05
	// storm is how many connections at once make one: fewer than are needed to have a 99th percentile.
	storm = 100
	// agedSeconds is from which age on the beginning of a connection, which is known to the step of a look, does not blur its
	// age: a minute is the longest step.
	agedSeconds = 60 / (sameAge - 1)
)

func agesAtOnce() Rule {
	return Rule{
		ID: "CP809", Title: "Connections end at the same age, without jitter",
		Category: CategoryHealth, Severity: Info, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, workloads without a connection to the link, and workloads of which fewer than a hundred connections ended.",
		Why: "Connections that were opened together, after a roll-out or an outage, are ended together when each lives for the same time, and opened together again. " +
			"The storm of handshakes comes back with every period, and all clients feel it at once.",
		Cures: []string{
			"Spread the age: gRPC's MaxConnectionAge does by 10 %; Envoy's TCP proxy: max_downstream_connection_duration_jitter_percentage; HikariCP varies maxLifetime itself; in other pools (Go: SetConnMaxLifetime) draw the age of each process at random, 20 % around the mean.",
		},
		Source: "gRFC A9 (jitter of MaxConnectionAge); envoyproxy.io, TCP proxy, max_downstream_connection_duration_jitter_percentage",
		judge:  judgeAgesAtOnce,
	}
}

func judgeAgesAtOnce(in Input) judgement {
	return perUse(in, func(o PodObservation, d result.Destination, c *result.Connections) judgement {
		// Connections that all live for hours may not end for as long as that.
		total := totalTo(o, d)
		switch ages := c.LifetimeSecondsAtMost; {
		case total.Closed < storm:
			return notApplicable("Fewer than a hundred connections of an observed pod to this link ended, which are no storm.")
		case ages == nil:
			return unknown(fmt.Sprintf("How long the connections of pod %s to %s lived is not known.", o.Pod, d.Address))
		case c.Closed == 0 && ages.P50 < countedSeconds(o):
			return notApplicable(fmt.Sprintf("No connection of an observed pod to this link ended %s.", period(o)))
		default:
			evidence := map[string]string{"pod": o.Pod, "address": d.Address, "lifetimeP50Seconds": fmt.Sprintf("%.1f", ages.P50),
				"lifetimeP99Seconds": fmt.Sprintf("%.1f", ages.P99), "closed": strconv.FormatInt(total.Closed, 10)}
			seen := fmt.Sprintf("Of %s of pod %s to %s that ended %s, half lived for up to %s and all but one in a hundred for up to %s",
				plural(total.Closed, "connection"), o.Pod, d.Address, period(sinceItBegan(o)), seconds(ages.P50), seconds(ages.P99))
			if ages.P50 < agedSeconds || ages.P99 > sameAge*ages.P50 {
				return pass(seen+".", evidence)
			}
			return fail(Info, seen+": a clock ends them.", evidence, 0)
		}
	})
}

func familyFallback() Rule {
	return Rule{
		ID: "CP810", Title: "One address family does not work, and clients fall back to the other",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, targets with addresses of one family, and workloads that use one of them only.",
		Why: "Where a name has addresses of both families, clients try one and then the other, usually IPv6 first. " +
			"If the first does not work every new connection pays for the attempt: 250 ms with a client that tries both at once, seconds to minutes with one that waits.",
		Cures: []string{
			"Mend the family that fails (routes, firewall, the Service's ipFamilies), or take its addresses out of DNS (Service: ipFamilyPolicy: SingleStack). Until then let the client prefer the other (Java: java.net.preferIPv4Stack; Node.js: --dns-result-order=ipv4first; /etc/gai.conf).",
		},
		Source: "RFC 8305 (Happy Eyeballs), section 5 (250 ms); RFC 6724 (order of addresses)",
		judge:  judgeFamilyFallback,
	}
}

// family is how the connects to the addresses of one family went.
type family struct{ opened, failed int64 }

func (f family) fails() bool { return f.opened > 0 && f.failed == f.opened }

func judgeFamilyFallback(in Input) judgement {
	if !slices.ContainsFunc(in.Addresses, isIPv6) || !slices.ContainsFunc(in.Addresses, func(a string) bool { return !isIPv6(a) }) {
		if in.ServerOnly || len(in.Addresses) > 0 {
			return notApplicable("The target has addresses of one family only.")
		}
		return unknown("The addresses of the target are not known.")
	}
	return perPod(in, func(o PodObservation) judgement {
		var v4, v6 family
		for _, d := range o.Observation.Destinations {
			if !ofLink(d, in.Addresses) {
				continue
			}
			if d.Connections == nil {
				return unknown(fmt.Sprintf("The observer in pod %s does not tell failed connects.", o.Pod))
			}
			of := &v4
			if isIPv6(d.Address) {
				of = &v6
			}
			of.opened += d.Connections.Opened
			of.failed += d.Connections.Failed
		}
		if v4.opened == 0 || v6.opened == 0 {
			return notApplicable(fmt.Sprintf("No observed pod tried both address families %s.", period(o)))
		}
		evidence := map[string]string{"pod": o.Pod, "ipv4Opened": strconv.FormatInt(v4.opened, 10), "ipv4Failed": strconv.FormatInt(v4.failed, 10),
			"ipv6Opened": strconv.FormatInt(v6.opened, 10), "ipv6Failed": strconv.FormatInt(v6.failed, 10)}
		seen := fmt.Sprintf("Pod %s began %s by IPv6, of which %s failed, and %s by IPv4, of which %s failed, %s", o.Pod,
			plural(v6.opened, "connection"), figure.Count(int(v6.failed)), plural(v4.opened, "connection"), figure.Count(int(v4.failed)), period(o))
		// One of the two always failing while the other works is no chance of single packets.
		if v4.fails() != v6.fails() {
			return fail(Warning, seen+".", evidence, 0)
		}
		return pass(seen+".", evidence)
	})
}

func isIPv6(address string) bool {
	parsed, err := netip.ParseAddrPort(address)
	return err == nil && parsed.Addr().Unmap().Is6()
}
