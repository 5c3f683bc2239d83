package audit

import "slices"

// Rules returns all rules, sorted by id: the first digit of an id is its category.
func Rules() []Rule {
	return slices.Concat(setupRules(), reuseRules(), smallPacketRules(), portRules(), throughputRules())
}

func setupRules() []Rule {
	return []Rule{
		setupShare(),
		droppedSYN(),
		handshakeObjective(),
		listenQueue(),
		slowAccept(),
		searchList(),
		lostQueries(),
		tlsResumption(),
		tlsVersion(),
		certificateExpiry(),
	}
}

func reuseRules() []Rule {
	return []Rule{
		serverClosesEachTime(),
		serverClosesEarly(),
		responseNotReusable(),
		clientDoesNotReuse(),
		idleOrder(),
		responseDestroyed(),
		pipeliningUnsafe(),
		hopByHop(),
		poolSize(),
	}
}

func portRules() []Rule {
	return []Rule{
		portHeadroom(),
		listenerInRange(),
	}
}

func smallPacketRules() []Rule {
	return []Rule{
		nagleServer(),
		nagleClient(),
		tinygrams(),
	}
}

func throughputRules() []Rule {
	return []Rule{
		windowAfterIdle(),
		receiveBuffer(),
		coldTransfers(),
		pastKnee(),
		streamsAgainstConnections(),
	}
}
