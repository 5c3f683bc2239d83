package runner_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/target"
)

// probe runs the probe in the client's namespace.
func probe(ctx context.Context, t *testing.T, pair *nstest.Pair, url string, limits budget.Limits, measure ...string) result.Result {
	t.Helper()
	parsed, err := target.Parse(url, "")
	if err != nil {
		t.Fatal(err)
	}
	var r result.Result
	pair.InClient(t, func() {
		r, err = runner.Run(ctx, runner.Config{
			Target:    parsed,
			Family:    target.AnyFamily,
			Limits:    limits,
			Measure:   measure,
			UserAgent: "connpolicy-probe/test",
			Proc:      procnet.New("/proc"),
			Log:       t.Logf,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// quick are limits that let a test see much in little time.
func quick() budget.Limits {
	return budget.Limits{Connections: 60, RequestsPerSecond: 400, Seconds: 2}
}

func TestReuseOfServersOfKnownBehaviour(t *testing.T) {
	closesAfter := func(requests int, last string) answer {
		return func(connection net.Conn, number int) bool {
			text := kept
			if number == requests {
				text = last
			}
			return send(text, number == requests)(connection, number)
		}
	}
	reset := func(connection net.Conn, number int) bool {
		done := send(kept, false)(connection, number)
		if number == 4 {
			// Discarding what is unsent turns the close into a reset.
			if tcp, ok := connection.(*net.TCPConn); !ok || tcp.SetLinger(0) != nil || tcp.Close() != nil {
				t.Error("the server cannot reset")
			}
			return true
		}
		return done
	}
	for name, c := range map[string]struct {
		respond answer
		kept    bool
		exactly int // 0: the server never closes
		cause   result.CloseCause
	}{
		"keeps":                      {send(kept, false), true, 0, result.CloseNone},
		"chunked":                    {send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nok\n\r\n0\r\nT: v\r\n\r\n", false), true, 0, result.CloseNone},
		"closes after 7, says so":    {closesAfter(7, announced), true, 7, result.CloseAnnounced},
		"closes after 7, silently":   {closesAfter(7, kept), true, 7, result.CloseUnannounced},
		"closes after 1, says so":    {closesAfter(1, announced), false, 1, result.CloseAnnounced},
		"closes after 1, silently":   {closesAfter(1, kept), false, 1, result.CloseUnannounced},
		"resets after 4":             {reset, true, 4, result.CloseReset},
		"HTTP/1.0":                   {send("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n", true), false, 1, result.CloseHTTP10},
		"HTTP/1.0 with keep-alive":   {send("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nok\n", false), true, 0, result.CloseNone},
		"ended by the connection":    {send("HTTP/1.1 200 OK\r\n\r\nok\n", true), false, 1, result.CloseDelimited},
		"interim responses first":    {send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"+kept, false), true, 0, result.CloseNone},
		"no body by its status code": {send("HTTP/1.1 204 No Content\r\n\r\n", false), true, 0, result.CloseNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			server := serve(t, pair, c.respond)
			r := probe(t.Context(), t, pair, "http://"+server.address.String()+"/", quick(), "reuse")
			got := r.Measurements.Reuse
			if got.Outcome != result.Measured {
				t.Fatalf("outcome %s: %s", got.Outcome, got.Cause)
			}
			if got.Kept == nil || *got.Kept != c.kept {
				t.Errorf("kept = %v, want %v", value(got.Kept), c.kept)
			}
			if got.CloseCause != c.cause {
				t.Errorf("close cause %q, want %q", got.CloseCause, c.cause)
			}
			switch {
			case c.exactly == 0 && got.RequestsPerConnection != nil:
				t.Errorf("requests per connection %d, want none", *got.RequestsPerConnection)
			case c.exactly == 0 && (got.RequestsAtLeast == nil || *got.RequestsAtLeast < 2 || r.Spent.Requests > got.Samples+2):
				// One connection carried all but the first requests of new ones; the end of the time may have cut off one more.
				t.Errorf("requests at least %v, %d in all for %d samples", value(got.RequestsAtLeast), r.Spent.Requests, got.Samples)
			case c.exactly > 0 && (got.RequestsPerConnection == nil || *got.RequestsPerConnection != c.exactly):
				t.Errorf("requests per connection %v, want %d", value(got.RequestsPerConnection), c.exactly)
			}
			if got.NewMicroseconds == nil || c.kept != (got.ReusedMicroseconds != nil) {
				t.Errorf("distributions: new %v, reused %v", got.NewMicroseconds, got.ReusedMicroseconds)
			}
			if c.cause == result.CloseReset {
				// A reset destroys what is under way, so that the server may have seen less.
				if saw := int(server.requests.Load()); saw > r.Spent.Requests {
					t.Errorf("the server saw %d requests, the probe says %d", saw, r.Spent.Requests)
				}
				return
			}
			checkSpent(t, server, r.Spent, quick())
		})
	}
}

func TestKeepAliveHeader(t *testing.T) {
	pair := nstest.New(t)
	server := serve(t, pair, send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=5, max=100\r\n\r\n", false))
	r := probe(t.Context(), t, pair, "http://"+server.address.String()+"/", quick(), "reuse")
	header := r.Measurements.Reuse.KeepAliveHeader
	if header == nil || header.TimeoutSeconds == nil || *header.TimeoutSeconds != 5 || header.Max == nil || *header.Max != 100 {
		t.Errorf("Keep-Alive header = %+v", header)
	}
}

// What is broken is an outcome with its cause, within the limits, and never a figure.
func TestServersThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		respond answer
		cause   string
	}{
		"garbage":                     {send("SSH-2.0-OpenSSH_9.2\r\n\r\n", false), "not valid HTTP/1"},
		"closes without a response":   {func(net.Conn, int) bool { return true }, "closed the connection without a response"},
		"endless header":              {endless("HTTP/1.1 200 OK\r\n", "X-Fill: "+strings.Repeat("x", 1000)+"\r\n"), "64 KiB of headers"},
		"endless line":                {endless("HTTP/1.1 200 OK\r\n", strings.Repeat("x", 1000)), "64 KiB of headers"},
		"endless interim responses":   {endless("", "HTTP/1.1 100 Continue\r\n\r\n"), "interim"},
		"endless body":                {endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 1<<16)), "4 MiB"},
		"a body cut off":              {send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok\n", true), "in the middle of the response"},
		"a body longer than it says":  {send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok\n", false), "no request had asked for"},
		"two lengths":                 {send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok\n", false), "Content-Length"},
		"a chunk size that is no hex": {send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false), "chunk size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			server := serve(t, pair, c.respond)
			r := probe(t.Context(), t, pair, "http://"+server.address.String()+"/", quick(), "reuse", "handshake")
			for _, meta := range []result.Meta{r.Measurements.Handshake.Meta, r.Measurements.Reuse.Meta} {
				if meta.Outcome != result.Failed || !strings.Contains(meta.Cause, c.cause) {
					t.Errorf("outcome %s: %q, want failed with %q", meta.Outcome, meta.Cause, c.cause)
				}
			}
			if r.Spent.Connections != budget.MaximumErrorsInRow {
				t.Errorf("%d connections, want no more after %d errors", r.Spent.Connections, budget.MaximumErrorsInRow)
			}
			checkSpent(t, server, r.Spent, quick())
		})
	}
}

// endless returns an answer that begins with one text and repeats another until the client goes away.
func endless(begin, repeated string) answer {
	return func(connection net.Conn, _ int) bool {
		for text := begin; ; text = repeated {
			if _, err := connection.Write([]byte(text)); err != nil {
				return true
			}
		}
	}
}

func TestOneByteASecondEndsAtTheTimeLimit(t *testing.T) {
	pair := nstest.New(t)
	server := serve(t, pair, func(connection net.Conn, _ int) bool {
		for _, b := range []byte(kept) {
			if _, err := connection.Write([]byte{b}); err != nil {
				return true
			}
			time.Sleep(time.Second)
		}
		return false
	})
	begin := time.Now()
	r := probe(t.Context(), t, pair, "http://"+server.address.String()+"/", quick())
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the run took %v, its limit is two seconds", took)
	}
	if got := r.Measurements.Reuse; got.Outcome == result.Measured || got.Cause == "" {
		t.Errorf("reuse: outcome %s: %q", got.Outcome, got.Cause)
	}
}

func TestRefusedConnections(t *testing.T) {
	pair := nstest.New(t)
	r := probe(t.Context(), t, pair, "http://"+nstest.ServerAddress+":9/", quick())
	outcomes := r.Measurements.Outcomes()
	// An address has no name that would be asked for.
	if outcomes["dns"].Outcome != result.Unsupported {
		t.Errorf("dns: %+v", outcomes["dns"])
	}
	delete(outcomes, "dns")
	for name, meta := range outcomes {
		if meta.Outcome != result.Failed || !strings.Contains(meta.Cause, "connection refused (nothing listens") {
			t.Errorf("%s: %s: %q", name, meta.Outcome, meta.Cause)
		}
	}
	if r.Spent.Connections != budget.MaximumErrorsInRow || r.Spent.Requests != 0 {
		t.Errorf("spent %+v", r.Spent)
	}
}

// A listener whose accept queue is full drops the SYN, which is then sent again.
func TestDroppedSYN(t *testing.T) {
	pair := nstest.New(t)
	var listener int
	var address unix.Sockaddr
	var err error
	pair.InServer(t, func() {
		if listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		if err = errors.Join(unix.Bind(listener, &unix.SockaddrInet4{Port: 8080}), unix.Listen(listener, 0)); err != nil {
			return
		}
		address, err = unix.Getsockname(listener)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(listener) })
	if inet, ok := address.(*unix.SockaddrInet4); !ok || inet.Port != 8080 {
		t.Fatalf("the listener has the address %v", address)
	}
	// A backlog of zero has room for one connection. It is taken, and given up again after one and a half seconds.
	url := "tcp://" + nstest.ServerAddress + ":8080"
	var blocker net.Conn
	pair.InClient(t, func() { blocker, err = net.Dial("tcp", nstest.ServerAddress+":8080") })
	if err != nil {
		t.Fatal(err)
	}
	defer blocker.Close()
	accept := time.AfterFunc(1500*time.Millisecond, func() {
		for {
			connection, _, err := unix.Accept(listener)
			if err != nil {
				return
			}
			unix.Close(connection)
		}
	})
	defer accept.Stop()
	r := probe(t.Context(), t, pair, url, budget.Limits{Connections: 1, RequestsPerSecond: 10, Seconds: 10}, "handshake")
	h := r.Measurements.Handshake
	if h.Outcome != result.Measured || h.Samples != 1 {
		t.Fatalf("outcome %s: %s, %d samples", h.Outcome, h.Cause, h.Samples)
	}
	if h.SynRetransmissions == nil || *h.SynRetransmissions < 1 {
		t.Errorf("SYN retransmissions = %v, want at least one", value(h.SynRetransmissions))
	}
	if h.ConnectMicroseconds.P50 < 1e6 {
		t.Errorf("connect took %.0f µs, want more than a second", h.ConnectMicroseconds.P50)
	}
	// Ends the accept that is under way.
	if err := unix.Shutdown(listener, unix.SHUT_RDWR); err != nil {
		t.Error(err)
	}
}

// lazy accepts each connection only after a while, when the kernel has long set it up.
type lazy struct {
	net.Listener
	after time.Duration
}

func (l lazy) Accept() (net.Conn, error) {
	time.Sleep(l.after)
	return l.Listener.Accept()
}

// A SYN that was dropped and a server that is slow to accept look the same to those who time the first byte. The one is in
// connect, and in the kernel's count of SYNs; the other is what the first request on a new connection takes longer.
func TestDroppedSYNsAndSlowAcceptAreToldApart(t *testing.T) {
	const after = 150 * time.Millisecond
	for name, c := range map[string]struct {
		dropped int
		accept  time.Duration
	}{
		"a SYN dropped":  {dropped: 1},
		"slow to accept": {accept: after},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := nstest.NewLink(t, nstest.LinkOptions{DropSYNs: c.dropped})
			listener := link.Listen(t)
			nstest.Answer(t, lazy{listener, c.accept}, func(connection net.Conn, _ int) bool {
				_, err := io.WriteString(connection, kept)
				return err == nil
			})
			limits := budget.Limits{Connections: 6, RequestsPerSecond: 100, Seconds: 12}
			m := probe(t.Context(), t, link.Pair, "http://"+listener.Addr().String(), limits, "handshake", "reuse").Measurements
			if m.Handshake.ConnectMicroseconds == nil || m.Reuse.NewMicroseconds == nil || m.Reuse.ReusedMicroseconds == nil {
				t.Fatalf("handshake %q, reuse %q", m.Handshake.Cause, m.Reuse.Cause)
			}
			connect, again := m.Handshake.ConnectMicroseconds, *m.Handshake.SynRetransmissions
			if slow := connect.Min >= 1e6; slow != (c.dropped > 0) || again != c.dropped*m.Handshake.Samples {
				t.Errorf("connect takes %.0f µs at least, %d SYNs were sent again for %d connections", connect.Min, again, m.Handshake.Samples)
			}
			longer := time.Duration(m.Reuse.NewMicroseconds.P50-m.Reuse.ReusedMicroseconds.P50)*time.Microsecond - time.Duration(connect.P50)*time.Microsecond
			if slow := longer >= after/2; slow != (c.accept > 0) {
				t.Errorf("beyond connect, a request on a new connection takes %v longer than on a reused one", longer)
			}
		})
	}
}

// A connect that got no answer has lost SYNs too, although it gives no sample.
func TestSYNsOfConnectsThatFail(t *testing.T) {
	pair := nstest.New(t)
	var err error
	// A host that is not there would be found out by ARP; this one is known and does not answer.
	pair.InClient(t, func() {
		err = exec.Command("ip", "neigh", "add", "198.18.99.77", "lladdr", "02:00:00:00:00:77", "dev", "eth0").Run()
	})
	if err != nil {
		t.Fatal(err)
	}
	r := probe(t.Context(), t, pair, "tcp://198.18.99.77:80", budget.Limits{Connections: 1, RequestsPerSecond: 10, Seconds: 3}, "handshake")
	h := r.Measurements.Handshake
	if h.Outcome != result.Failed || h.SynRetransmissions == nil || *h.SynRetransmissions < 1 {
		t.Errorf("%s: %q, SYNs sent again %v", h.Outcome, h.Cause, value(h.SynRetransmissions))
	}
}

func TestHandshake(t *testing.T) {
	pair := nstest.New(t)
	server := serve(t, pair, send(kept, false))
	for protocol, url := range map[string]string{"TCP": "tcp://" + server.address.String(), "HTTP": "http://" + server.address.String()} {
		r := probe(t.Context(), t, pair, url, quick(), "handshake")
		h := r.Measurements.Handshake
		if h.Outcome != result.Measured || h.Samples < 30 || h.ConnectMicroseconds == nil || h.KernelRTTMicroseconds == nil {
			t.Fatalf("%s: %+v", protocol, h)
		}
		if h.ConnectMicroseconds.P50 < 5 || h.ConnectMicroseconds.P50 > 20_000 {
			t.Errorf("%s: connect takes %.0f µs", protocol, h.ConnectMicroseconds.P50)
		}
		if h.SynRetransmissions == nil || *h.SynRetransmissions != 0 {
			t.Errorf("%s: SYN retransmissions = %v", protocol, value(h.SynRetransmissions))
		}
		if share := h.SetupSharePercent; (share != nil) != (protocol == "HTTP") || share != nil && (*share <= 0 || *share >= 100) {
			t.Errorf("%s: set-up share %v", protocol, value(share))
		}
	}
}

func TestTimeWait(t *testing.T) {
	closing := func(text string, closeFirst bool) answer { return send(text, closeFirst) }
	for name, c := range map[string]struct {
		respond   answer
		tcp       bool
		scenarios map[string]result.Side
		holder    result.Side
	}{
		"a server that keeps": {
			respond:   closing(kept, false),
			scenarios: map[string]result.Side{"clientFirst": result.SideClient},
		},
		"a server that closes at once": {
			respond:   closing(announced, true),
			scenarios: map[string]result.Side{"serverAfterClose": result.SideServer},
			holder:    result.SideServer,
		},
		"TCP": {
			respond:   closing(kept, false),
			tcp:       true,
			scenarios: map[string]result.Side{"clientFirst": result.SideClient},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			pair.Sysctl(t, "net.ipv4.ip_local_port_range", "40000 40999")
			pair.Sysctl(t, "net.ipv4.ip_local_reserved_ports", "40000-40099,50000")
			server := serve(t, pair, c.respond)
			url := "http://" + server.address.String()
			if c.tcp {
				url = "tcp://" + server.address.String()
			}
			limits := budget.Limits{Connections: 20, RequestsPerSecond: 400, Seconds: 10}
			r := probe(t.Context(), t, pair, url, limits, "timeWait")
			w := r.Measurements.TimeWait
			for scenario, side := range c.scenarios {
				if w.Scenarios[scenario] != side {
					t.Errorf("%s is held by %q, want %q (%s: %s)", scenario, w.Scenarios[scenario], side, w.Outcome, w.Cause)
				}
			}
			if w.Holder != c.holder {
				t.Errorf("holder %q, want %q", w.Holder, c.holder)
			}
			if w.Ports == nil || *w.Ports != 900 {
				t.Errorf("ports = %v, want 900", value(w.Ports))
			}
			if c.scenarios["clientFirst"] == "" {
				return
			}
			if w.Seconds == nil || *w.Seconds != 60 {
				t.Errorf("seconds = %v, want 60", value(w.Seconds))
			}
			if w.ConnectionsPerSecondCeiling == nil || *w.ConnectionsPerSecondCeiling != 15 ||
				w.ConnectionsPerSecondSmooth == nil || *w.ConnectionsPerSecondSmooth != 7.5 {
				t.Errorf("ceilings %v and %v, want 15 and 7.5", value(w.ConnectionsPerSecondCeiling), value(w.ConnectionsPerSecondSmooth))
			}
			checkSpent(t, server, r.Spent, limits)
		})
	}
}

// A server that goes on after the client's close leaves FIN_WAIT2, which is not TIME_WAIT yet.
func TestTimeWaitOfAServerThatDoesNotClose(t *testing.T) {
	pair := nstest.New(t)
	listener := pair.Listen(t)
	nstest.Hold(t, listener)
	limits := budget.Limits{Connections: 10, RequestsPerSecond: 400, Seconds: 10}
	r := probe(t.Context(), t, pair, "tcp://"+listener.Addr().String(), limits, "timeWait")
	w := r.Measurements.TimeWait
	if w.Outcome != result.Failed || !strings.Contains(w.Cause, "had not closed its side") || len(w.Scenarios) != 0 || w.Seconds != nil {
		t.Errorf("%+v", w)
	}
}

// Over TCP nothing is known of the protocol: the server may greet, close by itself, or answer a close with a reset.
func TestTimeWaitOverTCP(t *testing.T) {
	untilClientCloses := func(connection *net.TCPConn) { _, _ = io.Copy(io.Discard, connection) }
	for name, c := range map[string]struct {
		handle func(*net.TCPConn)
		want   map[string]result.Side
		cause  string // of a failure that is right too
	}{
		"greets": {
			func(connection *net.TCPConn) {
				_, _ = connection.Write([]byte("220 ready\r\n"))
				untilClientCloses(connection)
			},
			map[string]result.Side{"clientFirst": result.SideClient}, "",
		},
		"closes at once": {
			func(connection *net.TCPConn) {
				_ = connection.CloseWrite()
				untilClientCloses(connection)
			},
			// On a busy machine the server comes too late to be first.
			map[string]result.Side{"clientFirst": result.SideClient}, "closed first",
		},
		"answers the close with a reset": {
			func(connection *net.TCPConn) {
				untilClientCloses(connection)
				_ = connection.SetLinger(0)
			},
			map[string]result.Side{"clientFirst": result.SideNone}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			pair := nstest.New(t)
			listener := pair.Listen(t)
			nstest.Serve(t, listener, func(connection net.Conn) {
				if tcp, ok := connection.(*net.TCPConn); ok {
					c.handle(tcp)
				}
			})
			limits := budget.Limits{Connections: 10, RequestsPerSecond: 400, Seconds: 10}
			w := probe(t.Context(), t, pair, "tcp://"+listener.Addr().String(), limits, "timeWait").Measurements.TimeWait
			if w.Outcome == result.Failed && c.cause != "" && len(w.Scenarios) == 0 && strings.Contains(w.Cause, c.cause) {
				return
			}
			if w.Outcome != result.Measured || !maps.Equal(w.Scenarios, c.want) {
				t.Errorf("%s: %q, scenarios %v, want %v", w.Outcome, w.Cause, w.Scenarios, c.want)
			}
		})
	}
}

// A link-local address has a zone, which the kernel's list of sockets leaves out.
func TestTimeWaitToALinkLocalAddress(t *testing.T) {
	pair := nstest.New(t)
	var listener net.Listener
	var address netip.Addr
	var zone string
	var err error
	listen := func() {
		if address, zone, err = linkLocal(); err == nil {
			listener, err = net.Listen("tcp", netip.AddrPortFrom(address.WithZone(zone), 8080).String())
		}
	}
	connect := func() {
		if _, zone, err = linkLocal(); err != nil {
			return
		}
		var connection net.Conn
		if connection, err = net.DialTimeout("tcp", netip.AddrPortFrom(address.WithZone(zone), 8080).String(), time.Second); err == nil {
			connection.Close()
		}
	}
	// The kernel makes sure first, for a second or more, that nobody else has the addresses.
	eventually := func(in func(*testing.T, func()), do func()) {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if in(t, do); err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	eventually(pair.InServer, listen)
	nstest.Follow(t, listener)
	eventually(pair.InClient, connect)
	limits := budget.Limits{Connections: 10, RequestsPerSecond: 400, Seconds: 10}
	w := probe(t.Context(), t, pair, "tcp://["+address.String()+"%25"+zone+"]:8080", limits, "timeWait").Measurements.TimeWait
	if w.Scenarios["clientFirst"] != result.SideClient {
		t.Errorf("%s: %q, scenarios %v", w.Outcome, w.Cause, w.Scenarios)
	}
}

// linkLocal returns the link-local address of eth0 in the caller's namespace, and its zone as a number.
func linkLocal() (address netip.Addr, zone string, err error) {
	device, err := net.InterfaceByName("eth0")
	if err != nil {
		return netip.Addr{}, "", err
	}
	addresses, err := device.Addrs()
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().IsLinkLocalUnicast() {
			return prefix.Addr(), strconv.Itoa(device.Index), nil
		}
	}
	return netip.Addr{}, "", errors.Join(err, errors.New("eth0 has no link-local address"))
}

// Waiting for the server's close would take two seconds more than the run has.
func TestTimeWaitKeepsToTheTimeLimit(t *testing.T) {
	pair := nstest.New(t)
	var answered atomic.Int64
	server := serve(t, pair, func(connection net.Conn, number int) bool {
		// Every second request asks for the close.
		return send(kept, answered.Add(1)%2 == 0)(connection, number)
	})
	r := probe(t.Context(), t, pair, "http://"+server.address.String(), budget.Limits{Connections: 20, RequestsPerSecond: 400, Seconds: 1}, "timeWait")
	if r.ElapsedSeconds >= 2 {
		t.Errorf("the run took %.1f s, its limit is one second", r.ElapsedSeconds)
	}
	if w := r.Measurements.TimeWait; w.Scenarios["clientFirst"] != result.SideClient || w.Holder != "" {
		t.Errorf("%+v", w)
	}
}

func TestReuseNeedsHTTP(t *testing.T) {
	pair := nstest.New(t)
	server := serve(t, pair, send(kept, false))
	r := probe(t.Context(), t, pair, "tcp://"+server.address.String(), quick(), "reuse")
	if got := r.Measurements.Reuse; got.Outcome != result.Unsupported || got.Cause == "" || r.Spent.Connections != 0 {
		t.Errorf("reuse over TCP: %+v, spent %+v", got, r.Spent)
	}
}

func TestStopEndsTheRunSoonWithWhatItHas(t *testing.T) {
	pair := nstest.New(t)
	server := serve(t, pair, func(connection net.Conn, number int) bool {
		time.Sleep(5 * time.Millisecond)
		return send(kept, false)(connection, number)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	stopAfter := time.AfterFunc(time.Second, func() { cancel(errors.New("stopped by SIGTERM")) })
	defer stopAfter.Stop()
	begin := time.Now()
	r := probe(ctx, t, pair, "http://"+server.address.String(), budget.Limits{Connections: 200, RequestsPerSecond: 50, Seconds: 30})
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("the run went on for %v after the stop", took-time.Second)
	}
	if h := r.Measurements.Handshake; h.Samples == 0 {
		t.Errorf("handshake has no samples: %s %s", h.Outcome, h.Cause)
	}
	if got := r.Measurements.Reuse; got.Outcome != result.Failed || !strings.Contains(got.Cause, "stopped by SIGTERM") {
		t.Errorf("reuse: %s: %q", got.Outcome, got.Cause)
	}
}

func TestLimitsHold(t *testing.T) {
	pair := nstest.New(t)
	server := serve(t, pair, func(connection net.Conn, number int) bool {
		return send(kept, false)(connection, number)
	})
	limits := budget.Limits{Connections: 7, RequestsPerSecond: 20, Seconds: 2}
	begin := time.Now()
	r := probe(t.Context(), t, pair, "http://"+server.address.String(), limits)
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("the run took %v", took)
	}
	if requests := server.requests.Load(); requests > 41 {
		t.Errorf("%d requests in two seconds, the limit is 20 per second", requests)
	}
	checkSpent(t, server, r.Spent, limits)
}

// The measurement of parallel connections has a limit of its own, which ends with it.
func TestParallelHasItsOwnLimit(t *testing.T) {
	pair := nstest.New(t)
	server := serve(t, pair, func(connection net.Conn, number int) bool {
		time.Sleep(20 * time.Millisecond)
		return send(kept, false)(connection, number)
	})
	limits := budget.Limits{Connections: 10, RequestsPerSecond: 10, ParallelRequestsPerSecond: 100, Seconds: 12}
	r := probe(t.Context(), t, pair, "http://"+server.address.String(), limits, "parallel", "reuse")
	p, reuse := r.Measurements.Parallel, r.Measurements.Reuse
	if p.Outcome != result.Measured || len(p.Levels) == 0 || p.Levels[0].OfferedPerSecond < 11 || p.Levels[len(p.Levels)-1].OfferedPerSecond > 100 {
		t.Errorf("%+v", p)
	}
	if most := 10*reuse.ElapsedSeconds + 1; reuse.Outcome != result.Measured || float64(reuse.Samples) > most {
		t.Errorf("%+v, its limit allows %.0f", reuse.Meta, most)
	}
	if got := server.requests.Load(); got != int64(r.Spent.Requests) {
		t.Errorf("the server saw %d requests, the probe says %d", got, r.Spent.Requests)
	}
}

func TestStopWhileTheNameResolves(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped by SIGTERM"))
	parsed, err := target.Parse("http://no-such-host.invalid", "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := runner.Run(ctx, runner.Config{Target: parsed, Family: target.AnyFamily, Limits: quick(), Proc: procnet.New("/proc"), Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	for name, meta := range r.Measurements.Outcomes() {
		if meta.Outcome != result.Failed || !strings.Contains(meta.Cause, "stopped by SIGTERM") {
			t.Errorf("%s: %s: %q", name, meta.Outcome, meta.Cause)
		}
	}
}

// checkSpent compares what the probe says that it spent with what the server saw, and both with the limits.
func checkSpent(t *testing.T, server *countingServer, spent result.Spent, limits budget.Limits) {
	t.Helper()
	if spent.Connections > limits.Connections {
		t.Errorf("%d connections, the limit is %d", spent.Connections, limits.Connections)
	}
	if most := limits.RequestsPerSecond*limits.Seconds + 1; spent.Requests > most {
		t.Errorf("%d requests, the limits allow %d", spent.Requests, most)
	}
	// The server's goroutines may still be counting.
	deadline := time.Now().Add(2 * time.Second)
	for time.Now().Before(deadline) && (server.connections.Load() != int64(spent.Connections) || server.requests.Load() != int64(spent.Requests)) {
		time.Sleep(time.Millisecond)
	}
	if got := server.connections.Load(); got != int64(spent.Connections) {
		t.Errorf("the server saw %d connections, the probe says %d", got, spent.Connections)
	}
	if got := server.requests.Load(); got != int64(spent.Requests) {
		t.Errorf("the server saw %d requests, the probe says %d", got, spent.Requests)
	}
	if got := server.received.Load(); got != spent.BytesSent {
		t.Errorf("the server received %d bytes, the probe says that it sent %d", got, spent.BytesSent)
	}
}

// value shows what a pointer points to.
func value[T any](pointer *T) any {
	if pointer == nil {
		return "unknown"
	}
	return *pointer
}
