package result

// DNS is how the target's name is resolved, by the resolver's configuration of the place that the probe stands at. The
// counts are those of all resolutions together. Queries go to the name servers and not to the target: Spent does not hold
// them.
type DNS struct {
	Meta
	// ResolveMicroseconds is the time to resolve the name as the C library does: search list, ndots, both families.
	ResolveMicroseconds *Distribution `json:"resolveMicroseconds,omitempty"`
	// NeededMicroseconds is the time to resolve FullName, sampled in turn with the above. Absent if the name as it is given
	// is asked for first and found.
	NeededMicroseconds *Distribution `json:"neededMicroseconds,omitempty"`
	// SearchListMicroseconds is what the walk along the search list costs a resolution: the difference of the two medians.
	// Zero if they do not differ beyond doubt. Absent if there is no walk.
	SearchListMicroseconds *float64 `json:"searchListMicroseconds,omitempty"`
	// FullName is the name that has the addresses, with its final dot, as the search list completes it.
	FullName string `json:"fullName,omitempty"`
	// QueriesPerName is the number of queries that one resolution sends (search list, ndots, two families); the median.
	QueriesPerName *int `json:"queriesPerName,omitempty"`
	// QueriesNeeded is the number that FullName, written with its final dot, needs.
	QueriesNeeded *int `json:"queriesNeeded,omitempty"`
	// Lost counts the queries that got no answer within TimeoutSeconds, of Queries sent.
	Lost    *int `json:"lost,omitempty"`
	Queries *int `json:"queries,omitempty"`
	// Negative counts the answers that the name does not exist (NXDOMAIN), those of the search list.
	Negative *int `json:"negative,omitempty"`
	// Rejected counts the answers that the server cannot or will not answer (SERVFAIL, REFUSED and others), Truncated those
	// that were too long for UDP and asked for again over TCP, and Ignored what came and was no answer to any question.
	Rejected  *int `json:"rejected,omitempty"`
	Truncated *int `json:"truncated,omitempty"`
	Ignored   *int `json:"ignored,omitempty"`
	// TimeToLiveSeconds is the shortest time to live of the addresses in the answers, and of the aliases that lead to them.
	TimeToLiveSeconds *int `json:"timeToLiveSeconds,omitempty"`
	// Aliases is the number of aliases (CNAME) between FullName and its addresses; the most seen.
	Aliases *int `json:"aliases,omitempty"`
	// Servers are the name servers asked, Search the search list, Ndots the option of that name (resolv.conf(5)).
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
	Ndots   *int     `json:"ndots,omitempty"`
	// TimeoutSeconds is how long the resolver waits for an answer before it asks again or elsewhere, Attempts how often it
	// asks each server at most (resolv.conf(5)).
	TimeoutSeconds *int `json:"timeoutSeconds,omitempty"`
	Attempts       *int `json:"attempts,omitempty"`
}
