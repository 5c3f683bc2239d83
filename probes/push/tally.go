package push

import (
	"fmt"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
)

const (
	// apart is how far apart two messages must have been made for it to be told whether they were held back, and
	// togetherShare the part of that within which they came if they were.
	apart         = 50 * time.Millisecond
	togetherShare = 0.25
	// lateBy is more than the kernel's tick, in which it counts how long ago data came.
	lateBy = 20 * time.Millisecond
	// leastApart is how many of them it takes to judge, bufferedShare the share of them that came together.
	leastApart    = 3
	bufferedShare = 1.0 / 3
)

// arrival is one message.
type arrival struct {
	at time.Time
	// made is when it says that it was made, zero if it does not.
	made time.Time
	// first of its stream.
	first bool
	// late: this end did not get to read for a while, or found it in the socket after longer than lateBy.
	late bool
}

// tally is what one way showed.
type tally struct {
	peer   *exchange.Peer
	course exchange.Course
	before result.Spent
	r      result.PushWay

	arrivals []arrival
	answers  []float64 // microseconds
	looked   time.Duration
	// streams: messages come without being asked for, so that a hop could hold them back.
	streams bool
}

func begin(peer *exchange.Peer, path string) *tally {
	return &tally{peer: peer, course: exchange.Course{Began: time.Now()}, before: peer.Budget.Spent(), r: result.PushWay{Path: path}}
}

// arrived takes down a message.
func (t *tally) arrived(text []byte, a arrival) {
	if made, says := madeAt(text); says {
		a.made = made
	}
	t.arrivals = append(t.arrivals, a)
}

// note records how a turn ended.
func (t *tally) note(err error) {
	t.peer.Note(err)
	t.course.Failed(err)
}

// cut records the end of a stream by the other side, the first alone.
func (t *tally) cut(after time.Duration, how result.IdleCut) {
	if t.r.CutBy == "" {
		t.r.CutAfterSeconds, t.r.CutBy = new(after.Seconds()), how
	}
}

func (t *tally) summarise() *result.PushWay {
	r := t.r
	spent := t.peer.Budget.Spent()
	r.Messages = len(t.arrivals)
	r.Connections, r.Requests = spent.Connections-t.before.Connections, spent.Requests-t.before.Requests
	if r.Messages > 0 {
		bytes := spent.BytesSent + spent.BytesReceived - t.before.BytesSent - t.before.BytesReceived
		r.BytesPerMessage = new(float64(bytes) / float64(r.Messages))
	}
	r.AnswerMicroseconds = stats.Summarise(t.answers)
	r.GapMicroseconds = stats.Summarise(gaps(t.arrivals))
	delays, ahead := delays(t.arrivals)
	r.DelayMicroseconds = stats.Summarise(delays)
	if t.streams {
		r.Buffered, r.Together = together(t.arrivals)
	}
	if t.looked > 0 {
		r.LookedSeconds = new(t.looked.Seconds())
	}
	switch {
	case r.Messages == 0:
		r.Missing = "no news came: there were none, or a hop held them back"
	case ahead > 0:
		r.Missing = fmt.Sprintf("the delays: the messages say that they are made up to %.1f s later than they arrive, so the clocks disagree", ahead.Seconds())
	case len(delays) == 0:
		r.Missing = "the delays: the messages do not tell when they are made"
	}
	t.course.Samples = max(len(t.arrivals), len(t.answers))
	r.Meta = t.course.Conclude()
	if r.Outcome != result.Measured {
		r.Missing = ""
	}
	return &r
}

// gaps are the times between the messages of one stream, in microseconds.
func gaps(arrivals []arrival) []float64 {
	var all []float64
	for i := 1; i < len(arrivals); i++ {
		if !arrivals[i].first {
			all = append(all, microseconds(arrivals[i].at.Sub(arrivals[i-1].at)))
		}
	}
	return all
}

// delays are the ages of the messages that tell when they were made, in microseconds; none if a message comes before it was
// made, and then ahead is by how much at most.
func delays(arrivals []arrival) (all []float64, ahead time.Duration) {
	for _, a := range arrivals {
		if a.made.IsZero() {
			continue
		}
		age := a.at.Sub(a.made)
		ahead = max(ahead, -age)
		all = append(all, microseconds(age))
	}
	if ahead > 0 {
		return nil, ahead
	}
	return all, 0
}

// together counts, of the messages that were made apart from the one before, those that arrived with it, and judges by them
// whether a hop holds messages back; nil if there are too few. What this end read late, as it does where its processor is
// rationed, tells nothing of hops.
func together(arrivals []arrival) (*bool, *result.Count) {
	var c result.Count
	for i := 1; i < len(arrivals); i++ {
		before, after := arrivals[i-1], arrivals[i]
		if after.first || before.late || after.late || before.made.IsZero() || after.made.IsZero() {
			continue
		}
		between := after.made.Sub(before.made)
		if between < apart {
			continue
		}
		c.Of++
		if float64(after.at.Sub(before.at)) < togetherShare*float64(between) {
			c.Got++
		}
	}
	if c.Of < leastApart {
		return nil, nil
	}
	return new(float64(c.Got) >= bufferedShare*float64(c.Of)), &c
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
