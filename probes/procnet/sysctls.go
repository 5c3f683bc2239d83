package procnet

// ConnectionSysctls names the settings that decide how this namespace's connections are made, kept and closed, and that a
// result shows beside its figures. Kernels lack some of them, and some cannot be read everywhere.
func ConnectionSysctls() []string {
	return []string{
		"net.core.somaxconn",
		SysctlPortRange,
		SysctlReservedPorts,
		"net.ipv4.ip_unprivileged_port_start",
		"net.ipv4.tcp_fin_timeout",
		"net.ipv4.tcp_keepalive_intvl",
		"net.ipv4.tcp_keepalive_probes",
		"net.ipv4.tcp_keepalive_time",
		"net.ipv4.tcp_notsent_lowat",
		"net.ipv4.tcp_rmem",
		"net.ipv4.tcp_slow_start_after_idle",
		"net.ipv4.tcp_tw_reuse",
	}
}

// WorkloadSysctls names those that an observer shows: beside the ones above such as say something about a workload's own
// connections alone, for which a probe's message has no room.
func WorkloadSysctls() []string {
	return append(ConnectionSysctls(),
		"net.ipv4.tcp_max_tw_buckets",
		"net.ipv4.tcp_retries2",
		"net.ipv4.tcp_timestamps",
		"net.netfilter.nf_conntrack_max", // of the whole node; it is read-only here
	)
}
