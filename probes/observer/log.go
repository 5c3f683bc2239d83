package observer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/connpolicy/connpolicy/probes/result"
)

// RunWithLog runs the observer and writes its connections to a file as JSON lines, one result.ConnectionRecord each, lines
// at most. The file is made anew. The error is that of the file; the observer runs to its end nevertheless.
func RunWithLog(ctx context.Context, o *Observer, path string, lines int) error {
	file, err := os.Create(path) //nolint:gosec // the user names the file
	if err != nil {
		return fmt.Errorf("make the log of connections: %w", err)
	}
	log := newConnectionLog(file, lines)
	o.LogEnded(log.write)
	o.Run(ctx)
	if err := errors.Join(log.flush(), file.Close()); err != nil {
		return fmt.Errorf("write the log of connections: %w", err)
	}
	if log.leftOut > 0 {
		o.log.Warn("the log of connections is full", "lines", lines, "leftOut", log.leftOut)
	}
	return nil
}

// connectionLog writes a bounded number of connections.
type connectionLog struct {
	buffer  *bufio.Writer
	encoder *json.Encoder
	left    int
	leftOut int
	// err is the first failure, after which nothing more is written.
	err error
}

func newConnectionLog(w io.Writer, lines int) *connectionLog {
	buffer := bufio.NewWriter(w)
	return &connectionLog{buffer: buffer, encoder: json.NewEncoder(buffer), left: lines}
}

func (l *connectionLog) write(c result.ConnectionRecord) {
	switch {
	case l.err != nil:
	case l.left == 0:
		l.leftOut++
	default:
		l.left--
		l.err = l.encoder.Encode(c)
	}
}

func (l *connectionLog) flush() error {
	if l.err != nil {
		return l.err
	}
	return l.buffer.Flush()
}
