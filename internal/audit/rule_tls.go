package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// renewalShare is the part of a certificate's validity that is left when its renewal is overdue: half of the third that
	// is left when ACME clients and cert-manager renew, so that short-lived certificates are not held to months.
	renewalShare = 1.0 / 6
	// renewalDays is how long before the end even a certificate of years has to be renewed: when authorities remind of it.
	renewalDays = 30
)

// withoutTLS is why rules about TLS have nothing to say about other links.
const withoutTLS = "Connections of this link begin without TLS."

func perTLS(in Input, judge func(ProbeResult, *result.Handshake, *result.TLS) judgement) judgement {
	if in.Protocol == protocolHTTP {
		return notApplicable(withoutTLS)
	}
	return perFigures(in, handshakeSource(), func(p ProbeResult, h *result.Handshake) judgement {
		switch {
		case h.TLS == nil && in.Protocol == protocolHTTPS:
			return unknown("No TLS handshake was finished.")
		case h.TLS == nil:
			return notApplicable(withoutTLS)
		}
		return judge(p, h, h.TLS)
	})
}

// perRefusal judges what a handshake that failed showed of the server, from each vantage where one did.
func perRefusal(in Input, judge func(*result.TLS) judgement) judgement {
	if in.Protocol == protocolHTTP || len(in.Probes) == 0 {
		return notApplicable(withoutTLS)
	}
	return perVantage(in, func(p ProbeResult) judgement {
		h := p.Result.Measurements.Handshake
		if h == nil || h.Outcome != result.Failed || h.TLS == nil {
			return notApplicable("No handshake failed that showed anything of the server.")
		}
		return judge(h.TLS)
	})
}

func tlsResumption() Rule {
	return Rule{
		ID: "CP108", Title: "TLS sessions are not resumed",
		Category: CategorySetup, Severity: Warning, Needs: []string{needHandshake},
		Helps:      []string{needObserver},
		AppliesNot: "Links without TLS, and policies that do not ask for the measurement handshake.",
		Why: "A full TLS handshake makes the server sign and the client verify a chain of certificates; with a session ticket both can skip that, and over TLS 1.2 a round trip too. " +
			"Replicas that do not share the key of their tickets refuse those of each other, so that connections spread over them pay the full price.",
		Cures: []string{
			"Give all replicas the same ticket keys (nginx: ssl_session_ticket_key; HAProxy: tls-ticket-keys; Envoy: session_ticket_keys), or let connections of one client go to one replica.",
			"Turn tickets on (nginx: ssl_session_tickets on; Apache: SSLSessionTickets on; Go: unset SessionTicketsDisabled), and rotate their keys at least daily.",
		},
		Source: "RFC 8446 section 2.2 (resumption) and 4.6.1 (tickets); RFC 5077",
		judge:  judgeTLSResumption,
	}
}

func judgeTLSResumption(in Input) judgement {
	return perTLS(in, func(_ ProbeResult, _ *result.Handshake, s *result.TLS) judgement {
		if rate, known := busiest(in); known && rate < rarelyPerSecond {
			return pass(fmt.Sprintf("The workload's pods open at most %s connections a second each, so that it hardly matters.", figure.Rate(rate)),
				map[string]string{"connectionsPerSecondAtMost": figure.Rate(rate)})
		}
		full := ""
		evidence := map[string]string{}
		if s.FullMicroseconds != nil {
			full = fmt.Sprintf(", and a full handshake takes %s", figure.Microseconds(s.FullMicroseconds.P50))
			evidence["fullP50Microseconds"] = fmt.Sprintf("%.0f", s.FullMicroseconds.P50)
		}
		switch {
		case s.ResumptionOffered != nil && !*s.ResumptionOffered:
			evidence["resumptionOffered"] = "false"
			return fail(Info, "The server gives no session tickets"+full+".", evidence, 1)
		case s.Resumed == nil || s.ResumptionsTried == nil || *s.ResumptionsTried == 0:
			return unknown("Whether sessions are resumed was not tried.")
		}
		tried, refused := *s.ResumptionsTried, *s.ResumptionsTried-*s.Resumed
		evidence["resumptionsTried"], evidence["resumed"] = strconv.Itoa(tried), strconv.Itoa(*s.Resumed)
		seen := fmt.Sprintf("The server honoured %d of %d session tickets", *s.Resumed, tried)
		saved, known := savesAtLeast(s.FullMicroseconds, s.ResumedMicroseconds)
		switch {
		// What refusals below this share cost is a share of what tickets save at all.
		case provenAbove(int64(refused), int64(tried), amortisedPercent/100.0) && known && saved > 0:
			return fail(ifOften(in), fmt.Sprintf("%s. One that it refuses costs %s more (medians).", seen,
				figure.Microseconds(s.FullMicroseconds.P50-s.ResumedMicroseconds.P50)), evidence, 0)
		case provenAbove(int64(refused), int64(tried), amortisedPercent/100.0):
			return fail(ifOften(in), seen+full+".", evidence, 0)
		case tried < enoughToSeeNone:
			return unknown(seen + ", too few to tell.")
		}
		return pass(seen+".", evidence)
	})
}

func tlsVersion() Rule {
	return Rule{
		ID: "CP109", Title: "An old version of TLS is spoken",
		Category: CategorySetup, Severity: Error, Needs: []string{needHandshake},
		AppliesNot: "Links without TLS, and policies that do not ask for the measurement handshake.",
		Why: "TLS 1.0 and 1.1 rest on hashes that are broken, and clients refuse them. " +
			"TLS 1.2 is sound, but its full handshake takes two round trips where TLS 1.3 takes one.",
		Cures: []string{
			"Let the server, or the proxy before it, speak TLS 1.3 (nginx: ssl_protocols TLSv1.2 TLSv1.3; Apache: SSLProtocol; HAProxy: ssl-min-ver; Java: 11 or later; a library as new as OpenSSL 1.1.1).",
		},
		Source: "RFC 8996 (deprecation of TLS 1.0 and 1.1); RFC 8446 section 2 (one round trip)",
		judge:  judgeTLSVersion,
	}
}

func judgeTLSVersion(in Input) judgement {
	refused := perRefusal(in, func(s *result.TLS) judgement {
		if s.Version != result.TLSOlder {
			return notApplicable("The handshake failed for another reason.")
		}
		return fail(Error, "The server speaks neither TLS 1.2 nor 1.3, so the probe did not connect. Older versions are deprecated because they are not safe, and clients refuse them.",
			map[string]string{"version": s.Version}, 0)
	})
	return gravest([]judgement{refused, perTLS(in, func(_ ProbeResult, h *result.Handshake, s *result.TLS) judgement {
		evidence := map[string]string{"version": s.Version}
		switch s.Version {
		case "":
			return unknown("Which version of TLS was agreed on is not known.")
		case "TLS 1.3":
			return pass("The server speaks TLS 1.3.", evidence)
		case "TLS 1.2":
			costs := "a round trip more than TLS 1.3 for each full handshake"
			if h.KernelRTTMicroseconds != nil {
				evidence["roundTripMicroseconds"] = fmt.Sprintf("%.0f", h.KernelRTTMicroseconds.P50)
				costs += fmt.Sprintf(", here %s", figure.Microseconds(h.KernelRTTMicroseconds.P50))
			}
			return fail(Info, fmt.Sprintf("The server speaks TLS 1.2, which costs %s.", costs), evidence, 0)
		}
		return fail(Error, fmt.Sprintf("The server speaks %s, which is deprecated because it is not safe.", s.Version), evidence, 0)
	})})
}

func certificateExpiry() Rule {
	return Rule{
		ID: "CP110", Title: "A certificate is about to expire",
		Category: CategorySetup, Severity: Error, Needs: []string{needHandshake},
		AppliesNot: "Links without TLS, and policies that do not ask for the measurement handshake.",
		Why: "When a certificate of the chain expires, every new connection fails at once, while kept ones go on and hide it. " +
			"Certificates are renewed when a third of their validity is left; with a sixth left, 30 days at the most, the renewal does not work, or the server goes on with the old file.",
		Cures: []string{
			"Look at the renewal (cert-manager: kubectl describe certificate; certbot renew), and let the server load the new file: many read it at the start only (nginx -s reload).",
		},
		Source: "RFC 5280 section 4.1.2.5 (validity); cert-manager documentation, renewBefore (a third of the validity)",
		judge:  judgeCertificateExpiry,
	}
}

func judgeCertificateExpiry(in Input) judgement {
	refused := perRefusal(in, func(s *result.TLS) judgement {
		begins, errBegins := time.Parse(time.RFC3339, s.CertificateBegins)
		expires, errExpires := time.Parse(time.RFC3339, s.CertificateExpires)
		if s.Version != "" || errBegins != nil || errExpires != nil { // a version was agreed on with a certificate that is trusted
			return notApplicable("The handshake failed for another reason.")
		}
		return fail(Error, fmt.Sprintf("A certificate of the server is out of its time: it is valid from %s to %s. Every new connection fails.", dayOf(begins), dayOf(expires)),
			map[string]string{"begins": s.CertificateBegins, "expires": s.CertificateExpires}, 0)
	})
	return gravest([]judgement{refused, perTLS(in, func(_ ProbeResult, _ *result.Handshake, s *result.TLS) judgement {
		expires, err := time.Parse(time.RFC3339, s.CertificateExpires)
		if err != nil || in.Now.IsZero() {
			return unknown("Until when the certificates are valid is not known.")
		}
		day := dayOf(expires)
		evidence := map[string]string{"expires": s.CertificateExpires}
		if !in.Now.Before(expires) {
			return fail(Error, fmt.Sprintf("A certificate of the server's chain expired on %s.", day), evidence, 0)
		}
		begins, err := time.Parse(time.RFC3339, s.CertificateBegins)
		if err != nil {
			return unknown(fmt.Sprintf("The certificates are valid until %s. Whether they should have been renewed cannot be told without the begin of their validity.", day))
		}
		evidence["begins"] = s.CertificateBegins
		validity := expires.Sub(begins)
		overdue := min(time.Duration(renewalShare*float64(validity)), renewalDays*24*time.Hour)
		if expires.Sub(in.Now) < overdue {
			return fail(Warning, fmt.Sprintf("A certificate of the server's chain expires on %s. It was valid since %s and should have been renewed by now.", day, dayOf(begins)), evidence, 0)
		}
		return pass(fmt.Sprintf("The certificates are valid until %s.", day), evidence)
	})})
}

// dayOf writes a time for people, without the hour at midnight.
func dayOf(t time.Time) string {
	return strings.TrimSuffix(t.UTC().Format("2006-01-02 15:04"), " 00:00") + " UTC"
}
