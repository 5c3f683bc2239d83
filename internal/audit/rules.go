package audit

import "slices"

// Rules returns all rules, sorted by id: the first digit of an id is its category.
func Rules() []Rule {
	return slices.Concat(setupRules(), reuseRules(), portRules())
}

func setupRules() []Rule {
	return []Rule{
		setupShare(),
		droppedSYN(),
		handshakeObjective(),
	}
}

func reuseRules() []Rule {
	return []Rule{
		serverClosesEachTime(),
		serverClosesEarly(),
		responseNotReusable(),
		clientDoesNotReuse(),
	}
}

func portRules() []Rule {
	return []Rule{
		portHeadroom(),
		listenerInRange(),
	}
}
