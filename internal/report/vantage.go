package report

import (
	"fmt"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
)

// view is what one probe pod found.
type view struct {
	node  string
	found result.Result
}

// viewsOf are the results of a report's vantages. What cannot be read of them is told in troubles.
func viewsOf(report *v1alpha1.ConnectionReport) (views []view, troubles []string) {
	for _, v := range vantage.Whole(report.Status.Vantages) {
		if v.Outcome != string(result.Measured) {
			continue
		}
		found, err := vantage.Result(v, report.Status.Target)
		if err != nil {
			troubles = append(troubles, fmt.Sprintf("What was measured from %s cannot be read: %v.", node(v.Node), err))
			continue
		}
		views = append(views, view{node(v.Node), found})
	}
	return views, troubles
}
