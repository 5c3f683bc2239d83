package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"github.com/connpolicy/connpolicy/probes/observer"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
)

func runObserve(ctx context.Context, arguments []string, stdout, stderr io.Writer) error {
	f := pflag.NewFlagSet("probe observe", pflag.ContinueOnError)
	seconds := f.Int("seconds", 0, "how long to look before the report; 0: until stopped, without a report")
	output := f.StringP("output", "o", "text", "form of the report: text or json")
	listen := f.String("listen", "", fmt.Sprintf("address to serve /metrics on; without it and --seconds :%d", result.DefaultObserverPort))
	window := f.Int("window-seconds", 10, "time over which rates are taken, and between two lists of the sockets in TIME_WAIT")
	logFile := f.String("log", "", "file to write each connection to when it ended, as JSON lines")
	logLines := f.Int("log-lines", 100_000, "most connections in the log; later ones are left out, and counted")
	if err := parse(f, arguments, stderr); err != nil {
		return err
	}
	switch {
	case *seconds < 0:
		return fmt.Errorf("%w: --seconds must not be negative", errUsage)
	case *output != "text" && *output != "json":
		return fmt.Errorf("%w: --output must be text or json, not %q", errUsage, *output)
	case *logLines < 1:
		return fmt.Errorf("%w: --log-lines must be at least 1", errUsage)
	}
	if *seconds == 0 && *listen == "" {
		*listen = fmt.Sprintf(":%d", result.DefaultObserverPort)
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	o, err := observer.New(log, procnet.New("/proc"), time.Duration(*window)*time.Second)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	look := func(ctx context.Context) error {
		o.Run(ctx)
		return nil
	}
	if *logFile != "" {
		look = func(ctx context.Context) error { return observer.RunWithLog(ctx, o, *logFile, *logLines) }
	}
	metrics := map[string]http.Handler{result.PathMetrics: o.Metrics(), result.PathRecent: o.Recent()}
	if *seconds == 0 {
		return runBeside(ctx, *listen, metrics, look)
	}
	bounded, cancel := context.WithTimeout(ctx, time.Duration(*seconds)*time.Second)
	defer cancel()
	if *listen == "" {
		err = look(bounded)
	} else {
		err = runBeside(bounded, *listen, metrics, look)
	}
	if err != nil {
		return err
	}
	return writeObservation(o, *output, stdout)
}

// writeObservation writes what was seen. An observer that was stopped early has seen something too.
func writeObservation(o *observer.Observer, output string, stdout io.Writer) error {
	seen, err := o.Observe()
	if err != nil {
		return err
	}
	if output == "json" {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(seen)
	}
	return observer.WriteText(stdout, seen)
}
