package exchange_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/handshake"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/reuse"
)

const kept = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"

// answering answers every request of a TLS connection.
func answering(t *testing.T, config *tls.Config, respond func(connection net.Conn, number int) bool) net.Listener {
	t.Helper()
	listener := plainListener(t)
	nstest.Answer(t, tls.NewListener(listener, config), respond)
	return listener
}

func plainListener(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func ok(connection net.Conn, _ int) bool {
	_, err := io.WriteString(connection, kept)
	return err == nil
}

// peer is a target that speaks HTTP over TLS, with two seconds and 80 connections.
func peer(t *testing.T, listener net.Listener, trust *tls.Config) *exchange.Peer {
	t.Helper()
	return exchange.NewPeer(exchange.Options{
		Remote:  nstest.AddressOf(t, listener),
		Request: &http1.Request{Method: "GET", Host: "127.0.0.1", Target: "/", UserAgent: "connpolicy-probe/test"},
		TLS:     trust,
		Budget:  budget.New(budget.Limits{Connections: 80, RequestsPerSecond: 500, Seconds: 4}),
	})
}

func TestFullAndResumedHandshakes(t *testing.T) {
	a := newAuthority(t)
	for name, c := range map[string]struct {
		change  func(*tls.Config)
		version string
		resumes bool
	}{
		"1.3":             {func(*tls.Config) {}, "TLS 1.3", true},
		"1.2":             {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "TLS 1.2", true},
		"1.3, no tickets": {func(c *tls.Config) { c.SessionTicketsDisabled = true }, "TLS 1.3", false},
		"1.2, no tickets": {func(c *tls.Config) { c.SessionTicketsDisabled, c.MaxVersion = true, tls.VersionTLS12 }, "TLS 1.2", false},
		"1.3, other alpn": {func(c *tls.Config) { c.NextProtos = nil }, "TLS 1.3", true},
	} {
		t.Run(name, func(t *testing.T) {
			config := &tls.Config{Certificates: []tls.Certificate{a.server(t, nil)}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
			c.change(config)
			h := handshake.Measure(t.Context(), peer(t, answering(t, config, ok), a.trust()), handshake.Options{Samples: 40})
			if h.Outcome != result.Measured || h.TLS == nil {
				t.Fatalf("%s: %q", h.Outcome, h.Cause)
			}
			if h.TLS.Version != c.version || h.TLS.FullMicroseconds == nil || h.TLS.ResumptionOffered == nil || *h.TLS.ResumptionOffered != c.resumes {
				t.Errorf("%+v", h.TLS)
			}
			wantALPN := "http/1.1"
			if len(config.NextProtos) == 0 {
				wantALPN = ""
			}
			if h.TLS.ALPN != wantALPN {
				t.Errorf("protocol %q, want %q", h.TLS.ALPN, wantALPN)
			}
			if resumed := h.TLS.ResumedMicroseconds != nil; resumed != c.resumes {
				t.Errorf("resumed: %v", resumed)
			}
			if c.resumes && (*h.TLS.Resumed != *h.TLS.ResumptionsTried || *h.TLS.Resumed < 15) {
				t.Errorf("%d of %d resumed", *h.TLS.Resumed, *h.TLS.ResumptionsTried)
			}
			if until, err := time.Parse(time.RFC3339, h.TLS.CertificateExpires); err != nil || time.Until(until) > 30*time.Minute {
				t.Errorf("expires %q: %v", h.TLS.CertificateExpires, err)
			}
			if from, err := time.Parse(time.RFC3339, h.TLS.CertificateBegins); err != nil || time.Since(from) < 0 {
				t.Errorf("begins %q: %v", h.TLS.CertificateBegins, err)
			}
			if h.SetupSharePercent == nil || *h.SetupSharePercent <= 0 || *h.SetupSharePercent >= 100 || *h.SynRetransmissions != 0 {
				t.Errorf("set-up share %v, SYNs %v", h.SetupSharePercent, h.SynRetransmissions)
			}
		})
	}
}

// serverHello10 is how a server of TLS 1.0 alone that does not look at the versions offered answers (RFC 2246 section 7.4.1.3).
func serverHello10() []byte {
	hello := append([]byte{2, 0, 0, 38, 3, 1}, make([]byte, 32)...) // the version, and what would be random
	hello = append(hello, 0, 0, 0x2f, 0)                            // no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression
	return append([]byte{22, 3, 1, 0, byte(len(hello))}, hello...)
}

// What is wrong with a certificate, or with a server, is told with what it means.
func TestHandshakesThatFail(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	good := a.server(t, nil)
	until := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	for name, c := range map[string]struct {
		listen func(t *testing.T) net.Listener
		cause  string
		shown  *result.TLS
	}{
		"expired": {func(t *testing.T) net.Listener {
			expired := a.server(t, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = until.Add(-2*time.Hour), until
			})
			return answering(t, &tls.Config{Certificates: []tls.Certificate{expired}}, ok)
		}, "the certificate is valid from ", &result.TLS{CertificateBegins: until.Add(-2 * time.Hour).Format(time.RFC3339), CertificateExpires: until.Format(time.RFC3339)}},
		"not yet valid": {func(t *testing.T) net.Listener {
			early := a.server(t, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = until.Add(time.Hour), until.Add(2*time.Hour)
			})
			return answering(t, &tls.Config{Certificates: []tls.Certificate{early}}, ok)
		}, "the certificate is valid from ", &result.TLS{CertificateBegins: until.Add(time.Hour).Format(time.RFC3339), CertificateExpires: until.Add(2 * time.Hour).Format(time.RFC3339)}},
		"another name": {func(t *testing.T) net.Listener {
			named := a.server(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"payments.example"} })
			return answering(t, &tls.Config{Certificates: []tls.Certificate{named}}, ok)
		}, "--tls-server-name", nil},
		"untrusted": {func(t *testing.T) net.Listener {
			return answering(t, &tls.Config{Certificates: []tls.Certificate{other.server(t, nil)}}, ok)
		}, "--tls-ca", nil},
		"no TLS": {func(t *testing.T) net.Listener {
			listener := plainListener(t)
			nstest.Serve(t, listener, func(connection net.Conn) {
				_, _ = io.WriteString(connection, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
				_, _ = io.Copy(io.Discard, connection)
			})
			return listener
		}, "does not speak TLS", nil},
		"closes": {func(t *testing.T) net.Listener {
			listener := plainListener(t)
			nstest.Serve(t, listener, func(connection net.Conn) { _, _ = connection.Read(make([]byte, 4096)) })
			return listener
		}, "in the middle of the handshake", nil},
		"old version only": {func(t *testing.T) net.Listener {
			return answering(t, &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, ok)
		}, "no version of TLS from 1.2 on", &result.TLS{Version: result.TLSOlder}},
		"answers in an old version": {func(t *testing.T) net.Listener {
			listener := plainListener(t)
			nstest.Serve(t, listener, func(connection net.Conn) {
				_, _ = connection.Read(make([]byte, 4096))
				_, _ = connection.Write(serverHello10())
				_, _ = io.Copy(io.Discard, connection)
			})
			return listener
		}, "no version of TLS from 1.2 on", &result.TLS{Version: result.TLSOlder}},
		"wants a certificate": {func(t *testing.T) net.Listener {
			return answering(t, &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12, MinVersion: tls.VersionTLS12}, ok)
		}, "TLS handshake", nil},
		"wants a certificate, 1.3": {func(t *testing.T) net.Listener {
			return answering(t, &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}, ok)
		}, "certificate required", nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := peer(t, c.listen(t), a.trust())
			h := handshake.Measure(t.Context(), p, handshake.Options{})
			if h.Outcome != result.Failed || !strings.Contains(h.Cause, c.cause) {
				t.Errorf("%s: %q, want %q in it", h.Outcome, h.Cause, c.cause)
			}
			finished := h.TLS != nil && h.TLS.FullMicroseconds != nil // over TLS 1.3 a server refuses the client's certificate afterwards
			if !finished && ((h.TLS == nil) != (c.shown == nil) || h.TLS != nil && *h.TLS != *c.shown) {
				t.Errorf("it shows %+v, want %+v", h.TLS, c.shown)
			}
			if spent := p.Budget.Spent(); spent.Connections != budget.MaximumErrorsInRow {
				t.Errorf("%d connections", spent.Connections)
			}
		})
	}
}

// A certificate that a server sends along, and by which it need not be trusted, may expire.
func TestACertificateThatIsNotNeeded(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	chain := a.server(t, nil)
	old := other.server(t, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	chain.Certificate = append(chain.Certificate, old.Certificate[0])
	h := handshake.Measure(t.Context(), peer(t, answering(t, &tls.Config{Certificates: []tls.Certificate{chain}}, ok), a.trust()), handshake.Options{})
	if h.Outcome != result.Measured || h.TLS == nil {
		t.Fatalf("%s: %q", h.Outcome, h.Cause)
	}
	if until, err := time.Parse(time.RFC3339, h.TLS.CertificateExpires); err != nil || time.Until(until) < 0 {
		t.Errorf("expires %q: %v", h.TLS.CertificateExpires, err)
	}
}

// A handshake that never ends is given up with the measurement.
func TestHandshakeThatNeverEnds(t *testing.T) {
	listener := plainListener(t)
	nstest.Hold(t, listener)
	begin := time.Now()
	h := handshake.Measure(t.Context(), peer(t, listener, newAuthority(t).trust()), handshake.Options{})
	if h.Outcome != result.Failed || !strings.Contains(h.Cause, "did not finish the handshake in time") || time.Since(begin) > 6*time.Second {
		t.Errorf("after %v: %s: %q", time.Since(begin), h.Outcome, h.Cause)
	}
}

// How the server ends a connection is told over TLS as it is without, whether it says farewell (close_notify) or not.
func TestReuseOverTLS(t *testing.T) {
	a := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.server(t, nil)}, MinVersion: tls.VersionTLS12}
	for name, c := range map[string]struct {
		end   func(*tls.Conn)
		cause result.CloseCause
	}{
		"with a farewell":    {func(c *tls.Conn) { _ = c.Close() }, result.CloseUnannounced},
		"without a farewell": {func(c *tls.Conn) { _ = c.NetConn().Close() }, result.CloseUnannounced},
		"reset": {func(c *tls.Conn) {
			if tcp, is := c.NetConn().(*net.TCPConn); is {
				_ = tcp.SetLinger(0)
			}
			_ = c.NetConn().Close()
		}, result.CloseReset},
	} {
		t.Run(name, func(t *testing.T) {
			listener := answering(t, config, func(connection net.Conn, number int) bool {
				if !ok(connection, number) {
					return false
				}
				if number < 5 {
					return true
				}
				if secure, is := connection.(*tls.Conn); is {
					c.end(secure)
				}
				return false
			})
			r := reuse.Measure(t.Context(), peer(t, listener, a.trust()))
			if r.Outcome != result.Measured || r.RequestsPerConnection == nil || *r.RequestsPerConnection != 5 || r.CloseCause != c.cause {
				t.Errorf("%s: %q: %v requests, then %q", r.Outcome, r.Cause, r.RequestsPerConnection, r.CloseCause)
			}
		})
	}
}

// What a new connection costs has the TLS handshake in it.
func TestNewConnectionsOverTLS(t *testing.T) {
	a := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.server(t, nil)}, MinVersion: tls.VersionTLS12}
	slow := config.Clone()
	const delay = 20 * time.Millisecond
	slow.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		<-timer.C
		return config, nil
	}
	r := reuse.Measure(t.Context(), peer(t, answering(t, slow, ok), a.trust()))
	if r.Outcome != result.Measured || r.NewMicroseconds == nil || r.NewMicroseconds.Min < float64(delay/time.Microsecond) {
		t.Errorf("%s %q: new connections take %+v", r.Outcome, r.Cause, r.NewMicroseconds)
	}
	if r.ReusedMicroseconds == nil || r.ReusedMicroseconds.P50 > r.NewMicroseconds.P50 {
		t.Errorf("reused connections take %+v", r.ReusedMicroseconds)
	}
}

// A ticket that nobody read would turn this end's close into a reset, which a server logs as an error.
func TestCloseOverTLSIsNoReset(t *testing.T) {
	a := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.server(t, nil)}, MinVersion: tls.VersionTLS13}
	listener := plainListener(t)
	ends := make(chan error, 1)
	nstest.Serve(t, tls.NewListener(listener, config), func(connection net.Conn) {
		_, err := io.Copy(io.Discard, connection)
		ends <- err
	})
	for range 20 {
		p := peer(t, listener, a.trust())
		if err := p.Turn(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		connection, err := p.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Until the server's tickets are there: they follow its last word of the handshake.
		deadline := time.Now().Add(time.Second)
		for arrived := uint64(0); arrived == 0 && time.Now().Before(deadline); {
			info, err := connection.Info()
			if err != nil {
				t.Fatal(err)
			}
			arrived = *info.BytesReceived
		}
		if ended := connection.Ended(); ended != nil {
			t.Errorf("a connection that is open has ended: %v", ended)
		}
		connection.Close()
		if err := <-ends; err != nil {
			t.Fatalf("the server saw %v", err)
		}
	}
}

// Ended tells the server's farewell from the tickets before it.
func TestEndedOverTLS(t *testing.T) {
	a := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.server(t, nil)}, MinVersion: tls.VersionTLS13}
	listener := plainListener(t)
	nstest.Serve(t, tls.NewListener(listener, config), func(connection net.Conn) {
		if secure, is := connection.(*tls.Conn); is {
			_ = secure.HandshakeContext(t.Context())
		}
		timer := time.NewTimer(50 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
	})
	p := peer(t, listener, a.trust())
	if err := p.Turn(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	connection, err := p.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	for deadline := time.Now().Add(5 * time.Second); ; {
		ended := connection.Ended()
		if errors.Is(ended, io.EOF) {
			return
		}
		if ended != nil || time.Now().After(deadline) {
			t.Fatalf("ended: %v", ended)
		}
	}
}

// corked holds back what is written until it is told to let go, so that it all arrives at once.
type corked struct {
	net.Conn
	held []byte
	hold bool
}

func (c *corked) Write(data []byte) (int, error) {
	if c.hold {
		c.held = append(c.held, data...)
		return len(data), nil
	}
	return c.Conn.Write(data)
}

// nginx sends its last response and the farewell of TLS at once, and both may come with one read: over TLS 1.2, where a
// farewell can be told from data before it is decrypted.
func TestFarewellBesideTheLastResponse(t *testing.T) {
	a := newAuthority(t)
	listener := plainListener(t)
	nstest.Serve(t, listener, func(connection net.Conn) {
		cork := &corked{Conn: connection}
		server := tls.Server(cork, &tls.Config{Certificates: []tls.Certificate{a.server(t, nil)}, MaxVersion: tls.VersionTLS12})
		last := 0
		for buffer := make([]byte, 4096); last < 3; last++ {
			if _, err := server.Read(buffer); err != nil {
				return
			}
			response := kept
			if last == 2 {
				response = strings.Replace(kept, "Content-Length", "Connection: close\r\nContent-Length", 1)
				cork.hold = true
			}
			if _, err := io.WriteString(server, response); err != nil {
				return
			}
		}
		if err := server.CloseWrite(); err != nil {
			return
		}
		// It has forbidden all that is written later.
		_ = connection.SetWriteDeadline(time.Time{})
		_, _ = connection.Write(cork.held)
		_, _ = io.Copy(io.Discard, connection)
	})
	r := reuse.Measure(t.Context(), peer(t, listener, a.trust()))
	if r.RequestsPerConnection == nil || *r.RequestsPerConnection != 3 || r.CloseCause != result.CloseAnnounced || r.Errors > 0 {
		t.Errorf("%s: %q: requests %v, then %q", r.Outcome, r.Cause, r.RequestsPerConnection, r.CloseCause)
	}
}
