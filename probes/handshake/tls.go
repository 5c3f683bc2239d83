package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

func (s *tlsSamples) summarise(peer *exchange.Peer) *result.TLS {
	if s.last == nil {
		return nil
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
	var first *x509.Certificate
	for _, certificate := range s.last.PeerCertificates {
		if first == nil || certificate.NotAfter.Before(first.NotAfter) {
			first = certificate
		}
	}
	if first != nil {
		t.CertificateBegins = first.NotBefore.UTC().Format(time.RFC3339)
		t.CertificateExpires = first.NotAfter.UTC().Format(time.RFC3339)
	}
	return t
}
