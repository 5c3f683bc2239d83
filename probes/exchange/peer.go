// Package exchange talks with the target of a run, one exchange at a time, and books everything on the run's budget. The
// measurements are built from it.
package exchange

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// Timeout bounds one connect, and one request with its response. A SYN that is lost is sent again after one, two, three
// and four seconds by kernels with linear timeouts, so that a shorter one would not see it.
const Timeout = 5 * time.Second

// Options say what a Peer is.
type Options struct {
	// Remote is the address that connections go to.
	Remote netip.AddrPort
	// Request is what is asked of it over HTTP/1. Nil: HTTP/1 is not spoken.
	Request *http1.Request
	// TLS is the client's configuration. Nil: connections begin without TLS.
	TLS *tls.Config
	// Budget books all that is done to the target.
	Budget *budget.Budget
}

// Peer is the target of a run.
type Peer struct {
	Options
	session session
}

// NewPeer returns the target that the options describe.
func NewPeer(options Options) *Peer {
	return &Peer{Options: options}
}

// Remote is the address that connections go to.
func (p *Peer) Remote() netip.AddrPort { return p.Options.Remote }

// SpeaksHTTP says whether requests can be made.
func (p *Peer) SpeaksHTTP() bool { return p.Request != nil }

// SpeaksTLS says whether connections begin with a TLS handshake.
func (p *Peer) SpeaksTLS() bool { return p.TLS != nil }

// Turn waits for permission to send a request, and to open a connection if connect is true; see budget.Budget.Turn.
func (p *Peer) Turn(ctx context.Context, connect bool) error { return p.Budget.Turn(ctx, connect) }

// Note records whether a turn succeeded; see budget.Budget.Note.
func (p *Peer) Note(err error) { p.Budget.Note(err) }

// Pause waits without sending anything, within the time of the measurement; see budget.Budget.Pause.
func (p *Peer) Pause(ctx context.Context, length time.Duration) error {
	return p.Budget.Pause(ctx, length)
}

// Connect opens a connection, with a full TLS handshake if the target speaks TLS. The caller has a turn for it, and closes
// it.
func (p *Peer) Connect(ctx context.Context) (*Connection, error) {
	return p.connect(ctx, tcpconn.Dialer{}, nil)
}

// ConnectClamped does the same on a connection whose segments are no longer than this, either way.
func (p *Peer) ConnectClamped(ctx context.Context, maximumSegmentBytes int) (*Connection, error) {
	return p.connect(ctx, tcpconn.Dialer{MaximumSegmentBytes: maximumSegmentBytes}, nil)
}

// ConnectResuming does the same, and resumes the TLS session of an earlier such connection if the target gave a ticket
// for one and it has not been used up. Connection.TLS tells.
func (p *Peer) ConnectResuming(ctx context.Context) (*Connection, error) {
	return p.connect(ctx, tcpconn.Dialer{}, &p.session)
}

// HasSession says whether ConnectResuming has a TLS session to resume.
func (p *Peer) HasSession() bool {
	_, has := p.session.Get("")
	return has
}

// OffersSessions says whether the target ever gave ConnectResuming a ticket.
func (p *Peer) OffersSessions() bool { return p.session.offered() }

func (p *Peer) connect(ctx context.Context, dialer tcpconn.Dialer, sessions tls.ClientSessionCache) (*Connection, error) {
	ctx = p.limited(ctx, Timeout)
	tcp, took, err := dialer.Connect(ctx, p.Options.Remote)
	if err != nil {
		return nil, err
	}
	c := &Connection{peer: p, tcp: tcp, wire: newWire(tcp, p.Options.Remote, p.Budget), ConnectTook: took}
	c.responses = http1.NewReader(c)
	if c.Opened, err = c.Info(); err != nil {
		c.Close()
		return nil, err
	}
	if p.SpeaksTLS() {
		if err := c.secure(ctx, sessions); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// limited bounds what waits for the target by a limit and by the end of the measurement.
func (p *Peer) limited(ctx context.Context, limit time.Duration) context.Context {
	end := time.Now().Add(limit)
	if p.Budget.End().Before(end) {
		end = p.Budget.End()
	}
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(end) {
		return ctx
	}
	return bounded{ctx, end}
}

// bounded is a context with a deadline and no timer, which would cost more than the rest of a request: the waits of
// tcpconn ask for the deadline, and wait for nothing else.
type bounded struct {
	context.Context
	deadline time.Time
}

func (b bounded) Deadline() (time.Time, bool) { return b.deadline, true }
