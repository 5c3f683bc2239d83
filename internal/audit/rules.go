package audit

import "slices"

// Rules returns all rules, sorted by id: the first digit of an id is its category.
func Rules() []Rule {
	return slices.Concat(setupRules(), reuseRules(), smallPacketRules(), portRules(), longLivedRules(), throughputRules(), settingRules(), healthRules())
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
		setupObjective(),
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
		portGrowth(),
		listenerInRange(),
		timeWaitHolder(),
		virtualAddressShortage(),
		sourceTranslation(),
		conntrackShare(),
		nodePortsInRange(),
		uselessReuse(),
		loweredFinTimeout(),
		skippedTimeWait(),
		portObjective(),
		boundSource(),
	}
}

func longLivedRules() []Rule {
	return []Rule{
		idleCut(),
		uselessKeepalive(),
		silentPeer(),
		deadInFlight(),
		websocketBlocked(),
		websocketCut(),
		pushCut(),
		costlyPolling(),
		agelessConnections(),
		hastyGoAway(),
		unansweredPing(),
	}
}

func settingRules() []Rule {
	return []Rule{
		settingNotInForce(),
		settingForbidden(),
		settingOverridden(),
		settingConflict(),
	}
}

func healthRules() []Rule {
	return []Rule{
		closeWait(),
		failedConnects(),
		resets(),
		retransmissions(),
		zeroWindow(),
		synCookies(),
		abortedForMemory(),
		leavingEndpoints(),
		agesAtOnce(),
		familyFallback(),
		repeatedSYNs(),
		pathMTUBlackHole(),
		tornConnections(),
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
