package dns_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/dns"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/target"
)

const (
	server = "nameserver " + nstest.ServerAddress + "\n"
	// kubernetes is the resolv.conf that the kubelet writes for a pod of the namespace shop.
	kubernetes = server + "search shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
	// hasty gives a server one second, once.
	hasty = server + "options timeout:1 attempts:1\n"
)

func quick() budget.Limits {
	return budget.Limits{Connections: 1, RequestsPerSecond: 1000, Seconds: 20}
}

// measure makes the measurement in the client's namespace.
func measure(ctx context.Context, t *testing.T, pair *nstest.Pair, at dns.Place, limits budget.Limits, host string, family target.Family) result.DNS {
	t.Helper()
	var r result.DNS
	pair.InClient(t, func() { r = dns.Measure(ctx, budget.New(limits), at, host, family) })
	return r
}

// value is what a pointer points to, -1 if that is unknown.
func value(pointer *int) int {
	if pointer == nil {
		return -1
	}
	return *pointer
}

func TestTheSearchListIsWalked(t *testing.T) {
	for host, c := range map[string]struct {
		full            string
		perName, needed int
		asked           []string // for one resolution
	}{
		"api.bank.example": {"api.bank.example.", 8, 2, []string{
			"api.bank.example.shop.svc.cluster.local.", "api.bank.example.svc.cluster.local.", "api.bank.example.cluster.local.", "api.bank.example.",
		}},
		"payments.shop.svc": {"payments.shop.svc.cluster.local.", 6, 2, []string{
			"payments.shop.svc.shop.svc.cluster.local.", "payments.shop.svc.svc.cluster.local.", "payments.shop.svc.cluster.local.",
		}},
		"payments":                              {"payments.shop.svc.cluster.local.", 2, 2, []string{"payments.shop.svc.cluster.local."}},
		"api.bank.example.":                     {"api.bank.example.", 2, 2, []string{"api.bank.example."}},
		"a.name.with.many.dots.example":         {"a.name.with.many.dots.example.", 2, 2, []string{"a.name.with.many.dots.example."}},
		"a.name.with.many.dots.shop.svc.nested": {"a.name.with.many.dots.shop.svc.nested.cluster.local.", 8, 2, nil},
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			names := pair.ServeNames(t, nstest.ServerAddress, nstest.Zone(c.full))
			r := measure(t.Context(), t, pair, place(t, kubernetes), quick(), host, target.AnyFamily)
			if r.Outcome != result.Measured || r.ResolveMicroseconds == nil || r.Samples < 10 {
				t.Fatalf("%+v", r.Meta)
			}
			if value(r.QueriesPerName) != c.perName || value(r.QueriesNeeded) != c.needed || r.FullName != c.full {
				t.Errorf("%d queries a name, %d needed, for %s", value(r.QueriesPerName), value(r.QueriesNeeded), r.FullName)
			}
			seen := names.Queries()
			if value(r.Queries) != len(seen) {
				t.Errorf("says that it sent %d queries, the server saw %d", value(r.Queries), len(seen))
			}
			negative := 0
			for _, q := range seen {
				if q.Name != c.full {
					negative++
				}
			}
			if value(r.Negative) != negative || value(r.Lost) != 0 || value(r.Rejected) != 0 || value(r.Truncated) != 0 || value(r.Ignored) != 0 {
				t.Errorf("%d negative answers, want %d; %+v", value(r.Negative), negative, r)
			}
			// A name alone is not the one that is asked for, but the first of the search list is.
			walks := c.perName > c.needed
			if (r.NeededMicroseconds != nil) != walks || (r.SearchListMicroseconds != nil) != walks {
				t.Errorf("the time of the full name: %+v; of the search list: %v", r.NeededMicroseconds, r.SearchListMicroseconds)
			}
			if value(r.TimeToLiveSeconds) != 20 || value(r.Aliases) != 0 || value(r.Ndots) != 5 || value(r.TimeoutSeconds) != 5 || value(r.Attempts) != 2 {
				t.Errorf("time to live %d, aliases %d, ndots %d, timeout %d, attempts %d",
					value(r.TimeToLiveSeconds), value(r.Aliases), value(r.Ndots), value(r.TimeoutSeconds), value(r.Attempts))
			}
			if !slices.Equal(r.Servers, []string{nstest.ServerAddress}) || len(r.Search) != 3 {
				t.Errorf("servers %v, search list %v", r.Servers, r.Search)
			}
			for i, name := range c.asked {
				if a, b := seen[2*i], seen[2*i+1]; a.Name != name || b.Name != name || a.Kind != dnsmessage.TypeA || b.Kind != dnsmessage.TypeAAAA {
					t.Errorf("asked for %v and %v, want %s", a, b, name)
				}
			}
		})
	}
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	names := pair.ServeNames(t, nstest.ServerAddress, nstest.Zone("api.bank.example."))
	for family, c := range map[target.Family]struct {
		configuration string
		kinds         []dnsmessage.Type
	}{
		target.IPv4:      {server, []dnsmessage.Type{dnsmessage.TypeA}},
		target.IPv6:      {server, []dnsmessage.Type{dnsmessage.TypeAAAA}},
		target.AnyFamily: {server + "options no-aaaa\n", []dnsmessage.Type{dnsmessage.TypeA}},
	} {
		before := len(names.Queries())
		r := measure(t.Context(), t, pair, place(t, c.configuration), quick(), "api.bank.example", family)
		if r.Outcome != result.Measured || value(r.QueriesPerName) != 1 {
			t.Errorf("%s: %+v, %d queries a name", family, r.Meta, value(r.QueriesPerName))
		}
		for _, q := range names.Queries()[before:] {
			if !slices.Contains(c.kinds, q.Kind) {
				t.Errorf("%s: asked for %v", family, q.Kind)
			}
		}
	}
}

// A name that has addresses of one family alone resolves, without being asked for again.
func TestOneFamilyIsEnough(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
		if q.Kind == dnsmessage.TypeAAAA {
			return [][]byte{q.Reply(dnsmessage.RCodeSuccess, "")}
		}
		return nstest.Zone("api.bank.example.")(q)
	})
	r := measure(t.Context(), t, pair, place(t, kubernetes), quick(), "api.bank.example.", target.AnyFamily)
	if r.Outcome != result.Measured || value(r.QueriesPerName) != 2 || value(r.TimeToLiveSeconds) != 30 {
		t.Errorf("%+v", r)
	}
}

// Every seventh query gets no answer, and costs the second that the resolver waits for it.
func TestLostAnswersAreCounted(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	names := pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
		if q.Number%7 == 0 {
			return nil
		}
		return nstest.Zone("api.bank.example.")(q)
	})
	r := measure(t.Context(), t, pair, place(t, hasty), quick(), "api.bank.example", target.AnyFamily)
	lost := len(names.Queries()) / 7
	if r.Outcome != result.Measured || value(r.Lost) != lost || value(r.Queries) != len(names.Queries()) || lost == 0 {
		t.Fatalf("%+v: %d of %d lost; the server gave no answer to %d of %d", r.Meta, value(r.Lost), value(r.Queries), lost, len(names.Queries()))
	}
	if d := r.ResolveMicroseconds; d.Max < 1e6 || d.Min > 900_000 {
		t.Errorf("a lost answer costs a second, others none: %+v", d)
	}
}

// The case of kubernetes/kubernetes#56903: of two queries from one socket the second is lost, and the name resolves
// after the resolver's whole wait, once it asks one by one.
func TestTheSecondQueryOfASocketIsLost(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
		// The first resolution asks for A and AAAA at once; that AAAA is lost.
		if q.Number == 2 {
			return nil
		}
		return nstest.Zone("api.bank.example.")(q)
	})
	r := measure(t.Context(), t, pair, place(t, hasty), quick(), "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Measured || value(r.Lost) != 1 || r.ResolveMicroseconds.Max < 1e6 || r.ResolveMicroseconds.P50 > 900_000 {
		t.Errorf("%+v, %d lost, %+v", r.Meta, value(r.Lost), r.ResolveMicroseconds)
	}
}

// A server that never answers for AAAA is asked at once, one by one, and from a new socket; then the name does without.
func TestNeverAnAnswerForAAAA(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	names := pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
		if q.Kind == dnsmessage.TypeAAAA {
			return nil
		}
		return nstest.Zone("api.bank.example.")(q)
	})
	limits := quick()
	limits.Seconds = 8
	r := measure(t.Context(), t, pair, place(t, hasty), limits, "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Measured || r.Samples != 2 || value(r.QueriesPerName) != 6 {
		t.Fatalf("%+v, %d queries a name, want 2 samples of 6", r.Meta, value(r.QueriesPerName))
	}
	if d := r.ResolveMicroseconds; d.Min < 3e6 {
		t.Errorf("resolves within %.0f µs, three waits of a second are three seconds", d.Min)
	}
	// The last resolution is cut off by the time limit, while nobody can know yet whether the answer is lost.
	if lost := value(r.Lost); lost < 6 || lost > 8 {
		t.Errorf("%d lost", lost)
	}
	want := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeA, dnsmessage.TypeAAAA}
	for i, q := range names.Queries()[:6] {
		if q.Kind != want[i] {
			t.Errorf("query %d is %v", i+1, q)
		}
	}
}

func TestServersThatDoNotAnswer(t *testing.T) {
	mute := func(nstest.Query) [][]byte { return nil }
	failing := func(code dnsmessage.RCode) func(nstest.Query) [][]byte {
		return func(q nstest.Query) [][]byte { return [][]byte{q.Reply(code, "")} }
	}
	lame := func(q nstest.Query) [][]byte {
		return [][]byte{q.Build(dnsmessage.Header{ID: q.ID, Response: true}, "")}
	}
	for name, c := range map[string]struct {
		respond func(nstest.Query) [][]byte
		cause   string
		// rejected and lost are what becomes of all queries.
		rejected, lost bool
	}{
		"mute":     {mute, "gave no answer for the A record and the AAAA record of api.bank.example. within 1 s", false, true},
		"SERVFAIL": {failing(dnsmessage.RCodeServerFailure), "answered SERVFAIL for api.bank.example.", true, false},
		"REFUSED":  {failing(dnsmessage.RCodeRefused), "answered REFUSED for api.bank.example.", true, false},
		"lame":     {lame, "a referral to nowhere", true, false},
		"NXDOMAIN": {failing(dnsmessage.RCodeNameError), "the name does not resolve", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			names := pair.ServeNames(t, nstest.ServerAddress, c.respond)
			r := measure(t.Context(), t, pair, place(t, hasty), quick(), "api.bank.example", target.AnyFamily)
			if r.Outcome != result.Failed || !strings.Contains(r.Cause, c.cause) || r.Errors != 3 || r.Samples != 0 || r.FullName != "" {
				t.Errorf("%+v", r.Meta)
			}
			sent := len(names.Queries())
			count := func(all bool) int {
				if all {
					return sent
				}
				return 0
			}
			if value(r.Queries) != sent || value(r.Lost) != count(c.lost) || value(r.Rejected) != count(c.rejected) || value(r.QueriesPerName) != 2 {
				t.Errorf("of %d queries: %+v", sent, r)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	// By default a kernel says so to each peer a few times, and then once a second.
	pair.SysctlServer(t, "net.ipv4.icmp_ratelimit", "0")
	r := measure(t.Context(), t, pair, place(t, kubernetes), quick(), "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || !strings.Contains(r.Cause, "connection refused") || !strings.Contains(r.Cause, nstest.ServerAddress) || value(r.Lost) != 0 {
		t.Errorf("%+v, %d lost", r.Meta, value(r.Lost))
	}
	if r.ElapsedSeconds > 4 {
		t.Errorf("waited %.1f s for a server that says that it is not there", r.ElapsedSeconds)
	}
}

// The search goes on behind a domain whose server fails, and the second server is asked where the first is mute.
func TestFailuresThatAnotherServerMends(t *testing.T) {
	t.Run("SERVFAIL for the search list", func(t *testing.T) {
		t.Parallel()
		pair := nstest.New(t)
		pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
			if q.Name != "api.bank.example." {
				return [][]byte{q.Reply(dnsmessage.RCodeServerFailure, "")}
			}
			return nstest.Zone("api.bank.example.")(q)
		})
		r := measure(t.Context(), t, pair, place(t, kubernetes), quick(), "api.bank.example", target.AnyFamily)
		// Each of the three domains is asked for twice.
		if r.Outcome != result.Measured || value(r.QueriesPerName) != 14 || value(r.Rejected) != 12*r.Samples/2 {
			t.Errorf("%+v, %d queries a name, %d rejected", r.Meta, value(r.QueriesPerName), value(r.Rejected))
		}
	})
	t.Run("two servers", func(t *testing.T) {
		t.Parallel()
		pair := nstest.New(t)
		mute := pair.ServeNames(t, nstest.ServerAddress, func(nstest.Query) [][]byte { return nil })
		pair.ServeNames(t, nstest.ServerAddressIPv6, nstest.Zone("api.bank.example."))
		limits := quick()
		limits.Seconds = 5
		at := place(t, server+"nameserver "+nstest.ServerAddressIPv6+"\noptions timeout:1\n")
		r := measure(t.Context(), t, pair, at, limits, "api.bank.example", target.AnyFamily)
		// Of the resolution that the time limit cuts off, the first server's part may be over.
		if lost := value(r.Lost); lost != 2*r.Samples && lost != 2*r.Samples+2 {
			t.Errorf("%d lost in %d resolutions", lost, r.Samples)
		}
		if r.Outcome != result.Measured || value(r.QueriesPerName) != 4 || r.ResolveMicroseconds.Min < 1e6 {
			t.Errorf("%+v, %d queries a name, %d lost", r.Meta, value(r.QueriesPerName), value(r.Lost))
		}
		if len(r.Servers) != 2 || len(mute.Queries()) < 2 {
			t.Errorf("servers %v, the first saw %v", r.Servers, mute.Queries())
		}
	})
	t.Run("one by one, from the other server first", func(t *testing.T) {
		t.Parallel()
		pair := nstest.New(t)
		first := pair.ServeNames(t, nstest.ServerAddress, nstest.Zone("api.bank.example."))
		second := pair.ServeNames(t, nstest.ServerAddressIPv6, nstest.Zone("api.bank.example."))
		at := place(t, server+"nameserver "+nstest.ServerAddressIPv6+"\noptions rotate single-request-reopen edns0\n")
		r := measure(t.Context(), t, pair, at, quick(), "api.bank.example", target.AnyFamily)
		if r.Outcome != result.Measured || value(r.QueriesPerName) != 2 {
			t.Errorf("%+v, %d queries a name", r.Meta, value(r.QueriesPerName))
		}
		if a, b := len(first.Queries()), len(second.Queries()); a-b > 2 || b-a > 2 {
			t.Errorf("one server got %d queries, the other %d", a, b)
		}
	})
}

// Six queries more, one after the other in threes, to a server that takes ten milliseconds for each.
func TestTheWalkAlongTheSearchListIsMeasured(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
		time.Sleep(10 * time.Millisecond)
		return nstest.Zone("api.bank.example.")(q)
	})
	r := measure(t.Context(), t, pair, place(t, kubernetes), quick(), "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Measured || r.SearchListMicroseconds == nil || *r.SearchListMicroseconds < 50_000 || r.NeededMicroseconds.Min < 20_000 {
		t.Errorf("%+v: %+v against %+v", r.Meta, r.ResolveMicroseconds, r.NeededMicroseconds)
	}
}

func TestASlowServer(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
		time.Sleep(20 * time.Millisecond)
		return nstest.Zone("api.bank.example.")(q)
	})
	r := measure(t.Context(), t, pair, place(t, server), quick(), "api.bank.example", target.AnyFamily)
	// It answers one after the other.
	if r.Outcome != result.Measured || r.ResolveMicroseconds.Min < 40_000 || value(r.Lost) != 0 {
		t.Errorf("%+v, %+v, %d lost", r.Meta, r.ResolveMicroseconds, value(r.Lost))
	}
}

func TestLongAnswersComeOverTCP(t *testing.T) {
	for name, configuration := range map[string]string{"truncated": server, "use-vc": server + "options use-vc\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			names := pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
				if !q.TCP {
					return [][]byte{q.Build(dnsmessage.Header{ID: q.ID, Response: true, Truncated: true, RecursionAvailable: true}, "")}
				}
				return nstest.Zone("api.bank.example.")(q)
			})
			r := measure(t.Context(), t, pair, place(t, configuration), quick(), "api.bank.example", target.AnyFamily)
			truncated, perName := r.Samples, 4
			if name == "use-vc" {
				truncated, perName = 0, 2
			}
			if r.Outcome != result.Measured || value(r.Truncated) != truncated || value(r.QueriesPerName) != perName || value(r.Queries) != len(names.Queries()) {
				t.Errorf("%+v: %d truncated, %d queries a name", r.Meta, value(r.Truncated), value(r.QueriesPerName))
			}
		})
	}
}

// A server that answers over UDP that it must be asked over TCP, and then does not speak it.
func TestNoAnswerOverTCP(t *testing.T) {
	for name, c := range map[string]struct {
		overTCP func(nstest.Query) [][]byte
		cause   string
	}{
		"mute":    {func(nstest.Query) [][]byte { return nil }, "gave no answer"},
		"garbage": {func(nstest.Query) [][]byte { return [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")} }, "gave no answer"},
		"truncated": {func(q nstest.Query) [][]byte {
			return [][]byte{q.Build(dnsmessage.Header{ID: q.ID, Response: true, Truncated: true}, "")}
		}, "over TCP too"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
				if q.TCP {
					return c.overTCP(q)
				}
				return [][]byte{q.Build(dnsmessage.Header{ID: q.ID, Response: true, Truncated: true}, "")}
			})
			r := measure(t.Context(), t, pair, place(t, hasty), quick(), "api.bank.example", target.AnyFamily)
			if r.Outcome != result.Failed || !strings.Contains(r.Cause, c.cause) {
				t.Errorf("%+v", r.Meta)
			}
		})
	}
}

// What is no answer to the question is passed over, and the answer behind it counts.
func TestForeignAnswersAreIgnored(t *testing.T) {
	right := nstest.Zone("api.bank.example.")
	for name, wrong := range map[string]func(nstest.Query) []byte{
		"another number": func(q nstest.Query) []byte { q.ID ^= 0x5555; return right(q)[0] },
		"another name": func(q nstest.Query) []byte {
			q.Name = "evil.example."
			return q.Reply(dnsmessage.RCodeSuccess, "evil.example. 1 A 198.18.0.66")
		},
		"another kind":     func(q nstest.Query) []byte { q.Kind = dnsmessage.TypeTXT; return q.Reply(dnsmessage.RCodeSuccess, "") },
		"a query":          func(q nstest.Query) []byte { return q.Build(dnsmessage.Header{ID: q.ID}, "") },
		"nothing":          func(nstest.Query) []byte { return nil },
		"garbage":          func(nstest.Query) []byte { return bytes.Repeat([]byte{0xff}, 600) },
		"a cut-off answer": func(q nstest.Query) []byte { whole := right(q)[0]; return whole[:len(whole)-3] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			names := pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
				return [][]byte{wrong(q), right(q)[0]}
			})
			r := measure(t.Context(), t, pair, place(t, server), quick(), "api.bank.example", target.AnyFamily)
			if r.Outcome != result.Measured || value(r.TimeToLiveSeconds) != 20 || value(r.Lost) != 0 {
				t.Fatalf("%+v, time to live %d, %d lost", r.Meta, value(r.TimeToLiveSeconds), value(r.Lost))
			}
			if sent := len(names.Queries()); value(r.Ignored) != sent {
				t.Errorf("%d ignored, %d were sent", value(r.Ignored), sent)
			}
		})
	}
}

// Who answers from another address than was asked is not heard, as with the C library.
func TestAnswersFromAnotherAddressAreNotHeard(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	var other net.PacketConn
	var err error
	pair.InServer(t, func() {
		if err = exec.Command("ip", "addr", "add", "198.18.99.3/24", "dev", "eth0").Run(); err == nil {
			other, err = net.ListenPacket("udp", "198.18.99.3:53")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	// The other address answers to every port that the client may have.
	pair.Sysctl(t, "net.ipv4.ip_local_port_range", "40000 40001")
	sane := nstest.Zone("api.bank.example.")
	names := pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
		for _, port := range []int{40000, 40001} {
			_, _ = other.WriteTo(sane(q)[0], &net.UDPAddr{IP: net.ParseIP(nstest.ClientAddress), Port: port})
		}
		return nil
	})
	limits := quick()
	limits.Seconds = 3
	r := measure(t.Context(), t, pair, place(t, hasty), limits, "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || r.Samples != 0 || value(r.Lost) < 2 || len(names.Queries()) < 2 {
		t.Errorf("%+v, %d lost", r.Meta, value(r.Lost))
	}
}

func TestAliases(t *testing.T) {
	const name = "api.bank.example."
	for title, c := range map[string]struct {
		records  string // for A; there is none for AAAA
		aliases  int
		live     int
		resolves bool
	}{
		"two aliases": {
			name + " 300 CNAME edge.bank.example.\nedge.bank.example. 5 CNAME lb.cloud.example.\nlb.cloud.example. 60 A 198.18.0.7\nlb.cloud.example. 60 A 198.18.0.8", 2, 5, true,
		},
		"in another order, and other letters": {
			"LB.cloud.example. 60 A 198.18.0.7\nAPI.bank.example. 300 CNAME lb.Cloud.example.", 1, 60, true,
		},
		"an alias to nothing": {name + " 300 CNAME edge.bank.example.", 0, 0, false},
		"a circle":            {name + " 300 CNAME b.example.\nb.example. 300 CNAME " + name, 0, 0, false},
		"a stranger's":        {"evil.example. 300 A 198.18.0.66", 0, 0, false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			pair.ServeNames(t, nstest.ServerAddress, func(q nstest.Query) [][]byte {
				if q.Kind == dnsmessage.TypeA {
					return [][]byte{q.Reply(dnsmessage.RCodeSuccess, c.records)}
				}
				return [][]byte{q.Reply(dnsmessage.RCodeSuccess, "")}
			})
			r := measure(t.Context(), t, pair, place(t, server), quick(), name, target.AnyFamily)
			if !c.resolves {
				if r.Outcome != result.Failed || !strings.Contains(r.Cause, "does not resolve") {
					t.Errorf("%+v", r.Meta)
				}
				return
			}
			if r.Outcome != result.Measured || value(r.Aliases) != c.aliases || value(r.TimeToLiveSeconds) != c.live || r.FullName != name {
				t.Errorf("%+v: %d aliases, %d s", r.Meta, value(r.Aliases), value(r.TimeToLiveSeconds))
			}
		})
	}
}

func TestNothingToResolve(t *testing.T) {
	for host, cause := range map[string]string{
		"198.18.0.7": "IP address", "2001:db8::7": "IP address", "fe80::1%1": "IP address", "localhost": "/hosts", "KNOWN.example.": "/hosts",
	} {
		r := dns.Measure(t.Context(), budget.New(quick()), place(t, server), host, target.AnyFamily)
		if r.Outcome != result.Unsupported || !strings.Contains(r.Cause, cause) || r.Queries != nil {
			t.Errorf("%s: %+v", host, r)
		}
	}
}

func TestNamesThatCannotBeAskedFor(t *testing.T) {
	pair := nstest.New(t)
	names := pair.ServeNames(t, nstest.ServerAddress, nstest.Zone("x."))
	for _, host := range []string{"double..dot", strings.Repeat("x", 64) + ".example", strings.Repeat("long.", 60)} {
		r := measure(t.Context(), t, pair, place(t, hasty), quick(), host, target.AnyFamily)
		if r.Outcome != result.Failed || !strings.Contains(r.Cause, "no name that can be asked for") || r.Queries != nil {
			t.Errorf("%s: %+v", host, r)
		}
	}
	if seen := names.Queries(); len(seen) > 0 {
		t.Errorf("asked for %v", seen)
	}
}

// The limit of requests per second holds for the queries, those of one resolution together.
func TestQueriesKeepToTheRate(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	names := pair.ServeNames(t, nstest.ServerAddress, nstest.Zone("api.bank.example."))
	limits := budget.Limits{Connections: 1, RequestsPerSecond: 20, Seconds: 3}
	r := measure(t.Context(), t, pair, place(t, kubernetes), limits, "api.bank.example", target.AnyFamily)
	if sent := len(names.Queries()); sent > 20*3+1 || sent < 16 {
		t.Errorf("%d queries in three seconds, the limit is 20 per second", sent)
	}
	if r.Outcome != result.Measured || r.ElapsedSeconds > 3.5 {
		t.Errorf("%+v", r.Meta)
	}
}

// Before the resolver's own patience is over nobody knows whether an answer is lost.
func TestTheTimeLimitCutsOffTheWait(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	pair.ServeNames(t, nstest.ServerAddress, func(nstest.Query) [][]byte { return nil })
	limits := quick()
	limits.Seconds = 1
	r := measure(t.Context(), t, pair, place(t, kubernetes), limits, "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || !strings.Contains(r.Cause, "time limit") || !strings.Contains(r.Cause, "gave no answer") || value(r.Lost) != 0 || value(r.Queries) != 2 {
		t.Errorf("%+v: %d of %d lost", r.Meta, value(r.Lost), value(r.Queries))
	}
	if r.ElapsedSeconds > 1.5 {
		t.Errorf("took %.1f s", r.ElapsedSeconds)
	}
}

// A server that floods the resolver with what is no answer must not hold it longer than one that is mute.
func TestAFloodOfGarbageEnds(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	flood := make([][]byte, 20_000)
	for i := range flood {
		flood[i] = []byte("garbage")
	}
	pair.ServeNames(t, nstest.ServerAddress, func(nstest.Query) [][]byte { return flood })
	limits := quick()
	limits.Seconds = 2
	r := measure(t.Context(), t, pair, place(t, hasty), limits, "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || r.ElapsedSeconds > 3 || value(r.Ignored) < 100 {
		t.Errorf("%+v, %d ignored", r.Meta, value(r.Ignored))
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	cause := errors.New("stopped by SIGTERM")
	r := dns.Measure(stopped(t, cause), budget.New(quick()), place(t, server), "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || !strings.Contains(r.Cause, "SIGTERM") {
		t.Errorf("before it began: %+v", r.Meta)
	}
	pair := nstest.New(t)
	pair.ServeNames(t, nstest.ServerAddress, func(nstest.Query) [][]byte { return nil })
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(300*time.Millisecond, func() { cancel(cause) })
	defer timer.Stop()
	r = measure(ctx, t, pair, place(t, server), quick(), "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || !strings.Contains(r.Cause, "SIGTERM") || r.ElapsedSeconds > 3 {
		t.Errorf("while it waited: %+v", r.Meta)
	}
}
