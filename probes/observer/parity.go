package observer

import "github.com/connpolicy/connpolicy/probes/procnet"

// chosenPorts are the local ports that the kernel chooses from.
type chosenPorts struct {
	procnet.PortRange
	// first is how many of them connect() tries before the others. Nil if it could not be read, or was not asked for.
	first *int
}

// triedLast says whether connect() takes a port only when no other is free towards the destination. A port that the kernel
// would not have chosen has no such parity.
func (c *chosenPorts) triedLast(port uint16) bool {
	return c != nil && c.Contains(int(port)) && !c.TriedFirst(int(port))
}

// parity is what the local ports that a group holds tell of how they were chosen. While connect() finds ports of its own
// parity, those of the other one come from bind(), which takes a port before the destination is known.
type parity struct {
	// otherParity is how many have the parity that connect() takes last.
	otherParity int
	// notRead is set where it could not be read which those are.
	notRead bool
	// spilled is set once connect() may have run out of ports of its own parity, until none of the other is held any more:
	// what it took then lives on.
	spilled bool
}

// tells says whether otherParity was not connect()'s own choice.
func (p parity) tells() bool { return !p.notRead && !p.spilled }

// noteParity judges a census.
func (p *portUse) noteParity(chosen *chosenPorts) {
	p.notRead = chosen == nil || chosen.first == nil
	if p.notRead {
		return
	}
	p.spilled = p.held > *chosen.first || p.spilled && p.otherParity > 0
}

// merge adds the ports of another group. The sum tells as little as any of its parts.
func (p *parity) merge(o parity) {
	p.otherParity += o.otherParity
	p.notRead = p.notRead || o.notRead
	p.spilled = p.spilled || o.spilled
}
