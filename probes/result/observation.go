package result

import "time"

// DefaultObserverPort is the TCP port on which an observer serves its metrics, on the pod's address. It lies below the
// kernel's default ephemeral range, so that no outgoing connection of the pod takes it.
const DefaultObserverPort = 9964

// Names of the metrics that an observer serves in the Prometheus text format on /metrics. All describe the network
// namespace that the observer stands in. Labels are named beside each.
const (
	// MetricObserverInfo is 1; labels: version (see Version), kernel.
	MetricObserverInfo = "connpolicy_observer_info"
	// MetricUptimeSeconds is how long the observer has looked.
	MetricUptimeSeconds = "connpolicy_observer_uptime_seconds"
	// MetricActiveOpens counts the connections opened by this namespace since it exists (TCP ActiveOpens of
	// /proc/net/snmp). Attempts for which no port was free are not in it: the kernel does not count them.
	MetricActiveOpens = "connpolicy_observer_connections_opened_total"
	// MetricOpensPerSecond is the rate of connections opened over the last window.
	MetricOpensPerSecond = "connpolicy_observer_connections_opened_per_second"
	// MetricDestinationOpensPerSecond is the same for one destination, estimated from its sockets; label: destination.
	MetricDestinationOpensPerSecond = "connpolicy_observer_destination_connections_opened_per_second"
	// MetricPortsInUse is the number of local ports held towards one destination, TIME_WAIT included; label: destination.
	MetricPortsInUse = "connpolicy_observer_ports_in_use"
	// MetricPortsInUsePeak is the highest value of MetricPortsInUse in the last five minutes; label: destination.
	MetricPortsInUsePeak = "connpolicy_observer_ports_in_use_peak"
	// MetricTimeWait is how many of them are in TIME_WAIT; label: destination.
	MetricTimeWait = "connpolicy_observer_time_wait"
	// MetricPortsAvailable is the size of ip_local_port_range without ip_local_reserved_ports.
	MetricPortsAvailable = "connpolicy_observer_ports_available"
	// MetricListening is 1 for each TCP port that something listens on; label: port.
	MetricListening = "connpolicy_observer_listening"
	// MetricSysctl is 1; labels: name (net.ipv4.ip_local_port_range), value.
	MetricSysctl = "connpolicy_observer_sysctl"
	// MetricDumpErrors counts the socket dumps that failed. Their figures are not guessed: the last good ones stay for a
	// minute, and then there are none of destinations and listening ports.
	MetricDumpErrors = "connpolicy_observer_dump_errors_total"
)

// Observation is what an observer saw in one pod: the metrics above, read.
type Observation struct {
	// Version is the observer's contract version; Kernel the running kernel's release.
	Version, Kernel string
	// At is when the controller read the metrics.
	At time.Time
	// UptimeSeconds is how long the observer had looked by then.
	UptimeSeconds float64
	// OpensPerSecond is the rate of connections opened to anywhere. Nil until the observer has looked for a whole window.
	OpensPerSecond *float64
	// PortsAvailable is the size of the range that the kernel may choose ports from. Nil if it could not be read.
	PortsAvailable *int
	// Destinations are the tuples that hold local ports, the fullest first.
	Destinations []Destination
	// ListeningPorts are the TCP ports that something in the pod listens on, ascending.
	ListeningPorts []int
	// Sysctls are the values in force, by full name.
	Sysctls map[string]string
}

// Destination is one remote address and port, as the pod's sockets name it: before any address translation.
type Destination struct {
	// Address is ip:port, or [ip]:port for IPv6.
	Address string
	// PortsInUse is the number of local ports held now; PortsInUsePeak the highest number of the last five minutes.
	PortsInUse, PortsInUsePeak int
	// TimeWait is how many of PortsInUse are in TIME_WAIT.
	TimeWait int
	// OpensPerSecond is the estimated rate of connections opened to it. Nil if it cannot be told yet.
	OpensPerSecond *float64
}
