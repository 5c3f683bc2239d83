package parallel

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// errUnasked: bytes came behind a response.
var errUnasked = errors.New("the server sent bytes behind its response that no request had asked for")

// lane carries requests one after the other, on a connection that it opens anew where the server has ended it.
//
// One thread listens to all lanes, so that no scheduler stands between a response and the clock. A response may come in
// pieces, and waiting for the rest of one would keep the others waiting: the reader of each lane is a coroutine on the
// same thread, which gives the thread back whenever nothing more has arrived.
type lane struct {
	peer       *exchange.Peer
	connection *exchange.Connection // nil: none is open
	carried    int                  // responses on it

	// busy: a request was sent, and its response is not there. due is when it should have been, had the target had a lane
	// for it.
	busy      bool
	due, sent time.Time

	resume func() (arrival, bool)
	end    func()
}

// arrival is what a reader gives back: a response as a whole, an error, or neither of them yet.
type arrival struct {
	response *http1.Response
	err      error
}

// open opens the lane's connection. The caller has a turn for it.
func (l *lane) open(ctx context.Context) error {
	connection, err := l.peer.Connect(ctx)
	if err != nil {
		return err
	}
	l.connection, l.carried = connection, 0
	l.resume, l.end = iter.Pull(read(connection, l.peer))
	return nil
}

// send sends a request that has waited for a lane. The caller has a turn for it.
func (l *lane) send(ctx context.Context, waited time.Duration) error {
	now := time.Now()
	l.busy, l.due, l.sent = true, now.Add(-waited), now
	return l.connection.Send(ctx, *l.peer.Request)
}

// listen takes what has arrived, without waiting. Once the response is there, or will never be, the lane is free again.
func (l *lane) listen() arrival {
	a, _ := l.resume()
	if a.response == nil && a.err == nil {
		return a
	}
	l.busy = false
	if a.err != nil || !a.response.Persistent {
		l.close()
		return a
	}
	l.carried++
	return a
}

func (l *lane) close() {
	if l.connection == nil {
		return
	}
	l.end()
	l.connection.Close()
	l.connection, l.busy = nil, false
}

// read reads the responses of a connection for as long as it is asked to.
func read(connection *exchange.Connection, peer *exchange.Peer) iter.Seq[arrival] {
	return func(yield func(arrival) bool) {
		// A deadline that has passed makes every read one that does not wait.
		past, cancel := context.WithDeadline(context.Background(), time.Now())
		defer cancel()
		s := &source{connection: connection, past: past, yield: yield}
		reader := http1.NewReader(s)
		for {
			response, err := reader.ReadResponse(past, peer.Request.Method)
			if err == nil {
				peer.Budget.Responded(response.Status)
				if reader.Pending() {
					err = errUnasked
				}
			}
			switch {
			case s.ended:
				return
			case err != nil:
				yield(arrival{err: err})
				return
			case !yield(arrival{response: &response}):
				return
			}
		}
	}
}

// errEnded: nobody waits for the rest any more.
var errEnded = errors.New("the lane is closed")

// source is where a reader takes its bytes from.
type source struct {
	connection *exchange.Connection
	past       context.Context
	yield      func(arrival) bool
	// ended: nobody asks for more.
	ended bool
}

// Read reads what has arrived. If that is nothing, it gives the thread back until there may be more.
func (s *source) Read(_ context.Context, buffer []byte) (int, error) {
	for {
		n, err := s.connection.Read(s.past, buffer)
		if !errors.Is(err, tcpconn.ErrTimeout) {
			return n, err
		}
		if s.ended = !s.yield(arrival{}); s.ended {
			return 0, errEnded
		}
	}
}
