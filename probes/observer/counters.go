package observer

import (
	"maps"

	"github.com/connpolicy/connpolicy/probes/procnet"
)

// countersOfTrouble names the counters that an observation shows (Documentation/networking/snmp_counter.rst).
func countersOfTrouble() []string {
	return []string{
		"Tcp.ActiveOpens",
		"Tcp.PassiveOpens",
		"Tcp.AttemptFails", // connects that were refused or timed out
		"Tcp.EstabResets",  // established connections that ended by a reset, of either side
		"Tcp.OutRsts",      // resets sent
		"Tcp.OutSegs",      // what RetransSegs is a share of
		"Tcp.RetransSegs",  // segments sent again
		"TcpExt.TCPTimeouts",
		"TcpExt.TCPSynRetrans",
		"TcpExt.ListenOverflows",      // the accept queue was full
		"TcpExt.ListenDrops",          // what a listener dropped for any reason
		"TcpExt.TCPReqQFullDoCookies", // the queue of half-open connections was full: SYN cookies answered
		"TcpExt.SyncookiesSent",
		"TcpExt.TCPFromZeroWindowAdv", // this side's window opened again
		"TcpExt.TCPToZeroWindowAdv",   // this side's window closed: its application does not read
		"TcpExt.TCPWantZeroWindowAdv", // it would have closed, but had been promised already
		"TcpExt.TCPAbortOnClose",      // reset here, for the application closed with unread data
		"TcpExt.TCPAbortOnData",       // reset here, for it closed with SO_LINGER 0, or data came after it had closed
		"TcpExt.TCPAbortOnTimeout",    // given up, for the peer did not answer
		"TcpExt.TCPAbortOnMemory",
		"TcpExt.TCPKeepAlive",        // keepalive probes sent
		"TcpExt.TCPTimeWaitOverflow", // TIME_WAIT was skipped, for tcp_max_tw_buckets was reached
		"TcpExt.TWRecycled",          // a port was used again that was in TIME_WAIT
		"TcpExt.TW",                  // sockets that left TIME_WAIT
	}
}

// readCounters returns those of the counters that the kernel has.
func readCounters(proc procnet.FS) (map[string]int64, error) {
	all, err := proc.SNMP()
	if err != nil {
		return nil, err
	}
	linux, err := proc.Netstat()
	if err != nil {
		return nil, err
	}
	maps.Copy(all, linux)
	shown := map[string]int64{}
	for _, name := range countersOfTrouble() {
		if value, ok := all[name]; ok {
			shown[name] = value
		}
	}
	return shown, nil
}

// changes returns by how much counters grew.
func changes(from, to map[string]int64) map[string]int64 {
	grown := make(map[string]int64, len(to))
	for name, value := range to {
		if before, ok := from[name]; ok {
			grown[name] = value - before
		}
	}
	return grown
}
