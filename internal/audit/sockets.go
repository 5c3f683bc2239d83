package audit

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// perUse judges how the connections of each observed pod to each address of the link are used, and returns the
// gravest judgement.
func perUse(in Input, judge func(PodObservation, result.Destination, *result.Connections) judgement) judgement {
	if len(in.Addresses) == 0 && !in.ServerOnly {
		return unknown("The addresses of the target are not known, so its sockets cannot be told from others.")
	}
	return perPod(in, func(o PodObservation) judgement {
		if o.Observation.Destinations == nil {
			return unknown(fmt.Sprintf("The sockets of pod %s could not be listed.", o.Pod))
		}
		var judgements []judgement
		for _, d := range o.Observation.Destinations {
			switch {
			case !ofLink(d, in.Addresses):
			case d.Connections == nil:
				judgements = append(judgements, unknown(fmt.Sprintf("The observer in pod %s is of a version that does not tell how connections are used.", o.Pod)))
			default:
				judgements = append(judgements, judge(o, d, d.Connections))
			}
		}
		switch {
		case len(judgements) > 0:
			return gravest(judgements)
		case o.Observation.OtherDestinations != nil:
			return unknown(fmt.Sprintf("Pod %s has connections to so many addresses that those to this link have no figures of their own.", o.Pod))
		}
		return notApplicable("No observed pod holds, or lately held, a connection to this link.")
	})
}

// SocketsName says whether sockets of an observed pod name one of the addresses.
func SocketsName(observations []PodObservation, addresses []string) bool {
	return slices.ContainsFunc(observations, func(o PodObservation) bool {
		return slices.ContainsFunc(o.Observation.Destinations, func(d result.Destination) bool { return ofLink(d, addresses) })
	})
}

// linkConnections are the connections of all observed pods to the link, where observers tell how they are used.
func linkConnections(in Input) []result.Connections {
	var all []result.Connections
	for _, o := range in.Observations {
		for _, d := range o.Observation.Destinations {
			if d.Connections != nil && ofLink(d, in.Addresses) {
				all = append(all, *d.Connections)
			}
		}
	}
	return all
}

// holdsNone says that no observed pod holds a connection to the link open, after each was looked at for long enough to see
// a usual idle time go by.
func holdsNone(in Input) bool {
	for _, o := range in.Observations {
		if o.Observation.Destinations == nil || o.Observation.OtherDestinations != nil || o.Observation.UptimeSeconds < usualIdleSeconds {
			return false
		}
		for _, d := range o.Observation.Destinations {
			if ofLink(d, in.Addresses) && (d.Connections == nil || d.Connections.Open > 0) {
				return false
			}
		}
	}
	return len(in.Observations) > 0 && len(in.Addresses) > 0
}

// longestSilence is for how long the most silent of the workload's connections to the link, one in a hundred left out, have
// neither sent nor received data. Nil: not known.
func longestSilence(in Input) *float64 {
	var longest *float64
	for _, c := range linkConnections(in) {
		if c.IdleSeconds != nil && (longest == nil || c.IdleSeconds.P99 > *longest) {
			longest = &c.IdleSeconds.P99
		}
	}
	return longest
}

// seldomOpen says that none of the connections of a pod to a destination was open at any look, and that it opens fewer than one a
// second: looks at its connections will tell nothing, and do not matter.
func seldomOpen(o PodObservation, c *result.Connections) bool {
	counted := countedSeconds(o)
	return c.Samples == 0 && counted >= timeWaitSeconds && float64(c.Opened) < rarelyPerSecond*counted
}

// neverOpen is why there is nothing to see of such connections.
const neverOpen = "An observed pod opens fewer than one connection a second to this link, and none was open at any look."

// kernelCount is a counter of the kernel's and the time that it is of.
type kernelCount struct {
	value int64
	since string
}

// counter returns by how much a counter of the pod's namespace grew in the observation's period; where that is not told, since
// the pod was made. It is not known where the kernel does not have the counter.
func counter(o PodObservation, name string) (c kernelCount, known bool) {
	if value, known := o.Observation.CounterChanges[name]; known {
		return kernelCount{value: value, since: period(o)}, true
	}
	value, known := o.Observation.Counters[name]
	return kernelCount{value: value, since: "since the pod was made"}, known
}

// sidecarOf names the mesh whose sidecar takes a pod's outgoing connections, by the port on which the sidecar listens for them.
// Empty: none is known to.
func sidecarOf(o PodObservation) string {
	for _, sidecar := range []struct {
		port int
		mesh string
	}{{15001, "Istio"}, {4140, "Linkerd"}} {
		if slices.Contains(o.Observation.ListeningPorts, sidecar.port) {
			return sidecar.mesh
		}
	}
	return ""
}

// noCounter is the judgement where the kernel, or the observer, does not tell a counter.
func noCounter(o PodObservation, name string) judgement {
	return unknown(fmt.Sprintf("The observer in pod %s does not tell the kernel's counter %s.", o.Pod, name))
}

// allConnections returns how many connections the pod's namespace opened and accepted, over the same time as counter.
func allConnections(o PodObservation) (connections int64, known bool) {
	opened, knowsOpened := counter(o, "Tcp.ActiveOpens")
	accepted, knowsAccepted := counter(o, "Tcp.PassiveOpens")
	return opened.value + accepted.value, knowsOpened && knowsAccepted
}

// setting returns a whole number that is in force in the pod. It is not known where it could not be read.
func setting(o PodObservation, name string) (value int, known bool) {
	value, err := strconv.Atoi(o.Observation.Sysctls[name])
	return value, err == nil
}

func notRead(o PodObservation, name string) judgement {
	return unknown(fmt.Sprintf("%s of pod %s could not be read.", name, o.Pod))
}

// plural writes a count of things: "1 connection", "12 connections".
func plural(count int64, thing string) string {
	if count == 1 {
		return "1 " + thing
	}
	return figure.Count(int(count)) + " " + thing + "s"
}
