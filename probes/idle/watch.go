package idle

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

const (
	// answerWithin is how long a sign of life may take beyond four round trips, before the path counts as a black hole.
	answerWithin = 300 * time.Millisecond
	// askedAgain is how long the kernel goes on asking, once a second, when the first sign of life does not come: a packet
	// that was lost, or a moment in which nobody ran, is no black hole.
	askedAgain = 2 * time.Second
	// responseWithin is how long the response to a request after the silence may take. The kernel sends the request again
	// several times within it.
	responseWithin = 3 * time.Second
	// lookEvery is the pause between two looks at a connection that was asked for a sign of life.
	lookEvery = 10 * time.Millisecond
)

// silent is a connection that nobody uses, until it is asked whether it lives.
type silent struct {
	*exchange.Connection
	dialogue Dialogue // nil: none is held
	arm      arm
	since    time.Time // of this end's last byte before the silence
	due      time.Time // when it is asked

	// every and next are the pause between the questions that are to keep it, and when the next is due.
	every time.Duration
	next  time.Time

	asked    time.Time // zero: not yet
	deadline time.Time // of the answer
}

// silentSince is when the last byte came, which is after begin. The kernel tells; on a busy machine this end looks later.
func silentSince(connection *exchange.Connection, begin time.Time) time.Time {
	now := time.Now()
	info, err := connection.Info()
	if err != nil || info.LastDataReceivedMilliseconds == nil {
		return now
	}
	return later(begin, now.Add(-time.Duration(*info.LastDataReceivedMilliseconds)*time.Millisecond))
}

// closedAt is when the close of the other side came, by the kernel too: a FIN is an acknowledgment. It is now if the kernel
// does not tell.
func (s *silent) closedAt() time.Time {
	now := time.Now()
	info, err := s.Info()
	if err != nil || info.LastAckReceivedMilliseconds == nil {
		return now
	}
	return later(s.since, now.Add(-time.Duration(*info.LastAckReceivedMilliseconds)*time.Millisecond))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// watcher keeps silent connections until each has a finding.
type watcher struct {
	peer     *exchange.Peer
	open     []*silent
	findings []finding
	// first is called at the first cut that was not seen to happen but found by asking.
	first func()
	// enough findings of a cut by asking, and none of a life as long, end the watch. 0: no number is.
	enough int
}

// watch goes on until no connection is left, or the context or the time of the measurement ends.
func (w *watcher) watch(ctx context.Context) error {
	for len(w.open) > 0 && !w.allCut() {
		if err := ctx.Err(); err != nil {
			return w.peer.Pause(ctx, 0)
		}
		now := time.Now()
		if !now.Before(w.peer.Budget.End()) {
			return nil
		}
		if err := w.askWhoIsDue(ctx, now); err != nil {
			return err
		}
		events, err := tcpconn.Poll(ctx, w.watched(), w.untilNext(time.Now()))
		if err != nil {
			return err
		}
		w.see(ctx, events)
	}
	return nil
}

// allCut says whether enough were asked, and all of them found cut.
func (w *watcher) allCut() bool {
	_, atMost := bracket(w.findings)
	if w.enough == 0 || atMost == nil {
		return false
	}
	cut := 0
	for _, f := range w.findings {
		switch {
		case f.fate == alive && f.silence >= *atMost:
			return false
		case f.cut() && !f.watched:
			cut++
		}
	}
	return cut >= w.enough
}

func (w *watcher) watched() []tcpconn.Watched {
	watched := make([]tcpconn.Watched, len(w.open))
	for i, s := range w.open {
		watched[i] = tcpconn.Watched{Conn: s.TCP(), ForData: s.hears()}
	}
	return watched
}

// hears says whether what arrives is to be read.
func (s *silent) hears() bool {
	if s.dialogue == nil {
		return false
	}
	return s.dialogue.Listens() || s.arm.speaks() && !s.asked.IsZero()
}

// untilNext is how long nothing is due, if nothing happens.
func (w *watcher) untilNext(now time.Time) time.Duration {
	next := w.peer.Budget.End()
	for _, s := range w.open {
		switch {
		case s.asked.IsZero():
			next = earlier(next, s.due)
			if s.every > 0 {
				next = earlier(next, s.next)
			}
		case !s.arm.speaks():
			next = earlier(next, now.Add(lookEvery))
		default:
			next = earlier(next, s.deadline)
		}
	}
	return max(0, next.Sub(now))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// askWhoIsDue asks those whose silence is over for a sign of life.
func (w *watcher) askWhoIsDue(ctx context.Context, now time.Time) error {
	for _, s := range w.open {
		switch {
		case !s.asked.IsZero():
		case !now.Before(s.due):
			if err := w.ask(ctx, s); err != nil {
				return err
			}
		case s.every > 0 && !now.Before(s.next):
			s.next = now.Add(s.every)
			if err := w.peer.Turn(ctx, false); err != nil {
				return err
			}
			// What fails here the next poll finds.
			_ = s.dialogue.Ask(ctx)
		}
	}
	return nil
}

// ask sends what tells whether the connection lives. Its error ends the measurement; one of the connection is found by
// the next poll.
func (w *watcher) ask(ctx context.Context, s *silent) error {
	within := answerWithin
	if rtt := s.Opened.RTTMicroseconds; rtt != nil {
		within += 4 * time.Duration(*rtt) * time.Microsecond
	}
	if s.arm.speaks() {
		if err := w.peer.Turn(ctx, false); err != nil {
			return err
		}
		within = max(within, responseWithin)
		s.asked = time.Now()
		_ = s.dialogue.Ask(ctx)
	} else {
		s.asked = time.Now()
		// The kernel asks once it has heard nothing for a second, which may be to come.
		if s.arm == withKeepalive {
			within += time.Second
		} else {
			within += max(0, time.Second-s.asked.Sub(s.since))
		}
		within += max(0, min(askedAgain, time.Until(w.peer.Budget.End())-within-2*lookEvery))
		if err := s.TCP().Keepalive(1); err != nil {
			return err
		}
	}
	s.deadline = s.asked.Add(within)
	return nil
}

// see takes down what became of the connections, and keeps those that are still open.
func (w *watcher) see(ctx context.Context, events []tcpconn.Event) {
	now := time.Now()
	var left []*silent
	for i, s := range w.open {
		what, known := s.outcome(ctx, events[i], now)
		if !known {
			left = append(left, s)
			continue
		}
		w.conclude(s, what, now)
	}
	w.open = left
}

// outcome says what became of a connection, if that is known by now.
func (s *silent) outcome(ctx context.Context, event tcpconn.Event, now time.Time) (fate, bool) {
	if event.Ended != nil {
		return fateOf(event.Ended), true
	}
	if event.Readable {
		if what, known := s.hear(ctx); known {
			return what, true
		}
	}
	if s.asked.IsZero() {
		return unknown, false
	}
	if !s.arm.speaks() {
		if what, known := s.signOfLife(now); known {
			return what, true
		}
	} else if !now.Before(s.deadline) {
		return blackHole, true
	}
	return unknown, false
}

// hear takes what arrived: the answer, the last word of a server that closes, or something else that decides nothing.
func (s *silent) hear(ctx context.Context) (fate, bool) {
	if !s.asked.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, s.deadline)
		defer cancel()
	}
	answered, err := s.dialogue.Hear(ctx)
	switch {
	case errors.Is(err, tcpconn.ErrTimeout):
		return unknown, true
	case err != nil:
		return fateOf(err), true
	}
	return alive, answered && s.arm.speaks() && !s.asked.IsZero()
}

// signOfLife looks whether the kernel got an acknowledgement since it asked.
func (s *silent) signOfLife(now time.Time) (fate, bool) {
	info, err := s.Info()
	if err != nil || info.LastAckReceivedMilliseconds == nil {
		return unknown, true
	}
	age := time.Duration(*info.LastAckReceivedMilliseconds) * time.Millisecond
	if age < now.Sub(s.asked) {
		return alive, true
	}
	if now.Before(s.deadline) {
		return unknown, false
	}
	if info.Probes != nil && *info.Probes > 0 {
		return blackHole, true
	}
	return unknown, true
}

// fateOf names the end of a connection.
func fateOf(err error) fate {
	switch {
	case errors.Is(err, io.EOF):
		return fin
	case exchange.WasReset(err):
		return rst
	case errors.Is(err, unix.ETIMEDOUT), errors.Is(err, tcpconn.ErrTimeout):
		return blackHole
	}
	return unknown
}

// conclude records what became of a connection and closes it.
func (w *watcher) conclude(s *silent, what fate, now time.Time) {
	f := finding{arm: s.arm, silence: now.Sub(s.since), fate: what}
	if s.asked.IsZero() {
		f.watched = true
		if what == fin {
			f.silence = s.closedAt().Sub(s.since)
		}
	} else {
		f.silence = s.asked.Sub(s.since)
	}
	s.Close()
	w.findings = append(w.findings, f)
	if f.cut() && !f.watched && !f.arm.kept() && w.first != nil {
		w.first()
		w.first = nil
	}
}

// drop closes what is left open.
func (w *watcher) drop() {
	for _, s := range w.open {
		s.Close()
	}
	w.open = nil
}
