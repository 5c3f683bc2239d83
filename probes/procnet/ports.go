package procnet

import (
	"fmt"
	"strconv"
	"strings"
)

// Names of the two settings that decide which local ports the kernel chooses from.
const (
	SysctlPortRange     = "net.ipv4.ip_local_port_range"
	SysctlReservedPorts = "net.ipv4.ip_local_reserved_ports"
)

// maximumPort is the highest TCP port.
const maximumPort = 65535

// PortRange is a range of ports with both ends included.
type PortRange struct{ Low, High int }

// PortRange reads ip_local_port_range, from which the kernel chooses the local ports of connections.
func (fs FS) PortRange() (PortRange, error) {
	text, err := fs.Sysctl(SysctlPortRange)
	if err != nil {
		return PortRange{}, err
	}
	ports, err := parsePortRange(text)
	if err != nil {
		return PortRange{}, fmt.Errorf("%s: %w", SysctlPortRange, err)
	}
	return ports, nil
}

// Contains says whether a port lies in the range.
func (r PortRange) Contains(port int) bool { return r.Low <= port && port <= r.High }

// TriedFirst says whether connect() tries a port of the range before others: those of the low end's parity come first, and
// bind() to port 0 takes the others (net/ipv4/inet_hashtables.c, __inet_hash_connect; net/ipv4/inet_connection_sock.c,
// inet_csk_find_open_port).
func (r PortRange) TriedFirst(port int) bool { return (port-r.Low)%2 == 0 }

// AvailablePorts counts the local ports that the kernel may choose for a connection by itself: ip_local_port_range without
// ip_local_reserved_ports.
func (fs FS) AvailablePorts() (int, error) { return fs.countChosen(1) }

// FirstPorts counts those of them that connect() tries first.
func (fs FS) FirstPorts() (int, error) { return fs.countChosen(2) }

// countChosen counts every so many of the ports that the kernel may choose, from the low end of their range on.
func (fs FS) countChosen(step int) (int, error) {
	ports, err := fs.PortRange()
	if err != nil {
		return 0, err
	}
	reservedText, err := fs.Sysctl(SysctlReservedPorts)
	if err != nil {
		return 0, err
	}
	reserved, err := parsePortList(reservedText)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", SysctlReservedPorts, err)
	}
	return countPorts(ports, step, reserved), nil
}

// countPorts counts the ports of one range, every so many from its low end on, that lie in none of the reserved ranges,
// which may overlap.
func countPorts(ports PortRange, step int, reserved []PortRange) int {
	count := 0
	for port := ports.Low; port <= ports.High; port += step {
		free := true
		for _, r := range reserved {
			if r.Contains(port) {
				free = false
				break
			}
		}
		if free {
			count++
		}
	}
	return count
}

// parsePortRange reads "32768 60999".
func parsePortRange(text string) (PortRange, error) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return PortRange{}, fmt.Errorf("%q is not two ports", text)
	}
	return newPortRange(fields[0], fields[1])
}

// parsePortList reads "30000-32767,36000", which may be empty.
func parsePortList(text string) ([]PortRange, error) {
	if text == "" {
		return nil, nil
	}
	var ranges []PortRange
	for entry := range strings.SplitSeq(text, ",") {
		low, high, found := strings.Cut(entry, "-")
		if !found {
			high = low
		}
		r, err := newPortRange(low, high)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

func newPortRange(low, high string) (PortRange, error) {
	r := PortRange{}
	var err error
	if r.Low, err = strconv.Atoi(low); err != nil {
		return PortRange{}, fmt.Errorf("%q is no port", low)
	}
	if r.High, err = strconv.Atoi(high); err != nil {
		return PortRange{}, fmt.Errorf("%q is no port", high)
	}
	if r.Low < 0 || r.High > maximumPort || r.Low > r.High {
		return PortRange{}, fmt.Errorf("%s-%s is no range of ports", low, high)
	}
	return r, nil
}
