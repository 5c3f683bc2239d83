package idle

import (
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

func after(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

func TestJudge(t *testing.T) {
	seen := func(seconds float64, f fate) finding { return finding{silence: after(seconds), fate: f, watched: true} }
	asked := func(seconds float64, f fate) finding { return finding{silence: after(seconds), fate: f} }
	kept := func(seconds float64, f fate) finding {
		return finding{arm: withKeepalive, silence: after(seconds), fate: f}
	}
	for name, c := range map[string]struct {
		findings                 []finding
		cut                      *bool
		how                      result.IdleCut
		atLeast, atMost, longest float64 // -1: unknown
		got, of                  int
		helps                    *bool
	}{
		"nothing":        {nil, nil, "", -1, -1, -1, 0, 0, nil},
		"unknown only":   {[]finding{asked(3, unknown)}, nil, "", -1, -1, -1, 0, 0, nil},
		"all live":       {[]finding{asked(1, alive), asked(3, alive), asked(3, alive)}, new(false), "", -1, -1, 3, 2, 2, nil},
		"seen to close":  {[]finding{asked(2, alive), asked(4.8, alive), seen(5, fin), seen(5.1, fin)}, new(true), result.CutFIN, 4.9, 5, 4.8, 3, 3, nil},
		"between rungs":  {[]finding{asked(2, alive), asked(4, blackHole), asked(4, blackHole)}, new(true), result.CutBlackHole, 2, 4, 2, 1, 1, nil},
		"some survive":   {[]finding{asked(2, alive), asked(4, rst), asked(4, alive), asked(4, rst)}, new(true), result.CutRST, 2, 4, 4, 1, 3, nil},
		"mixed":          {[]finding{asked(2, alive), asked(4, rst), asked(4, blackHole)}, new(true), result.CutMixed, 2, 4, 2, 1, 1, nil},
		"keepalive kept": {[]finding{seen(2, fin), kept(2.5, alive)}, new(true), result.CutFIN, 1.9, 2, -1, 0, 0, new(true)},
		"keepalive lost": {[]finding{seen(2, fin), kept(2.5, alive), kept(2, fin)}, new(true), result.CutFIN, 1.9, 2, -1, 0, 0, new(false)},
	} {
		got := judge(c.findings)
		if !same(got.Cut, c.cut) || got.How != c.how || !same(got.KeepaliveHelps, c.helps) {
			t.Errorf("%s: cut %v, %q, keepalive helps %v", name, got.Cut, got.How, got.KeepaliveHelps)
		}
		for what, figure := range map[string]struct {
			got  *float64
			want float64
		}{"at least": {got.AfterSecondsAtLeast, c.atLeast}, "at most": {got.AfterSecondsAtMost, c.atMost}, "survived": {got.SurvivedSeconds, c.longest}} {
			if known := figure.got != nil; known != (figure.want >= 0) || known && *figure.got != figure.want {
				t.Errorf("%s: %s is %v, want %g", name, what, figure.got, figure.want)
			}
		}
		if c.of > 0 && (got.SurvivedOf == nil || *got.SurvivedOf != (result.Count{Got: c.got, Of: c.of})) {
			t.Errorf("%s: survived by %+v, want %d of %d", name, got.SurvivedOf, c.got, c.of)
		}
	}
}

func same(a, b *bool) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func TestLadder(t *testing.T) {
	for name, c := range map[string]struct {
		longest time.Duration
		count   int
		least   int
	}{"too short": {300 * time.Millisecond, 15, 0}, "ten seconds": {10 * time.Second, 15, 12}, "a thousand": {1000 * time.Second, 15, 15}, "one": {5 * time.Second, 1, 1}} {
		rungs := ladder(c.longest, c.count)
		if len(rungs) < c.least || len(rungs) > c.count {
			t.Errorf("%s: %d rungs: %v", name, len(rungs), rungs)
		}
		for i, rung := range rungs {
			if rung < shortest || rung > c.longest || i > 0 && rung <= rungs[i-1] {
				t.Errorf("%s: rung %v of %v", name, rung, rungs)
			}
		}
		if len(rungs) > 0 && rungs[len(rungs)-1] != c.longest {
			t.Errorf("%s: the longest is not tried: %v", name, rungs)
		}
	}
	// On either side of what a load balancer is known to do.
	var below, above bool
	for _, rung := range ladder(1000*time.Second, 20) {
		below = below || rung > 330*time.Second && rung < 350*time.Second
		above = above || rung > 350*time.Second && rung < 370*time.Second
	}
	if !below || !above {
		t.Error("no rungs beside 350 seconds")
	}
}
