package exchange

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// Course is how a measurement went, for the conclusion from it.
type Course struct {
	Began   time.Time
	Samples int
	// Stop is the reason why no further turn was given, nil if the measurement needed none.
	Stop error
	// LastError is the last error of a turn, nil if there was none. Errors counts them.
	LastError error
	Errors    int
}

// Failed records the error of a turn; nil is none.
func (c *Course) Failed(err error) {
	if err != nil {
		c.LastError = err
		c.Errors++
	}
}

// Conclude says what became of a measurement: with samples it is measured unless errors or a stop ended it; without any
// it failed, or was skipped if it had no turn at all.
func (c Course) Conclude() result.Meta {
	meta := result.Meta{Outcome: result.Measured, Samples: c.Samples, Errors: c.Errors, ElapsedSeconds: time.Since(c.Began).Seconds()}
	switch {
	case errors.Is(c.Stop, budget.ErrErrors), errors.Is(c.Stop, budget.ErrStopped):
		meta.Outcome, meta.Cause = result.Failed, Explain(c.Stop)
	case c.Samples > 0:
	case c.LastError != nil:
		meta.Outcome, meta.Cause = result.Failed, Explain(c.LastError)
	case c.Stop != nil:
		meta.Outcome, meta.Cause = result.Skipped, c.Stop.Error()+" before it began"
	}
	return meta
}

// Explain adds to an error what it means to somebody who operates the target.
func Explain(err error) string {
	var operation *tcpconn.Error
	var handshake *TLSError
	if errors.As(err, &handshake) {
		return explainTLS(handshake)
	}
	connecting := errors.As(err, &operation) && operation.Op == "connect"
	meaning := ""
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		meaning = "nothing listens on that port, or a firewall rejects it"
	case connecting && (errors.Is(err, tcpconn.ErrTimeout) || errors.Is(err, unix.ETIMEDOUT)):
		meaning = "no answer: a firewall or NetworkPolicy drops the packets, the address is not there, or the listener's queue is full"
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		meaning = "there is no route to the address, or no endpoint behind it"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		meaning = "no local port was free for a new connection to that address"
	case errors.Is(err, tcpconn.ErrTimeout):
		meaning = "the response did not arrive as a whole in time"
	case errors.Is(err, unix.ECONNRESET):
		meaning = "the other side reset the connection"
	case errors.Is(err, io.EOF):
		return "the server closed the connection without a response"
	}
	if meaning == "" {
		return err.Error()
	}
	return err.Error() + " (" + meaning + ")"
}

// WasReset says whether the error is the end of a connection by a reset.
func WasReset(err error) bool {
	return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}
