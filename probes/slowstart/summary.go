package slowstart

import (
	"fmt"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
)

func (m *measurement) summarise() result.SlowStart {
	m.course.Samples = len(m.cold) + len(m.warm) + len(m.pairs)
	r := result.SlowStart{
		Meta:             m.course.Conclude(),
		ColdMicroseconds: stats.Summarise(times(m.cold)),
		WarmMicroseconds: stats.Summarise(times(m.warm)),
	}
	if len(m.cold) == 0 {
		return r
	}
	r.Sender = result.SideServer
	r.Bytes, r.SegmentBytes = &m.cold[0].bodyBytes, new(int(m.cold[0].segmentBytes))
	if m.roundTrip() > 0 {
		r.RoundTripMicroseconds = new(float64(m.roundTrip()) / float64(time.Microsecond))
	}
	why := m.unsuited()
	if why == "" {
		why = m.summariseFlights(&r)
	}
	if r.Outcome != result.Measured || why == "" {
		return r
	}
	r.Outcome, r.Cause = result.Unsupported, "the initial window cannot be seen: "+why
	if stop := m.course.Stop; stop != nil && len(m.cold) < fewestFlights {
		r.Outcome, r.Cause = result.Failed, stop.Error()+" before there were enough samples to tell"
	}
	return r
}

// unsuited says why flights cannot be told apart, empty if they can.
func (m *measurement) unsuited() string {
	switch {
	case m.isShort():
		return fmt.Sprintf("the response fills %.0f segments, and it takes %d initial windows of %d; give a path with a longer answer",
			m.cold[0].segments(), shortestWindows, usualInitialWindow)
	case m.roundTrip() == 0:
		return "the kernel here does not tell the least round trip, which it does since Linux 4.6"
	case !m.showsFlights():
		return fmt.Sprintf("the round trip of %.3f ms is too short to tell what was sent before the first acknowledgment, below %d ms; "+
			"slow start costs hardly anything there", m.roundTrip().Seconds()*1e3, shortestRoundTrip.Milliseconds())
	}
	return ""
}

// summariseFlights judges the flights, and says why the initial window is not known, empty if it is.
func (m *measurement) summariseFlights(r *result.SlowStart) (why string) {
	roundTrip := m.roundTrip()
	rounds := func(t transfer) float64 { return t.rounds(roundTrip) }
	r.ColdRounds = new(int(medianOf(m.cold, rounds)))
	if len(m.warm) > 0 {
		r.WarmRounds = new(int(medianOf(m.warm, rounds)))
	}
	window, why := initialWindow(m.cold, roundTrip)
	if why != "" {
		return why
	}
	r.InitialWindowSegments = &window
	if len(m.pairs) > 0 {
		r.WarmSegments = new(medianOf(m.pairs, func(p pair) float64 { return p.warm }))
		r.AfterIdleSegments = new(medianOf(m.pairs, func(p pair) float64 { return p.afterIdle }))
		r.IdleSeconds = new(m.idled.Seconds())
	}
	lost, whyNot := windowLost(m.pairs, window)
	switch {
	case len(m.warm) == 0:
		r.Missing = "the time on a warm connection, and whether the window is lost after idling: " + m.whyNotWarm()
	case whyNot != "":
		r.Missing = "whether the window is lost after idling: " + m.whyNotIdle(whyNot)
	default:
		r.WindowLostAfterIdle = &lost
	}
	return ""
}

func (m *measurement) whyNotWarm() string {
	switch {
	case m.closes:
		return "the server ends a connection before it is warm"
	case m.tooSlow:
		return "so few requests per second are allowed that a connection cools down between two"
	case m.course.Stop != nil:
		return m.course.Stop.Error()
	case m.course.LastError != nil:
		return m.course.LastError.Error()
	}
	return "no connection carried three responses"
}

func (m *measurement) whyNotIdle(whyNot string) string {
	switch {
	case m.closesIdle:
		return "the server ended the connection within the pause"
	case m.noTime:
		return "the pause would take longer than the time that is left"
	case m.course.Stop != nil:
		return m.course.Stop.Error()
	}
	return whyNot
}
