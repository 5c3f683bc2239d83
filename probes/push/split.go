package push

import "bytes"

// splitter makes messages of the pieces in which a stream arrives. Its memory is bounded by keptBytes.
type splitter interface {
	// add takes a piece and returns the messages that are whole with it, cut to keptBytes.
	add(piece []byte) [][]byte
}

// lines hands out whole lines, the end of which may be a line feed, a carriage return, or both.
type lines struct {
	line []byte
	// returned: the last byte was a carriage return, whose line feed is still to come.
	returned bool
}

// each calls take for each line that ends within the piece. The line is valid until take returns.
func (l *lines) each(piece []byte, take func(line []byte)) {
	for len(piece) > 0 {
		if l.returned && piece[0] == '\n' {
			piece = piece[1:]
		}
		l.returned = false
		end := bytes.IndexAny(piece, "\r\n")
		if end < 0 {
			l.keep(piece)
			return
		}
		l.keep(piece[:end])
		take(l.line)
		l.line = l.line[:0]
		l.returned = piece[end] == '\r'
		piece = piece[end+1:]
	}
}

func (l *lines) keep(part []byte) {
	l.line = append(l.line, part[:min(len(part), keptBytes-len(l.line))]...)
}

// events makes messages of server-sent events (HTML Living Standard, section 9.2.6): what the fields data say, up to an
// empty line. Comments and events without data are none.
type events struct {
	lines
	data  []byte
	begun bool
}

func (e *events) add(piece []byte) (messages [][]byte) {
	e.each(piece, func(line []byte) {
		if len(line) == 0 {
			if e.begun {
				messages = append(messages, bytes.Clone(e.data))
			}
			e.data, e.begun = e.data[:0], false
			return
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			return
		}
		if e.begun {
			value = append([]byte("\n"), bytes.TrimPrefix(value, []byte(" "))...)
		} else {
			value = bytes.TrimPrefix(value, []byte(" "))
		}
		e.data = append(e.data, value[:min(len(value), keptBytes-len(e.data))]...)
		e.begun = true
	})
	return messages
}

// records makes messages of a stream of another kind: its lines that are not empty, or, as long as no line has ended, the
// pieces as they arrive.
type records struct {
	lines
	ended bool
}

func (r *records) add(piece []byte) (messages [][]byte) {
	r.ended = r.ended || bytes.ContainsAny(piece, "\r\n")
	if !r.ended {
		return [][]byte{bytes.Clone(piece[:min(len(piece), keptBytes)])}
	}
	r.each(piece, func(line []byte) {
		if len(line) > 0 {
			messages = append(messages, bytes.Clone(line))
		}
	})
	return messages
}
