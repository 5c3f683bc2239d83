package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/probes/result"
)

// What has nothing to say about the healthy link: settings that nobody set, HTTP/2 over HTTP, endpoints that are all ready.
func silentOnHealthy() []string {
	return []string{"CP410", "CP502", "CP508", "CP509", "CP510", "CP511", "CP701", "CP702", "CP703", "CP704", "CP808", "CP809", "CP810", "CP813"}
}

func judgedHere(rule string) bool {
	return strings.HasPrefix(rule, "CP4") || strings.HasPrefix(rule, "CP5") || strings.HasPrefix(rule, "CP7") || strings.HasPrefix(rule, "CP8")
}

func TestAHealthyLinkHasNoFindings(t *testing.T) {
	for _, v := range Judge(healthy(protocolHTTP)) {
		want := Pass
		if slices.Contains(silentOnHealthy(), v.Rule) {
			want = NotApplicable
		}
		if judgedHere(v.Rule) && v.Result != want {
			t.Errorf("%s is %s, want %s: %s", v.Rule, v.Result, want, v.Message)
		}
	}
}

// A measurement that came to nothing leaves every rule that stands on it without a verdict, whatever else is known.
func TestAMeasurementThatFailedPassesNothing(t *testing.T) {
	for measurement, rules := range map[string][]string{
		"reuse": {"CP404"}, "identity": {"CP406"}, "idle": {"CP501", "CP502"}, "websocket": {"CP505", "CP506"}, "push": {"CP507"}, "pathMTU": {"CP812"},
	} {
		in := healthy(protocolHTTP)
		for _, f := range result.Fields() {
			if f.Name == measurement {
				for i := range in.Probes {
					f.Conclude(&in.Probes[i].Result.Measurements, failed())
				}
			}
		}
		for _, rule := range rules {
			if v := verdictOf(t, rule, Judge(in)); v.Result != Unknown {
				t.Errorf("without %s %s is %s: %s", measurement, rule, v.Result, v.Message)
			}
		}
	}
}

// Without an observer no rule on the workload's own sockets passes. What the probe alone can tell still does.
func TestWithoutAnObserverNothingIsKnownOfTheSockets(t *testing.T) {
	in := healthy(protocolHTTP)
	in.Observations, in.ObserverTroubles = nil, []string{"refused"}
	byTheProbe := []string{"CP402", "CP406", "CP501", "CP502", "CP505", "CP506", "CP507", "CP812"}
	for _, v := range Judge(in) {
		if judgedHere(v.Rule) && v.Result == Pass && !slices.Contains(byTheProbe, v.Rule) {
			t.Errorf("%s passes: %s", v.Rule, v.Message)
		}
	}
}

// An observer of an old version, or a kernel without the counters, is not taken for zeros.
func TestFiguresThatAreNotToldAreNotZero(t *testing.T) {
	in := healthy(protocolHTTP)
	for i := range in.Observations {
		in.Observations[i].Observation.CounterChanges = nil
		in.Observations[i].Observation.Destinations[0].Connections = nil
	}
	for _, rule := range []string{"CP404", "CP411", "CP503", "CP504", "CP801", "CP802", "CP803", "CP804", "CP805", "CP806", "CP807", "CP809"} {
		if v := verdictOf(t, rule, Judge(in)); v.Result != Unknown {
			t.Errorf("%s is %s: %s", rule, v.Result, v.Message)
		}
	}
}

func TestMessagesAreNotCutInOrdinaryCases(t *testing.T) {
	for _, c := range ruleCases() {
		v := verdictOf(t, c.rule, Judge(c.in))
		if strings.HasSuffix(v.Message, "…") {
			t.Errorf("%s, %s: %s", c.rule, c.name, v.Message)
		}
		if len(v.Evidence) > 16 {
			t.Errorf("%s, %s: %d pieces of evidence, a report holds 16", c.rule, c.name, len(v.Evidence))
		}
	}
}
