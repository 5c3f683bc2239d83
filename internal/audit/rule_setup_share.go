package audit

import (
	"fmt"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// setupSharePercent is the share from which setting a connection up costs more than using it.
	setupSharePercent = 50
	// rarelyPerSecond is the rate of new connections below which a pod's set-ups do not matter, whatever one costs.
	rarelyPerSecond = 1
)

func setupShare() Rule {
	return Rule{
		ID: "CP101", Title: "Setting the connection up dominates small transactions",
		Category: CategorySetup, Severity: Warning, Needs: []string{needHandshake, needReuse},
		Helps:      []string{needObserver},
		AppliesNot: "Links over which the probe makes no HTTP/1 request, and policies that do not ask for the measurement handshake.",
		Why: "A new connection costs a round trip before the first byte of a request can leave. " +
			"Where every small request pays for it, most of its time is spent on saying hello.",
		Cures: []string{
			"Reuse connections: let the client hold a pool of them with keep-alive, and take responses to their end so that they go back to the pool.",
			"Let the server keep connections first (see CP201): until then the client has nothing to reuse.",
		},
		Source: "RFC 9293 section 3.5 (three-way handshake); RFC 9112 section 9.3 (persistence)",
		judge:  judgeSetupShare,
	}
}

// noSmallRequest is why the set-up is no share of anything on other links.
const noSmallRequest = "Over this link's protocol the probe makes no small request that the set-up could be compared with."

func judgeSetupShare(in Input) judgement {
	if !speaksHTTP1(in.Protocol) {
		return notApplicable(noSmallRequest)
	}
	return perFigures(in, handshakeSource(), func(p ProbeResult, h *result.Handshake) judgement {
		if h.SetupSharePercent == nil {
			return unknown("No request was answered, so the share of the set-up is not known.")
		}
		share := *h.SetupSharePercent
		seen := fmt.Sprintf("Set-up is %s of a small transaction on a new connection", figure.Percent(share))
		evidence := map[string]string{"setupSharePercent": fmt.Sprintf("%.1f", share)}
		if share <= setupSharePercent {
			return pass(seen+", not more than the request itself.", evidence)
		}
		return judgeWhatReuseSaves(in, p, seen, evidence)
	})
}

// judgeWhatReuseSaves judges a set-up that costs more than the request: it is a finding if connections are opened often
// enough to matter and reusing them is measurably faster.
func judgeWhatReuseSaves(in Input, p ProbeResult, seen string, evidence map[string]string) judgement {
	rate, rateKnown := busiest(in)
	if rateKnown && rate < rarelyPerSecond {
		evidence["connectionsPerSecondAtMost"] = figure.Rate(rate)
		return pass(fmt.Sprintf("%s, but the workload's pods open at most %s a second each.", seen, figure.Rate(rate)), evidence)
	}
	r, missing := figuresOf(in, p, reuseSource())
	switch {
	case missing != nil:
		return unknown(fmt.Sprintf("%s. What reuse would save is not known: %s", seen, missing.message))
	case r.Kept != nil && !*r.Kept:
		return fail(Info, seen+", and the server keeps no connection that could be reused; CP201 or CP203 says why.", evidence, 1)
	}
	saved, known := savesAtLeast(r.NewMicroseconds, r.ReusedMicroseconds)
	switch {
	case !known:
		return unknown(seen + ". Too few requests were made to tell what reuse would save.")
	case saved <= 0:
		return unknown(seen + ", but new and reused connections could not be told apart by their medians.")
	}
	evidence["newP50Microseconds"] = fmt.Sprintf("%.0f", r.NewMicroseconds.P50)
	evidence["reusedP50Microseconds"] = fmt.Sprintf("%.0f", r.ReusedMicroseconds.P50)
	seen = fmt.Sprintf("%s: it takes %s, and %s on a connection that is there already (medians; their 95 %% intervals lie apart).",
		seen, figure.Microseconds(r.NewMicroseconds.P50), figure.Microseconds(r.ReusedMicroseconds.P50))
	switch {
	case !rateKnown:
		return fail(Info, seen+howOften, evidence, 0)
	case judgeClientDoesNotReuse(in).result == Fail: // one warning for one cause
		return fail(Info, seen+" CP204 says who pays for it.", evidence, 0)
	}
	return fail(Warning, seen, evidence, 0)
}

// howOften ends the message of a finding on new connections that may matter to nobody.
const howOften = " How often the workload opens one is not known."

// ifOften is the severity of what costs with each new connection: a warning where the workload is known to open connections
// all the time, else worth knowing.
func ifOften(in Input) Severity {
	if rate, known := busiest(in); known && rate >= rarelyPerSecond {
		return Warning
	}
	return Info
}

// busiest returns the rate of connections that the busiest observed pod opens to the link at the most. It is not known
// unless it is known of every observed pod, since the one that is not known may be the busiest.
func busiest(in Input) (perSecondAtMost float64, known bool) {
	for _, o := range in.Observations {
		opens := opensTo(o, in.Addresses)
		if opens == nil {
			return 0, false
		}
		perSecondAtMost = max(perSecondAtMost, opens.atMost)
	}
	return perSecondAtMost, len(in.Observations) > 0
}
