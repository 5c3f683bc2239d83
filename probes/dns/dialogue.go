package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// dialogue is what is said to one server about one name over UDP.
type dialogue struct {
	*resolver
	server    netip.AddrPort
	questions []*question
	wait      time.Duration
	socket    *socket
}

// run sends the questions and waits until all of them are answered, or one answer is too long.
func (d *dialogue) run(ctx context.Context, how way) error {
	for _, q := range d.questions {
		q.sent, q.answer = false, nil
	}
	if d.socket == nil || how == reopened {
		if err := d.open(); err != nil {
			return err
		}
	}
	began := time.Now()
	limited, cancel, cut := d.limited(ctx, d.wait)
	defer cancel()
	buffer := make([]byte, maximumTCPBytes)
	for {
		if err := d.send(how); err != nil {
			return ended(ctx, err, false, d.silence(began))
		}
		err := d.receive(limited, buffer)
		if errors.Is(err, tcpconn.ErrTimeout) && !cut {
			d.lost += d.unanswered()
		}
		if err != nil {
			return ended(ctx, err, cut, d.silence(began))
		}
		if _, tooLong := usable(d.questions); tooLong || d.done() {
			return nil
		}
		if how == reopened && d.unanswered() == 0 {
			if err := d.open(); err != nil {
				return err
			}
		}
	}
}

// send sends what is not sent yet: all questions, or one once those before it are answered.
func (d *dialogue) send(how way) error {
	for _, q := range d.questions {
		if q.sent {
			continue
		}
		if how != atOnce && d.unanswered() > 0 {
			break
		}
		if err := d.socket.send(q.packet); err != nil {
			return err
		}
		q.sent = true
		d.queries++
	}
	return nil
}

// receive waits for the answer to one of the questions. What comes beside is ignored, and counted.
func (d *dialogue) receive(ctx context.Context, buffer []byte) error {
	for {
		// A flood of what is no answer must not go on for ever.
		if err := expired(ctx); err != nil {
			return err
		}
		n, err := d.socket.receive(ctx, buffer)
		if err != nil {
			return err
		}
		if d.match(buffer[:n]) {
			return nil
		}
		d.ignored++
	}
}

// expired says whether the time of a wait is over, as the waits of tcpconn say it.
func expired(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return tcpconn.ErrTimeout
	}
	return context.Cause(ctx)
}

// match takes a message for the question that it answers, and says whether there is one.
func (d *dialogue) match(message []byte) bool {
	for _, q := range d.questions {
		if !q.sent || q.answer != nil {
			continue
		}
		if a, ok := q.parse(message); ok {
			d.take(q, a)
			return true
		}
	}
	return false
}

func (d *dialogue) done() bool {
	for _, q := range d.questions {
		if q.answer == nil {
			return false
		}
	}
	return true
}

// unanswered is how many questions were sent and have no answer.
func (d *dialogue) unanswered() int { return len(unanswered(d.questions)) }

func unanswered(questions []*question) []*question {
	var left []*question
	for _, q := range questions {
		if q.sent && q.answer == nil {
			left = append(left, q)
		}
	}
	return left
}

func (d *dialogue) silence(began time.Time) *silence { return newSilence(d.server, d.questions, began) }

func newSilence(server netip.AddrPort, questions []*question, began time.Time) *silence {
	s := &silence{server: server, name: questions[0].name, waited: time.Since(began)}
	for _, q := range questions {
		if q.answer != nil {
			continue
		}
		kind := "A record"
		if q.kind == dnsmessage.TypeAAAA {
			kind = "AAAA record"
		}
		s.kinds = append(s.kinds, kind)
	}
	return s
}

func (d *dialogue) open() error {
	d.hangUp()
	var err error
	d.socket, err = openSocket(d.server)
	return err
}

func (d *dialogue) hangUp() {
	if d.socket != nil {
		d.socket.close()
		d.socket = nil
	}
}

// askTCP asks over TCP, all questions at once (RFC 7766). Unlike the C library, which trusts the kernel's limits of minutes,
// it waits no longer than over UDP.
func (r *resolver) askTCP(ctx context.Context, server netip.AddrPort, questions []*question, wait time.Duration) ([]*answer, error) {
	for _, q := range questions {
		q.sent, q.answer = false, nil
	}
	began := time.Now()
	limited, cancel, cut := r.limited(ctx, wait)
	defer cancel()
	if err := r.exchangeTCP(limited, server, questions); err != nil {
		if errors.Is(err, tcpconn.ErrTimeout) && !cut {
			r.lost += len(unanswered(questions))
		}
		if answers, _ := usable(questions); len(answers) > 0 && !cut && ctx.Err() == nil {
			return answers, nil
		}
		return nil, ended(ctx, err, cut, newSilence(server, questions, began))
	}
	answers, _ := usable(questions)
	if len(answers) == 0 {
		return nil, rejected(server, questions)
	}
	return answers, nil
}

func (r *resolver) exchangeTCP(ctx context.Context, server netip.AddrPort, questions []*question) error {
	connection, _, err := tcpconn.Dialer{}.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer connection.Close()
	for _, q := range questions {
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(q.packet))) //nolint:gosec // a name has 255 bytes at most
		if err := connection.Write(ctx, append(framed, q.packet...)); err != nil {
			return err
		}
		q.sent = true
		r.queries++
	}
	d := dialogue{resolver: r, server: server, questions: questions}
	for !d.done() {
		if err := expired(ctx); err != nil {
			return err
		}
		message, err := readFrame(ctx, connection)
		if err != nil {
			return err
		}
		if !d.match(message) {
			r.ignored++
		}
	}
	return nil
}

// readFrame reads one message, which its length precedes (RFC 1035 section 4.2.2).
func readFrame(ctx context.Context, connection *tcpconn.Conn) ([]byte, error) {
	source := &reader{ctx, connection}
	var length [2]byte
	if _, err := io.ReadFull(source, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(source, message)
	return message, err
}

// reader is a connection as an io.Reader.
type reader struct {
	ctx        context.Context
	connection *tcpconn.Conn
}

func (r *reader) Read(buffer []byte) (int, error) { return r.connection.Read(r.ctx, buffer) }
