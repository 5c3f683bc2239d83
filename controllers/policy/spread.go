package policy

import (
	"maps"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/internal/spread"
)

const (
	maximumSpread          = 20
	maximumPathTexts       = 4
	maximumDiffering       = 16
	maximumDifferingBytes  = 256
	significantDigitsShown = 4
)

// spreadOf says how far apart the figures lie that more than one vantage knows.
func spreadOf(probes []audit.ProbeResult) []v1alpha1.FigureSpread {
	var list []v1alpha1.FigureSpread
	for _, f := range spread.Of(places(probes)) {
		if len(f.Values) < 2 || len(list) == maximumSpread {
			continue
		}
		list = append(list, v1alpha1.FigureSpread{Name: f.Name, Least: shown(f.Least()), Most: shown(f.Most()), Differs: f.Differs})
	}
	return list
}

func places(probes []audit.ProbeResult) []spread.Place {
	list := make([]spread.Place, len(probes))
	for i, p := range probes {
		list[i] = spread.Place{Node: p.Node, Result: p.Result}
	}
	return list
}

// shown is a value with as many digits as it is known to.
func shown(v spread.Value) string {
	if v.Word != "" {
		return clip.To(v.Word, 32)
	}
	short, err := strconv.ParseFloat(strconv.FormatFloat(v.Number, 'g', significantDigitsShown, 64), 64)
	if err != nil {
		short = v.Number
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// pathFacts merges what the vantages and the observed pods say of where they stand. Nil: nothing is known.
func pathFacts(probes []audit.ProbeResult, observers []v1alpha1.ObserverReading) *v1alpha1.PathFacts {
	found := spread.PathOf(places(probes))
	facts := v1alpha1.PathFacts{
		Kernels:   found.Kernels[:min(len(found.Kernels), maximumPathTexts)],
		Addresses: found.Addresses[:min(len(found.Addresses), maximumPathTexts)],
	}
	// A tuned pod differs from a probe pod on purpose, so they are not compared with one another.
	var pods []spread.Namespace
	for _, o := range observers {
		pods = append(pods, spread.Namespace{Name: o.Pod, Sysctls: o.Sysctls})
	}
	differing := spread.Differing(pods)
	for name, values := range found.Differing {
		if differing == nil {
			differing = map[string]string{}
		}
		if among := differing[name]; among != "" {
			values += "; " + among
		}
		differing[name] = values
	}
	for _, name := range slices.Sorted(maps.Keys(differing))[:min(len(differing), maximumDiffering)] {
		if facts.DifferingSysctls == nil {
			facts.DifferingSysctls = map[string]string{}
		}
		facts.DifferingSysctls[name] = clip.To(differing[name], maximumDifferingBytes)
	}
	if len(facts.Kernels)+len(facts.Addresses)+len(facts.DifferingSysctls) == 0 {
		return nil
	}
	return &facts
}
