package tuning

import (
	"testing"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// TestChooseCanaryTarget: a canary knocks where a link of the policies that was probed leads, at one that demands
// something if there is one, and under the key that the probes of that link have.
func TestChooseCanaryTarget(t *testing.T) {
	one := policy("checkout", v1alpha1.ModeApply, v1alpha1.DisruptionNone)
	one.Spec.To = []v1alpha1.Link{{Name: "bank"}, {Name: "payments"}}
	report := func(key string) v1alpha1.ConnectionReport {
		var r v1alpha1.ConnectionReport
		r.Status.Target = &v1alpha1.ReportTarget{Name: "Bank.Example.:443", URL: "tcp://Bank.Example.:443", Key: key}
		return r
	}
	bank, payments := report("bank.example:443"), report("payments.shop.svc:80")
	demands := []v1alpha1.Demand{{PolicyName: "checkout", LinkName: "payments"}}
	for name, test := range map[string]struct {
		reports linkReports
		want    string
	}{
		"the one that demands":           {linkReports{{"checkout", "bank"}: bank, {"checkout", "payments"}: payments}, "payments.shop.svc:80"},
		"any that was probed":            {linkReports{{"checkout", "bank"}: bank}, "bank.example:443"},
		"none of which the key is known": {linkReports{{"checkout", "bank"}: report("")}, ""},
		"none that was probed":           {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := chooseCanaryTarget([]v1alpha1.ConnectionPolicy{one}, test.reports, demands)
			if got.key != test.want || found != (test.want != "") {
				t.Errorf("target is %+v (%v), want the key %q", got, found, test.want)
			}
		})
	}
}
