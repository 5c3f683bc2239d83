package result

// PathMetrics is where an observer serves its metrics in the Prometheus text format; what it counts there it has counted
// since it began. On PathRecent it serves the same with what it counted in about the last hour instead: for 60 to 70 minutes,
// or since it began. Of an older version it serves nothing there, status 404.
const (
	PathMetrics = "/metrics"
	PathRecent  = "/metrics/recent"
)

// Names of the metrics that an observer serves. All describe the network
// namespace that the observer stands in. Labels are named beside each. A label "destination" is one of the 20 fullest, as
// ip:port, or OtherDestinations for the sum of all others.
const (
	// MetricObserverInfo is 1; labels: version (see Version), kernel.
	MetricObserverInfo = "connpolicy_observer_info"
	// MetricUptimeSeconds is how long the observer has looked.
	MetricUptimeSeconds = "connpolicy_observer_uptime_seconds"
	// MetricPeriodSeconds is for how long connections were counted; on PathRecent only.
	MetricPeriodSeconds = "connpolicy_observer_period_seconds"
	// MetricCPUSeconds is the processor time that the observer has used.
	MetricCPUSeconds = "connpolicy_observer_cpu_seconds_total"
	// MetricActiveOpens counts the connections opened by this namespace since it exists (TCP ActiveOpens of
	// /proc/net/snmp). Attempts for which no port was free are not in it: the kernel does not count them.
	MetricActiveOpens = "connpolicy_observer_connections_opened_total"
	// MetricOpensPerSecond is the rate of connections opened over the last window.
	MetricOpensPerSecond = "connpolicy_observer_connections_opened_per_second"
	// MetricOpenedUnseen counts the connections opened of which no socket was seen.
	MetricOpenedUnseen = "connpolicy_observer_connections_opened_unseen_total"
	// MetricDestinationOpensPerSecond is the rate of connections opened to one destination; label: destination.
	MetricDestinationOpensPerSecond = "connpolicy_observer_destination_connections_opened_per_second"
	// MetricPortsInUse is the number of local ports held towards one destination, TIME_WAIT included; label: destination.
	MetricPortsInUse = "connpolicy_observer_ports_in_use"
	// MetricPortsInUsePeak is the highest value of MetricPortsInUse in the last five minutes; label: destination.
	MetricPortsInUsePeak = "connpolicy_observer_ports_in_use_peak"
	// MetricTimeWait is how many of them are in TIME_WAIT; label: destination.
	MetricTimeWait = "connpolicy_observer_time_wait"
	// MetricPortsOfOtherParity is how many of MetricPortsInUse have the parity that connect() takes last; label: destination.
	MetricPortsOfOtherParity = "connpolicy_observer_ports_of_other_parity"
	// MetricTimeWaitUnknown counts the sockets in TIME_WAIT that may have been opened here or accepted.
	MetricTimeWaitUnknown = "connpolicy_observer_time_wait_unknown"
	// MetricPortsAvailable is the size of ip_local_port_range without ip_local_reserved_ports.
	MetricPortsAvailable = "connpolicy_observer_ports_available"
	// MetricListening is 1 for each TCP port that something listens on; label: port.
	MetricListening = "connpolicy_observer_listening"
	// MetricListenQueue, MetricListenQueuePeak and MetricListenQueueLimit are the connections that wait to be accepted, the
	// most seen, and how many may wait; label: address.
	MetricListenQueue      = "connpolicy_observer_listen_queue"
	MetricListenQueuePeak  = "connpolicy_observer_listen_queue_peak"
	MetricListenQueueLimit = "connpolicy_observer_listen_queue_limit"
	// MetricCounter is one of the kernel's counters of trouble since the namespace was made; label: name.
	MetricCounter = "connpolicy_observer_kernel_counter_total"
	// MetricCounterChange is by how much one of them grew in MetricPeriodSeconds; label: name. On PathRecent only.
	MetricCounterChange = "connpolicy_observer_kernel_counter_change"
	// MetricSysctl is 1; labels: name (net.ipv4.ip_local_port_range), value.
	MetricSysctl = "connpolicy_observer_sysctl"
	// MetricDumpErrors counts the socket dumps that failed. Their figures are not guessed: the last good ones stay for a
	// minute, and then there are none of destinations and listening ports.
	MetricDumpErrors = "connpolicy_observer_dump_errors_total"
)

// Names of the metrics that hold the figures of Connections for one destination; label: destination. Those of quantiles
// have the label quantile too: 0.5 or 0.99.
const (
	MetricOpen                   = "connpolicy_observer_destination_open"
	MetricOpenPeak               = "connpolicy_observer_destination_open_peak"
	MetricBusyPeak               = "connpolicy_observer_destination_busy_peak"
	MetricOpened                 = "connpolicy_observer_destination_opened_total"
	MetricFailed                 = "connpolicy_observer_destination_failed_total"
	MetricClosed                 = "connpolicy_observer_destination_closed_total"
	MetricClosedHere             = "connpolicy_observer_destination_closed_here_total"
	MetricEnds                   = "connpolicy_observer_destination_ends_total" // label: manner, the names of Ends in JSON
	MetricMeanLifetimeSeconds    = "connpolicy_observer_destination_lifetime_seconds_mean"
	MetricLifetimeSeconds        = "connpolicy_observer_destination_lifetime_seconds_at_most"
	MetricBytesSent              = "connpolicy_observer_destination_bytes_sent"
	MetricBytesReceived          = "connpolicy_observer_destination_bytes_received"
	MetricExchanges              = "connpolicy_observer_destination_exchanges_at_most"
	MetricSingleExchange         = "connpolicy_observer_destination_single_exchange_total"
	MetricIdleSeconds            = "connpolicy_observer_destination_idle_seconds"
	MetricKeepalive              = "connpolicy_observer_destination_keepalive" // label: state, armed, notArmed or unknown
	MetricSamples                = "connpolicy_observer_destination_samples_total"
	MetricInFlightSamples        = "connpolicy_observer_destination_in_flight_samples_total"
	MetricNagleSamples           = "connpolicy_observer_destination_nagle_samples_total"
	MetricZeroWindowSamples      = "connpolicy_observer_destination_zero_window_samples_total"
	MetricCloseWait              = "connpolicy_observer_destination_close_wait"
	MetricCloseWaitOldestSeconds = "connpolicy_observer_destination_close_wait_oldest_seconds"
	MetricRetransmittedSegments  = "connpolicy_observer_destination_retransmitted_segments_total"
)

// OtherDestinations is the value of the label "destination" of the sum of those that have no series of their own.
const OtherDestinations = "other"

// Bounds of what an observer serves, and of what a reader takes from one.
const (
	MaximumDestinations   = 20
	MaximumListeners      = 20
	MaximumListeningPorts = 200
	// MaximumMetricsBytes bounds the whole answer.
	MaximumMetricsBytes = 160 << 10
	// MaximumSysctlBytes bounds a value; a longer one is not served, as if it could not be read.
	MaximumSysctlBytes = 8 << 10
)
