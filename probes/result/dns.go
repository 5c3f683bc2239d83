package result

// DNS is how the target's name is resolved, by the resolver's configuration of the place that the probe stands at.
type DNS struct {
	Meta
	// ResolveMicroseconds is the time to resolve the name as the C library does: search list, ndots, both families.
	ResolveMicroseconds *Distribution `json:"resolveMicroseconds,omitempty"`
	// QueriesPerName is the number of queries that one resolution sends (search list, ndots, two families).
	QueriesPerName *int `json:"queriesPerName,omitempty"`
	// QueriesNeeded is the number that the name written with its final dot would need.
	QueriesNeeded *int `json:"queriesNeeded,omitempty"`
	// Lost counts the queries of all resolutions that got no answer in time, of Queries sent.
	Lost    *int `json:"lost,omitempty"`
	Queries *int `json:"queries,omitempty"`
	// Negative counts the answers that the name does not exist (NXDOMAIN), those of the search list.
	Negative *int `json:"negative,omitempty"`
	// TimeToLiveSeconds is the shortest time to live of the addresses in the answers.
	TimeToLiveSeconds *int `json:"timeToLiveSeconds,omitempty"`
	// Servers are the name servers asked, Search the search list, Ndots the option of that name (resolv.conf(5)).
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
	Ndots   *int     `json:"ndots,omitempty"`
}
