package procnet

import (
	"strconv"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

// The kernel cuts a list of ports to the size of the first read, without an error and within a number.
func TestLongListsOfPortsAreReadToTheirEnd(t *testing.T) {
	pair := nstest.New(t)
	for _, reserved := range []int{200, 3000} {
		var ports []string
		for i := range reserved {
			ports = append(ports, strconv.Itoa(30001+2*i))
		}
		list := strings.Join(ports, ",")
		pair.Sysctl(t, SysctlPortRange, "30000 60999")
		pair.Sysctl(t, SysctlReservedPorts, list)
		pair.InClient(t, func() {
			proc := New("/proc")
			if got, err := proc.Sysctl(SysctlReservedPorts); err != nil || got != list {
				t.Errorf("of %d bytes %d were read: %v", len(list), len(got), err)
			}
			if got, err := proc.AvailablePorts(); err != nil || got != 31000-reserved {
				t.Errorf("with %d ports reserved %d are available, %v", reserved, got, err)
			}
		})
	}
}
