// Package server is a small HTTP/1.1 server that keeps connections, that tells news in all the ways that there are, and
// echoes over WebSocket; and the orderly start and stop of the HTTP servers of the other programs.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	// idleTimeout is longer than any pause of a client in the demo, so that the server never closes first.
	idleTimeout     = 10 * time.Minute
	shutdownTimeout = 800 * time.Millisecond
)

// Fields in which Handler tells the addresses of a connection as it sees them.
const (
	LocalHeader  = "Connpolicy-Local"
	RemoteHeader = "Connpolicy-Remote"
)

// Help describes what Handler serves, for people.
const Help = `Paths:
  /           a small body, with the addresses of the connection as the server sees them in its header
  /poll       the newest news
  /long-poll  the next news, once there is some
  /events     a stream of news, as server-sent events
  /ws         WebSocket: each message comes back; with ?every=…, news come too
News are made at regular times, every second or as ?every=250ms says, and tell when: {"id": 7, "time": "2026-01-31T12:00:00.25Z"}.
`

// Handler serves what Help says, with the two ends of the connection in LocalHeader and RemoteHeader.
func Handler() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("/", answer)
	routes.HandleFunc("/poll", tell(poll))
	routes.HandleFunc("/long-poll", tell(longPoll))
	routes.HandleFunc("/events", tell(stream))
	routes.HandleFunc("/ws", speak)
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		response.Header().Set(RemoteHeader, request.RemoteAddr)
		if local, known := request.Context().Value(http.LocalAddrContextKey).(net.Addr); known {
			response.Header().Set(LocalHeader, local.String())
		}
		routes.ServeHTTP(response, request)
	})
}

func answer(response http.ResponseWriter, _ *http.Request) {
	response.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// A client that went away needs no answer.
	_, _ = io.WriteString(response, "ok\n")
}

// Serve serves handler on the address until the context ends, then lets the requests under way finish, but not for longer
// than shutdownTimeout.
func Serve(ctx context.Context, address string, handler http.Handler) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		// What has no end of its own, such as a stream, ends with the context.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		// The stop outlives the context whose end it answers.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", address, err)
	}
	return <-stopped
}
