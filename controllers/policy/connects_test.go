package policy

import (
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/probes/result"
)

// connecting is a result of so many connects, some of them above 5 ms.
func connecting(connects, above int) *result.Result {
	r := &result.Result{}
	r.Measurements.Handshake = &result.Handshake{Meta: result.Meta{Outcome: result.Measured, Samples: connects},
		ConnectAbove: &result.Above{Microseconds: 5000, Count: result.Count{Of: connects, Got: above}}}
	return r
}

// connectsIn are the results that a run has counted.
func connectsIn(run *v1alpha1.ProbeRunStatus) []v1alpha1.ConnectCount {
	if run.Connects == nil {
		return nil
	}
	return run.Connects.Results
}

func comesIn(run *v1alpha1.ProbeRunStatus, name string, r *result.Result) runInput {
	return with(asked(run, "n1", "n2"), name, podReading{node: "n1", Reading: probepod.Reading{Finished: true, Outcome: result.Measured, Result: r}})
}

func TestConnectsOfRunsArePooled(t *testing.T) {
	first := advance(comesIn(running(pod("a", "n1", "")), "a", connecting(67, 1))).run
	if c := first.Connects; c == nil || c.AboveMicroseconds != 5000 || len(c.Results) != 1 || c.Results[0].Connects != 67 || c.Results[0].Above != 1 || c.Results[0].Node != "n1" {
		t.Fatalf("pooled %+v", first.Connects)
	}
	// The pod is still there, and its outcome was recorded with its connects.
	if again := advance(comesIn(first, "a", connecting(67, 1))).run; len(again.Connects.Results) != 1 {
		t.Errorf("one result counts %d times", len(again.Connects.Results))
	}
	due := *first.DeepCopy()
	due.Phase = v1alpha1.RunFinished
	next := advance(at(asked(&due, "n1", "n2"), time.Hour)).run
	if next.ID == first.ID || next.Connects == nil || len(next.Connects.Results) != 1 {
		t.Errorf("the next run forgot the connects of the one before: %+v", next)
	}
	other := at(asked(&due, "n1", "n2"), time.Hour)
	other.fingerprint = "def456"
	if next := advance(other).run; next.Connects != nil {
		t.Errorf("a run for something else begins with connects: %+v", next.Connects)
	}
}

func TestPooledConnectsAreBoundedAndAge(t *testing.T) {
	var pool *v1alpha1.ConnectPool
	for i := range 2 * resultsPooled {
		pool = pooled(pool, "n1", *connecting(i+1, 0), begin.Add(time.Duration(i)*time.Minute))
	}
	if last := pool.Results[len(pool.Results)-1]; len(pool.Results) != resultsPooled || last.Connects != 2*resultsPooled {
		t.Errorf("%d results, the newest of %d connects", len(pool.Results), last.Connects)
	}
	if old := pooled(pool, "n1", *connecting(7, 0), begin.Add(25*time.Hour+2*resultsPooled*time.Minute)); len(old.Results) != 1 {
		t.Errorf("%d results after a day", len(old.Results))
	}
	tighter := connecting(7, 3)
	tighter.Measurements.Handshake.ConnectAbove.Microseconds = 1000
	if other := pooled(pool, "n1", *tighter, begin.Add(time.Hour)); other.AboveMicroseconds != 1000 || len(other.Results) != 1 {
		t.Errorf("another objective goes on with %+v", other)
	}
	uncounted, failed := connecting(7, 0), connecting(7, 0)
	uncounted.Measurements.Handshake.ConnectAbove, failed.Measurements.Handshake.Outcome = nil, result.Failed
	for name, r := range map[string]*result.Result{"nothing": {}, "without a count": uncounted, "failed": failed} {
		if got := pooled(pool, "n1", *r, begin.Add(time.Hour)); len(got.Results) != resultsPooled || got != pool {
			t.Errorf("%s changed the pool", name)
		}
	}
}
