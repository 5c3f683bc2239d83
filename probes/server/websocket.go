package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// maximumMessageBytes bounds what is read of one client for one message.
const maximumMessageBytes = 1 << 20

// speak serves WebSocket.
func speak(response http.ResponseWriter, request *http.Request) {
	n, told, err := newsOf(request)
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	connection, buffered, _, err := ws.UpgradeHTTP(request, response)
	if err != nil {
		// UpgradeHTTP has answered why.
		return
	}
	// The end of the server says goodbye; the end of the handler ends what runs beside it.
	ctx, cancel := context.WithCancel(request.Context())
	s := &speaker{connection: connection, reader: buffered.Reader}
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() {
		<-ctx.Done()
		s.bye(ws.NewCloseFrameBody(ws.StatusGoingAway, ""))
	})
	if told {
		beside.Go(func() {
			for made, ok := n.next(ctx, time.Now()); ok; made, ok = n.next(ctx, made) {
				if s.send(ws.NewTextFrame([]byte(n.text(made)))) != nil {
					return
				}
			}
		})
	}
	var wrong ws.ProtocolError
	switch err := s.echo(); {
	case errors.As(err, &wrong):
		s.bye(ws.NewCloseFrameBody(ws.StatusProtocolError, ""))
	case errors.Is(err, errTooLong):
		s.bye(ws.NewCloseFrameBody(ws.StatusMessageTooBig, ""))
	}
}

var (
	errTooLong = errors.New("the message is too long")
	errClosed  = errors.New("the client has said goodbye")
)

// speaker is one connection. Several goroutines may send.
type speaker struct {
	connection net.Conn
	reader     *bufio.Reader
	lock       sync.Mutex
	ended      bool
}

func (s *speaker) send(frame ws.Frame) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.ended {
		return errClosed
	}
	return ws.WriteFrame(s.connection, frame)
}

// bye sends a close frame, unless one was sent, and ends the connection.
func (s *speaker) bye(status []byte) {
	// A client that went away needs no goodbye.
	_ = s.send(ws.NewCloseFrame(status))
	s.lock.Lock()
	defer s.lock.Unlock()
	s.ended = true
	_ = s.connection.Close()
}

// echo sends each message back when it is whole, and answers control frames, until the connection ends.
func (s *speaker) echo() error {
	state := ws.StateServerSide
	var kind ws.OpCode
	var text []byte
	for {
		header, err := ws.ReadHeader(s.reader)
		if err != nil {
			return err
		}
		if err := ws.CheckHeader(header, state); err != nil {
			return err
		}
		if header.Length > maximumMessageBytes-int64(len(text)) {
			return errTooLong
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(s.reader, payload); err != nil {
			return err
		}
		ws.Cipher(payload, header.Mask, 0)
		if header.OpCode.IsControl() {
			if err := s.answer(header.OpCode, payload); err != nil {
				return err
			}
			continue
		}
		if header.OpCode != ws.OpContinuation {
			kind = header.OpCode
		}
		text = append(text, payload...)
		state = state.Set(ws.StateFragmented)
		if header.Fin {
			if err := s.send(ws.NewFrame(kind, true, text)); err != nil {
				return err
			}
			state, text = ws.StateServerSide, nil
		}
	}
}

// answer does what a control frame asks for (RFC 6455 section 5.5).
func (s *speaker) answer(kind ws.OpCode, payload []byte) error {
	switch kind {
	case ws.OpPing:
		return s.send(ws.NewPongFrame(payload))
	case ws.OpClose:
		s.bye(payload[:min(2, len(payload))])
		return errClosed
	}
	return nil
}
