package policy

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/probes/result"
)

// resultsPooled bounds the results whose connects are remembered. By the default limits they are some 1,400 connects over
// HTTP, by which up to seven above an objective can be told from too many.
const resultsPooled = 40

// pooled adds the connects of a result to those of the runs before, if the probe counted them above the objective. A
// result is taken in when its pod's outcome is, in one write of the status: none counts twice, and none is lost.
func pooled(pool *v1alpha1.ConnectPool, node string, r result.Result, now time.Time) *v1alpha1.ConnectPool {
	h := r.Measurements.Handshake
	if h == nil || h.Outcome != result.Measured || h.ConnectAbove == nil || h.ConnectAbove.Of <= 0 {
		return pool
	}
	limit := int64(h.ConnectAbove.Microseconds)
	var results []v1alpha1.ConnectCount
	if pool != nil && pool.AboveMicroseconds == limit {
		results = slices.DeleteFunc(slices.Clone(pool.Results), func(c v1alpha1.ConnectCount) bool { return now.Sub(c.Time.Time) > audit.PoolAge })
	}
	results = append(results, v1alpha1.ConnectCount{
		Time: metav1.Time{Time: now.Truncate(time.Second)}, Node: node, Connects: int32(h.ConnectAbove.Of), Above: int32(h.ConnectAbove.Got),
	})
	return &v1alpha1.ConnectPool{AboveMicroseconds: limit, Results: results[max(0, len(results)-resultsPooled):]}
}

// connectsOf are a run's pooled connects as the rules judge them. Nil: none were counted.
func connectsOf(run *v1alpha1.ProbeRunStatus) *audit.ConnectPool {
	if run == nil || run.Connects == nil {
		return nil
	}
	pool := &audit.ConnectPool{AboveMicroseconds: run.Connects.AboveMicroseconds}
	for _, c := range run.Connects.Results {
		pool.Counts = append(pool.Counts, audit.ConnectCount{At: c.Time.Time, Node: c.Node, Connects: int(c.Connects), Above: int(c.Above)})
	}
	return pool
}
