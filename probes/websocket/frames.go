package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/gobwas/ws"
)

const (
	// maximumMessageBytes bounds a frame and a message of several. What is probed should be small.
	maximumMessageBytes = 4 << 20
	// keptBytes is how much of a message is kept; the rest is counted and thrown away.
	keptBytes = 4 << 10
)

// ErrProtocol is wrapped by the errors of bytes that are no WebSocket frame which a server may send.
var ErrProtocol = errors.New("the server sends what is no WebSocket")

// errTooLarge: a message exceeds maximumMessageBytes.
var errTooLarge = errors.New("the server sends a message of more than 4 MiB")

// Message is a control frame, or a whole text or binary message.
type Message struct {
	Kind ws.OpCode
	// Payload is its beginning, up to keptBytes.
	Payload []byte
	// Bytes is the length of the whole.
	Bytes int64
}

// frames makes messages of the bytes of one connection. Its memory is bounded by what it is given at once and by
// keptBytes, whatever lengths are announced. The zero value is ready for use.
type frames struct {
	// compressed: the first of the reserved bits may be set (RFC 7692 section 6). The payload is left as it is.
	compressed bool

	pending []byte
	// control and data are what is under way; a control frame may come in the middle of a fragmented message (RFC 6455
	// section 5.4).
	control, data Message
	// inFrame: the header was read, header.Length is the length of the payload and left what is still to come of it.
	inFrame    bool
	header     ws.Header
	left       int64
	fragmented bool
}

// add takes what has arrived.
func (f *frames) add(arrived []byte) { f.pending = append(f.pending, arrived...) }

// next returns the next message, if the whole of it was added.
func (f *frames) next() (Message, bool, error) {
	for {
		if !f.inFrame {
			if begun, err := f.begin(); !begun {
				return Message{}, false, err
			}
		}
		into := &f.data
		if f.header.OpCode.IsControl() {
			into = &f.control
		}
		used := min(f.left, int64(len(f.pending)))
		kept := min(used, max(0, keptBytes-int64(len(into.Payload))))
		into.Payload = append(into.Payload, f.pending[:kept]...)
		f.pending = f.pending[used:]
		if f.left -= used; f.left > 0 {
			return Message{}, false, nil
		}
		f.inFrame = false
		if f.header.Fin {
			whole := *into
			*into = Message{}
			return whole, true, nil
		}
	}
}

// begin reads the header of the next frame, if the whole of it was added (RFC 6455 section 5.2).
func (f *frames) begin() (bool, error) {
	reader := bytes.NewReader(f.pending)
	header, err := ws.ReadHeader(reader)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	state := ws.StateClientSide
	if f.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if f.compressed && header.OpCode.IsData() && header.OpCode != ws.OpContinuation && header.Rsv == ws.Rsv(true, false, false) {
		state = state.Set(ws.StateExtended)
	}
	if err := ws.CheckHeader(header, state); err != nil {
		return false, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	f.pending = f.pending[len(f.pending)-reader.Len():]
	f.inFrame, f.header, f.left = true, header, header.Length
	if header.OpCode.IsControl() {
		f.control = Message{Kind: header.OpCode, Bytes: header.Length}
		return true, nil
	}
	f.fragmented = !header.Fin
	if header.OpCode != ws.OpContinuation {
		f.data = Message{Kind: header.OpCode}
	}
	if f.data.Bytes += header.Length; f.data.Bytes > maximumMessageBytes || f.data.Bytes < 0 {
		return false, errTooLarge
	}
	return true, nil
}
