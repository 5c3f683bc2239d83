package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
)

const (
	// MaximumHeaderBytes bounds the status line and headers of a response, and the trailers and chunk sizes of one.
	MaximumHeaderBytes = 64 << 10
	// MaximumBodyBytes bounds the body of a response. What is probed should be small.
	MaximumBodyBytes = 4 << 20
	// maximumInterim bounds the interim responses (status 1xx) before the final one.
	maximumInterim = 8
	bufferBytes    = 4 << 10
)

// Errors of ReadResponse beside ErrMalformed and those of the source.
var (
	// ErrHeaderTooLarge: the headers exceed MaximumHeaderBytes.
	ErrHeaderTooLarge = errors.New("the response has more than 64 KiB of headers")
	// ErrBodyTooLarge: the body exceeds MaximumBodyBytes.
	ErrBodyTooLarge = errors.New("the response has a body of more than 4 MiB; give a path with a small answer")
	// ErrCutOff: the connection ended within a response.
	ErrCutOff = errors.New("the connection was closed in the middle of the response")
)

// Source is where bytes come from. At the end of the connection it returns io.EOF, unwrapped.
type Source interface {
	Read(ctx context.Context, buffer []byte) (int, error)
}

// Reader reads the responses of one connection, one after the other.
type Reader struct {
	source  Source
	buffer  []byte
	pending []byte // the part of buffer that was received and not yet used
	// headerLeft is how many more bytes of headers the current response may have.
	headerLeft int
}

// NewReader returns a reader of the responses that arrive from source.
func NewReader(source Source) *Reader {
	return &Reader{source: source}
}

// Pending says whether bytes arrived behind the last response, which no request has asked for.
func (r *Reader) Pending() bool { return len(r.pending) > 0 }

// Rest takes the bytes that arrived behind the last response out of the reader. They belong to the protocol that the
// connection was upgraded to.
func (r *Reader) Rest() []byte {
	rest := bytes.Clone(r.pending)
	r.pending = nil
	return rest
}

// ReadResponse reads one whole response to a request of the given method and throws its body away. If the connection ends
// before the first byte it returns io.EOF, unwrapped.
func (r *Reader) ReadResponse(ctx context.Context, method string) (Response, error) {
	response, body, err := r.begin(ctx, method)
	for err == nil {
		_, err = body.Next(ctx)
	}
	if !body.ended {
		return Response{}, err
	}
	response.BodyBytes = body.total
	return response, nil
}

// ReadHead reads a response to a request of the given method up to its body, which may be a stream without an end: what
// frames its chunks is bounded for each and not in all. If the connection ends before the first byte it returns io.EOF,
// unwrapped.
func (r *Reader) ReadHead(ctx context.Context, method string) (Response, *Body, error) {
	response, body, err := r.begin(ctx, method)
	body.streams = true
	return response, &body, err
}

// begin reads the interim responses and the head of the final one.
func (r *Reader) begin(ctx context.Context, method string) (Response, Body, error) {
	r.headerLeft = MaximumHeaderBytes
	for range maximumInterim {
		response, frame, err := r.readHead(ctx)
		if err != nil {
			return Response{}, Body{}, err
		}
		if response.Status < 200 && response.Status != 101 {
			continue
		}
		body := Body{reader: r}
		switch {
		case method == "HEAD" || response.Status == 101 || response.Status == 204 || response.Status == 304:
			body.ended = true
		case frame.chunked:
			body.chunked = true
		case frame.length >= 0:
			body.left = frame.length
			body.ended = frame.length == 0
			if frame.length > MaximumBodyBytes {
				return Response{}, Body{}, ErrBodyTooLarge
			}
		default:
			response.Delimited, response.Persistent = true, false
			body.delimited = true
		}
		return response, body, nil
	}
	return Response{}, Body{}, malformed("more than %d interim responses", maximumInterim)
}

func (r *Reader) readHead(ctx context.Context) (Response, framing, error) {
	line, err := r.readLine(ctx)
	if err != nil {
		return Response{}, framing{}, err
	}
	var response Response
	response.Status, response.HTTP10, err = parseStatusLine(line)
	if err != nil {
		return Response{}, framing{}, err
	}
	lines, err := r.readFields(ctx)
	if err != nil {
		return Response{}, framing{}, err
	}
	frame, err := parseHeaders(lines, &response)
	return response, frame, err
}

// readFields reads header or trailer lines to the empty line behind them.
func (r *Reader) readFields(ctx context.Context) ([]string, error) {
	var lines []string
	for {
		line, err := r.readLine(ctx)
		if err != nil {
			return nil, cutOff(err)
		}
		if line == "" {
			return lines, nil
		}
		lines = append(lines, line)
	}
}

// readLine reads to the next line feed and drops the line's end. It returns io.EOF only before the line's first byte.
func (r *Reader) readLine(ctx context.Context) (string, error) {
	var line []byte
	for {
		if end := bytes.IndexByte(r.pending, '\n'); end >= 0 && end < r.headerLeft {
			whole := r.pending[:end]
			if len(line) > 0 {
				whole = append(line, whole...)
			}
			r.pending = r.pending[end+1:]
			r.headerLeft -= end + 1
			return string(bytes.TrimSuffix(whole, []byte{'\r'})), nil
		}
		if len(r.pending) >= r.headerLeft {
			return "", ErrHeaderTooLarge
		}
		line = append(line, r.pending...)
		r.headerLeft -= len(r.pending)
		r.pending = nil
		if err := r.fill(ctx); err != nil {
			if len(line) > 0 {
				err = cutOff(err)
			}
			return "", err
		}
	}
}

func (r *Reader) fill(ctx context.Context) error {
	if r.buffer == nil {
		// Not before: many a connection carries no response.
		r.buffer = make([]byte, bufferBytes)
	}
	n, err := r.source.Read(ctx, r.buffer)
	r.pending = r.buffer[:n]
	return err
}

// cutOff turns the end of the connection into the error that it is within a response.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrCutOff
	}
	return err
}
