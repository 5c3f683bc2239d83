package audit

// Rules returns all rules, sorted by id.
func Rules() []Rule {
	return []Rule{
		portHeadroom(),
	}
}
