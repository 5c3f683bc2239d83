package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	// patience is how long an answer is waited for before it counts as lost. A name server has most names at hand, and asks
	// others within a second; Go's resolver waits for five before it asks again (resolv.conf(5), timeout), for both families.
	patience = time.Second
	// otherFamilyDelay is how much longer the other family is given once one is answered. Clients give it 50 ms, since a
	// person waits (RFC 8305 section 3); nobody waits for a probe, and addresses that change from run to run mislead.
	otherFamilyDelay = 500 * time.Millisecond
)

// Resolved is what a target's name leads to.
type Resolved struct {
	// Remotes are the addresses in the order in which they are to be tried: at least one. It is that of RFC 6724, or, where
	// each family was answered on its own, that of the answers.
	Remotes []netip.AddrPort
	// Unanswered is the family that no name server answered for, so that it is not known whether the name has addresses of
	// it; empty: none is known to be.
	Unanswered Family
}

// Resolve asks Go's resolver, unless the host is an address with a zone. What a name server leaves unanswered is asked for
// again after a second, the families on their own too, and then what is answered is enough: some servers and firewalls
// never answer for AAAA (RFC 4074 section 4.1), or lose one of two queries (kubernetes/kubernetes#56903).
func (t Target) Resolve(ctx context.Context, family Family) (Resolved, error) {
	// Go's resolver loses the zone of a link-local address.
	if address, err := netip.ParseAddr(t.Host); err == nil && address.Zone() != "" && family != IPv4 {
		return Resolved{Remotes: []netip.AddrPort{netip.AddrPortFrom(address, t.Port)}}, nil
	}
	found := asker(ask).patiently(ctx, family, t.Host)
	if found.err != nil {
		return Resolved{}, fmt.Errorf("the name does not resolve: %w", found.err)
	}
	if len(found.addresses) == 0 {
		return Resolved{}, fmt.Errorf("the name %s has no address of the family asked for", t.Host)
	}
	r := Resolved{Remotes: make([]netip.AddrPort, len(found.addresses)), Unanswered: found.unanswered}
	for i, address := range found.addresses {
		r.Remotes[i] = netip.AddrPortFrom(address.Unmap(), t.Port)
	}
	return r, nil
}

// ask asks a resolver of its own: one that is shared takes a second question for one with the first, and waits with it.
func ask(ctx context.Context, family Family, host string) ([]netip.Addr, error) {
	return new(net.Resolver).LookupNetIP(ctx, string(family), host)
}

// asker asks for the addresses of a name, as ask does.
type asker func(ctx context.Context, family Family, host string) ([]netip.Addr, error)

// answer is what asking for a family led to.
type answer struct {
	family     Family
	addresses  []netip.Addr
	unanswered Family
	err        error
}

// patiently asks for a family, and if nobody answers within patience, once more. For any family the resolver waits until
// both are answered, so that each is then asked for on its own beside it, along the same search list. What it says about
// both counts more than what one has, which may stand under another name of the list.
func (ask asker) patiently(ctx context.Context, family Family, host string) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// There is room for all answers, so that none that comes too late waits for ever.
	answers := make(chan answer, 4)
	begin := func(families ...Family) {
		for _, f := range families {
			go func() {
				addresses, err := ask(ctx, f, host)
				answers <- answer{family: f, addresses: addresses, err: err}
			}()
		}
	}
	begin(family)
	again := time.After(patience)
	var enough <-chan time.Time
	alone := answer{family: family, unanswered: AnyFamily}
	for {
		select {
		case a := <-answers:
			switch {
			case a.family != family:
				alone.add(a)
				if enough == nil && len(alone.addresses) > 0 {
					enough = time.After(otherFamilyDelay)
				}
			case a.err != nil && len(alone.addresses) > 0:
				return alone
			default:
				return a
			}
		case <-again:
			begin(family)
			if family == AnyFamily {
				begin(IPv4, IPv6)
			}
		case <-enough:
			return alone
		}
	}
}

// add takes the answer for one family to what is known of both.
func (a *answer) add(one answer) {
	var failure *net.DNSError
	if errors.As(one.err, &failure) && failure.IsTimeout {
		return
	}
	a.addresses = append(a.addresses, one.addresses...)
	switch {
	case a.unanswered != AnyFamily:
		a.unanswered = ""
	case one.family == IPv4:
		a.unanswered = IPv6
	default:
		a.unanswered = IPv4
	}
}
