package idle

import (
	"math"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// fate is what became of a connection.
type fate int

const (
	unknown fate = iota
	alive
	fin
	rst
	blackHole
)

// arm is a way to find out whether a silent connection lives.
type arm int

const (
	// byKeepalive asks the nearest TCP hop, without a byte.
	byKeepalive arm = iota
	// byQuestion asks in the protocol that is spoken, such as by a request, which reaches through proxies.
	byQuestion
	// withKeepalive is one that keepalive is to keep, withQuestions one that questions are to; they tell nothing about the
	// cut-off.
	withKeepalive
	withQuestions
)

// kept says whether something is to keep the connection.
func (a arm) kept() bool { return a == withKeepalive || a == withQuestions }

// speaks says whether the last question is one of the protocol.
func (a arm) speaks() bool { return a == byQuestion || a == withQuestions }

// finding is what became of one connection after a silence.
type finding struct {
	arm     arm
	silence time.Duration
	fate    fate
	// watched: the connection was seen to end while nothing was sent, so that the silence is not only one that was too
	// long but the one that ended it.
	watched bool
}

func (f finding) cut() bool { return f.fate == fin || f.fate == rst || f.fate == blackHole }

// exact is how much shorter than the silence that was seen to end a connection the one is that all survived.
const exact = 100 * time.Millisecond

// bracket is where the cut-off lies: above the longest silence below the first cut that was survived, and not above the
// first cut. Nil where there is none.
func bracket(findings []finding) (atLeast, atMost *time.Duration) {
	findings = withoutKept(findings)
	for _, f := range findings {
		if f.cut() && (atMost == nil || f.silence < *atMost) {
			atMost = &f.silence
		}
	}
	for _, f := range findings {
		survived := f.silence
		if f.cut() {
			survived -= exact
		}
		known := f.fate == alive || f.cut() && f.watched
		if known && survived > 0 && (atMost == nil || survived < *atMost) && (atLeast == nil || survived > *atLeast) {
			atLeast = &survived
		}
	}
	return atLeast, atMost
}

// withoutKept leaves out those that something was to keep.
func withoutKept(findings []finding) []finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f finding) bool { return f.arm.kept() })
}

// helps says whether all connections of an arm that was to keep them were kept, nil if that is not known.
func helps(findings []finding, which arm) *bool {
	var kept *bool
	for _, f := range findings {
		if f.arm != which || f.fate == unknown {
			continue
		}
		kept = new((kept == nil || *kept) && f.fate == alive)
	}
	return kept
}

// how names the way in which connections were cut, empty if none was.
func how(findings []finding) result.IdleCut {
	var found result.IdleCut
	for _, f := range findings {
		if !f.cut() {
			continue
		}
		kind := map[fate]result.IdleCut{fin: result.CutFIN, rst: result.CutRST, blackHole: result.CutBlackHole}[f.fate]
		if found != "" && found != kind {
			return result.CutMixed
		}
		found = kind
	}
	return found
}

// judge turns findings into a result without its outcome.
func judge(findings []finding) result.Idle {
	r := result.Idle{KeepaliveHelps: helps(findings, withKeepalive), PingHelps: helps(findings, withQuestions)}
	findings = withoutKept(findings)
	atLeast, atMost := bracket(findings)
	if atMost != nil {
		r.Cut = new(true)
		r.AfterSecondsAtLeast, r.AfterSecondsAtMost = seconds(atLeast), seconds(atMost)
	} else if atLeast != nil {
		r.Cut = new(false)
	}
	r.How = how(findings)
	r.KeepaliveLadder, r.RequestLadder = climb(findings, byKeepalive), climb(findings, byQuestion)
	var longest time.Duration
	for _, f := range findings {
		if f.fate != unknown {
			r.LookedSeconds = max(r.LookedSeconds, *seconds(&f.silence))
		}
		if f.fate == alive {
			longest = max(longest, f.silence)
		}
	}
	if longest > 0 {
		r.SurvivedSeconds = seconds(&longest)
		r.SurvivedOf = survivors(findings, longest)
	}
	return r
}

// survivors counts those that lived through a silence of about that length. One that was seen to end later did too.
func survivors(findings []finding, silence time.Duration) *result.Count {
	var c result.Count
	for _, f := range findings {
		asked := f.silence > scale(silence, 1-beside) && f.silence < scale(silence, 1+beside)
		switch {
		case f.fate == alive && asked, f.cut() && f.watched && f.silence > silence:
			c.Got++
			c.Of++
		case f.cut() && (asked || f.watched):
			c.Of++
		}
	}
	return &c
}

// climb gathers the findings of one arm into rungs. Nil if there are none.
func climb(findings []finding, which arm) *result.Ladder {
	rungs := map[float64]*result.Rung{}
	for _, f := range findings {
		if f.arm != which {
			continue
		}
		at := *seconds(&f.silence)
		if rungs[at] == nil {
			rungs[at] = &result.Rung{Seconds: at}
		}
		switch rung := rungs[at]; f.fate {
		case alive:
			rung.Alive++
		case fin:
			rung.FIN++
		case rst:
			rung.RST++
		case blackHole:
			rung.BlackHole++
		default:
			rung.Unknown++
		}
	}
	if len(rungs) == 0 {
		return nil
	}
	l := &result.Ladder{}
	for _, rung := range rungs {
		l.Rungs = append(l.Rungs, *rung)
	}
	slices.SortFunc(l.Rungs, func(a, b result.Rung) int { return int(math.Copysign(1, a.Seconds-b.Seconds)) })
	return l
}

// seconds rounds to tenths, which is what timers of servers and the pace of opening leave.
func seconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	return new(math.Round(d.Seconds()*10) / 10)
}
