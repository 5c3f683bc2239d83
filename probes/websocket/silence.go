package websocket

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/gobwas/ws"

	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// silence is an idle.Dialogue: after the silence it asks by a ping, which every hop must pass on.
type silence struct {
	*Socket
	questions uint64
}

func (s *silence) data() []byte {
	return binary.BigEndian.AppendUint64([]byte("connpolicy"), s.questions)
}

// Ask sends a ping.
func (s *silence) Ask(ctx context.Context) error {
	s.questions++
	return s.Send(ctx, ws.OpPing, true, s.data())
}

// Hear takes what is there: the pong, the server's own pings and messages, and its close frame.
func (s *silence) Hear(ctx context.Context) (answered bool, err error) {
	now, cancel := context.WithDeadline(ctx, time.Now())
	defer cancel()
	for {
		message, err := s.Receive(now)
		switch {
		case errors.Is(err, tcpconn.ErrTimeout):
			return answered, nil
		case err != nil:
			return false, err
		case message.Kind == ws.OpClose:
			return false, io.EOF
		case message.Kind == ws.OpPong:
			answered = answered || string(message.Payload) == string(s.data())
		}
	}
}

// Listens is true: the server may ping, and says when it closes.
func (s *silence) Listens() bool { return true }
