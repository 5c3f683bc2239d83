package audit

// Rules returns all rules, sorted by id.
func Rules() []Rule {
	return []Rule{
		setupShare(),
		droppedSYN(),
		handshakeObjective(),
		serverClosesEachTime(),
		serverClosesEarly(),
		responseNotReusable(),
		clientDoesNotReuse(),
		portHeadroom(),
		listenerInRange(),
	}
}
