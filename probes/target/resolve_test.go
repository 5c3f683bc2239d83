package target

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseFamily(t *testing.T) {
	for name, want := range map[string]Family{"any": AnyFamily, "IPv4": IPv4, "IPv6": IPv6} {
		if got, err := ParseFamily(name); err != nil || got != want || got.String() != name {
			t.Errorf("ParseFamily(%q) = %q, %v", name, got, err)
		}
	}
	if _, err := ParseFamily("ipx"); err == nil {
		t.Error("ipx is a family")
	}
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		host   string
		family Family
		want   string // empty: it has no such address
	}{
		{"198.18.0.1", AnyFamily, "198.18.0.1:80"},
		{"198.18.0.1", IPv6, ""},
		// A link-local address.
		{"fe80::1%eth0", AnyFamily, "[fe80::1%eth0]:80"},
		{"fe80::1%eth0", IPv4, ""},
		{"::ffff:127.0.0.1", AnyFamily, "127.0.0.1:80"},
	} {
		got, err := Target{Host: c.host, Port: 80}.Resolve(t.Context(), c.family)
		if (err == nil) != (c.want != "") || fmt.Sprint(got.Remotes) != "["+c.want+"]" || got.Unanswered != "" {
			t.Errorf("%s resolves to %+v, %v, for %s", c.host, got, err, c.family)
		}
	}
}

// query is one for the records of a family, sent because of a question for that family alone or for both.
type query struct{ question, record Family }

// names is a name server as those who ask Go's resolver see it.
type names struct {
	says  map[Family][]netip.Addr
	takes map[query]time.Duration
	// loses is how many of the first queries get no answer.
	loses map[query]int

	lock  sync.Mutex
	asked []Family
}

// all of the queries are lost.
const all = 1 << 10

// never is a server that does not answer for the records of a family.
func never(records ...Family) map[query]int {
	loses := map[query]int{}
	for _, f := range records {
		loses[query{AnyFamily, f}], loses[query{f, f}] = all, all
	}
	return loses
}

// ask waits for all that it asks for, and fails only if none has an address, as Go's resolver does by the default options.
func (n *names) ask(ctx context.Context, question Family, host string) ([]netip.Addr, error) {
	const resolverTimeout = 10 * time.Second
	records := []Family{question}
	if question == AnyFamily {
		records = []Family{IPv6, IPv4}
	}
	n.lock.Lock()
	n.asked = append(n.asked, question)
	var wait time.Duration
	var addresses []netip.Addr
	failure := &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	for _, f := range records {
		q := query{question, f}
		switch {
		case n.loses[q] > 0:
			n.loses[q]--
			wait, failure = max(wait, resolverTimeout), &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
		case n.says[f] == nil:
			wait = max(wait, n.takes[q])
		default:
			wait, addresses = max(wait, n.takes[q]), append(addresses, n.says[f]...)
		}
	}
	n.lock.Unlock()
	select {
	case <-ctx.Done():
		return nil, &net.DNSError{Err: ctx.Err().Error(), Name: host, IsTimeout: true}
	case <-time.After(wait):
	}
	if len(addresses) == 0 {
		return nil, failure
	}
	return addresses, nil
}

func TestWhatIsAnsweredIsEnough(t *testing.T) {
	const limit = 5 * time.Second
	four, six := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("fd00::1")
	says := map[Family][]netip.Addr{IPv4: {four}, IPv6: {six}}
	slow := func(f Family, takes time.Duration) map[query]time.Duration {
		return map[query]time.Duration{{AnyFamily, f}: takes, {f, f}: takes}
	}
	for name, c := range map[string]struct {
		names      *names
		family     Family
		want       []netip.Addr // none: it fails
		unanswered Family
		took       time.Duration
		asked      int
	}{
		"both are answered":         {&names{says: says}, AnyFamily, []netip.Addr{six, four}, "", 0, 1},
		"a slow server":             {&names{says: says, takes: slow(IPv4, 900*time.Millisecond)}, AnyFamily, []netip.Addr{six, four}, "", 900 * time.Millisecond, 1},
		"a very slow server":        {&names{says: says, takes: slow(IPv4, 1400*time.Millisecond)}, AnyFamily, []netip.Addr{six, four}, "", 1400 * time.Millisecond, 4},
		"never AAAA":                {&names{says: says, loses: never(IPv6)}, AnyFamily, []netip.Addr{four}, IPv6, patience + otherFamilyDelay, 4},
		"never A":                   {&names{says: says, loses: never(IPv4)}, AnyFamily, []netip.Addr{six}, IPv4, patience + otherFamilyDelay, 4},
		"one AAAA is lost":          {&names{says: says, loses: map[query]int{{AnyFamily, IPv6}: 1}}, AnyFamily, []netip.Addr{six, four}, "", patience, 4},
		"one A is lost":             {&names{says: says, loses: map[query]int{{AnyFamily, IPv4}: 1}}, AnyFamily, []netip.Addr{six, four}, "", patience, 4},
		"AAAA beside A is lost":     {&names{says: says, loses: map[query]int{{AnyFamily, IPv6}: all}, takes: map[query]time.Duration{{IPv6, IPv6}: time.Millisecond}}, AnyFamily, []netip.Addr{four, six}, "", patience + otherFamilyDelay, 4},
		"no AAAA, and A is lost":    {&names{says: map[Family][]netip.Addr{IPv4: {four}}, loses: map[query]int{{AnyFamily, IPv4}: 1}}, AnyFamily, []netip.Addr{four}, "", patience, 4},
		"no AAAA":                   {&names{says: map[Family][]netip.Addr{IPv4: {four}}}, AnyFamily, []netip.Addr{four}, "", 0, 1},
		"no A, and AAAA is lost":    {&names{says: map[Family][]netip.Addr{IPv6: {six}}, loses: never(IPv6)}, AnyFamily, nil, "", limit, 4},
		"no such name":              {&names{}, AnyFamily, nil, "", 0, 1},
		"a mute server":             {&names{says: says, loses: never(IPv4, IPv6)}, AnyFamily, nil, "", limit, 4},
		"IPv4, and one A is lost":   {&names{says: says, loses: map[query]int{{IPv4, IPv4}: 1}}, IPv4, []netip.Addr{four}, "", patience, 2},
		"IPv4, and never A":         {&names{says: says, loses: never(IPv4)}, IPv4, nil, "", limit, 2},
		"IPv4, and never AAAA":      {&names{says: says, loses: never(IPv6)}, IPv4, []netip.Addr{four}, "", 0, 1},
		"no A comes in time at all": {&names{says: says, takes: slow(IPv4, 2*time.Second)}, AnyFamily, []netip.Addr{six}, IPv4, patience + otherFamilyDelay, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				began := time.Now()
				got := asker(c.names.ask).patiently(ctx, c.family, "payments")
				took := time.Since(began)
				// Those whose answer is not waited for are stopped, and may ask until then.
				synctest.Wait()
				if took != c.took || !slices.Equal(got.addresses, c.want) || got.unanswered != c.unanswered || (got.err == nil) != (c.want != nil) {
					t.Errorf("%+v after %v, want %v after %v", got, took, c.want, c.took)
				}
				if len(c.names.asked) != c.asked {
					t.Errorf("asked for %v, want %d questions", c.names.asked, c.asked)
				}
			})
		})
	}
}

// Whoever stops the run does not wait.
func TestStopWhileNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mute := names{loses: never(IPv4, IPv6)}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1100*time.Millisecond, cancel)
		began := time.Now()
		got := asker(mute.ask).patiently(ctx, AnyFamily, "payments")
		if took := time.Since(began); got.err == nil || took != 1100*time.Millisecond {
			t.Errorf("%+v after %v", got, took)
		}
	})
}
