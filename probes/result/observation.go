package result

import "time"

// DefaultObserverPort is the TCP port on which an observer serves its metrics, on the pod's address. It lies below the
// kernel's default ephemeral range, so that no outgoing connection of the pod takes it.
const DefaultObserverPort = 9964

// Observation is what an observer saw in one network namespace: in `probe observe -o json` whole, as metrics in part
// (metrics.go).
type Observation struct {
	// Version is the observer's contract version; Kernel the running kernel's release.
	Version string `json:"version"`
	Kernel  string `json:"kernel"`
	// At is when this was put together; in a controller, when it read the metrics.
	At time.Time `json:"at"`
	// UptimeSeconds is how long the observer had looked by then.
	UptimeSeconds float64 `json:"uptimeSeconds"`
	// PeriodSeconds is for how long connections, and the changes of counters, were counted up to then: what counts events is
	// of this time. Nil: since the observer began.
	PeriodSeconds *float64 `json:"periodSeconds,omitempty"`
	// Cost is what the observer itself used.
	Cost Cost `json:"cost"`
	// OpensPerSecond is the rate of connections opened to anywhere. Nil until the observer has looked for a whole window.
	OpensPerSecond *float64 `json:"opensPerSecond,omitempty"`
	// Opened counts the connections opened to anywhere in the period, by the kernel's own counter.
	Opened *int64 `json:"opened,omitempty"`
	// OpenedUnseen is how many of Opened no socket was seen of, so that no destination counts them.
	OpenedUnseen *int64 `json:"openedUnseen,omitempty"`
	// PortsAvailable is the size of the range that the kernel may choose ports from. Nil if it could not be read.
	PortsAvailable *int `json:"portsAvailable,omitempty"`
	// Destinations are the tuples that hold local ports or lately did, the fullest first, at most 20. Nil if the sockets
	// could not be listed.
	Destinations []Destination `json:"destinations"`
	// OtherDestinations sums those that are not among Destinations, peaks included. Nil if there is none.
	OtherDestinations *Destination `json:"otherDestinations,omitempty"`
	// TimeWaitUnknown counts sockets in TIME_WAIT of which nobody can say whether they were opened here or accepted: the
	// kernel would not have chosen their local port, and nothing listens on it.
	TimeWaitUnknown int `json:"timeWaitUnknown"`
	// ListeningPorts are the TCP ports that something in the namespace listens on, ascending.
	ListeningPorts []int `json:"listeningPorts"`
	// Listeners are the queues of those, the fullest first, at most 20.
	Listeners []Listener `json:"listeners,omitempty"`
	// Counters are the kernel's counters that tell of trouble, by the names of /proc/net/snmp and netstat
	// (TcpExt.ListenOverflows), since the namespace was made. One that the kernel does not have is absent.
	Counters map[string]int64 `json:"counters,omitempty"`
	// CounterChanges is by how much they grew in the period. From metrics it is known for those of about the last hour only.
	CounterChanges map[string]int64 `json:"counterChanges,omitempty"`
	// Sysctls are the values in force, by full name.
	Sysctls map[string]string `json:"sysctls,omitempty"`
}

// Cost is what an observer used, and how well it could see.
type Cost struct {
	// CPUSeconds is the processor time of the observer's process.
	CPUSeconds float64 `json:"cpuSeconds"`
	// Looks is how often the sockets were listed; InfoLooks how often with tcp_info.
	Looks     int64 `json:"looks"`
	InfoLooks int64 `json:"infoLooks"`
	// Errors counts the lists of sockets that failed.
	Errors int64 `json:"errors"`
	// ExactSeconds is for how long the kernel told each end of a connection; in the rest, and where ClosingsLost is not 0,
	// ends are known to the step of a look.
	ExactSeconds float64 `json:"exactSeconds"`
	// ClosingsLost is how often ends were told faster than they were read.
	ClosingsLost int64 `json:"closingsLost"`
}

// Destination is one remote address and port, as the namespace's sockets name it: before any address translation.
type Destination struct {
	// Address is ip:port, or [ip]:port for IPv6.
	Address string `json:"address"`
	// PortsInUse is the number of local ports held now; PortsInUsePeak the highest number of the last five minutes.
	PortsInUse     int `json:"portsInUse"`
	PortsInUsePeak int `json:"portsInUsePeak"`
	// TimeWait is how many of PortsInUse are in TIME_WAIT.
	TimeWait int `json:"timeWait"`
	// PortsOfOtherParity is how many of PortsInUse lie in the kernel's range and have the parity that connect() takes last,
	// and bind() to port 0 first: the one that the range's low end does not have. Nil if the range or the reserved ports
	// could not be read, and from when more than half of the ports were held, as connect() then takes them too, until none
	// of them is held any more; nil too if an observer of an older version did not tell.
	PortsOfOtherParity *int `json:"portsOfOtherParity,omitempty"`
	// OpensPerSecond is the rate of connections opened to it over the last window. Nil if it cannot be told yet.
	OpensPerSecond *float64 `json:"opensPerSecond,omitempty"`
	// Connections is how they are used. Nil if an observer of an older version did not tell.
	Connections *Connections `json:"connections,omitempty"`
}

// Listener is the queue of connections that were set up and not yet accepted, of all sockets that listen on one address
// and port.
type Listener struct {
	// Address is ip:port, or [ip]:port for IPv6.
	Address string `json:"address"`
	// Queue is how many wait now, QueuePeak the most seen at a look, QueueLimit how many may: the least of what listen()
	// was told and net.core.somaxconn.
	Queue      int `json:"queue"`
	QueuePeak  int `json:"queuePeak"`
	QueueLimit int `json:"queueLimit"`
	// Accepted is how the connections that this port accepted are used. Nil if an observer did not tell.
	Accepted *Connections `json:"accepted,omitempty"`
}

// Connections is how the connections of one destination, or of one listening port, are used. Counts are of the
// observation's period, peaks since the observer began, and quantiles over what ended last, whenever that was. What was
// open before the observer counts among Open alone, and once it ends among Closed and OpenBefore.
type Connections struct {
	// Open is how many are established now, or closed by the peer alone.
	Open int `json:"open"`
	// OpenPeak is the most seen at a look, OpenMean the average over all looks. The latter is not served as a metric.
	OpenPeak int      `json:"openPeak"`
	OpenMean *float64 `json:"openMean,omitempty"`
	// BusyPeak is the most that had sent or received within the second before a look: as many as were needed at once, to
	// size a pool by. Nil if no look told.
	BusyPeak *int `json:"busyPeak,omitempty"`
	// Opened counts those that began, Failed those of them that were never established.
	Opened int64 `json:"opened"`
	Failed int64 `json:"failed"`
	// Closed counts those that ended, ClosedHere those of them that this side closed first, so that they went through
	// TIME_WAIT here.
	Closed     int64 `json:"closed"`
	ClosedHere int64 `json:"closedHere"`
	// Ends tells how those of Closed ended that the kernel told the end of. Nil if it told of none, or if an observer of an
	// older version did not.
	Ends *Ends `json:"ends,omitempty"`
	// OpenBefore counts those of Closed that were open when the observer began. Not served as a metric.
	OpenBefore *int64 `json:"openBefore,omitempty"`
	// MeanLifetimeSeconds is estimated by Little's law: open on average ÷ opened per second. Nil if none was opened, or if
	// all were shorter than any look could see.
	MeanLifetimeSeconds *float64 `json:"meanLifetimeSeconds,omitempty"`
	// LifetimeSecondsAtMost is how long those lived that opened and ended while the observer looked. The end is known
	// well, the beginning to the step of a look, so that each figure is an upper bound.
	LifetimeSecondsAtMost *Quantiles `json:"lifetimeSecondsAtMost,omitempty"`
	// BytesSent and BytesReceived are what the ended ones carried, without retransmissions. The kernel counts the peer's
	// FIN as a byte received, so that the latter may be one too many.
	BytesSent     *Quantiles `json:"bytesSent,omitempty"`
	BytesReceived *Quantiles `json:"bytesReceived,omitempty"`
	// ExchangesAtMost is estimated: how many requests and answers the ended ones can have carried, when each takes a
	// segment of its own in each direction. A TLS handshake looks like one to three of them, and HTTP/2 and pipelining
	// can put several requests into one segment.
	ExchangesAtMost *Quantiles `json:"exchangesAtMost,omitempty"`
	// SingleExchange counts the ended ones with no more than one exchange: without TLS they were not reused.
	SingleExchange *int64 `json:"singleExchange,omitempty"`
	// IdleSeconds is for how long those that are established now have neither sent nor received data.
	IdleSeconds *Quantiles `json:"idleSeconds,omitempty"`
	// Keepalive tells how many of those open now would notice a dead peer.
	Keepalive Keepalive `json:"keepalive"`
	// Samples counts the looks at each of the sockets: a socket seen at ten looks is ten samples. InFlightSamples are
	// those that had data under way, NagleSamples those of them where a small segment waited for an acknowledgement,
	// as Nagle's algorithm has it (RFC 896). InFlightSamples and NagleSamples are of looks with tcp_info only.
	Samples         int64 `json:"samples"`
	InFlightSamples int64 `json:"inFlightSamples"`
	NagleSamples    int64 `json:"nagleSamples"`
	// ZeroWindowSamples are those where the peer's window was closed and data waited for it to open.
	ZeroWindowSamples int64 `json:"zeroWindowSamples"`
	// CloseWait counts those open now that the peer has closed and the application has not; CloseWaitOldestSeconds is for
	// how long at least the oldest has waited. Nil if there is none.
	CloseWait              int      `json:"closeWait"`
	CloseWaitOldestSeconds *float64 `json:"closeWaitOldestSeconds,omitempty"`
	// RetransmittedSegments counts what was sent again, as far as tcp_info was seen.
	RetransmittedSegments int64 `json:"retransmittedSegments"`
}

// Ends counts connections by how they ended.
type Ends struct {
	// Orderly counts those that this side said farewell on, and that the peer did not fall silent on: its FIN was
	// acknowledged, or came too late for the peer and was answered by a reset, or the peer had closed before.
	Orderly int64 `json:"orderly"`
	// Unanswered counts those of Orderly on which this side sent data last: nothing came back before the end. Where every
	// request has a response and nobody says farewell in data (HTTP/1 without TLS) each is a request that was lost.
	Unanswered int64 `json:"unanswered"`
	// Reset counts those that the peer, or a hop, reset before this side had said farewell.
	Reset int64 `json:"reset"`
	// ResetHere counts those that this side reset: it closed with data unread, or with SO_LINGER 0.
	ResetHere int64 `json:"resetHere"`
	// Silent counts those that ended because the peer answered no more.
	Silent int64 `json:"silent"`
}

// Keepalive tells the connections that are open now apart by whether the kernel would probe a silent peer (SO_KEEPALIVE).
type Keepalive struct {
	Armed    int `json:"armed"`
	NotArmed int `json:"notArmed"`
	// Unknown are those whose one timer was taken by a retransmission or a window probe whenever the observer looked.
	Unknown int `json:"unknown"`
}

// Quantiles of a figure over connections, in the figure's own unit. Each is a value that was seen.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	// P90, Max and Samples are not served as metrics. Samples is the number of connections: of those that ended the last
	// 1,000 of a destination at most.
	P90     *float64 `json:"p90,omitempty"`
	Max     *float64 `json:"max,omitempty"`
	Samples *int     `json:"samples,omitempty"`
}

// ConnectionRecord is one connection of the log that `probe observe --log` writes, as JSON lines, when it ended or the log
// ends.
type ConnectionRecord struct {
	// Accepted is true if it was opened by the other side.
	Accepted bool `json:"accepted,omitempty"`
	// Remote and Local are the two ends, ip:port. Remote is the destination of what was opened here.
	Remote string `json:"remote"`
	Local  string `json:"local"`
	// OpenedAt is the latest time at which it can have opened; it may have been OpenedUpToSecondsEarlier. The latter is nil
	// if it was open when the observer began.
	OpenedAt                 time.Time `json:"openedAt"`
	OpenedUpToSecondsEarlier *float64  `json:"openedUpToSecondsEarlier,omitempty"`
	// ClosedAt is when it ended. Nil if it was still open when the log ended.
	ClosedAt *time.Time `json:"closedAt,omitempty"`
	// BytesSent, BytesReceived and ExchangesAtMost as in Connections. Nil if the kernel did not tell.
	BytesSent       *int64 `json:"bytesSent,omitempty"`
	BytesReceived   *int64 `json:"bytesReceived,omitempty"`
	ExchangesAtMost *int64 `json:"exchangesAtMost,omitempty"`
}
