package tuner

import (
	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/ports"
)

// kernelDefault is the range of a new network namespace (net/ipv4/af_inet.c, inet_init_net).
func kernelDefault() PortRange { return PortRange{First: 32768, Last: 60999} }

// rangeOf returns the range that a pod's sysctls name, the kernel's default where they do not. An observer that cannot
// read the range does not know the available ports either, and such a pod asks for nothing.
func rangeOf(sysctls map[string]string) PortRange {
	r, err := ports.ParseRange(sysctls[sysctlPortRange])
	if err != nil {
		return kernelDefault()
	}
	return r
}

// reservedOf returns the reserved ports that a pod's sysctls name. What cannot be read reserves nothing.
func reservedOf(sysctls map[string]string) ports.Set {
	set, err := ports.ParseSet(sysctls[sysctlReservedPorts])
	if err != nil {
		return nil
	}
	return set
}

// valueRange returns the range of values that have one.
func valueRange(v v1alpha1.KnobValues) PortRange {
	return PortRange{First: int(v.EphemeralPorts.First), Last: int(v.EphemeralPorts.Last)}
}

// valueReserved returns the reserved ports of values that have a range. The schema admits only items that can be read.
func valueReserved(v v1alpha1.KnobValues) ports.Set {
	set, err := ports.ParseItems(v.EphemeralPorts.Reserved)
	if err != nil {
		return nil
	}
	return set
}

// available returns how many ports connect() has under values that have a range.
func available(v v1alpha1.KnobValues) int { return ports.Available(valueRange(v), valueReserved(v)) }

// newValues returns values with the range r and the reservations that lie in it.
func newValues(r PortRange, reserved []reservation) v1alpha1.KnobValues {
	return v1alpha1.KnobValues{EphemeralPorts: &v1alpha1.EphemeralPorts{
		First: int32(r.First), Last: int32(r.Last), //nolint:gosec // both are ports
		Reserved: within(r, reserved).Compact(reservedItems).Items(),
	}}
}
