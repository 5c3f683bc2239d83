package websocket

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/gobwas/ws"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/idle"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// Silent makes the opening handshake, after which connections are silent until they are asked by a ping.
func Silent(asked Asked) idle.Prepare {
	return silent(asked, func(*Socket) {})
}

// silent does the same, and shows each connection to see.
func silent(asked Asked, see func(*Socket)) idle.Prepare {
	return func(ctx context.Context, connection *exchange.Connection) (idle.Dialogue, error) {
		s, err := Open(ctx, connection, asked, false)
		var refused *Refusal
		if errors.As(err, &refused) {
			return nil, &idle.NotKept{Why: refused.Error()}
		}
		if err != nil {
			return nil, err
		}
		see(s)
		return &silence{Socket: s}, nil
	}
}

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
