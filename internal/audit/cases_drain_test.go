package audit

import (
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// draining is an HTTP link of which three endpoints left, with what connections of two pods came to; virtual where before says
// what they came to before.
func draining(before *ConnectionCounts, during ConnectionCounts) Input {
	in := observing(http(), keeping(asItIs))
	began := time.Date(2026, time.November, 27, 10, 2, 11, 0, time.UTC)
	in.Drains = []Drain{{Began: began, Ended: began.Add(89 * time.Second), Endpoints: 3, Pods: 2, During: during, Before: before}}
	return in
}

// steadily is how connections went before endpoints left: none was torn, and no connect failed.
func steadily() *ConnectionCounts {
	return &ConnectionCounts{Opened: 1200, Closed: 1180, Open: 20, Ends: &result.Ends{Orderly: 1180}}
}

func drainCases() []ruleCase {
	return []ruleCase{
		{rule: "CP813", name: "torn in a roll-out", in: draining(steadily(), ConnectionCounts{Opened: 60, Failed: 5, Closed: 40, Open: 20, Ends: &result.Ends{Orderly: 28, Unanswered: 2, Reset: 12}}),
			want: Fail, severity: Warning, message: "While 3 endpoints left (2026-11-27 10:02:11 to 10:03:40 UTC), 40 connections of 2 observed pods ended: 26 in order, 2 with a request that got no answer, 12 reset by the peer; 5 of 60 connects failed. Before, 0 of 1,200 connections were torn and 0 of 1,200 connects failed."},
		{rule: "CP813", name: "a pool that lived for long", in: draining(&ConnectionCounts{Opened: 20, Open: 20}, ConnectionCounts{Opened: 20, Closed: 20, Open: 20, Ends: &result.Ends{Reset: 20}}), want: Fail, severity: Warning},
		{rule: "CP813", name: "connects alone failed", in: draining(steadily(), ConnectionCounts{Opened: 90, Failed: 12, Closed: 78, Ends: &result.Ends{Orderly: 78}}), want: Fail, severity: Warning},
		{rule: "CP813", name: "connects failed, how connections ended is not known", in: draining(steadily(), ConnectionCounts{Opened: 90, Failed: 12, Closed: 78}), want: Fail, severity: Warning},
		{rule: "CP813", name: "no answer, over HTTP", in: draining(steadily(), ConnectionCounts{Opened: 40, Closed: 40, Ends: &result.Ends{Orderly: 40, Unanswered: 9}}), want: Fail, severity: Warning},
		{rule: "CP813", name: "no answer, as TLS says farewell", in: over(protocolHTTPS, draining(steadily(), ConnectionCounts{Opened: 40, Closed: 40, Ends: &result.Ends{Orderly: 40, Unanswered: 40}})), want: Pass,
			message: "ended: 40 in order; 0 of 40 connects failed. Before, 0 of 1,200 connections were torn and 0 of 1,200 connects failed. Whether a request on them was lost shows over HTTP alone."},
		{rule: "CP813", name: "one of few", in: draining(&ConnectionCounts{Opened: 30, Closed: 20, Open: 10, Ends: &result.Ends{Orderly: 20}}, ConnectionCounts{Opened: 12, Closed: 10, Open: 12, Ends: &result.Ends{Orderly: 9, Reset: 1}}),
			want: Fail, severity: Info, message: "That may be chance."},
		{rule: "CP813", name: "how connections ended before is not known", in: draining(&ConnectionCounts{Opened: 1200, Closed: 1100, Open: 100}, ConnectionCounts{Opened: 60, Closed: 40, Open: 20, Ends: &result.Ends{Orderly: 28, Reset: 12}}),
			want: Fail, severity: Info, message: "Before, it is not known how connections ended and 0 of 1,200 connects failed. That may be chance."},
		{rule: "CP813", name: "as many as ever", in: draining(&ConnectionCounts{Opened: 1200, Failed: 30, Closed: 1180, Ends: &result.Ends{Orderly: 1100, Reset: 80}}, ConnectionCounts{Opened: 60, Failed: 1, Closed: 60, Ends: &result.Ends{Orderly: 57, Reset: 3}}),
			want: Pass, message: "That is no more than is usual."},
		{rule: "CP813", name: "one of many, as happens before too", in: draining(&ConnectionCounts{Opened: 12102, Closed: 12096, Open: 6, Ends: &result.Ends{Orderly: 12096, Unanswered: 1}}, ConnectionCounts{Opened: 10625, Closed: 10623, Open: 8, Ends: &result.Ends{Orderly: 10623, Unanswered: 1}}), want: Pass},
		{rule: "CP813", name: "nothing to compare with", in: draining(&ConnectionCounts{}, ConnectionCounts{Opened: 20, Closed: 20, Ends: &result.Ends{Reset: 20}}), want: Fail, severity: Info},
		{rule: "CP813", name: "drained", in: draining(steadily(), ConnectionCounts{Opened: 60, Closed: 40, Open: 20, Ends: &result.Ends{Orderly: 40}}), want: Pass,
			message: "ended: 40 in order; 0 of 60 connects failed. Before,"},
		{rule: "CP813", name: "the pods themselves reset", in: draining(steadily(), ConnectionCounts{Opened: 60, Closed: 40, Open: 20, Ends: &result.Ends{Orderly: 30, ResetHere: 10}}), want: Pass},
		{rule: "CP813", name: "headless, torn", in: draining(nil, ConnectionCounts{Closed: 6, Ends: &result.Ends{Orderly: 5, Reset: 1}}), want: Fail, severity: Warning,
			message: "6 connections of 2 observed pods to them ended: 5 in order, 1 reset by the peer; 0 of 0 connects failed."},
		{rule: "CP813", name: "headless, refused", in: draining(nil, ConnectionCounts{Opened: 30, Failed: 30}), want: Fail, severity: Warning, message: "30 of 30 connects failed"},
		{rule: "CP813", name: "headless, gone without a word", in: draining(nil, ConnectionCounts{Closed: 2, Open: 3, Ends: &result.Ends{Silent: 2}}), want: Fail, severity: Warning, message: "2 because nobody answered any more"},
		{rule: "CP813", name: "headless, still open", in: draining(nil, ConnectionCounts{Open: 4}), want: Fail, severity: Info, message: "Still open to them when they were gone: 4."},
		{rule: "CP813", name: "headless, still terminating", in: with(draining(nil, ConnectionCounts{Opened: 1, Closed: 3, Open: 4, Ends: &result.Ends{Orderly: 3}}), func(in *Input) { in.Drains[0].StillListed = 1 }), want: Pass},
		{rule: "CP813", name: "headless, drained", in: draining(nil, ConnectionCounts{Closed: 6, Ends: &result.Ends{Orderly: 6}}), want: Pass},
		{rule: "CP813", name: "the kernel told of no end", in: draining(steadily(), ConnectionCounts{Opened: 60, Closed: 40, Open: 20}), want: Unknown, message: "40 connections of 2 observed pods ended; the kernel told how 0 of them did"},
		{rule: "CP813", name: "the kernel told of few ends", in: draining(steadily(), ConnectionCounts{Opened: 60, Closed: 40, Open: 20, Ends: &result.Ends{Orderly: 19}}), want: Unknown},
		{rule: "CP813", name: "no connection there", in: draining(steadily(), ConnectionCounts{}), want: NotApplicable},
		{rule: "CP813", name: "none ended", in: draining(steadily(), ConnectionCounts{Opened: 2, Open: 22}), want: NotApplicable},
		{rule: "CP813", name: "none left", in: observing(http(), keeping(asItIs)), want: NotApplicable},
		{rule: "CP813", name: "no workload", in: with(http(), func(in *Input) { in.ServerOnly = true }), want: NotApplicable},
	}
}
