package audit

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Cures of a search list that multiplies queries.
const (
	cureFinalDot = iota
	cureOption
)

func searchList() Rule {
	return Rule{
		ID: "CP106", Title: "The DNS search list multiplies the queries of a name",
		Category: CategorySetup, Severity: Warning, Needs: []string{needDNS},
		Helps:      []string{needHandshake, needObserver},
		AppliesNot: "Links to Services, which probes name in a way of their own, targets that are addresses, and policies that do not ask for the measurement dns.",
		Why: "A name with fewer dots than the resolver's option ndots, which is 5 in pods, is tried with each domain of the search list before it is tried as it stands, for IPv4 and for IPv6. " +
			"Every new connection that resolves it waits for answers that the name does not exist, and the DNS servers carry several times the load.",
		Cures: []string{
			"Write the name in full with its final dot (api.bank.example.) in the client's configuration: it is asked for once for each family. Over TLS, and where the server chooses by the Host header, set ndots instead: some clients send the dot along.",
			"Set ndots to 2 in the pod's dnsConfig.options: payments and payments.shop still resolve, and names with two dots are asked for as they stand (musl, in Alpine images, then asks for no other, so write payments.shop.svc with the cluster's domain). Let the client reuse connections or keep answers for their time to live, so that it resolves rarely.",
		},
		Source: "resolv.conf(5), ndots and search; Kubernetes documentation, DNS for Services and Pods",
		judge:  judgeSearchList,
	}
}

func judgeSearchList(in Input) judgement {
	return perName(in, func(p ProbeResult, d *result.DNS) judgement {
		switch {
		case d.QueriesPerName == nil || d.QueriesNeeded == nil || *d.QueriesNeeded <= 0:
			return unknown("How many queries one resolution sends was not found out.")
		case *d.QueriesPerName <= *d.QueriesNeeded:
			return pass(fmt.Sprintf("Resolving %s sends %d queries, no more than it needs.", host(p), *d.QueriesPerName), dnsEvidence(d))
		case strings.HasSuffix(host(p), serviceSuffix):
			return notApplicable("Probes name a Service in a way of their own; by which name the workload asks for it is not seen.")
		}
		seen := fmt.Sprintf("Resolving %s sends %d queries, where %d would do", host(p), *d.QueriesPerName, *d.QueriesNeeded)
		seen += resolverOptions(d)
		evidence, cure := dnsEvidence(d), cureOption
		if in.Protocol == protocolTCP { // nothing of TLS or a Host header that would carry the dot along
			cure = cureFinalDot
		}
		if rate, known := busiest(in); known && rate < rarelyPerSecond {
			return pass(fmt.Sprintf("%s, but the workload's pods open at most %s connections a second each.", seen, figure.Rate(rate)), evidence)
		}
		wasted, known := wastedAtLeast(d)
		if !known {
			return fail(Info, seen+".", evidence, cure)
		}
		evidence["wastedAtLeastMicroseconds"] = fmt.Sprintf("%.0f", wasted)
		seen += fmt.Sprintf(": about %s of waiting for nothing", figure.Microseconds(wasted))
		if h := beside(in, p, handshakeSource()); h != nil && h.ConnectMicroseconds != nil && h.ConnectMicroseconds.P50High != nil && wasted > *h.ConnectMicroseconds.P50High {
			return fail(ifOften(in), fmt.Sprintf("%s, longer than connect() takes (%s).", seen, figure.Microseconds(h.ConnectMicroseconds.P50)), evidence, cure)
		}
		return fail(Info, seen+".", evidence, cure)
	})
}

// resolverOptions tells what makes the queries many. A message of the probe leaves out the search list.
func resolverOptions(d *result.DNS) string {
	switch {
	case d.Ndots == nil:
		return ""
	case len(d.Search) == 0:
		return fmt.Sprintf(" (ndots %d)", *d.Ndots)
	}
	return fmt.Sprintf(" (ndots %d, %d search domains)", *d.Ndots, len(d.Search))
}

// serviceSuffix ends the names that Services are probed by, without the cluster's domain, which the operator does not know.
const serviceSuffix = ".svc"

// wastedAtLeast is how long a resolution waits for queries that it does not need, in microseconds: their share of it,
// since the domains of the search list are tried one after the other.
func wastedAtLeast(d *result.DNS) (microseconds float64, known bool) {
	if d.ResolveMicroseconds == nil || d.ResolveMicroseconds.P50Low == nil {
		return 0, false
	}
	return *d.ResolveMicroseconds.P50Low * (1 - float64(*d.QueriesNeeded)/float64(*d.QueriesPerName)), true
}

func lostQueries() Rule {
	return Rule{
		ID: "CP107", Title: "DNS queries are lost",
		Category: CategorySetup, Severity: Warning, Needs: []string{needDNS},
		AppliesNot: "Targets that are addresses, and policies that do not ask for the measurement dns.",
		Why: "A resolver that gets no answer waits for 5 seconds before it asks again, so that one lost datagram makes a request take 5 seconds. " +
			"On nodes with address translation the best known cause is a race in conntrack, when the queries for IPv4 and IPv6 leave by one socket at the same time.",
		Cures: []string{
			"Run NodeLocal DNSCache, which keeps translation out of the way and asks the cluster's DNS over TCP; until then set the options single-request-reopen (glibc) or use-vc in the pod's dnsConfig.",
			"Look at the DNS servers (CoreDNS: its own errors, CPU throttling, too few replicas) and at conntrack -S (insert_failed).",
		},
		Source: "resolv.conf(5), timeout and single-request-reopen; kubernetes/kubernetes#56903",
		judge:  judgeLostQueries,
	}
}

func judgeLostQueries(in Input) judgement {
	return perName(in, func(_ ProbeResult, d *result.DNS) judgement {
		if d.Lost == nil || d.Queries == nil {
			return unknown("How many queries got no answer was not found out.")
		}
		evidence := dnsEvidence(d)
		evidence["queriesLost"], evidence["queries"] = strconv.Itoa(*d.Lost), strconv.Itoa(*d.Queries)
		switch {
		case *d.Lost > 0:
			seen := fmt.Sprintf("%s of %s DNS queries got no answer in time", figure.Count(*d.Lost), figure.Count(*d.Queries))
			if d.ResolveMicroseconds != nil {
				seen += fmt.Sprintf("; the slowest resolution took %s", figure.Microseconds(d.ResolveMicroseconds.Max))
			}
			// Where one datagram in a thousand is lost, every tenth run of a hundred queries loses one.
			severity := Warning
			if *d.Lost == 1 {
				severity = Info
			}
			return fail(severity, seen+". A client waits 5 seconds for each unless its resolver is set otherwise.", evidence, 0)
		case *d.Queries < enoughToSeeNone:
			return unknown(fmt.Sprintf("%d queries are too few to tell.", *d.Queries))
		}
		return pass(fmt.Sprintf("All %s queries were answered, so fewer than %s are lost, with 95 %% confidence.",
			figure.Count(*d.Queries), figure.Percent(noneOf(*d.Queries))), evidence)
	})
}

func dnsEvidence(d *result.DNS) map[string]string {
	evidence := map[string]string{}
	if d.QueriesPerName != nil {
		evidence["queriesPerName"] = strconv.Itoa(*d.QueriesPerName)
	}
	if d.QueriesNeeded != nil {
		evidence["queriesNeeded"] = strconv.Itoa(*d.QueriesNeeded)
	}
	if d.ResolveMicroseconds != nil {
		evidence["resolveP50Microseconds"] = fmt.Sprintf("%.0f", d.ResolveMicroseconds.P50)
	}
	return evidence
}

// perName judges the resolutions of each vantage whose target is a name.
func perName(in Input, judge func(ProbeResult, *result.DNS) judgement) judgement {
	return perVantage(in, func(p ProbeResult) judgement {
		if isAddress(p) {
			return notApplicable("The target is an address, so that no name is resolved.")
		}
		d, missing := figuresOf(in, p, dnsSource())
		if missing != nil {
			return *missing
		}
		return judge(p, d)
	})
}

// isAddress says whether the target was given as an address, so that there is no name to resolve.
func isAddress(p ProbeResult) bool {
	_, err := netip.ParseAddr(host(p))
	return err == nil
}

// host is the host of the target's URL, empty if it has none.
func host(p ProbeResult) string {
	u, err := url.Parse(p.Result.Target.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
