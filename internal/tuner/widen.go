package tuner

import "github.com/connpolicy/connpolicy/internal/ports"

// stepPorts is the step in which a range grows downwards. It is coarse on purpose: small changes of the load do not make
// another plan.
const stepPorts = 1024

// widen returns the smallest range around base, within limits, of which needed ports are free, or the widest if there is
// none. It grows upwards first, because servers listen on low ports. Ends are of different parity: connect() takes the
// ports of one parity first, and ends of the same parity draw a warning of the kernel
// (net/ipv4/sysctl_net_ipv4.c, set_local_port_range). limits must hold two ports or more.
func widen(base, limits PortRange, reserved []reservation, needed int) PortRange {
	grown := base.Intersect(limits)
	if grown.Count() == 0 {
		grown = PortRange{First: limits.Last, Last: limits.Last}
	}
	if free(grown, reserved) < needed {
		grown.Last = limits.Last
	}
	for free(grown, reserved) < needed && grown.First > limits.First {
		grown.First = max((grown.First-1)/stepPorts*stepPorts, limits.First)
	}
	return unlikeParity(grown, limits)
}

// unlikeParity moves an end of r by one where both are even or both odd.
func unlikeParity(r, limits PortRange) PortRange {
	switch {
	case r.First%2 != r.Last%2:
	case r.First > limits.First:
		r.First--
	case r.Last < limits.Last:
		r.Last++
	default:
		r.First++
	}
	return r
}

// free returns how many ports of r are not reserved, after the reserved ports are joined to as many items as a tuning may
// hold.
func free(r PortRange, reserved []reservation) int {
	return ports.Available(r, within(r, reserved).Compact(reservedItems))
}
