package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/probes/result"
)

func pathMTUBlackHole() Rule {
	return Rule{
		ID: "CP812", Title: "Large packets from the server vanish on the way",
		Category: CategoryHealth, Severity: Error, Needs: []string{needPathMTU},
		AppliesNot: "Links that are not HTTP/1, policies that do not name the measurement pathMTU, and paths whose answer is shorter than two full segments.",
		Why: "A hop that takes only smaller packets has to say so to the sender, by ICMP; where that message is not sent or is filtered, the sender repeats the same large packet until it gives up. " +
			"Connections come about and small answers arrive, so that health checks pass, while long responses, and with TLS the certificates, stall for ever.",
		Cures: []string{
			"Let ICMP pass from every hop to the server: type 3 code 4 (fragmentation needed), and ICMPv6 type 2 (packet too big), in firewalls, security groups and host rules; load balancers have to hand them to the backend of the connection. Where a tunnel or overlay shortens the path, give the pods' interfaces the MTU that it leaves (the CNI's mtu setting); tracepath from the server's side shows the hop.",
			"Until then let the hop with the tunnel shorten segments (iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu), or the server find the size out (net.ipv4.tcp_mtu_probing=1, at the cost of a stall of seconds on each path).",
		},
		Source: "RFC 2923 section 2.1 (black hole detection); RFC 1191 section 4 and RFC 8201 section 4 (path MTU discovery); Documentation/networking/ip-sysctl.rst, tcp_mtu_probing",
		judge:  judgePathMTU,
	}
}

func judgePathMTU(in Input) judgement {
	return perFigures(in, pathMTUSource(), func(_ ProbeResult, p *result.PathMTU) judgement {
		evidence := map[string]string{}
		for name, bytes := range map[string]*int{"segmentBytes": p.SegmentBytes, "clampedSegmentBytes": p.ClampedSegmentBytes, "receivedSegmentBytes": p.ReceivedSegmentBytes} {
			if bytes != nil {
				evidence[name] = strconv.Itoa(*bytes)
			}
		}
		for name, count := range map[string]*result.Count{"whole": p.Whole, "clampedWhole": p.ClampedWhole} {
			if count != nil {
				evidence[name] = fmt.Sprintf("%d of %d", count.Got, count.Of)
			}
		}
		switch {
		case p.BlackHole == nil && p.Whole != nil && p.Whole.Got < p.Whole.Of:
			return unknown(fmt.Sprintf("Of %s without a limit on its segments %d arrived whole, which shows neither a black hole nor a path without one.",
				plural(int64(p.Whole.Of), "response"), p.Whole.Got))
		case p.BlackHole == nil || p.Whole == nil:
			return unknown("Whether large packets arrive was not found out.")
		case !*p.BlackHole && p.ReceivedSegmentBytes != nil:
			return pass(fmt.Sprintf("%d of %d responses arrived whole, in segments of up to %d bytes.", p.Whole.Got, p.Whole.Of, *p.ReceivedSegmentBytes), evidence)
		case !*p.BlackHole:
			return pass(fmt.Sprintf("%d of %d responses arrived whole.", p.Whole.Got, p.Whole.Of), evidence)
		case p.ClampedWhole == nil:
			return unknown("Whether small packets arrive where large ones do not was not found out.")
		}
		stalls := "every response stalls"
		if p.InTLSHandshake != nil && *p.InTLSHandshake {
			evidence["inTLSHandshake"] = "true"
			stalls = "every TLS handshake stalls before the server's certificates have arrived"
		}
		return fail(Error, fmt.Sprintf("On connections as they are %s (%d of %d arrived in time), although the server has acknowledged all that it was sent; %d of %d responses arrive once segments are short.",
			stalls, p.Whole.Got, p.Whole.Of, p.ClampedWhole.Got, p.ClampedWhole.Of), evidence, 0)
	})
}
