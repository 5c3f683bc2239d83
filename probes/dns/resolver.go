package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// errNoAddress: every name that the given one may stand for was answered, and none has an address.
var errNoAddress = errors.New("the name does not resolve")

// silence is a server that did not answer in time.
type silence struct {
	server netip.AddrPort
	name   string
	kinds  []string
	waited time.Duration
}

func (s *silence) Error() string {
	return fmt.Sprintf("the name server %s gave no answer for the %s of %s within %.0f s", s.server, strings.Join(s.kinds, " and the "), s.name, s.waited.Seconds())
}

// rejection is a server that answers that it will not or cannot answer.
type rejection struct {
	server netip.AddrPort
	name   string
	codes  []string
}

func (r *rejection) Error() string {
	return fmt.Sprintf("the name server %s answered %s for %s", r.server, strings.Join(r.codes, " and "), r.name)
}

// counts are what all resolutions together saw.
type counts struct{ queries, lost, negative, rejected, truncated, ignored int }

// resolver asks the servers of a configuration as getaddrinfo of the GNU C library does (resolv/res_query.c and
// res_send.c): the names of the search list one after the other, for each name both families at once from one socket, the
// servers one after the other. It keeps nothing from one resolution to the next, as in a process that has just begun.
type resolver struct {
	configuration
	kinds []dnsmessage.Type
	// end is when the time for all of it is over.
	end time.Time
	// first is the server to begin with.
	first int
	counts
}

// found is a name that has addresses.
type found struct {
	name       string
	aliases    int
	timeToLive uint32
}

// resolve asks for the addresses that a name has, with the search list unless it ends in a dot.
func (r *resolver) resolve(ctx context.Context, name string) (found, error) {
	if r.rotate {
		defer func() { r.first = (r.first + 1) % len(r.servers) }()
	}
	failure := errNoAddress
	searching := true
	for _, c := range r.candidates(name) {
		if c.searched && !searching {
			continue
		}
		answers, err := r.ask(ctx, c.name)
		var rejected *rejection
		switch {
		case err == nil:
			if f := settle(c.name, answers); f.name != "" {
				return f, nil
			}
			continue
		case over(err), errors.Is(err, unix.ECONNREFUSED):
			return found{}, err
		case !errors.As(err, &rejected) || !rejected.passing():
			// Any other failure ends the search, but the name as it is is still tried.
			searching = searching && !c.searched
		}
		failure = err
	}
	return found{}, failure
}

// settle joins the answers for both families.
func settle(name string, answers []*answer) found {
	var f found
	for _, a := range answers {
		if a.addresses == 0 {
			continue
		}
		if f.name == "" || a.timeToLive < f.timeToLive {
			f.timeToLive = a.timeToLive
		}
		f.name, f.aliases = name, max(f.aliases, a.aliases)
	}
	return f
}

// passing says whether the search goes on after it.
func (r *rejection) passing() bool {
	for _, code := range r.codes {
		if code != codeName(dnsmessage.RCodeServerFailure) {
			return false
		}
	}
	return true
}

// over says whether it is not the servers but this run that ended something.
func over(err error) bool {
	return errors.Is(err, budget.ErrSeconds) || errors.Is(err, budget.ErrStopped)
}

// ask asks the servers for one full name, one after the other and all of them several times, until one answers.
func (r *resolver) ask(ctx context.Context, name string) ([]*answer, error) {
	var failure error
	for range r.attempts {
		for n := range r.servers {
			server := r.servers[(r.first+n)%len(r.servers)]
			answers, err := r.askServer(ctx, server, name, r.wait(n))
			if err == nil || over(err) {
				return answers, err
			}
			// Where one server is silent and another not there, the silence is what counts.
			if failure == nil || !errors.Is(err, unix.ECONNREFUSED) {
				failure = err
			}
		}
	}
	return nil, failure
}

// way is how the questions for both families are asked.
type way int

const (
	atOnce way = iota
	oneByOne
	reopened
)

// askServer asks one server. If it answers for one family only, it is asked again one by one, and then from a new socket
// for each, as for servers and firewalls that cannot cope with two queries from one port. Each time costs the whole wait.
func (r *resolver) askServer(ctx context.Context, server netip.AddrPort, name string, wait time.Duration) ([]*answer, error) {
	questions, err := r.questions(name)
	if err != nil {
		return nil, err
	}
	if r.useTCP {
		return r.askTCP(ctx, server, questions, wait)
	}
	d := &dialogue{resolver: r, server: server, questions: questions, wait: wait}
	defer d.hangUp()
	how := atOnce
	switch {
	case r.reopened:
		how = reopened
	case r.oneByOne:
		how = oneByOne
	}
	for ; ; how++ {
		err := d.run(ctx, how)
		var silent *silence
		answers, tooLong := usable(questions)
		switch {
		case tooLong:
			r.truncated++
			return r.askTCP(ctx, server, questions, wait)
		case errors.As(err, &silent) && len(answers) > 0 && how < reopened:
			continue
		case err != nil && (len(answers) == 0 || over(err)):
			return nil, err
		case len(answers) == 0:
			return nil, rejected(server, questions)
		}
		// What one family lacks now, the C library does without.
		return answers, nil
	}
}

func (r *resolver) questions(name string) ([]*question, error) {
	questions := make([]*question, len(r.kinds))
	first := uint16(rand.Uint32()) //nolint:gosec // an answer is believed by its address too, and decides nothing
	for i, kind := range r.kinds {
		q, err := newQuestion(first+uint16(i), kind, name, r.extended)
		if err != nil {
			return nil, err
		}
		questions[i] = q
	}
	return questions, nil
}

// usable returns the answers that settle something, and whether one was too long.
func usable(questions []*question) (answers []*answer, tooLong bool) {
	for _, q := range questions {
		if q.answer == nil {
			continue
		}
		tooLong = tooLong || q.answer.truncated
		if q.answer.usable() {
			answers = append(answers, q.answer)
		}
	}
	return answers, tooLong
}

func rejected(server netip.AddrPort, questions []*question) error {
	r := &rejection{server: server, name: questions[0].name}
	for _, q := range questions {
		code := codeName(q.answer.code)
		switch {
		case q.answer.lame:
			code = "a referral to nowhere"
		case q.answer.truncated:
			code = "with a part of the answer, over TCP too,"
		}
		if len(r.codes) == 0 || r.codes[0] != code {
			r.codes = append(r.codes, code)
		}
	}
	return r
}

// codeName names a code as administrators know it.
func codeName(code dnsmessage.RCode) string {
	switch code {
	case dnsmessage.RCodeFormatError:
		return "FORMERR"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	case dnsmessage.RCodeNotImplemented:
		return "NOTIMP"
	case dnsmessage.RCodeRefused:
		return "REFUSED"
	}
	return fmt.Sprintf("the code %d", code)
}

// take books an answer.
func (r *resolver) take(q *question, a answer) {
	q.answer = &a
	switch {
	case a.truncated:
	case a.code == dnsmessage.RCodeNameError:
		r.negative++
	case !a.usable():
		r.rejected++
	}
}

// limited bounds a wait by the time that all has. If that is sooner, cut is true.
func (r *resolver) limited(ctx context.Context, wait time.Duration) (limited context.Context, cancel context.CancelFunc, cut bool) {
	end := time.Now().Add(wait)
	if r.end.Before(end) {
		end, cut = r.end, true
	}
	limited, cancel = context.WithDeadline(ctx, end)
	return limited, cancel, cut
}

// ended turns the end of a wait into what it means.
func ended(ctx context.Context, err error, cut bool, waited *silence) error {
	switch {
	case errors.Is(err, tcpconn.ErrTimeout) && cut:
		return fmt.Errorf("%w: %w", budget.ErrSeconds, waited)
	case errors.Is(err, tcpconn.ErrTimeout):
		return waited
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", budget.ErrStopped, context.Cause(ctx))
	}
	return fmt.Errorf("the name server %s: %w", waited.server, err)
}
