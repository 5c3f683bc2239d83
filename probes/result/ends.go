package result

// Manner is one count of Ends.
type Manner struct {
	// Name as in JSON, and as the label of MetricEnds.
	Name  string
	Count *int64
}

// Manners lists the counts, to be read or set.
func (e *Ends) Manners() []Manner {
	return []Manner{
		{"orderly", &e.Orderly}, {"unanswered", &e.Unanswered}, {"reset", &e.Reset}, {"resetHere", &e.ResetHere}, {"silent", &e.Silent},
	}
}

// Add adds the counts of others.
func (e *Ends) Add(o Ends) {
	others := o.Manners()
	for i, m := range e.Manners() {
		*m.Count += *others[i].Count
	}
}

// Since returns by how much each count grew. One that fell is not known to have grown.
func (e Ends) Since(before Ends) Ends {
	was := before.Manners()
	for i, m := range e.Manners() {
		*m.Count = max(*m.Count-*was[i].Count, 0)
	}
	return e
}

// Told is how many connections it counts.
func (e Ends) Told() int64 { return e.Orderly + e.Reset + e.ResetHere + e.Silent }
