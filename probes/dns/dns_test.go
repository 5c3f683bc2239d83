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

func quick() budget.Limits { return budget.Limits{Connections: 1, RequestsPerSecond: 1000, Seconds: 20} }

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
			names := serveNames(t, pair, nstest.ServerAddress, zone(c.full))
			r := measure(t.Context(), t, pair, place(t, kubernetes), quick(), host, target.AnyFamily)
			if r.Outcome != result.Measured || r.ResolveMicroseconds == nil || r.Samples < 10 {
				t.Fatalf("%+v", r.Meta)
			}
			if value(r.QueriesPerName) != c.perName || value(r.QueriesNeeded) != c.needed || r.FullName != c.full {
				t.Errorf("%d queries a name, %d needed, for %s", value(r.QueriesPerName), value(r.QueriesNeeded), r.FullName)
			}
			seen := names.queries()
			if value(r.Queries) != len(seen) {
				t.Errorf("says that it sent %d queries, the server saw %d", value(r.Queries), len(seen))
			}
			negative := 0
			for _, q := range seen {
				if q.name != c.full {
					negative++
				}
			}
			if value(r.Negative) != negative || value(r.Lost) != 0 || value(r.Rejected) != 0 || value(r.Truncated) != 0 || value(r.Ignored) != 0 {
				t.Errorf("%d negative answers, want %d; %+v", value(r.Negative), negative, r)
			}
			if (r.NeededMicroseconds != nil) != (c.perName > c.needed) && c.perName > 2 {
				t.Errorf("the time of the full name: %+v", r.NeededMicroseconds)
			}
			if value(r.TimeToLiveSeconds) != 20 || value(r.Aliases) != 0 || value(r.Ndots) != 5 || value(r.TimeoutSeconds) != 5 || value(r.Attempts) != 2 {
				t.Errorf("time to live %d, aliases %d, ndots %d, timeout %d, attempts %d",
					value(r.TimeToLiveSeconds), value(r.Aliases), value(r.Ndots), value(r.TimeoutSeconds), value(r.Attempts))
			}
			if !slices.Equal(r.Servers, []string{nstest.ServerAddress}) || len(r.Search) != 3 {
				t.Errorf("servers %v, search list %v", r.Servers, r.Search)
			}
			for i, name := range c.asked {
				if a, b := seen[2*i], seen[2*i+1]; a.name != name || b.name != name || a.kind != dnsmessage.TypeA || b.kind != dnsmessage.TypeAAAA {
					t.Errorf("asked for %v and %v, want %s", a, b, name)
				}
			}
		})
	}
}

func TestFamilies(t *testing.T) {
	pair := nstest.New(t)
	names := serveNames(t, pair, nstest.ServerAddress, zone("api.bank.example."))
	for family, c := range map[target.Family]struct {
		configuration string
		kinds         []dnsmessage.Type
	}{
		target.IPv4:      {server, []dnsmessage.Type{dnsmessage.TypeA}},
		target.IPv6:      {server, []dnsmessage.Type{dnsmessage.TypeAAAA}},
		target.AnyFamily: {server + "options no-aaaa\n", []dnsmessage.Type{dnsmessage.TypeA}},
	} {
		before := len(names.queries())
		r := measure(t.Context(), t, pair, place(t, c.configuration), quick(), "api.bank.example", family)
		if r.Outcome != result.Measured || value(r.QueriesPerName) != 1 {
			t.Errorf("%s: %+v, %d queries a name", family, r.Meta, value(r.QueriesPerName))
		}
		for _, q := range names.queries()[before:] {
			if !slices.Contains(c.kinds, q.kind) {
				t.Errorf("%s: asked for %v", family, q.kind)
			}
		}
	}
}

// A name that has addresses of one family alone resolves, without being asked for again.
func TestOneFamilyIsEnough(t *testing.T) {
	pair := nstest.New(t)
	serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
		if q.kind == dnsmessage.TypeAAAA {
			return [][]byte{q.reply(dnsmessage.RCodeSuccess, "")}
		}
		return zone("api.bank.example.")(q)
	})
	r := measure(t.Context(), t, pair, place(t, kubernetes), quick(), "api.bank.example.", target.AnyFamily)
	if r.Outcome != result.Measured || value(r.QueriesPerName) != 2 || value(r.TimeToLiveSeconds) != 30 {
		t.Errorf("%+v", r)
	}
}

// Every seventh query gets no answer, and costs the second that the resolver waits for it.
func TestLostAnswersAreCounted(t *testing.T) {
	pair := nstest.New(t)
	names := serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
		if q.number%7 == 0 {
			return nil
		}
		return zone("api.bank.example.")(q)
	})
	r := measure(t.Context(), t, pair, place(t, hasty), quick(), "api.bank.example", target.AnyFamily)
	lost := len(names.queries()) / 7
	if r.Outcome != result.Measured || value(r.Lost) != lost || value(r.Queries) != len(names.queries()) || lost == 0 {
		t.Fatalf("%+v: %d of %d lost; the server gave no answer to %d of %d", r.Meta, value(r.Lost), value(r.Queries), lost, len(names.queries()))
	}
	if d := r.ResolveMicroseconds; d.Max < 1e6 || d.Min > 900_000 {
		t.Errorf("a lost answer costs a second, others none: %+v", d)
	}
}

// The case of kubernetes/kubernetes#56903: of two queries from one socket the second is lost, and the name resolves
// after the resolver's whole wait, once it asks one by one.
func TestTheSecondQueryOfASocketIsLost(t *testing.T) {
	pair := nstest.New(t)
	serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
		// The first resolution asks for A and AAAA at once; that AAAA is lost.
		if q.number == 2 {
			return nil
		}
		return zone("api.bank.example.")(q)
	})
	r := measure(t.Context(), t, pair, place(t, hasty), quick(), "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Measured || value(r.Lost) != 1 || r.ResolveMicroseconds.Max < 1e6 || r.ResolveMicroseconds.P50 > 900_000 {
		t.Errorf("%+v, %d lost, %+v", r.Meta, value(r.Lost), r.ResolveMicroseconds)
	}
}

// A server that never answers for AAAA is asked at once, one by one, and from a new socket; then the name does without.
func TestNeverAnAnswerForAAAA(t *testing.T) {
	pair := nstest.New(t)
	names := serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
		if q.kind == dnsmessage.TypeAAAA {
			return nil
		}
		return zone("api.bank.example.")(q)
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
	for i, q := range names.queries()[:6] {
		if q.kind != want[i] {
			t.Errorf("query %d is %v", i+1, q)
		}
	}
}

func TestServersThatDoNotAnswer(t *testing.T) {
	mute := func(query) [][]byte { return nil }
	failing := func(code dnsmessage.RCode) func(query) [][]byte {
		return func(q query) [][]byte { return [][]byte{q.reply(code, "")} }
	}
	lame := func(q query) [][]byte { return [][]byte{q.build(dnsmessage.Header{ID: q.id, Response: true}, "")} }
	for name, c := range map[string]struct {
		respond func(query) [][]byte
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
			names := serveNames(t, pair, nstest.ServerAddress, c.respond)
			r := measure(t.Context(), t, pair, place(t, hasty), quick(), "api.bank.example", target.AnyFamily)
			if r.Outcome != result.Failed || !strings.Contains(r.Cause, c.cause) || r.Errors != 3 || r.Samples != 0 || r.FullName != "" {
				t.Errorf("%+v", r.Meta)
			}
			sent := len(names.queries())
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
	pair := nstest.New(t)
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
		serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
			if q.name != "api.bank.example." {
				return [][]byte{q.reply(dnsmessage.RCodeServerFailure, "")}
			}
			return zone("api.bank.example.")(q)
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
		mute := serveNames(t, pair, nstest.ServerAddress, func(query) [][]byte { return nil })
		serveNames(t, pair, nstest.ServerAddressIPv6, zone("api.bank.example."))
		limits := quick()
		limits.Seconds = 5
		at := place(t, server+"nameserver "+nstest.ServerAddressIPv6+"\noptions timeout:1\n")
		r := measure(t.Context(), t, pair, at, limits, "api.bank.example", target.AnyFamily)
		if r.Outcome != result.Measured || value(r.QueriesPerName) != 4 || value(r.Lost) != 2*r.Samples || r.ResolveMicroseconds.Min < 1e6 {
			t.Errorf("%+v, %d queries a name, %d lost", r.Meta, value(r.QueriesPerName), value(r.Lost))
		}
		if len(r.Servers) != 2 || len(mute.queries()) < 2 {
			t.Errorf("servers %v, the first saw %v", r.Servers, mute.queries())
		}
	})
	t.Run("one by one, from the other server first", func(t *testing.T) {
		t.Parallel()
		pair := nstest.New(t)
		first := serveNames(t, pair, nstest.ServerAddress, zone("api.bank.example."))
		second := serveNames(t, pair, nstest.ServerAddressIPv6, zone("api.bank.example."))
		at := place(t, server+"nameserver "+nstest.ServerAddressIPv6+"\noptions rotate single-request-reopen edns0\n")
		r := measure(t.Context(), t, pair, at, quick(), "api.bank.example", target.AnyFamily)
		if r.Outcome != result.Measured || value(r.QueriesPerName) != 2 {
			t.Errorf("%+v, %d queries a name", r.Meta, value(r.QueriesPerName))
		}
		if a, b := len(first.queries()), len(second.queries()); a-b > 2 || b-a > 2 {
			t.Errorf("one server got %d queries, the other %d", a, b)
		}
	})
}

func TestASlowServer(t *testing.T) {
	pair := nstest.New(t)
	serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
		time.Sleep(20 * time.Millisecond)
		return zone("api.bank.example.")(q)
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
			names := serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
				if !q.tcp {
					return [][]byte{q.build(dnsmessage.Header{ID: q.id, Response: true, Truncated: true, RecursionAvailable: true}, "")}
				}
				return zone("api.bank.example.")(q)
			})
			r := measure(t.Context(), t, pair, place(t, configuration), quick(), "api.bank.example", target.AnyFamily)
			truncated, perName := r.Samples, 4
			if name == "use-vc" {
				truncated, perName = 0, 2
			}
			if r.Outcome != result.Measured || value(r.Truncated) != truncated || value(r.QueriesPerName) != perName || value(r.Queries) != len(names.queries()) {
				t.Errorf("%+v: %d truncated, %d queries a name", r.Meta, value(r.Truncated), value(r.QueriesPerName))
			}
		})
	}
}

// A server that answers over UDP that it must be asked over TCP, and then does not speak it.
func TestNoAnswerOverTCP(t *testing.T) {
	for name, c := range map[string]struct {
		overTCP func(query) [][]byte
		cause   string
	}{
		"mute":      {func(query) [][]byte { return nil }, "gave no answer"},
		"garbage":   {func(query) [][]byte { return [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")} }, "gave no answer"},
		"truncated": {func(q query) [][]byte { return [][]byte{q.build(dnsmessage.Header{ID: q.id, Response: true, Truncated: true}, "")} }, "over TCP too"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
				if q.tcp {
					return c.overTCP(q)
				}
				return [][]byte{q.build(dnsmessage.Header{ID: q.id, Response: true, Truncated: true}, "")}
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
	right := zone("api.bank.example.")
	for name, wrong := range map[string]func(query) []byte{
		"another number":   func(q query) []byte { q.id ^= 0x5555; return right(q)[0] },
		"another name":     func(q query) []byte { q.name = "evil.example."; return q.reply(dnsmessage.RCodeSuccess, "evil.example. 1 A 198.18.0.66") },
		"another kind":     func(q query) []byte { q.kind = dnsmessage.TypeTXT; return q.reply(dnsmessage.RCodeSuccess, "") },
		"a query":          func(q query) []byte { return q.build(dnsmessage.Header{ID: q.id}, "") },
		"nothing":          func(query) []byte { return nil },
		"garbage":          func(query) []byte { return bytes.Repeat([]byte{0xff}, 600) },
		"a cut-off answer": func(q query) []byte { whole := right(q)[0]; return whole[:len(whole)-3] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			names := serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
				return [][]byte{wrong(q), right(q)[0]}
			})
			r := measure(t.Context(), t, pair, place(t, server), quick(), "api.bank.example", target.AnyFamily)
			if r.Outcome != result.Measured || value(r.TimeToLiveSeconds) != 20 || value(r.Lost) != 0 {
				t.Fatalf("%+v, time to live %d, %d lost", r.Meta, value(r.TimeToLiveSeconds), value(r.Lost))
			}
			if sent := len(names.queries()); value(r.Ignored) != sent {
				t.Errorf("%d ignored, %d were sent", value(r.Ignored), sent)
			}
		})
	}
}

// Who answers from another address than was asked is not heard, as with the C library.
func TestAnswersFromAnotherAddressAreNotHeard(t *testing.T) {
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
	var asked net.PacketConn
	pair.InServer(t, func() { asked, err = net.ListenPacket("udp", nstest.ServerAddress+":53") })
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	sane := nameServer{respond: zone("api.bank.example.")}
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := asked.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = other.WriteTo(sane.answer(buffer[:n], false)[0], from)
		}
	}()
	limits := quick()
	limits.Seconds = 3
	r := measure(t.Context(), t, pair, place(t, hasty), limits, "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || r.Samples != 0 || value(r.Lost) < 2 {
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
			serveNames(t, pair, nstest.ServerAddress, func(q query) [][]byte {
				if q.kind == dnsmessage.TypeA {
					return [][]byte{q.reply(dnsmessage.RCodeSuccess, c.records)}
				}
				return [][]byte{q.reply(dnsmessage.RCodeSuccess, "")}
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
	names := serveNames(t, pair, nstest.ServerAddress, zone("x."))
	for _, host := range []string{"double..dot", strings.Repeat("x", 64) + ".example", strings.Repeat("long.", 60)} {
		r := measure(t.Context(), t, pair, place(t, hasty), quick(), host, target.AnyFamily)
		if r.Outcome != result.Failed || !strings.Contains(r.Cause, "no name that can be asked for") || r.Queries != nil {
			t.Errorf("%s: %+v", host, r)
		}
	}
	if seen := names.queries(); len(seen) > 0 {
		t.Errorf("asked for %v", seen)
	}
}

// The limit of requests per second holds for the queries, those of one resolution together.
func TestQueriesKeepToTheRate(t *testing.T) {
	pair := nstest.New(t)
	names := serveNames(t, pair, nstest.ServerAddress, zone("api.bank.example."))
	limits := budget.Limits{Connections: 1, RequestsPerSecond: 20, Seconds: 3}
	r := measure(t.Context(), t, pair, place(t, kubernetes), limits, "api.bank.example", target.AnyFamily)
	if sent := len(names.queries()); sent > 20*3+1 || sent < 16 {
		t.Errorf("%d queries in three seconds, the limit is 20 per second", sent)
	}
	if r.Outcome != result.Measured || r.ElapsedSeconds > 3.5 {
		t.Errorf("%+v", r.Meta)
	}
}

// Before the resolver's own patience is over nobody knows whether an answer is lost.
func TestTheTimeLimitCutsOffTheWait(t *testing.T) {
	pair := nstest.New(t)
	serveNames(t, pair, nstest.ServerAddress, func(query) [][]byte { return nil })
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
	pair := nstest.New(t)
	flood := make([][]byte, 20_000)
	for i := range flood {
		flood[i] = []byte("garbage")
	}
	serveNames(t, pair, nstest.ServerAddress, func(query) [][]byte { return flood })
	limits := quick()
	limits.Seconds = 2
	r := measure(t.Context(), t, pair, place(t, hasty), limits, "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || r.ElapsedSeconds > 3 || value(r.Ignored) < 1000 {
		t.Errorf("%+v, %d ignored", r.Meta, value(r.Ignored))
	}
}

func TestStop(t *testing.T) {
	cause := errors.New("stopped by SIGTERM")
	r := dns.Measure(stopped(t, cause), budget.New(quick()), place(t, server), "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || !strings.Contains(r.Cause, "SIGTERM") {
		t.Errorf("before it began: %+v", r.Meta)
	}
	pair := nstest.New(t)
	serveNames(t, pair, nstest.ServerAddress, func(query) [][]byte { return nil })
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(300*time.Millisecond, func() { cancel(cause) })
	defer timer.Stop()
	r = measure(ctx, t, pair, place(t, server), quick(), "api.bank.example", target.AnyFamily)
	if r.Outcome != result.Failed || !strings.Contains(r.Cause, "SIGTERM") || r.ElapsedSeconds > 3 {
		t.Errorf("while it waited: %+v", r.Meta)
	}
}
