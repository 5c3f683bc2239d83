package idle

import (
	"context"
	"io"
	"net/http"

	"github.com/connpolicy/connpolicy/probes/exchange"
)

// Dialogue is what is spoken on one connection around its silence, in a protocol that reaches through proxies.
type Dialogue interface {
	// Ask sends a question.
	Ask(ctx context.Context) error
	// Hear takes what has arrived, and says whether the answer to the last question is among it. Its error is the end of the
	// connection: io.EOF where the other side closes it, whichever way it says so.
	Hear(ctx context.Context) (answered bool, err error)
	// Listens says whether there is something to be heard before the question, which Hear then takes without waiting. Only
	// such a dialogue can keep a connection by asking again and again.
	Listens() bool
}

// Prepare brings a new connection to the point from which on it is silent. Its error is a *NotKept where no connection ever
// is.
type Prepare func(ctx context.Context, connection *exchange.Connection) (Dialogue, error)

// NotKept says that the other side keeps no connection, and why.
type NotKept struct{ Why string }

func (n *NotKept) Error() string { return n.Why + ", so that no connection falls silent" }

// requests is a dialogue of HTTP/1: each connection carries a request, and after the silence another.
type requests struct {
	*exchange.Connection
	peer *exchange.Peer
}

func prepareRequests(peer *exchange.Peer) Prepare {
	return func(ctx context.Context, connection *exchange.Connection) (Dialogue, error) {
		response, _, err := connection.Request(ctx, false)
		if err == nil && !response.Persistent {
			err = &NotKept{"the server ends each connection with its first response"}
		}
		return &requests{connection, peer}, err
	}
}

// Ask sends the request of the run.
func (r *requests) Ask(ctx context.Context) error { return r.Send(ctx, *r.peer.Request) }

// Hear reads the response, or the last word of a server that closes.
func (r *requests) Hear(ctx context.Context) (bool, error) {
	response, err := r.Receive(ctx, http.MethodGet)
	if err == nil && response.Status == http.StatusRequestTimeout {
		err = io.EOF
	}
	return err == nil, err
}

// Listens is false: what a server of HTTP/1 says unasked it says to end the connection.
func (r *requests) Listens() bool { return false }
