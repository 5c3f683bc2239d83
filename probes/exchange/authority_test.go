package exchange_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

// authority signs the certificates of a test's servers.
type authority struct{ nstest.Authority }

func newAuthority(t *testing.T) authority {
	t.Helper()
	return authority{nstest.NewAuthority(t)}
}

// server signs a certificate for 127.0.0.1, changed before as a test wants it.
func (a authority) server(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return a.Sign(t, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		if change != nil {
			change(c)
		}
	})
}

// trust is a client's configuration that trusts the authority alone.
func (a authority) trust() *tls.Config {
	return &tls.Config{RootCAs: a.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}
