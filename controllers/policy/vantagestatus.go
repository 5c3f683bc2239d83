package policy

import (
	"cmp"
	"math"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/probes/result"
)

// maximumVantages bounds the vantages of a report.
const maximumVantages = 4

// mergeVantages are the vantages that stand after fresh results came in: the newest result of each node, as many as a
// run has, and the attempts of the present run that brought none. A result on a node that the workload has left does
// not stand beside others.
func mergeVantages(known []v1alpha1.Vantage, fresh []v1alpha1.Vantage, run *v1alpha1.ProbeRunStatus, from vantageChoice, now metav1.Time) []v1alpha1.Vantage {
	newestFirst := slices.Concat(fresh, known)
	slices.SortStableFunc(newestFirst, func(a, b v1alpha1.Vantage) int { return b.Time.Compare(a.Time.Time) })
	var standing []v1alpha1.Vantage
	for _, here := range []bool{true, false} {
		for _, vantage := range newestFirst {
			isHere := slices.Contains(from.nodes, vantage.Node) || slices.Contains(from.nodes, anywhere)
			enough := len(standing) >= from.enough || !here && len(standing) > 0
			if vantage.Outcome == string(result.Measured) && isHere == here && !enough && !hasNode(standing, vantage.Node) {
				standing = append(standing, vantage)
			}
		}
	}
	if run != nil {
		for _, pod := range slices.Backward(run.Pods) {
			if pod.Outcome == "" || pod.Outcome == string(result.Measured) || hasNode(standing, pod.Node) || len(standing) == maximumVantages {
				continue
			}
			failed := v1alpha1.Vantage{Time: now, Node: pod.Node, Pod: pod.Name, Outcome: pod.Outcome, Cause: pod.Cause}
			if i := slices.IndexFunc(known, func(v v1alpha1.Vantage) bool { return v.Pod == pod.Name }); i >= 0 {
				failed.Time = known[i].Time
			}
			standing = append(standing, failed)
		}
	}
	slices.SortStableFunc(standing, func(a, b v1alpha1.Vantage) int { return cmp.Compare(a.Node, b.Node) })
	return standing
}

func hasNode(vantages []v1alpha1.Vantage, node string) bool {
	return slices.ContainsFunc(vantages, func(v v1alpha1.Vantage) bool { return v.Node == node })
}

// vantageOf renders a probe's result for a report.
func vantageOf(pod v1alpha1.ProbePodStatus, r *result.Result, now metav1.Time) v1alpha1.Vantage {
	v := v1alpha1.Vantage{
		Time: now, Node: pod.Node, Pod: pod.Name, Outcome: string(result.Measured),
		Kernel: clip(r.Host.Kernel, 128), Address: clip(r.Target.Address, 64),
		Connections: int32(r.Spent.Connections), Requests: int32(r.Spent.Requests),
	}
	if h := r.Measurements.Handshake; h != nil {
		v.Handshake = &v1alpha1.HandshakeMeasurement{
			MeasurementOutcome:    outcomeOf(h.Meta),
			ConnectMicroseconds:   distributionOf(h.ConnectMicroseconds),
			KernelRTTMicroseconds: distributionOf(h.KernelRTTMicroseconds),
			SynRetransmissions:    int32Of(h.SynRetransmissions),
			SetupSharePercent:     rounded(h.SetupSharePercent),
		}
	}
	if u := r.Measurements.Reuse; u != nil {
		v.Reuse = &v1alpha1.ReuseMeasurement{
			MeasurementOutcome:    outcomeOf(u.Meta),
			Kept:                  u.Kept,
			RequestsPerConnection: int32Of(u.RequestsPerConnection),
			RequestsAtLeast:       int32Of(u.RequestsAtLeast),
			CloseCause:            clip(string(u.CloseCause), 32),
			NewMicroseconds:       distributionOf(u.NewMicroseconds),
			ReusedMicroseconds:    distributionOf(u.ReusedMicroseconds),
		}
		if header := u.KeepAliveHeader; header != nil {
			v.Reuse.KeepAliveTimeoutSeconds, v.Reuse.KeepAliveMax = int32Of(header.TimeoutSeconds), int32Of(header.Max)
		}
	}
	if w := r.Measurements.TimeWait; w != nil {
		v.TimeWait = &v1alpha1.TimeWaitMeasurement{
			MeasurementOutcome:          outcomeOf(w.Meta),
			Holder:                      clip(string(w.Holder), 16),
			Seconds:                     rounded(w.Seconds),
			Ports:                       int32Of(w.Ports),
			ConnectionsPerSecondCeiling: rounded(w.ConnectionsPerSecondCeiling),
			ConnectionsPerSecondSmooth:  rounded(w.ConnectionsPerSecondSmooth),
		}
		for scenario, side := range w.Scenarios {
			if v.TimeWait.Scenarios == nil {
				v.TimeWait.Scenarios = map[string]string{}
			}
			v.TimeWait.Scenarios[scenario] = string(side)
		}
	}
	return v
}

// resultOf is the way back: what the rules judge is what the report says, also after a restart.
func resultOf(v v1alpha1.Vantage, protocol v1alpha1.Protocol) audit.ProbeResult {
	r := result.Result{
		Version: result.Version,
		Target:  result.Target{Protocol: string(protocol), Address: v.Address},
		Host:    result.Host{Kernel: v.Kernel},
		Spent:   result.Spent{Connections: int(v.Connections), Requests: int(v.Requests)},
	}
	if h := v.Handshake; h != nil {
		r.Measurements.Handshake = &result.Handshake{
			Meta:                  metaOf(h.MeasurementOutcome),
			ConnectMicroseconds:   distributionFrom(h.ConnectMicroseconds),
			KernelRTTMicroseconds: distributionFrom(h.KernelRTTMicroseconds),
			SynRetransmissions:    intFrom(h.SynRetransmissions),
			SetupSharePercent:     floatFrom(h.SetupSharePercent),
		}
	}
	if u := v.Reuse; u != nil {
		r.Measurements.Reuse = &result.Reuse{
			Meta:                  metaOf(u.MeasurementOutcome),
			Kept:                  u.Kept,
			RequestsPerConnection: intFrom(u.RequestsPerConnection),
			RequestsAtLeast:       intFrom(u.RequestsAtLeast),
			CloseCause:            result.CloseCause(u.CloseCause),
			NewMicroseconds:       distributionFrom(u.NewMicroseconds),
			ReusedMicroseconds:    distributionFrom(u.ReusedMicroseconds),
		}
		if u.KeepAliveTimeoutSeconds != nil || u.KeepAliveMax != nil {
			r.Measurements.Reuse.KeepAliveHeader = &result.KeepAliveHeader{
				TimeoutSeconds: intFrom(u.KeepAliveTimeoutSeconds), Max: intFrom(u.KeepAliveMax),
			}
		}
	}
	if w := v.TimeWait; w != nil {
		r.Measurements.TimeWait = &result.TimeWait{
			Meta:                        metaOf(w.MeasurementOutcome),
			Holder:                      result.Side(w.Holder),
			Seconds:                     floatFrom(w.Seconds),
			Ports:                       intFrom(w.Ports),
			ConnectionsPerSecondCeiling: floatFrom(w.ConnectionsPerSecondCeiling),
			ConnectionsPerSecondSmooth:  floatFrom(w.ConnectionsPerSecondSmooth),
		}
		for scenario, side := range w.Scenarios {
			if r.Measurements.TimeWait.Scenarios == nil {
				r.Measurements.TimeWait.Scenarios = map[string]result.Side{}
			}
			r.Measurements.TimeWait.Scenarios[scenario] = result.Side(side)
		}
	}
	return audit.ProbeResult{Node: v.Node, Result: r}
}

// measurements are what every measurement of a vantage says about itself.
func measurements(v v1alpha1.Vantage) []v1alpha1.MeasurementOutcome {
	var outcomes []v1alpha1.MeasurementOutcome
	if v.Handshake != nil {
		outcomes = append(outcomes, v.Handshake.MeasurementOutcome)
	}
	if v.Reuse != nil {
		outcomes = append(outcomes, v.Reuse.MeasurementOutcome)
	}
	if v.TimeWait != nil {
		outcomes = append(outcomes, v.TimeWait.MeasurementOutcome)
	}
	return outcomes
}

func outcomeOf(m result.Meta) v1alpha1.MeasurementOutcome {
	return v1alpha1.MeasurementOutcome{Outcome: string(m.Outcome), Cause: clip(m.Cause, maximumCauseBytes), Samples: int32(m.Samples)}
}

func metaOf(o v1alpha1.MeasurementOutcome) result.Meta {
	return result.Meta{Outcome: result.Outcome(o.Outcome), Cause: o.Cause, Samples: int(o.Samples)}
}

func distributionOf(d *result.Distribution) *v1alpha1.DistributionMicroseconds {
	if d == nil {
		return nil
	}
	whole := func(microseconds float64) int64 { return int64(math.Round(microseconds)) }
	rendered := &v1alpha1.DistributionMicroseconds{Min: whole(d.Min), P50: whole(d.P50), P90: whole(d.P90), P99: whole(d.P99), Max: whole(d.Max)}
	if d.P50Low != nil && d.P50High != nil {
		rendered.P50Low, rendered.P50High = new(whole(*d.P50Low)), new(whole(*d.P50High))
	}
	return rendered
}

func distributionFrom(d *v1alpha1.DistributionMicroseconds) *result.Distribution {
	if d == nil {
		return nil
	}
	back := &result.Distribution{Min: float64(d.Min), P50: float64(d.P50), P90: float64(d.P90), P99: float64(d.P99), Max: float64(d.Max)}
	if d.P50Low != nil && d.P50High != nil {
		back.P50Low, back.P50High = new(float64(*d.P50Low)), new(float64(*d.P50High))
	}
	return back
}

// Conversions of figures that may be unknown.

func int32Of(figure *int) *int32 {
	if figure == nil {
		return nil
	}
	return new(int32(*figure))
}

func intFrom(figure *int32) *int {
	if figure == nil {
		return nil
	}
	return new(int(*figure))
}

func rounded(figure *float64) *int32 {
	if figure == nil {
		return nil
	}
	return new(int32(math.Round(*figure)))
}

func floatFrom(figure *int32) *float64 {
	if figure == nil {
		return nil
	}
	return new(float64(*figure))
}
