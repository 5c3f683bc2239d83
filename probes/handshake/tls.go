package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
)

// ticketWait is how long a server gets to send its session tickets where no response brings them along.
const ticketWait = time.Second

// tlsSamples are the TLS handshakes, full and resumed in turn. The zero value is ready for use.
type tlsSamples struct {
	full, resumed   []float64 // microseconds
	tried, honoured int
	resume          bool // whether the next one may resume
	last            *tls.ConnectionState
	// refused is what a handshake that failed showed of the server. Nil if none showed anything.
	refused *result.TLS
}

// connect opens a connection, every other one with the session of an earlier one.
func (s *tlsSamples) connect(ctx context.Context, peer *exchange.Peer) (*exchange.Connection, error) {
	if !peer.SpeaksTLS() {
		return peer.Connect(ctx)
	}
	resume := s.resume
	s.resume = !resume
	if !resume {
		return peer.Connect(ctx)
	}
	hadSession := peer.HasSession()
	connection, err := peer.ConnectResuming(ctx)
	if err == nil && hadSession {
		s.tried++
	}
	return connection, err
}

// see takes down a connection that was set up. Where no response was read it waits for the tickets.
func (s *tlsSamples) see(ctx context.Context, peer *exchange.Peer, connection *exchange.Connection) {
	if connection.TLS == nil {
		return
	}
	s.last = &connection.TLS.State
	if took := microseconds(connection.TLS.Took); s.last.DidResume {
		s.honoured++
		s.resumed = append(s.resumed, took)
	} else {
		s.full = append(s.full, took)
	}
	if !peer.SpeaksHTTP() {
		// However it ends: the tickets were read on the way.
		_ = connection.HangUp(ctx, ticketWait)
	}
}

// seeFailure takes down why a connection could not be set up, where the server's certificate or version is to blame.
func (s *tlsSamples) seeFailure(err error) {
	var failure *exchange.TLSError
	if !errors.As(err, &failure) {
		return
	}
	if expired := failure.Expired(); expired != nil {
		s.refused = &result.TLS{}
		showValidity(s.refused, expired)
	} else if failure.SpeaksOldVersion() {
		s.refused = &result.TLS{Version: result.TLSOlder}
	}
}

func showValidity(t *result.TLS, of *x509.Certificate) {
	t.CertificateBegins = of.NotBefore.UTC().Format(time.RFC3339)
	t.CertificateExpires = of.NotAfter.UTC().Format(time.RFC3339)
}

func (s *tlsSamples) summarise(peer *exchange.Peer) *result.TLS {
	if s.last == nil {
		return s.refused
	}
	t := &result.TLS{
		Version:             tls.VersionName(s.last.Version),
		ALPN:                s.last.NegotiatedProtocol,
		FullMicroseconds:    stats.Summarise(s.full),
		ResumedMicroseconds: stats.Summarise(s.resumed),
		ResumptionOffered:   new(peer.OffersSessions()),
	}
	if s.tried > 0 {
		t.Resumed, t.ResumptionsTried = &s.honoured, &s.tried
	}
	if first := firstToExpire(s.last); first != nil {
		showValidity(t, first)
	}
	return t
}

// firstToExpire is the certificate that ends the server's being trusted: of those that it sent, the first to expire in the
// chain by which it is trusted, where there are several in the one that lasts longest. What a server sends beyond that, such as
// an old cross-signature of its root, may expire unnoticed.
func firstToExpire(state *tls.ConnectionState) *x509.Certificate {
	chains := state.VerifiedChains
	if len(chains) == 0 {
		chains = [][]*x509.Certificate{state.PeerCertificates}
	}
	var longest *x509.Certificate
	for _, chain := range chains {
		var first *x509.Certificate
		for _, certificate := range chain {
			sent := slices.ContainsFunc(state.PeerCertificates, certificate.Equal)
			if sent && (first == nil || certificate.NotAfter.Before(first.NotAfter)) {
				first = certificate
			}
		}
		if first != nil && (longest == nil || first.NotAfter.After(longest.NotAfter)) {
			longest = first
		}
	}
	return longest
}
