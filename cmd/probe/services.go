package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"github.com/connpolicy/connpolicy/probes/load"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/server"
	"github.com/connpolicy/connpolicy/probes/target"
)

func runServe(ctx context.Context, arguments []string, _, stderr io.Writer) error {
	f := pflag.NewFlagSet("probe serve", pflag.ContinueOnError)
	o := server.Options{Handler: server.Handler()}
	f.StringVar(&o.Address, "listen", ":8080", "address to listen on")
	f.DurationVar(&o.IdleTimeout, "idle-timeout", 10*time.Minute, "how long to keep a connection that nobody uses")
	f.BoolVar(&o.CutOff, "cut-off", false, "at the stop end all connections at once, requests under way too, as a server that does not drain")
	var files tlsOptions
	f.StringVar(&files.certificate, "tls-certificate", "", "file with the certificate (PEM) to speak TLS with, with --tls-key; without it clear text is spoken")
	f.StringVar(&files.key, "tls-key", "", "file with its key (PEM)")
	f.Usage = func() { fmt.Fprintf(stderr, "Usage of %s:\n%s%s", f.Name(), f.FlagUsages(), server.Help) }
	if err := parse(f, arguments, stderr); err != nil {
		return err
	}
	if o.IdleTimeout <= 0 {
		return fmt.Errorf("%w: --idle-timeout is above 0, not %v", errUsage, o.IdleTimeout)
	}
	security, err := files.config()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if len(security.Certificates) > 0 {
		o.Certificate = &security.Certificates[0]
	}
	return server.Serve(ctx, o)
}

func runLoad(ctx context.Context, arguments []string, _, stderr io.Writer) error {
	f := pflag.NewFlagSet("probe load", pflag.ContinueOnError)
	url := f.String("target", "", "where to send the requests: http://host:port/path")
	rate := f.Float64("rate", 500, "requests per second, each on a new connection")
	threads := f.Int("threads", 8, "requests under way at most, each on a thread of its own")
	timeout := f.Duration("timeout", load.DefaultTimeout, "how long a request may take, its connect included")
	listen := f.String("metrics-listen", ":9090", "address to serve /metrics on")
	if err := parse(f, arguments, stderr); err != nil {
		return err
	}
	parsed, err := target.Parse(*url, "")
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	l, err := load.New(load.Config{
		Target:            parsed,
		RequestsPerSecond: *rate,
		Threads:           *threads,
		Timeout:           *timeout,
		UserAgent:         "connpolicy-load/" + version(),
		Log:               slog.New(slog.NewTextHandler(stderr, nil)),
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return runBeside(ctx, *listen, map[string]http.Handler{result.PathMetrics: l.Metrics()}, l.Run)
}

// runBeside runs work and serves its metrics beside it, by their paths. The first of the two that ends, ends the other.
func runBeside(ctx context.Context, listen string, metrics map[string]http.Handler, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	routes := http.NewServeMux()
	for path, handler := range metrics {
		routes.Handle(path, handler)
	}
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- server.Serve(ctx, server.Options{Address: listen, Handler: routes})
	}()
	err := work(ctx)
	cancel()
	if serveErr := <-served; serveErr != nil {
		return serveErr
	}
	return err
}
