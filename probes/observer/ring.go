package observer

import "time"

// record is one connection that ended.
type record struct {
	// opened is the latest time at which it can have opened, earlier how much before that it can have been; unknown if it
	// was open when the observer began.
	opened  time.Time
	earlier time.Duration
	closed  time.Time
	// sent, received and exchanges as in facts, or unknown.
	sent, received, exchanges int64
}

// lifetimeAtMost is how long it can have lived; known is false if it was open before the observer.
func (r record) lifetimeAtMost() (lifetime time.Duration, known bool) {
	if r.earlier == unknown {
		return 0, false
	}
	return r.closed.Sub(r.opened) + r.earlier, true
}

// ringLength is how many ended connections a group remembers.
const ringLength = 1000

// ring keeps the last records.
type ring struct {
	records []record
	next    int
}

func (r *ring) add(c record) {
	if len(r.records) < ringLength {
		r.records = append(r.records, c)
		return
	}
	r.records[r.next] = c
	r.next = (r.next + 1) % ringLength
}

func (r *ring) merge(o ring) {
	for _, c := range o.records {
		r.add(c)
	}
}
