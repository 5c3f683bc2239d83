package dns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// capture reads an answer that dnsmasq 2.90 gave to a query of number 0x1234, captured in a namespace of its own.
func capture(t testing.TB, name string) []byte {
	t.Helper()
	message, err := os.ReadFile(filepath.Join("testdata", "answers", "dnsmasq-2.90-"+name))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func TestParseCaptures(t *testing.T) {
	const (
		payments = "payments.shop.svc.cluster.local."
		api      = "api.bank.example."
		many     = "many.example."
	)
	for file, c := range map[string]struct {
		name string
		kind dnsmessage.Type
		want answer
	}{
		"a":            {payments, dnsmessage.TypeA, answer{addresses: 1, timeToLive: 7}},
		"aaaa":         {payments, dnsmessage.TypeAAAA, answer{addresses: 1, timeToLive: 7}},
		"cname":        {api, dnsmessage.TypeA, answer{addresses: 1, aliases: 1, timeToLive: 7}},
		"cname-nodata": {api, dnsmessage.TypeAAAA, answer{aliases: 1}},
		"nxdomain":     {"nobody.example.", dnsmessage.TypeA, answer{code: dnsmessage.RCodeNameError}},
		"refused":      {"host.invalid.", dnsmessage.TypeA, answer{code: dnsmessage.RCodeRefused}},
		"truncated":    {many, dnsmessage.TypeA, answer{truncated: true}},
		"tcp":          {many, dnsmessage.TypeA, answer{addresses: 100, timeToLive: 7}},
	} {
		q := question{id: 0x1234, kind: c.kind, name: c.name}
		message := capture(t, file)
		if got, ok := q.parse(message); !ok || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", file, got, ok, c.want)
		}
		// Names have no case, and other questions have other answers.
		upper := question{id: 0x1234, kind: c.kind, name: strings.ToUpper(c.name)}
		if got, ok := upper.parse(message); !ok || got != c.want {
			t.Errorf("%s, in upper case: %+v, %v, want %+v", file, got, ok, c.want)
		}
		for _, other := range []question{
			{id: 0x1235, kind: c.kind, name: c.name}, {id: 0x1234, kind: dnsmessage.TypeMX, name: c.name}, {id: 0x1234, kind: c.kind, name: "x." + c.name},
		} {
			if got, ok := other.parse(message); ok {
				t.Errorf("%s answers %+v: %+v", file, other, got)
			}
		}
	}
}

// A message that was cut off says nothing, wherever the cut is, unless it said before that it is not the whole.
func TestParseCutOffAnswers(t *testing.T) {
	for _, file := range []string{"a", "aaaa", "cname", "tcp"} {
		message := capture(t, file)
		q := asked(message)
		for length := range len(message) {
			if got, ok := q.parse(message[:length]); ok {
				t.Fatalf("%s, cut to %d of %d bytes: %+v", file, length, len(message), got)
			}
		}
	}
}

// asked is the question that a message says that it answers.
func asked(message []byte) question {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil {
		return question{}
	}
	about, err := p.Question()
	if err != nil {
		return question{}
	}
	return question{id: header.ID, kind: about.Type, name: about.Name.String()}
}

func FuzzParseAnswer(f *testing.F) {
	for _, file := range []string{"a", "aaaa", "cname", "cname-nodata", "nxdomain", "refused", "truncated", "tcp"} {
		f.Add(capture(f, file))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
			q := asked(message)
			if q.kind != kind {
				continue
			}
			a, ok := q.parse(message)
			// An address takes 15 bytes of a message at least, with the root as its owner.
			if a.addresses < 0 || 15*a.addresses > len(message) || a.aliases > maximumAliases {
				t.Errorf("%d bytes hold %+v", len(message), a)
			}
			if !ok && a != (answer{}) {
				t.Errorf("no answer, yet it says %+v", a)
			}
		}
	})
}

// What is asked can be read as it was meant.
func TestNewQuestion(t *testing.T) {
	for _, extended := range []bool{false, true} {
		q, err := newQuestion(7, dnsmessage.TypeAAAA, "api.bank.example.", extended)
		if err != nil {
			t.Fatal(err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(q.packet); err != nil {
			t.Fatal(err)
		}
		if m.ID != 7 || m.Response || !m.RecursionDesired || len(m.Questions) != 1 || m.Questions[0].Name.String() != "api.bank.example." || m.Questions[0].Type != dnsmessage.TypeAAAA {
			t.Errorf("%+v", m)
		}
		if (len(m.Additionals) == 1) != extended {
			t.Errorf("extended: %v, %+v", extended, m.Additionals)
		}
		if extended && (m.Additionals[0].Header.Class != extendedUDPBytes || m.Additionals[0].Header.Type != dnsmessage.TypeOPT) {
			t.Errorf("%+v", m.Additionals)
		}
	}
}
