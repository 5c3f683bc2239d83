package tcpconn

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// Watched is a connection that Poll waits for.
type Watched struct {
	Conn *Conn
	// ForData: data to be read is an event too, not only the end of the connection.
	ForData bool
	// ForError: that the peer has closed its side is no event, only an error such as a reset. It is for connections that
	// the peer is known to have closed.
	ForError bool
}

// Event is what Poll saw of one connection.
type Event struct {
	// Readable: data is there. Only told of a connection that is watched for it.
	Readable bool
	// Ended is io.EOF if the peer has closed its side, whatever is still to be read before that, or the error that ended
	// the connection. Nil: it is open.
	Ended error
}

// Poll waits until something happens to one of the connections, or the limit is over, or, within a tenth of a second, the
// context. It returns an event for each connection, in their order.
func Poll(ctx context.Context, watched []Watched, limit time.Duration) ([]Event, error) {
	descriptors := make([]unix.PollFd, len(watched))
	for i, w := range watched {
		descriptors[i] = unix.PollFd{Fd: int32(w.Conn.fd), Events: unix.POLLRDHUP} //nolint:gosec // the kernel counts descriptors in 32 bits
		if w.ForData {
			descriptors[i].Events |= unix.POLLIN
		}
		if w.ForError {
			descriptors[i].Events = 0
		}
	}
	for end := time.Now().Add(limit); ctx.Err() == nil; {
		timeout := unix.NsecToTimespec(max(0, min(cancelLatency, time.Until(end))).Nanoseconds())
		n, err := unix.Ppoll(descriptors, &timeout, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, &Error{Op: "poll", Err: err}
		}
		if n > 0 || !time.Now().Before(end) {
			break
		}
	}
	events := make([]Event, len(watched))
	for i, w := range watched {
		events[i] = w.Conn.event(descriptors[i].Revents)
	}
	return events, nil
}

func (c *Conn) event(seen int16) Event {
	event := Event{Readable: seen&unix.POLLIN != 0}
	if seen&unix.POLLERR != 0 {
		errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			event.Ended = &Error{Op: "getsockopt SO_ERROR", Err: err}
		case errno != 0:
			event.Ended = &Error{Op: "poll", Err: unix.Errno(errno)}
		}
	}
	if event.Ended == nil && seen&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0 {
		event.Ended = io.EOF
	}
	return event
}

// Keepalive makes the kernel ask the peer for a sign of life after so many whole seconds without one, and then every so
// many seconds, without sending a byte of data (RFC 9293 section 3.8.4). If the connection has been silent for that long
// already, it asks at once.
func (c *Conn) Keepalive(seconds int) error {
	for _, option := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds},
	} {
		if err := unix.SetsockoptInt(c.fd, option.level, option.name, option.value); err != nil {
			return &Error{Op: "setsockopt keepalive", Err: err}
		}
	}
	return nil
}
