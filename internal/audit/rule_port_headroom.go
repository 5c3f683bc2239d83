package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
)

const (
	portWarningPercent = 50
	portErrorPercent   = 90
)

// Cures of ports that run short, by what holds them.
const (
	cureReuse = iota
	cureHoldFewer
	cureSidecar
)

func portHeadroom() Rule {
	return Rule{
		ID: "CP401", Title: "Local ports towards one destination are running short",
		Category: CategoryPorts, Severity: Error, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, and targets on loopback, where the kernel takes ports back from TIME_WAIT after a second or two, unless more are held there than that leaves.",
		Why: "Every connection to one address and port holds a local port, and so does TIME_WAIT for a minute after this end has closed it: towards the link, and towards the pod's own address, where a sidecar opens a connection to the application for each that comes in. " +
			"Once half of the ports are held connect() searches long for a free one, and without a free one it fails with EADDRNOTAVAIL, of which the kernel keeps no count.",
		Cures: []string{
			"Reuse connections, with a pool and keep-alive. Until then, widen the range: tuning.mode Recommend or Apply with the knob ephemeralPorts; or spread the connections over more pods or addresses.",
			"Hold fewer connections open: look for a pool without a bound, or for connections that are never closed. Until then, widen the range: tuning.mode Recommend or Apply with the knob ephemeralPorts.",
			"Let the clients keep their connections, since the sidecar opens one for each of theirs. Until then, widen net.ipv4.ip_local_port_range in the pod's securityContext.sysctls, take a port with short connections out of the sidecar (Istio: annotation traffic.sidecar.istio.io/excludeInboundPorts), or spread the load over more pods.",
		},
		Source: "net/ipv4/inet_hashtables.c, __inet_hash_connect (one parity first); include/net/tcp.h, TCP_TIMEWAIT_LEN; istio/istio#44008; measured on Linux 6.18",
		judge:  judgePortHeadroom,
	}
}

func judgePortHeadroom(in Input) judgement {
	if j, none := notObserved(in); none {
		return j
	}
	own := judgeOwnAddress(in)
	if len(in.Addresses) > 0 && !slices.ContainsFunc(in.Addresses, func(a string) bool { return !onLoopback(a) }) {
		return fullest([]judgement{judgeOnLoopback(in), own})
	}
	return fullest([]judgement{perPortUse(in, judgePortUse), own})
}

// judgeOwnAddress judges the ports that pods hold towards themselves. They are of no link, but where they run out nobody
// gets through to the pod any more.
func judgeOwnAddress(in Input) judgement {
	judgements := []judgement{notApplicable("No observed pod holds ports towards its own address.")}
	for _, o := range in.Observations {
		var own []string
		for _, d := range o.Observation.Destinations {
			if isOwn(d.Address, o.IPs) && !ofLink(d, in.Addresses) {
				own = append(own, d.Address)
			}
		}
		if len(own) == 0 || o.Observation.PortsAvailable == nil || *o.Observation.PortsAvailable <= 0 {
			continue
		}
		if use := portUse(o, own); use.beyondRecycling() {
			j := judgePortUse(use, timeWaitSeconds)
			j.message += fmt.Sprintf(" %s is the pod's own address: a sidecar passes on from there what comes in.", use.Address)
			j.cure = cureSidecar
			judgements = append(judgements, j)
		}
	}
	return fullest(judgements)
}

// isOwn says whether an ip:port is of one of these addresses.
func isOwn(address string, ips []string) bool {
	parsed, err := netip.ParseAddrPort(address)
	return err == nil && slices.ContainsFunc(ips, func(text string) bool {
		ip, err := netip.ParseAddr(text)
		return err == nil && ip.Unmap() == parsed.Addr().Unmap()
	})
}

// beyondRecycling says that more ports are held than connections hold whose ports the kernel takes back from TIME_WAIT: then
// connect() always finds one of the parity that it tries first, and never takes the others. On Linux 6.18 it held 100 of 200
// ports at 45 connections a second to loopback; bound to 127.0.0.6 before, connections held all 200, and then failed. One
// port in a hundred is for reserved ones, of which one parity may have more.
func (u PortUse) beyondRecycling() bool {
	return float64(u.InUsePeak) > (0.5+objectiveShare)*float64(u.Available)
}

// perPortUse judges the ports that each observed pod holds towards the link, beyond loopback, and returns the gravest
// judgement.
func perPortUse(in Input, judge func(use PortUse, lookedSeconds float64) judgement) judgement {
	if j, none := notObserved(in); none {
		return j
	}
	addresses := slices.DeleteFunc(slices.Clone(in.Addresses), onLoopback)
	if len(addresses) == 0 {
		return unknown("The addresses of the target are not known, so its sockets cannot be told from others.")
	}
	judgements := make([]judgement, 0, len(in.Observations))
	for _, o := range in.Observations {
		if o.Observation.PortsAvailable == nil || *o.Observation.PortsAvailable <= 0 {
			judgements = append(judgements, unknown(fmt.Sprintf("How many local ports pod %s may use could not be read.", o.Pod)))
			continue
		}
		judgements = append(judgements, judge(portUse(o, addresses), o.Observation.UptimeSeconds))
	}
	return fullest(judgements)
}

// freeOnLoopback is why the ports towards targets on loopback do not run short as others do.
const freeOnLoopback = "The kernel takes ports on loopback back from TIME_WAIT after a second or two, so they do not run out as others do."

// judgeOnLoopback judges the connections that are open, since the kernel takes ports on loopback back from TIME_WAIT.
func judgeOnLoopback(in Input) judgement {
	judgements := []judgement{notApplicable(freeOnLoopback)}
	for _, use := range PortUses(in) {
		if use.beyondRecycling() {
			j := judgePortUse(use, timeWaitSeconds)
			j.message += " More than half are held on loopback only where connections are bound before they connect, or open all at once."
			judgements = append(judgements, j)
			continue
		}
		use.InUse = max(use.InUse-use.TimeWait, 0)
		use.InUsePeak, use.TimeWait = use.InUse, 0
		if use.percent() >= portWarningPercent {
			judgements = append(judgements, judgePortUse(use, timeWaitSeconds))
		}
	}
	return fullest(judgements)
}

// portUseInWords says how many ports a pod held, in words and in figures.
func portUseInWords(use PortUse) (seen string, evidence map[string]string) {
	evidence = map[string]string{
		"pod": use.Pod, "address": use.Address,
		"portsHeld": strconv.Itoa(use.InUsePeak), "portsAvailable": strconv.Itoa(use.Available),
		"timeWait": strconv.Itoa(use.TimeWait), "percent": strconv.Itoa(int(use.percent())),
	}
	seen = fmt.Sprintf("Pod %s held %s of %s local ports (%s) towards %s",
		use.Pod, figure.Count(use.InUsePeak), figure.Count(use.Available), figure.PercentDown(use.InUsePeak, use.Available), use.Address)
	if use.InUse == use.InUsePeak {
		seen += fmt.Sprintf(", %s of them in TIME_WAIT", figure.Count(use.TimeWait))
	} else {
		evidence["portsHeldNow"] = strconv.Itoa(use.InUse)
		seen += fmt.Sprintf(" at the peak of five minutes; now %s, %s of them in TIME_WAIT", figure.Count(use.InUse), figure.Count(use.TimeWait))
	}
	if use.OpensPerSecond != nil {
		evidence["connectionsPerSecond"] = figure.Rate(*use.OpensPerSecond)
		seen += fmt.Sprintf(", and opened %s connections a second", figure.Rate(*use.OpensPerSecond))
	}
	return seen, evidence
}

// lookedTooShort says that more ports may be held than were seen.
func lookedTooShort(seen string, lookedSeconds float64) string {
	return fmt.Sprintf("%s. The observer has looked for %.0f seconds only, and ports fill up for a minute.", seen, lookedSeconds)
}

func judgePortUse(use PortUse, lookedSeconds float64) judgement {
	seen, evidence := portUseInWords(use)
	cure := cureReuse
	if 2*use.TimeWait < use.InUse {
		cure = cureHoldFewer
	}
	switch {
	case use.percent() >= portErrorPercent:
		return fail(Error, seen+". New connections fail, or are about to. What the load would really need cannot be seen: an attempt that finds no port leaves no trace.", evidence, cure)
	case use.percent() >= portWarningPercent:
		return fail(Warning, seen+": from half of the ports on connect() becomes slow.", evidence, cure)
	case lookedSeconds < timeWaitSeconds:
		return unknown(lookedTooShort(seen, lookedSeconds))
	case use.TimeWait > 0:
		return pass(seen+". As long as ports are left, TIME_WAIT does no harm.", evidence)
	}
	return pass(seen+".", evidence)
}

// fullest returns the gravest judgement, and of equal ones that of the pod that holds the largest share of its ports.
func fullest(judgements []judgement) judgement {
	return slices.MaxFunc(judgements, func(a, b judgement) int {
		if a.gravity() != b.gravity() {
			return a.gravity() - b.gravity()
		}
		left, _ := strconv.Atoi(a.evidence["percent"])
		right, _ := strconv.Atoi(b.evidence["percent"])
		return left - right
	})
}

// onLoopback says whether an ip:port lies on loopback, where the kernel reuses ports in TIME_WAIT
// (net.ipv4.tcp_tw_reuse = 2; net/ipv4/tcp_ipv4.c, tcp_twsk_unique).
func onLoopback(address string) bool {
	parsed, err := netip.ParseAddrPort(address)
	return err == nil && parsed.Addr().Unmap().IsLoopback()
}
