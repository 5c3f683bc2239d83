package http1

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Body is the body of a response, as it arrives.
type Body struct {
	reader             *Reader
	chunked, delimited bool
	// streams: what frames the chunks is bounded for each of them alone.
	streams bool
	// left of the length that was announced, or of the chunk under way.
	left  int64
	total int64
	ended bool
}

// Ended says whether the body was handed out as a whole.
func (b *Body) Ended() bool { return b.ended }

// Sized says whether the response said beforehand how long its body is.
func (b *Body) Sized() bool { return !b.chunked && !b.delimited }

// Next waits for the next piece of the body, which is valid until the next call. Behind the last it returns io.EOF,
// unwrapped. A connection that ends within the body is ErrCutOff.
func (b *Body) Next(ctx context.Context) ([]byte, error) {
	if b.chunked && b.left == 0 && !b.ended {
		if err := b.nextChunk(ctx); err != nil {
			return nil, cutOff(err)
		}
	}
	if b.ended {
		return nil, io.EOF
	}
	r := b.reader
	if len(r.pending) == 0 {
		if err := r.fill(ctx); err != nil {
			if b.delimited && errors.Is(err, io.EOF) {
				b.ended = true
				return nil, err
			}
			return nil, cutOff(err)
		}
	}
	return b.take()
}

// take hands out what has arrived of the body.
func (b *Body) take() ([]byte, error) {
	r := b.reader
	piece := r.pending
	if !b.delimited && int64(len(piece)) > b.left {
		piece = piece[:b.left]
	}
	r.pending = r.pending[len(piece):]
	b.total += int64(len(piece))
	if b.total > MaximumBodyBytes {
		return nil, ErrBodyTooLarge
	}
	if b.delimited {
		return piece, nil
	}
	b.left -= int64(len(piece))
	b.ended = b.left == 0 && !b.chunked
	return piece, nil
}

// nextChunk reads to the data of the next chunk, or to the end of the body (RFC 9112 section 7.1).
func (b *Body) nextChunk(ctx context.Context) error {
	r := b.reader
	if b.streams {
		r.headerLeft = MaximumHeaderBytes
	}
	if b.total > 0 {
		line, err := r.readLine(ctx)
		if err != nil {
			return err
		}
		if line != "" {
			return malformed("a chunk is longer than it says")
		}
	}
	line, err := r.readLine(ctx)
	if err != nil {
		return err
	}
	digits, _, _ := strings.Cut(line, ";")
	size, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 31)
	if err != nil {
		return malformed("chunk size %q", shorten(line))
	}
	if size == 0 {
		_, err := r.readFields(ctx)
		b.ended = err == nil
		return err
	}
	b.left = int64(size)
	if b.total+b.left > MaximumBodyBytes {
		return ErrBodyTooLarge
	}
	return nil
}
