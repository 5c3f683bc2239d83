package websocket

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// read gives the frames pieces of at most so many bytes and takes all messages out.
func read(text string, piece int, compressed bool) ([]Message, error) {
	f := frames{compressed: compressed}
	var messages []Message
	for {
		message, whole, err := f.next()
		if err != nil {
			return messages, err
		}
		if whole {
			messages = append(messages, message)
			continue
		}
		if text == "" {
			return messages, nil
		}
		n := min(piece, len(text))
		f.add([]byte(text[:n]))
		text = text[n:]
	}
}

func TestFrames(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	for name, c := range map[string]struct {
		text       string
		compressed bool
		want       []Message
		err        error
	}{
		"an empty text":      {"\x81\x00", false, []Message{{Kind: ws.OpText}}, nil},
		"a binary message":   {"\x82\x02ab", false, []Message{{ws.OpBinary, []byte("ab"), 2}}, nil},
		"half a header":      {"\x81", false, nil, nil},
		"half a length":      {"\x81\x7e\x01", false, nil, nil},
		"half a payload":     {"\x81\x02a", false, nil, nil},
		"a long message":     {"\x81\x7f\x00\x00\x00\x00\x00\x01\x11\x70" + long, false, []Message{{ws.OpText, []byte(long[:keptBytes]), 70_000}}, nil},
		"a ping between two": {"\x01\x01a\x89\x01p\x80\x01b", false, []Message{{ws.OpPing, []byte("p"), 1}, {ws.OpText, []byte("ab"), 2}}, nil},
		"compression":        {"\xc1\x01a\x81\x01b", true, []Message{{ws.OpText, []byte("a"), 1}, {ws.OpText, []byte("b"), 1}}, nil},
		"none was agreed on": {"\xc1\x01a", false, nil, ErrProtocol},
		"a masked frame":     {"\x81\x81abcde", false, nil, ErrProtocol},
		"no such code":       {"\x83\x00", false, nil, ErrProtocol},
		"a long ping":        {"\x89\x7e\x00\x7e", false, nil, ErrProtocol},
		"half a ping":        {"\x09\x00", false, nil, ErrProtocol},
		"no beginning":       {"\x80\x00", false, nil, ErrProtocol},
		"no end":             {"\x01\x00\x81\x00", false, nil, ErrProtocol},
		"100 MB announced":   {"\x82\x7f\x00\x00\x00\x00\x06\x00\x00\x00", false, nil, errTooLarge},
		"100 MB in parts":    {strings.Repeat("\x02\x7f\x00\x00\x00\x00\x00\x01\x11\x70"+long, 1) + strings.Repeat("\x00\x7f\x00\x00\x00\x00\x00\x01\x11\x70"+long, 70), false, nil, errTooLarge},
		"more than there is": {"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", false, nil, ErrProtocol},
		"most that there is": {"\x02\x01a\x80\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", false, nil, errTooLarge},
	} {
		for _, piece := range []int{1, 3, 1 << 20} {
			got, err := read(c.text, piece, c.compressed)
			if !errors.Is(err, c.err) || !same(got, c.want) {
				t.Errorf("%s, in pieces of %d: %d messages, %v", name, piece, len(got), err)
			}
		}
	}
}

func same(a, b []Message) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Kind != b[i].Kind || a[i].Bytes != b[i].Bytes || string(a[i].Payload) != string(b[i].Payload) {
			return false
		}
	}
	return true
}

// Whatever arrives, it reads the same however it is cut into pieces, and no more is kept of it than may be.
func FuzzFrames(f *testing.F) {
	// What the servers of coder/websocket, with compression, and of gorilla/websocket sent: echoes, a ping, a pong, a close.
	f.Add("\xc1!\x04\xc01\r\x000\f\x03A*\xe5\xe6)R\xf4\x9f\xd5\xec{\x11\xce\x9d\xf4E8w\xd2\x17\xe1\xdcI?\x00\x8a\x01p\xc1\x0f\xdc\xc0\x81\x00\x00\x00\x00\x80\xa0\xfd\xa9\xf7\xa8\x10\x03\x88\x02\x03\xe8", true)
	f.Add("\x89\x02hb\x81 connpolicy connpolicy connpolicy\x8a\x01p\x81~\x00\xc8"+strings.Repeat("\x00", 200)+"\x88\x02\x03\xe8", false)
	f.Add("\x01\x03abc\x89\x00\x80\x01d", false)
	f.Add("\x82\x7f\x00\x00\x00\x00\x06\x00\x00\x00", false)
	f.Fuzz(func(t *testing.T, text string, compressed bool) {
		whole, wholeErr := read(text, len(text)+1, compressed)
		pieces, piecesErr := read(text, 1, compressed)
		if !same(whole, pieces) || !reflect.DeepEqual(wholeErr, piecesErr) {
			t.Errorf("at once %d messages, %v; byte by byte %d, %v", len(whole), wholeErr, len(pieces), piecesErr)
		}
		for _, m := range whole {
			if m.Bytes < int64(len(m.Payload)) || m.Bytes > maximumMessageBytes || len(m.Payload) > keptBytes ||
				m.Kind.IsControl() && m.Bytes > ws.MaxControlFramePayloadSize || m.Kind == ws.OpContinuation || m.Kind.IsReserved() {
				t.Errorf("%+v", m)
			}
		}
	})
}
