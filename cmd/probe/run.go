package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/dns"
	"github.com/connpolicy/connpolicy/probes/handshake"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/push"
	"github.com/connpolicy/connpolicy/probes/report"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/target"
	"github.com/connpolicy/connpolicy/probes/websocket"
)

// environmentRefused names the variable that lists addresses which --refuse-local refuses too.
const environmentRefused = "CONNPOLICY_REFUSE_ADDRESSES"

// terminationBytes is what the kubelet keeps of a termination message of a pod with up to three containers.
const terminationBytes = 4096

type runOptions struct {
	target, protocol, family string
	measure, except          []string
	handshake                handshake.Options
	limits                   budget.Limits
	tls                      tlsOptions
	subprotocols             []string
	pushPaths                map[string]string
	output                   string
	verbose                  bool
	terminationFile          string
	terminationBytes         int
	refuseLocal              bool
}

func (o *runOptions) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("probe run", pflag.ContinueOnError)
	f.StringVar(&o.target, "target", "", "what to measure: http://host:port/path, or with https, ws or wss, or tcp://host:port")
	f.StringVar(&o.protocol, "protocol", "", "TCP, HTTP, HTTPS, HTTP2, GRPC or WebSocket; by default what the target's scheme stands for")
	f.StringVar(&o.family, "address-family", "any", "any, IPv4 or IPv6")
	f.StringSliceVar(&o.measure, "measure", nil, "names of measurements, separated by commas; by default all that suit the protocol")
	f.StringSliceVar(&o.except, "except", nil, "names of measurements to leave out of those")
	f.IntVar(&o.handshake.Samples, "handshake-samples", 0, "samples of handshake to take at least, within the limits; 0: until the median is known well")
	f.Float64Var(&o.handshake.CountAboveMicroseconds, "count-connects-above", 0, "microseconds: count the connects that take longer; 0: do not")
	f.IntVar(&o.limits.Connections, "limit-connections", 200, "connections to open at most")
	f.IntVar(&o.limits.RequestsPerSecond, "limit-rps", 50, "requests and connections per second at most")
	f.IntVar(&o.limits.Seconds, "limit-seconds", 30, "seconds to take at most")
	f.IntVar(&o.limits.IdleSeconds, "limit-idle-seconds", 0, "seconds to watch idle connections for, beyond --limit-seconds; 0: within them")
	f.IntVar(&o.limits.ParallelRequestsPerSecond, "limit-parallel-rps", 0, "requests per second at most while connections are compared in parallel; 0: as --limit-rps")
	f.StringVar(&o.tls.ca, "tls-ca", "", "file with the certificates (PEM) of the authorities to trust; by default the system's")
	f.StringVar(&o.tls.serverName, "tls-server-name", "", "name to expect in the server's certificate; by default the target's host")
	f.StringVar(&o.tls.certificate, "tls-certificate", "", "file with the certificate (PEM) to show to the server, with --tls-key")
	f.StringVar(&o.tls.key, "tls-key", "", "file with its key (PEM)")
	f.StringSliceVar(&o.subprotocols, "websocket-subprotocols", nil, "subprotocols to offer to a WebSocket server, separated by commas; some accept no client without one")
	f.StringToStringVar(&o.pushPaths, "push-paths", nil, "paths at which the target tells news, such as polling=/poll,longPolling=/long-poll,streaming=/events,websocket=/ws; without it push looks at the target's own path")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say on standard error what is going on")
	f.StringVar(&o.terminationFile, "termination-message", "", "file to write the result to for the operator; then the exit code is 0 whenever it was written")
	f.IntVar(&o.terminationBytes, "termination-budget-bytes", terminationBytes, "size of that file at most; measurements that do not fit are left out and named")
	f.BoolVar(&o.refuseLocal, "refuse-local", false, "refuse loopback, link-local, unspecified and multicast addresses, and those in the environment variable "+environmentRefused)
	return f
}

// config checks what the user wrote.
func (o *runOptions) config(stderr io.Writer) (runner.Config, error) {
	if o.target == "" {
		return runner.Config{}, fmt.Errorf("%w: --target is needed", errUsage)
	}
	if o.output != "text" && o.output != "json" {
		return runner.Config{}, fmt.Errorf("%w: --output is text or json, not %q", errUsage, o.output)
	}
	parsed, err := target.Parse(o.target, target.Protocol(o.protocol))
	if err != nil {
		return runner.Config{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	family, err := target.ParseFamily(o.family)
	if err != nil {
		return runner.Config{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	var guard target.Guard
	if o.refuseLocal {
		if guard, err = target.NewGuard(os.Getenv(environmentRefused)); err != nil {
			return runner.Config{}, fmt.Errorf("%w: %s: %w", errUsage, environmentRefused, err)
		}
	}
	if err := o.limits.Validate(); err != nil {
		return runner.Config{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	for name, path := range o.pushPaths {
		if !slices.Contains(push.Ways(), name) || !target.IsRequestTarget(path) {
			return runner.Config{}, fmt.Errorf("%w: --push-paths: %q=%q is not one of %v and a path with its query, escaped", errUsage, name, path, push.Ways())
		}
	}
	for _, name := range o.subprotocols {
		if !websocket.IsSubprotocol(name) {
			return runner.Config{}, fmt.Errorf("%w: --websocket-subprotocols: %q is no name of a subprotocol", errUsage, name)
		}
	}
	if o.handshake.Samples < 0 {
		return runner.Config{}, fmt.Errorf("%w: --handshake-samples is 0 or more, not %d", errUsage, o.handshake.Samples)
	}
	if limit := o.handshake.CountAboveMicroseconds; limit < 0 || math.IsNaN(limit) || math.IsInf(limit, 0) {
		return runner.Config{}, fmt.Errorf("%w: --count-connects-above is 0 or more, not %v", errUsage, limit)
	}
	measure, err := o.measurements(parsed.Protocol)
	if err != nil {
		return runner.Config{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	security, err := o.tls.config()
	if err != nil {
		return runner.Config{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	// A host without a name has no domain to search in.
	hostname, _ := os.Hostname()
	log := func(string, ...any) {}
	if o.verbose {
		log = func(format string, values ...any) { fmt.Fprintf(stderr, format+"\n", values...) }
	}
	return runner.Config{
		Target:       parsed,
		Family:       family,
		Guard:        guard,
		Limits:       o.limits,
		Measure:      measure,
		Handshake:    o.handshake,
		Place:        dns.Place{Etc: "/etc", Hostname: hostname},
		TLS:          security,
		UserAgent:    "connpolicy-probe/" + version(),
		Proc:         procnet.New("/proc"),
		Log:          log,
		Subprotocols: o.subprotocols,
		PushPaths:    o.pushPaths,
	}, nil
}

// measurements names what is to be measured.
func (o *runOptions) measurements(protocol target.Protocol) ([]string, error) {
	selected, err := runner.Select(o.measure, protocol)
	if err != nil {
		return nil, err
	}
	if len(o.except) == 0 {
		return o.measure, nil
	}
	if _, err := runner.Select(o.except, protocol); err != nil {
		return nil, err
	}
	var names []string
	for _, m := range selected {
		if !slices.Contains(o.except, m.Name) {
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("--except leaves nothing to measure")
	}
	return names, nil
}

func runProbe(ctx context.Context, arguments []string, stdout, stderr io.Writer) error {
	var o runOptions
	if err := parse(o.flags(), arguments, stderr); err != nil {
		return err
	}
	config, err := o.config(stderr)
	if err != nil {
		return err
	}
	wipe := func() {}
	if !o.verbose {
		config.Progress, wipe = showProgress(stderr)
	}
	r, err := runner.Run(ctx, config)
	wipe()
	if err != nil {
		return err
	}
	// First of all, since nobody may be left who reads standard output.
	if o.terminationFile != "" {
		if err := o.writeTermination(r); err != nil {
			return errors.Join(err, o.print(stdout, r))
		}
	}
	if err := o.print(stdout, r); err != nil {
		return err
	}
	if o.terminationFile == "" && runner.Failed(r) {
		return errFailed
	}
	return nil
}

func (o *runOptions) print(stdout io.Writer, r result.Result) error {
	if o.output == "text" {
		return report.Write(stdout, r)
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func (o *runOptions) writeTermination(r result.Result) error {
	message, err := result.EncodeMessage(r, o.terminationBytes)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.terminationFile, message, 0o600); err != nil {
		return fmt.Errorf("write the termination message: %w", err)
	}
	return nil
}
