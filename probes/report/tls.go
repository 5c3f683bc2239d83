package report

import "github.com/connpolicy/connpolicy/probes/result"

func (t *text) tls(s result.TLS) {
	if s.Version == "" || s.Version == result.TLSOlder {
		return // no handshake was finished, and its cause says what is shown here of the server
	}
	alpn := "no protocol agreed on"
	if s.ALPN != "" {
		alpn = "for " + s.ALPN
	}
	t.line("  TLS                %s, %s; the certificates are valid until %s", s.Version, alpn, s.CertificateExpires)
	t.distribution("TLS, full", s.FullMicroseconds)
	t.distribution("TLS, resumed", s.ResumedMicroseconds)
	switch {
	case s.ResumptionOffered != nil && !*s.ResumptionOffered:
		t.line("  resumption         the server offers none, so that every connection pays for a full handshake")
	case s.Resumed != nil && s.ResumptionsTried != nil:
		t.line("  resumption         %d of %d handshakes that asked for it", *s.Resumed, *s.ResumptionsTried)
	}
}
