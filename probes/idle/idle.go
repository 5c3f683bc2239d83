// Package idle measures after how much silence a connection is cut, in which way, and whether TCP keepalive keeps it.
//
// One connection misleads: behind one address stand several servers, and what forgets a connection may let the next packet
// open it anew. So many connections fall silent together, and each is asked once, after a silence of its own, since asking
// ends the silence. A server that closes is seen when it does; what only a question reveals lies between two rungs of the
// ladder of silences.
package idle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// mostConnections fall silent together.
	mostConnections = 30
	// together is how many more are asked at once when the first is found cut, to see whether all are.
	together = 4
	// again is how many are opened for each question of the second round: a silence between the rungs, and keepalive.
	again = 3
	// shortestAlive is the shortest cut-off that keepalive, whose timer has whole seconds, can come before.
	shortestAlive = 1500 * time.Millisecond
)

// Measure lets connections fall silent for as long as the budget allows. Over HTTP each carries one request first; over
// TCP it is silent from the start. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.Idle {
	if peer.SpeaksHTTP() {
		return MeasureWith(ctx, peer, prepareRequests(peer))
	}
	return MeasureWith(ctx, peer, nil)
}

// MeasureWith is Measure for connections on which a dialogue is held. nil: none is, and connections are asked by keepalive
// alone.
func MeasureWith(ctx context.Context, peer *exchange.Peer, prepare Prepare) result.Idle {
	m := &measurement{watcher: watcher{peer: peer}, prepare: prepare, course: exchange.Course{Began: time.Now()}}
	defer m.drop()
	m.first = m.askMore
	m.firstRound(ctx)
	if m.course.Stop == nil && m.notKept == nil {
		m.secondRound(ctx)
	}
	r := judge(m.findings)
	for _, f := range m.findings {
		if f.fate != unknown {
			m.course.Samples++
		}
	}
	r.Meta = m.course.Conclude()
	switch {
	case m.notKept != nil:
		r.Outcome, r.Cause = result.Unsupported, m.notKept.Error()
	case m.tooShort && r.Outcome == result.Measured:
		r.Outcome, r.Cause = result.Skipped, fmt.Sprintf("there was less than %s to let connections fall silent for", shortest)
	}
	return r
}

type measurement struct {
	watcher
	prepare Prepare
	course  exchange.Course
	// listens: what is spoken can keep a connection.
	listens bool
	// notKept says why the server keeps no connection, nil if it does.
	notKept *NotKept
	// tooShort: there is no time for any silence.
	tooShort bool
}

// firstRound climbs the ladder.
func (m *measurement) firstRound(ctx context.Context) {
	kinds := []arm{byKeepalive}
	if m.prepare != nil {
		kinds = append(kinds, byQuestion)
	}
	// A part of the connections is left for the second round.
	count := max(len(kinds), min(mostConnections, m.peer.Budget.ConnectionsLeft()-2*again))
	for len(m.open) < count {
		if _, goOn := m.fallSilent(ctx, kinds[len(m.open)%len(kinds)]); !goOn {
			break
		}
	}
	if m.notKept != nil || len(m.open) == 0 {
		return
	}
	rungs := ladder(time.Until(m.peer.Budget.End())-m.margin(), (len(m.open)+len(kinds)-1)/len(kinds))
	if m.tooShort = len(rungs) == 0; m.tooShort {
		return
	}
	// The longest silences first, on all arms. Those that were opened first have been silent for longest.
	for i, s := range m.open {
		s.due = s.since.Add(rungs[max(0, len(rungs)-1-i/len(kinds))])
	}
	m.settle(ctx, m.watch(ctx))
}

// settle takes note of the reason why no further turn was given, if that ended a round. What was not asked by then is
// given up; the connections that the limit keeps from being opened are none that failed.
func (m *measurement) settle(ctx context.Context, err error) {
	m.drop()
	if err != nil && (ctx.Err() != nil || !errors.Is(err, budget.ErrSeconds)) {
		m.course.Stop = err
	}
}

// margin is what the answers to the last questions may take.
func (m *measurement) margin() time.Duration {
	most := answerWithin + askedAgain
	if m.prepare != nil {
		most = responseWithin
	}
	return max(answerWithin, min(most, time.Until(m.peer.Budget.End())/4)) + lookEvery
}

// fallSilent opens a connection that is silent from then on, nil if that failed, and says whether a further one may be
// opened.
func (m *measurement) fallSilent(ctx context.Context, which arm) (s *silent, goOn bool) {
	if err := m.peer.Turn(ctx, true); err != nil {
		if !errors.Is(err, budget.ErrConnections) {
			m.course.Stop = err
		}
		return nil, false
	}
	begin := time.Now()
	connection, err := m.peer.Connect(ctx)
	var dialogue Dialogue
	if err == nil && m.prepare != nil {
		if dialogue, err = m.prepare(ctx, connection); err != nil {
			connection.Close()
		}
	}
	// Where others were kept, it is a failure like any other.
	if len(m.open)+len(m.findings) == 0 && errors.As(err, &m.notKept) {
		err = nil
	}
	m.peer.Note(err)
	m.course.Failed(err)
	if err == nil && m.notKept == nil {
		m.listens = dialogue != nil && dialogue.Listens()
		s = &silent{Connection: connection, dialogue: dialogue, arm: which, since: silentSince(connection, begin)}
		m.open = append(m.open, s)
	}
	return s, m.notKept == nil
}

// askMore asks others at the silence at which the first was found cut, since all may be, or some. If all are, there is no
// need to wait for the longer silences.
func (m *measurement) askMore() {
	now := time.Now()
	asked := 0
	for _, s := range m.open {
		if s.asked.IsZero() && asked < together {
			s.due = now
			asked++
		}
	}
	m.enough = asked + 1
}

// secondRound looks closer where a cut-off was found, and whether keepalive helps, if there is time.
func (m *measurement) secondRound(ctx context.Context) {
	atLeast, atMost := bracket(m.findings)
	if atMost == nil {
		return
	}
	left := time.Until(m.peer.Budget.End()) - m.margin()
	// One that something keeps must outlive the cut-off clearly.
	outlive := scale(*atMost, step)
	tryKeepalive := *atMost >= shortestAlive && outlive < left
	lookCloser := atLeast != nil && *atMost-*atLeast > 2*exact && *atMost < left
	m.first, m.enough = nil, 0
	for range again {
		if lookCloser {
			if s, _ := m.fallSilent(ctx, m.armOf(*atMost)); s != nil {
				s.due = s.since.Add((*atLeast + *atMost) / 2)
			}
		}
		if tryKeepalive {
			if s, _ := m.fallSilent(ctx, withKeepalive); s != nil {
				s.due = s.since.Add(outlive)
				m.course.Failed(s.TCP().Keepalive(max(1, int(atMost.Seconds()/3))))
			}
		}
		if outlive < left && m.listens {
			if s, _ := m.fallSilent(ctx, withQuestions); s != nil {
				s.due, s.every = s.since.Add(outlive), *atMost/3
				s.next = s.since.Add(s.every)
			}
		}
	}
	m.settle(ctx, m.watch(ctx))
}

// armOf is the arm that found the cut after that silence.
func (m *measurement) armOf(silence time.Duration) arm {
	for _, f := range m.findings {
		if f.cut() && f.silence == silence {
			return f.arm
		}
	}
	return byKeepalive
}
