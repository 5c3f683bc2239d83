package dns

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// extendedUDPBytes is the longest answer over UDP that the C library agrees on (EDNS0, RFC 6891).
	extendedUDPBytes = 1200
	// maximumTCPBytes is the longest answer of all.
	maximumTCPBytes = 1<<16 - 1
	// maximumAliases bounds the chain of aliases that is followed.
	maximumAliases = 16
)

// question is one query for one kind of address, and the answer to it.
type question struct {
	id     uint16
	kind   dnsmessage.Type
	name   string
	packet []byte
	sent   bool
	answer *answer
}

// answer is what a server says to a question.
type answer struct {
	code      dnsmessage.RCode
	truncated bool
	// lame: the server neither knows nor asks others (a referral to nowhere).
	lame bool
	// addresses is their number, at the end of a chain of so many aliases, and timeToLive the shortest of all of these,
	// in seconds.
	addresses, aliases int
	timeToLive         uint32
}

// usable says whether it settles the question: the name has addresses, or none, or does not exist.
func (a *answer) usable() bool {
	return !a.truncated && !a.lame && (a.code == dnsmessage.RCodeSuccess || a.code == dnsmessage.RCodeNameError)
}

// newQuestion builds a query. extended says that answers of extendedUDPBytes are welcome.
func newQuestion(id uint16, kind dnsmessage.Type, name string, extended bool) (*question, error) {
	full, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no name that can be asked for: %w", name, err)
	}
	builder := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	if err := builder.StartQuestions(); err != nil {
		return nil, err
	}
	if err := builder.Question(dnsmessage.Question{Name: full, Type: kind, Class: dnsmessage.ClassINET}); err != nil {
		return nil, fmt.Errorf("%q is no name that can be asked for: %w", name, err)
	}
	if extended {
		if err := addExtension(&builder); err != nil {
			return nil, err
		}
	}
	packet, err := builder.Finish()
	if err != nil {
		return nil, err
	}
	return &question{id: id, kind: kind, name: name, packet: packet}, nil
}

func addExtension(builder *dnsmessage.Builder) error {
	if err := builder.StartAdditionals(); err != nil {
		return err
	}
	var header dnsmessage.ResourceHeader
	if err := header.SetEDNS0(extendedUDPBytes, dnsmessage.RCodeSuccess, false); err != nil {
		return err
	}
	return builder.OPTResource(header, dnsmessage.OPTResource{})
}

// parse reads a message of a server. It returns false if that is no answer to the question: of another number, about
// another name, or garbage.
func (q *question) parse(message []byte) (answer, bool) {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || !header.Response || header.OpCode != 0 || header.ID != q.id {
		return answer{}, false
	}
	about, err := p.Question()
	if err != nil || about.Type != q.kind || about.Class != dnsmessage.ClassINET || !strings.EqualFold(about.Name.String(), q.name) {
		return answer{}, false
	}
	a := answer{code: header.RCode, truncated: header.Truncated}
	if a.truncated || a.code != dnsmessage.RCodeSuccess {
		return a, true
	}
	if err := p.SkipAllQuestions(); err != nil {
		return answer{}, false
	}
	r := records{kind: q.kind}
	if err := r.read(&p); err != nil {
		return answer{}, false
	}
	r.follow(q.name, &a)
	if r.count == 0 && !header.Authoritative && !header.RecursionAvailable {
		a.lame = p.SkipAllAuthorities() == nil && errors.Is(p.SkipAdditional(), dnsmessage.ErrSectionDone)
	}
	return a, true
}

// records are those of an answer that lead from a name to its addresses, by their owners in lower case.
type records struct {
	kind      dnsmessage.Type
	count     int
	aliases   map[string]alias
	addresses map[string]addresses
}

type alias struct {
	target     string
	timeToLive uint32
}

type addresses struct {
	count      int
	timeToLive uint32
}

// read takes all records of the answer.
func (r *records) read(p *dnsmessage.Parser) error {
	r.aliases, r.addresses = map[string]alias{}, map[string]addresses{}
	for {
		header, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.take(p, header); err != nil {
			return err
		}
		r.count++
	}
}

func (r *records) take(p *dnsmessage.Parser, header dnsmessage.ResourceHeader) error {
	owner := strings.ToLower(header.Name.String())
	switch {
	case header.Class != dnsmessage.ClassINET:
		return p.SkipAnswer()
	case header.Type == dnsmessage.TypeCNAME:
		resource, err := p.CNAMEResource()
		if err != nil {
			return err
		}
		r.aliases[owner] = alias{strings.ToLower(resource.CNAME.String()), header.TTL}
		return nil
	case header.Type != r.kind:
		return p.SkipAnswer()
	}
	var err error
	if r.kind == dnsmessage.TypeA {
		_, err = p.AResource()
	} else {
		_, err = p.AAAAResource()
	}
	if err != nil {
		return err
	}
	seen := r.addresses[owner]
	if seen.count == 0 || header.TTL < seen.timeToLive {
		seen.timeToLive = header.TTL
	}
	seen.count++
	r.addresses[owner] = seen
	return nil
}

// follow goes from a name over its aliases to the addresses at their end.
func (r *records) follow(name string, into *answer) {
	owner := strings.ToLower(name)
	shortest := ^uint32(0)
	for range maximumAliases {
		if found := r.addresses[owner]; found.count > 0 {
			into.addresses, into.timeToLive = found.count, min(shortest, found.timeToLive)
			return
		}
		next, has := r.aliases[owner]
		if !has {
			return
		}
		into.aliases++
		owner, shortest = next.target, min(shortest, next.timeToLive)
	}
}
