package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// oldInitialWindowSegments lies between the 4 segments of RFC 3390 and the 10 of RFC 6928, on a logarithmic scale.
	oldInitialWindowSegments = 6.3
	// sysctlReceiveBuffer is the least, the first and the greatest size of a socket's receive buffer, in bytes.
	sysctlReceiveBuffer = "net.ipv4.tcp_rmem"
	// windowShare of a receive buffer is what the kernel promises as window at least; the rest is for its own overhead
	// (Documentation/networking/ip-sysctl.rst, tcp_adv_win_scale; net/ipv4/tcp_input.c, tcp_measure_rcv_mss).
	windowShare = 0.5
)

func windowAfterIdle() Rule {
	return Rule{
		ID: "CP601", Title: "The server forgets its window while a connection is idle",
		Category: CategoryThroughput, Severity: Warning, Needs: []string{needSlowStart},
		Helps:      []string{needObserver},
		AppliesNot: "Links that are not HTTP/1, and policies that do not ask for the measurement slowStart.",
		Why: "A sender that was silent for a retransmission timeout (200 ms or more) begins again with a small congestion window, so that a kept connection is as slow as a new one for long responses. " +
			"It is the server's setting, since the server sends what is long; under the congestion control BBR the window is kept.",
		Cures: []string{
			"Advice to the server's owner: set net.ipv4.tcp_slow_start_after_idle to 0 in the server's pods (securityContext.sysctls; a safe sysctl since Kubernetes 1.37). Setting it on the client changes nothing for responses.",
			"Make responses smaller (compression, pages), so that they fit into the first flight.",
		},
		Source: "RFC 5681 section 4.1; Documentation/networking/ip-sysctl.rst, tcp_slow_start_after_idle; net/ipv4/tcp_output.c, tcp_cwnd_restart",
		judge:  judgeWindowAfterIdle,
	}
}

func judgeWindowAfterIdle(in Input) judgement {
	return perFigures(in, slowStartSource(), func(_ ProbeResult, s *result.SlowStart) judgement {
		evidence := windowEvidence(s)
		switch {
		case s.WindowLostAfterIdle == nil && s.Missing != "":
			return unknown("Not known: " + s.Missing + ".")
		case s.WindowLostAfterIdle == nil:
			return unknown("Whether the window is lost after idling was not found out.")
		case !*s.WindowLostAfterIdle:
			return pass("The server keeps its window while a connection is idle.", evidence)
		}
		seen := "After idling the server begins anew"
		if s.WarmSegments != nil && s.AfterIdleSegments != nil && s.IdleSeconds != nil {
			seen = fmt.Sprintf("After %s of silence the server's first flight is %.0f segments, where it was %.0f on the same connection before",
				figure.Microseconds(*s.IdleSeconds*1e6), *s.AfterIdleSegments, *s.WarmSegments)
		}
		if client, known := clientIdleOf(in); known && client.enough && client.p99Seconds < retransmissionSeconds {
			evidence["idleP99Seconds"] = fmt.Sprintf("%.2f", client.p99Seconds)
			return pass(fmt.Sprintf("%s, but the workload's connections are idle for %s at the most.", seen, figure.Microseconds(client.p99Seconds*1e6)), evidence)
		}
		rounds, roundTrip, known := extraRounds(s)
		saved, measurable := savesAtLeast(s.ColdMicroseconds, s.WarmMicroseconds)
		switch {
		case !known || !measurable:
			return unknown(seen + ". What that costs could not be told." + missing(s))
		case saved <= 0 || float64(rounds)*roundTrip <= amortisedPercent/100.0*s.WarmMicroseconds.P50:
			return pass(seen+", which costs a response of this length nothing that matters.", evidence)
		}
		return fail(Warning, fmt.Sprintf("%s. A response of %s then takes up to %d round trips more (%s).",
			seen, bytesInWords(s.Bytes), rounds, figure.Microseconds(float64(rounds)*roundTrip)), evidence, 0)
	})
}

func coldTransfers() Rule {
	return Rule{
		ID: "CP603", Title: "Responses on new connections are bound by the initial window",
		Category: CategoryThroughput, Severity: Warning, Needs: []string{needSlowStart},
		Helps:      []string{needObserver},
		AppliesNot: "Links that are not HTTP/1, and policies that do not ask for the measurement slowStart.",
		Why: "A new connection may send 10 segments, about 14 kB, before the first acknowledgment, and twice as much in each round trip after it. " +
			"A longer response therefore takes several round trips on a new connection, however wide the path is, and one or two on a warm one.",
		Cures: []string{
			"Reuse connections, so that they are warm (see CP204 and CP601).",
			"Make responses smaller (compression, pages), or serve them nearer to the client: what counts is round trips.",
			"Advice to the server's owner: bring the initial window to 10 segments (Linux 2.6.39 or later does so unless a route says less: ip route show, initcwnd).",
		},
		Source: "RFC 6928 (initial window of 10 segments); RFC 5681 section 3.1 (slow start)",
		judge:  judgeColdTransfers,
	}
}

func judgeColdTransfers(in Input) judgement {
	return perFigures(in, slowStartSource(), func(_ ProbeResult, s *result.SlowStart) judgement {
		evidence := windowEvidence(s)
		if s.InitialWindowSegments != nil && *s.InitialWindowSegments < oldInitialWindowSegments {
			return fail(Warning, fmt.Sprintf("The server begins a connection with %.1f segments; 10 are usual since RFC 6928.", *s.InitialWindowSegments), evidence, 2)
		}
		rounds, roundTrip, known := extraRounds(s)
		saved, measurable := savesAtLeast(s.ColdMicroseconds, s.WarmMicroseconds)
		if !known || !measurable {
			return unknown("What a response costs on a new and on a warm connection could not be compared." + missing(s))
		}
		seen := fmt.Sprintf("A response of %s takes %d round trips on a new connection and %d on a warm one (%s and %s)", bytesInWords(s.Bytes),
			*s.ColdRounds, *s.WarmRounds, figure.Microseconds(s.ColdMicroseconds.P50), figure.Microseconds(s.WarmMicroseconds.P50))
		waits := float64(rounds) * roundTrip
		share := 100 * waits / s.ColdMicroseconds.P50
		evidence["waitsMicroseconds"] = fmt.Sprintf("%.0f", waits)
		if rounds == 0 || saved <= 0 || share <= setupSharePercent {
			return pass(seen+".", evidence)
		}
		if rate, known := busiest(in); known && rate < rarelyPerSecond {
			return pass(fmt.Sprintf("%s, but the workload's pods open at most %s connections a second each.", seen, figure.Rate(rate)), evidence)
		}
		return fail(Warning, fmt.Sprintf("%s: %s of its time is spent on waiting for the window to open.", seen, figure.Percent(share)), evidence, 0)
	})
}

func receiveBuffer() Rule {
	return Rule{
		ID: "CP602", Title: "The receive buffer is below bandwidth × round trip",
		Category: CategoryThroughput, Severity: Warning, Needs: []string{needSlowStart},
		Helps:      []string{needObserver},
		AppliesNot: "Links that are not HTTP/1, and policies that do not ask for the measurement slowStart. The server's send buffer (tcp_wmem) cannot be seen from the client.",
		Why: "No more can be under way than the receiver has promised room for, and that is about half of the receive buffer's maximum, once in each round trip. " +
			"On a long path a buffer that is too small bounds the throughput at window ÷ round trip, however wide the path is.",
		Cures: []string{
			"Raise the third figure of net.ipv4.tcp_rmem in the client's pods to twice the wanted bytes a second × the round trip in seconds (safe sysctl since Kubernetes 1.32), and set no SO_RCVBUF in the client, which turns the kernel's own tuning off. Mind the memory: each busy connection may take that much.",
		},
		Source: "RFC 7323 section 1.1; Documentation/networking/ip-sysctl.rst, tcp_rmem",
		judge:  judgeReceiveBuffer,
	}
}

func judgeReceiveBuffer(in Input) judgement {
	return perFigures(in, slowStartSource(), func(p ProbeResult, s *result.SlowStart) judgement {
		buffer, whose, known := receiveBufferOf(in, p)
		if !known {
			return unknown(fmt.Sprintf("%s of the client could not be read.", sysctlReceiveBuffer))
		}
		if s.WarmRounds == nil || s.WarmSegments == nil || s.SegmentBytes == nil || s.RoundTripMicroseconds == nil || *s.RoundTripMicroseconds <= 0 {
			return unknown("How much the server sends at once on a warm connection is not known." + missing(s))
		}
		window, flight := windowShare*float64(buffer), *s.WarmSegments*float64(*s.SegmentBytes)
		evidence := windowEvidence(s)
		evidence["receiveBufferBytes"], evidence["flightBytes"] = strconv.Itoa(buffer), fmt.Sprintf("%.0f", flight)
		seen := fmt.Sprintf("A receive buffer of at most %s bytes (%s) has room for about %s bytes a round trip, and the first flight of a warm response has %s bytes",
			figure.Count(buffer), whose, figure.Count(int(window)), figure.Count(int(flight)))
		// The probe's own buffer bounds a response only if it takes a further flight; a smaller one of the workload's would have
		// had to let this flight through.
		if flight < window || whose == probesBuffer && *s.WarmRounds < 2 {
			return pass(seen+", so that it is not what bounds it.", evidence)
		}
		perSecond := window / *s.RoundTripMicroseconds
		return fail(Warning, fmt.Sprintf("%s: responses come at about %s MB/s at the most.", seen, figure.Rate(perSecond)), evidence, 0)
	})
}

// probesBuffer says whose receive buffer bounds the responses where no observed pod has a smaller one.
const probesBuffer = "the probe's, as the node gives it"

// receiveBufferOf is the greatest receive buffer, in bytes, of the client: the probe's, which like any pod without a setting
// of its own has the node's, or that of an observed pod if it is smaller.
func receiveBufferOf(in Input, p ProbeResult) (bytes int, whose string, known bool) {
	bytes, known = greatest(p.Result.Host.Sysctls[sysctlReceiveBuffer])
	whose = probesBuffer
	for _, o := range in.Observations {
		if size, ok := greatest(o.Observation.Sysctls[sysctlReceiveBuffer]); ok && (!known || size < bytes) {
			bytes, whose, known = size, "pod "+o.Pod+"'s", true
		}
	}
	return bytes, whose, known
}

// greatest reads the third of the three figures of a buffer's sizes.
func greatest(sizes string) (bytes int, ok bool) {
	fields := strings.Fields(sizes)
	if len(fields) != 3 {
		return 0, false
	}
	bytes, err := strconv.Atoi(fields[2])
	return bytes, err == nil && bytes > 0
}

// missing adds why a measurement lacks figures although it was made.
func missing(s *result.SlowStart) string {
	if s.Missing == "" {
		return ""
	}
	return " Not known: " + s.Missing + "."
}

func bytesInWords(bytes *int64) string {
	if bytes == nil {
		return "unknown length"
	}
	return figure.Count(int(*bytes)) + " bytes"
}

func windowEvidence(s *result.SlowStart) map[string]string {
	evidence := map[string]string{}
	for name, value := range map[string]*float64{
		"initialWindowSegments": s.InitialWindowSegments, "warmSegments": s.WarmSegments, "afterIdleSegments": s.AfterIdleSegments,
		"roundTripMicroseconds": s.RoundTripMicroseconds,
	} {
		if value != nil {
			evidence[name] = fmt.Sprintf("%.1f", *value)
		}
	}
	for name, value := range map[string]*int{"coldRounds": s.ColdRounds, "warmRounds": s.WarmRounds} {
		if value != nil {
			evidence[name] = strconv.Itoa(*value)
		}
	}
	if s.Bytes != nil {
		evidence["responseBytes"] = strconv.FormatInt(*s.Bytes, 10)
	}
	return evidence
}
