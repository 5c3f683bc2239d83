package servers_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

// certificate is one for the server's addresses, in files of its own.
type certificate struct {
	// certificate and key are files of PEM, both holds the two.
	certificate, key, both string
	pair                   tls.Certificate
	trust                  *tls.Config
}

func newCertificate(t *testing.T) certificate {
	t.Helper()
	authority := nstest.NewAuthority(t)
	pair := authority.Sign(t, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.ParseIP(nstest.ServerAddress), net.ParseIP(nstest.ServerAddressIPv6)}
	})
	public, private := nstest.PEM(t, pair)
	place := folder(t)
	return certificate{
		certificate: write(t, place, "certificate.pem", string(public)),
		key:         write(t, place, "key.pem", string(private)),
		both:        write(t, place, "both.pem", string(public)+string(private)),
		pair:        pair,
		trust:       &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12},
	}
}

// in puts the names of the files into a configuration: {certificate}, {key} and {both}.
func (c certificate) in(configuration string) string {
	return strings.NewReplacer("{certificate}", c.certificate, "{key}", c.key, "{both}", c.both).Replace(configuration)
}

// The truth about tickets was seen with openssl s_client, which keeps a session and tries it.
func TestTLS(t *testing.T) {
	certificate := newCertificate(t)
	nginxTLS := func(directives string) start {
		return nginxWith("ssl", certificate.in("ssl_certificate {certificate}; ssl_certificate_key {key};"+directives))
	}
	haproxyTLS := func(options string) start {
		return haproxy(certificate.in("ssl crt {both} "+options), "")
	}
	for name, c := range map[string]struct {
		start             start
		version, alpn     string
		offered, honoured bool
	}{
		"nginx, TLS 1.3": {nginxTLS("ssl_protocols TLSv1.3;"), "TLS 1.3", "http/1.1", true, true},
		"nginx, TLS 1.2": {nginxTLS("ssl_protocols TLSv1.2;"), "TLS 1.2", "http/1.1", true, true},
		"nginx, TLS 1.2, ssl_session_tickets off": {nginxTLS("ssl_protocols TLSv1.2; ssl_session_tickets off;"), "TLS 1.2", "http/1.1", false, false},
		// Over TLS 1.3 OpenSSL gives tickets all the same, which name an entry of a cache, and by default there is none.
		"nginx, TLS 1.3, ssl_session_tickets off": {nginxTLS("ssl_protocols TLSv1.3; ssl_session_tickets off;"), "TLS 1.3", "http/1.1", true, false},
		"nginx, TLS 1.3, ssl_session_cache shared": {
			nginxTLS("ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache shared:it:1m;"), "TLS 1.3", "http/1.1", true, true,
		},
		"Apache, TLS 1.3": {
			apache(certificate.in("SSLEngine on\nSSLProtocol TLSv1.3\nSSLCertificateFile {certificate}\nSSLCertificateKeyFile {key}"), "ssl"),
			"TLS 1.3", "http/1.1", true, true,
		},
		"HAProxy, TLS 1.2 and alpn":        {haproxyTLS("ssl-max-ver TLSv1.2 alpn http/1.1"), "TLS 1.2", "http/1.1", true, true},
		"HAProxy, TLS 1.2, no-tls-tickets": {haproxyTLS("ssl-max-ver TLSv1.2 no-tls-tickets"), "TLS 1.2", "", false, false},
		"Node.js, TLS 1.3":                 {node(certificate.in(nodeTLS)), "TLS 1.3", "http/1.1", true, true},
		"Go, TLS 1.3": {golang(func(s *http.Server) {
			s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate.pair}, MinVersion: tls.VersionTLS13}
		}, ok), "TLS 1.3", "http/1.1", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			c.start(t, pair)
			r := probe(t, pair, asked{url: url("https", pathOf(name)), tls: certificate.trust, limits: quick(4), measure: []string{"handshake"}})
			h := r.Measurements.Handshake
			if h.Outcome != result.Measured || h.TLS == nil || r.Statuses["200"] == 0 {
				t.Fatalf("%s: %q, statuses %v", h.Outcome, h.Cause, r.Statuses)
			}
			if h.TLS.Version != c.version || h.TLS.ALPN != c.alpn || h.TLS.FullMicroseconds == nil {
				t.Errorf("%s and protocol %q, want %s and %q", h.TLS.Version, h.TLS.ALPN, c.version, c.alpn)
			}
			if h.TLS.ResumptionOffered == nil || *h.TLS.ResumptionOffered != c.offered || (h.TLS.ResumptionsTried != nil) != c.offered {
				t.Fatalf("resumption offered %v, tried %v times", show(h.TLS.ResumptionOffered), show(h.TLS.ResumptionsTried))
			}
			if (h.TLS.ResumedMicroseconds != nil) != c.honoured {
				t.Errorf("resumed: %+v, want %v", h.TLS.ResumedMicroseconds, c.honoured)
			}
			if tried := h.TLS.ResumptionsTried; c.offered && (*tried < 10 || c.honoured && *h.TLS.Resumed != *tried || !c.honoured && *h.TLS.Resumed != 0) {
				t.Errorf("%v of %v resumed", show(h.TLS.Resumed), show(tried))
			}
		})
	}
}

const nodeTLS = `
const fs = require('fs');
const server = require('https').createServer({cert: fs.readFileSync('{certificate}'), key: fs.readFileSync('{key}')},
  (request, response) => response.end('ok\n'));
`

// What was found over plain TCP is found over TLS, and over IPv6.
func TestReuseOverTLSAndIPv6(t *testing.T) {
	certificate := newCertificate(t)
	for name, c := range map[string]struct {
		start   start
		exactly int
	}{
		"nginx":   {nginxWith("ssl", certificate.in("ssl_certificate {certificate}; ssl_certificate_key {key}; keepalive_requests 9;")), 9},
		"Node.js": {node(certificate.in(nodeTLS + "server.maxRequestsPerSocket = 9;")), 9},
		"Apache":  {apache(certificate.in("MaxKeepAliveRequests 8\nSSLEngine on\nSSLCertificateFile {certificate}\nSSLCertificateKeyFile {key}"), "ssl"), 9},
	} {
		for _, host := range []string{nstest.ServerAddress, nstest.ServerAddressIPv6} {
			t.Run(filepath.Join(name, host), func(t *testing.T) {
				t.Parallel()
				pair := nstest.New(t)
				log := c.start(t, pair)
				at := "https://" + net.JoinHostPort(host, "8080") + pathOf(name)
				r := probe(t, pair, asked{url: at, tls: certificate.trust, limits: quick(3), measure: []string{"reuse"}})
				got := r.Measurements.Reuse
				if got.RequestsPerConnection == nil || *got.RequestsPerConnection != c.exactly || got.CloseCause != result.CloseAnnounced {
					t.Errorf("%s: %q: %v requests, then %q", got.Outcome, got.Cause, show(got.RequestsPerConnection), got.CloseCause)
				}
				if r.Target.Address != net.JoinHostPort(host, "8080") {
					t.Errorf("probed %s, want %s", r.Target.Address, host)
				}
				if name == "nginx" {
					checkCounted(t, log, r.Spent)
				}
			})
		}
	}
}
