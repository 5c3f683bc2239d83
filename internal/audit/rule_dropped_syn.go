package audit

import (
	"fmt"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func droppedSYN() Rule {
	return Rule{
		ID: "CP102", Title: "SYNs are dropped",
		Category: CategorySetup, Severity: Warning, Needs: []string{needHandshake},
		AppliesNot: "Policies that do not ask for the measurement handshake.",
		Why: "A SYN that gets no answer is sent again after one second at the earliest, so that a connect of microseconds takes seconds. " +
			"It was lost on the path, or the listener's accept queue was full and the kernel dropped it.",
		Cures: []string{
			"Look at ListenOverflows in the server's pod (nstat -az TcpExtListenOverflows). If it grows, let the server accept faster and listen with a longer backlog; if not, look for loss on the path.",
		},
		Source: "RFC 6298 section 2 (initial retransmission timeout of one second); net/ipv4/tcp_ipv4.c, tcp_conn_request",
		judge:  judgeDroppedSYN,
	}
}

func judgeDroppedSYN(in Input) judgement {
	return perFigures(in, handshakeSource(), func(_ ProbeResult, h *result.Handshake) judgement {
		if h.SynRetransmissions == nil || h.Samples == 0 {
			return unknown("The kernel did not tell how often SYNs were sent again.")
		}
		again := *h.SynRetransmissions
		evidence := map[string]string{"handshakes": strconv.Itoa(h.Samples), "synRetransmissions": strconv.Itoa(again)}
		if again == 0 && h.Samples < enoughToSeeNone {
			return unknown(fmt.Sprintf("%d handshakes are too few to tell.", h.Samples))
		}
		if again == 0 {
			return pass(fmt.Sprintf("No SYN was sent again in %s handshakes, so fewer than %s are dropped, with 95 %% confidence.",
				figure.Count(h.Samples), figure.Percent(noneOf(h.Samples))), evidence)
		}
		slowest := ""
		if h.ConnectMicroseconds != nil {
			slowest = fmt.Sprintf(" The slowest connect took %s.", figure.Microseconds(h.ConnectMicroseconds.Max))
			evidence["slowestConnectMicroseconds"] = fmt.Sprintf("%.0f", h.ConnectMicroseconds.Max)
		}
		return fail(Warning, fmt.Sprintf("%s in %s handshakes: dropped on the path or by the listener.%s",
			synsSentAgain(again), figure.Count(h.Samples), slowest), evidence, 0)
	})
}

func synsSentAgain(count int) string {
	if count == 1 {
		return "1 SYN had to be sent again"
	}
	return figure.Count(count) + " SYNs had to be sent again"
}
