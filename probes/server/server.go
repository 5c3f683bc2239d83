// Package server is a small HTTP server that keeps connections, that tells news in all the ways that there are, and
// echoes over WebSocket; and the orderly start and stop of the HTTP servers of the other programs.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
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

// Options say how to serve.
type Options struct {
	// Address to listen on.
	Address string
	Handler http.Handler
	// IdleTimeout is for how long a connection that nobody uses is kept. 0: as long as a client in the demo may pause, so
	// that the server never closes first.
	IdleTimeout time.Duration
	// CutOff ends all connections at once at the stop, as a server does that does not drain.
	CutOff bool
	// Certificate to speak TLS with. Nil: clear text.
	Certificate *tls.Certificate
}

// Serve serves HTTP/1 and HTTP/2, over TLS or by prior knowledge, until the context ends, then lets the requests under way
// finish, but not for longer than shutdownTimeout, unless they are to be cut off.
func Serve(ctx context.Context, o Options) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.Address, err)
	}
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{
		Handler: o.Handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: cmp.Or(o.IdleTimeout, idleTimeout),
		BaseContext: func(net.Listener) context.Context { return requests },
		Protocols:   new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	serve := func() error { return server.Serve(listener) }
	if o.Certificate != nil {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*o.Certificate}}
		serve = func() error { return server.ServeTLS(listener, "", "") }
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		var err error
		if o.CutOff {
			err = server.Close()
		} else {
			end() // what has no end of its own, such as a stream
			err = shutDown(context.WithoutCancel(ctx), server)
		}
		stopped <- err
	}()
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", o.Address, err)
	}
	return <-stopped
}

// shutDown lets requests finish. The context is not the one whose end it answers.
func shutDown(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}
