package tuner

import (
	"fmt"
	"strings"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/ports"
)

// The sysctls behind the knob ephemeralPorts (Documentation/networking/ip-sysctl.rst).
const (
	sysctlPortRange         = "net.ipv4.ip_local_port_range"
	sysctlReservedPorts     = "net.ipv4.ip_local_reserved_ports"
	sysctlUnprivilegedStart = "net.ipv4.ip_unprivileged_port_start"
)

// Sysctl is a pod sysctl.
type Sysctl struct{ Name, Value string }

// Sysctls returns the pod sysctls that values stand for, exactly as the admission policy writes them into pods.
func Sysctls(v v1alpha1.KnobValues) []Sysctl {
	p := v.EphemeralPorts
	if p == nil {
		return nil
	}
	sysctls := []Sysctl{{Name: sysctlPortRange, Value: fmt.Sprintf("%d %d", p.First, p.Last)}}
	if len(p.Reserved) > 0 {
		sysctls = append(sysctls, Sysctl{Name: sysctlReservedPorts, Value: strings.Join(p.Reserved, ",")})
	}
	return sysctls
}

// InForce says whether sysctls that were read back in a pod say the same as v. White space, order, and adjacent ranges
// that the kernel joined make no difference. Where it is false the text says what differs.
func InForce(v v1alpha1.KnobValues, sysctls map[string]string) (bool, string) {
	for _, want := range Sysctls(v) {
		have, known := sysctls[want.Name]
		if !known {
			return false, want.Name + " could not be read"
		}
		same, err := samePorts(want.Name, want.Value, have)
		if err != nil {
			return false, fmt.Sprintf("%s cannot be compared: %v", want.Name, err)
		}
		if !same {
			return false, fmt.Sprintf("%s is %q instead of %q", want.Name, strings.Join(strings.Fields(have), " "), want.Value)
		}
	}
	return true, ""
}

func samePorts(sysctl, want, have string) (bool, error) {
	if sysctl == sysctlPortRange {
		wantRange, err := ports.ParseRange(want)
		if err != nil {
			return false, err
		}
		haveRange, err := ports.ParseRange(have)
		return haveRange == wantRange, err
	}
	wantSet, err := ports.ParseSet(want)
	if err != nil {
		return false, err
	}
	haveSet, err := ports.ParseSet(have)
	if err != nil {
		return false, err
	}
	return wantSet.String() == haveSet.String(), nil
}
