package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
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

// ReadResponse reads one whole response to a request of the given method and throws its body away. If the connection ends
// before the first byte it returns io.EOF, unwrapped.
func (r *Reader) ReadResponse(ctx context.Context, method string) (Response, error) {
	r.headerLeft = MaximumHeaderBytes
	for range maximumInterim {
		response, frame, err := r.readHead(ctx)
		if err != nil {
			return Response{}, err
		}
		if response.Status < 200 && response.Status != 101 {
			continue
		}
		if method == "HEAD" || response.Status == 101 || response.Status == 204 || response.Status == 304 {
			return response, nil
		}
		switch {
		case frame.chunked:
			response.BodyBytes, err = r.discardChunks(ctx)
		case frame.length >= 0:
			response.BodyBytes, err = frame.length, r.discard(ctx, frame.length)
		default:
			response.Delimited, response.Persistent = true, false
			response.BodyBytes, err = r.discardToEnd(ctx)
		}
		if err != nil {
			return Response{}, err
		}
		return response, nil
	}
	return Response{}, malformed("more than %d interim responses", maximumInterim)
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

func (r *Reader) discard(ctx context.Context, length int64) error {
	if length > MaximumBodyBytes {
		return ErrBodyTooLarge
	}
	for {
		used := min(length, int64(len(r.pending)))
		r.pending = r.pending[used:]
		length -= used
		if length == 0 {
			return nil
		}
		if err := r.fill(ctx); err != nil {
			return cutOff(err)
		}
	}
}

func (r *Reader) discardChunks(ctx context.Context) (int64, error) {
	var total int64
	for {
		line, err := r.readLine(ctx)
		if err != nil {
			return 0, cutOff(err)
		}
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 31)
		if err != nil {
			return 0, malformed("chunk size %q", shorten(line))
		}
		if size == 0 {
			_, err := r.readFields(ctx)
			return total, err
		}
		total += int64(size)
		if total > MaximumBodyBytes {
			return 0, ErrBodyTooLarge
		}
		if err := r.discard(ctx, int64(size)); err != nil {
			return 0, err
		}
		if line, err := r.readLine(ctx); err != nil || line != "" {
			if err == nil {
				err = malformed("a chunk is longer than it says")
			}
			return 0, cutOff(err)
		}
	}
}

func (r *Reader) discardToEnd(ctx context.Context) (int64, error) {
	var total int64
	for {
		total += int64(len(r.pending))
		r.pending = nil
		if total > MaximumBodyBytes {
			return 0, ErrBodyTooLarge
		}
		if err := r.fill(ctx); errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return 0, err
		}
	}
}

// cutOff turns the end of the connection into the error that it is within a response.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrCutOff
	}
	return err
}
