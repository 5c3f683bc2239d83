// Package pipelining measures what becomes of requests that are sent before the response to the one before has come (RFC
// 9112 section 9.3.2). Only GET and HEAD are sent. It is made only when it is named: a shared proxy that mixes up pipelined
// responses would mix up those of others too.
//
// GET and HEAD take turns, because their responses can be told apart: a response without a body where one was due, or the
// other way round, is no valid HTTP any more from there on.
package pipelining

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/stats"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

const (
	// depth is how many requests are sent at once, repetitions how often.
	depth       = 4
	repetitions = 10
	// gains is the share of the time of the same requests, one after the other, below which a pipeline was worked on as
	// such.
	gains = 0.8
)

// Measure sends pipelines to an HTTP peer, and between them the same requests one after the other. The calling goroutine
// is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.Pipelining {
	m := &measurement{peer: peer, course: exchange.Course{Began: time.Now()}}
	for range repetitions {
		if !m.turns(ctx, m.serial) || !m.turns(ctx, m.pipeline) {
			break
		}
	}
	return m.summarise()
}

type measurement struct {
	peer   *exchange.Peer
	course exchange.Course

	serialTook, pipelineTook []float64 // microseconds, of whole rounds
	// deviant is the first pipeline that was not answered as it should be.
	deviant *deviation
}

type deviation struct {
	verdict  result.PipeliningVerdict
	answered int
}

// turns waits for the turns of one round and runs it on a connection of its own. It returns false once there is no more
// to be had or to be learnt.
func (m *measurement) turns(ctx context.Context, round func(context.Context, *exchange.Connection) error) bool {
	for i := range depth {
		if m.course.Stop = m.peer.Turn(ctx, i == 0); m.course.Stop != nil {
			return false
		}
	}
	connection, err := m.peer.Connect(ctx)
	if err == nil {
		err = round(ctx, connection)
		connection.Close()
	}
	m.peer.Note(err)
	m.course.Failed(err)
	return m.deviant == nil && !errors.Is(err, errNotKept)
}

// method of the i-th request.
func method(i int) string {
	if i%2 == 1 {
		return http.MethodHead
	}
	return http.MethodGet
}

func (m *measurement) request(i int) http1.Request {
	request := *m.peer.Request
	request.Method = method(i)
	return request
}

// serial makes the requests one after the other.
func (m *measurement) serial(ctx context.Context, connection *exchange.Connection) error {
	var whole time.Duration
	for i := range depth {
		response, took, err := connection.Ask(ctx, m.request(i))
		if err != nil {
			return err
		}
		if !response.Persistent && i < depth-1 {
			return errNotKept
		}
		whole += took
	}
	m.serialTook = append(m.serialTook, microseconds(whole))
	return nil
}

var errNotKept = errors.New("the server ends a connection before it carried as many requests as are sent at once")

// pipeline sends the requests at once. That they are not answered as they should be is what is measured.
func (m *measurement) pipeline(ctx context.Context, connection *exchange.Connection) error {
	end := time.Now().Add(exchange.Timeout)
	if last := m.peer.Budget.End(); last.Before(end) {
		end = last
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	var all []byte
	for i := range depth {
		m.peer.Budget.Requested()
		all = append(all, m.request(i).Bytes()...)
	}
	begin := time.Now()
	if err := connection.Write(ctx, all); err != nil {
		return err
	}
	for i := range depth {
		response, err := connection.Receive(ctx, method(i))
		if err == nil && (i == 0 || response.Status < http.StatusBadRequest) {
			continue
		}
		// The first of them alone is no pipeline: its failure is one like any other.
		if i == 0 || ctx.Err() != nil && !time.Now().Before(m.peer.Budget.End()) {
			return err
		}
		m.deviant = &deviation{verdictOf(err), i}
		return nil
	}
	m.pipelineTook = append(m.pipelineTook, microseconds(time.Since(begin)))
	return nil
}

// verdictOf names what the error of a later response says about the pipeline; nil is a response that refuses.
func verdictOf(err error) result.PipeliningVerdict {
	switch {
	case errors.Is(err, http1.ErrMalformed):
		return result.PipeliningOutOfOrder
	case err == nil, errors.Is(err, tcpconn.ErrTimeout):
		return result.PipeliningRefused
	}
	return result.PipeliningClosed
}

func (m *measurement) summarise() result.Pipelining {
	m.course.Samples = len(m.pipelineTook)
	r := result.Pipelining{
		PipelinedMicroseconds: stats.Summarise(m.pipelineTook),
		SerialMicroseconds:    stats.Summarise(m.serialTook),
	}
	switch {
	case m.deviant != nil:
		m.course.Samples++
		r.Verdict, r.Answered = m.deviant.verdict, &result.Count{Of: depth, Got: m.deviant.answered}
	case r.PipelinedMicroseconds != nil && r.SerialMicroseconds != nil:
		r.Verdict, r.Answered = result.PipeliningInOrder, &result.Count{Of: depth, Got: depth}
		if r.PipelinedMicroseconds.P50 > gains*r.SerialMicroseconds.P50 {
			r.Verdict = result.PipeliningSerial
		}
	}
	r.Meta = m.course.Conclude()
	if errors.Is(m.course.LastError, errNotKept) && r.Verdict == "" {
		r.Outcome, r.Cause = result.Unsupported, errNotKept.Error()
	}
	return r
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
