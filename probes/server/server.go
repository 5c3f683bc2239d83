// Package server is a small HTTP/1.1 server that keeps connections, and the orderly start and stop of the HTTP servers of
// the other programs.
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

// Handler answers each path with a small body, and with the two ends of the connection in LocalHeader and RemoteHeader.
func Handler() http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		response.Header().Set("Content-Type", "text/plain; charset=utf-8")
		response.Header().Set(RemoteHeader, request.RemoteAddr)
		if local, known := request.Context().Value(http.LocalAddrContextKey).(net.Addr); known {
			response.Header().Set(LocalHeader, local.String())
		}
		// A client that went away needs no answer.
		_, _ = io.WriteString(response, "ok\n")
	})
}

// Serve serves handler on the address until the context ends, then lets the requests under way finish, but not for longer
// than shutdownTimeout.
func Serve(ctx context.Context, address string, handler http.Handler) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout}
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
