package main

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
	"github.com/connpolicy/connpolicy/probes/result"
)

// options are what the command line and the environment say.
type options struct {
	probeImage         string
	probePriorityClass string
	enableApply        bool
	openReports        bool
	maxProbes          int
	maxProbesPerNode   int
	ceilings           v1alpha1.ProbeLimits
	nodePorts          tuner.PortRange
	observerPort       int
	metricsAddress     string
	healthAddress      string
	leaderElect        bool
	namespace          string
	logLevel           slog.Level
}

// parse reads the command line. Its errors are for the person who wrote it.
func parse(arguments []string) (options, error) {
	o := options{namespace: os.Getenv("POD_NAMESPACE")}
	var nodePorts, logLevel string
	o.ceilings.IdleSeconds = new(int32(0))
	flags := pflag.NewFlagSet("manager", pflag.ContinueOnError)
	flags.StringVar(&o.probeImage, "probe-image", "ghcr.io/connpolicy/probe:v0.1.0", "image of probe pods, canaries and observers")
	flags.StringVar(&o.probePriorityClass, "probe-priority-class", "", "PriorityClass of probe pods (empty: the cluster's default)")
	flags.BoolVar(&o.enableApply, "enable-apply", false, "allow policies in mode Apply, or approved ones, to change workloads")
	flags.BoolVar(&o.openReports, "open-reports", false, "write a Report of openreports.io for each policy, while that kind is installed")
	flags.IntVar(&o.maxProbes, "max-probes", 20, "probe pods that may live at once in the cluster")
	flags.IntVar(&o.maxProbesPerNode, "max-probes-per-node", 2, "probe pods that may live at once on a node")
	flags.Int32Var(&o.ceilings.Connections, "limit-connections", 0, "ceiling of a policy's probe.limits.connections (0: none)")
	flags.Int32Var(&o.ceilings.RequestsPerSecond, "limit-rps", 0, "ceiling of a policy's probe.limits.requestsPerSecond (0: none)")
	flags.Int32Var(&o.ceilings.Seconds, "limit-seconds", 0, "ceiling of a policy's probe.limits.seconds (0: none)")
	flags.Int32Var(o.ceilings.IdleSeconds, "limit-idle-seconds", 0, "ceiling of a policy's probe.limits.idleSeconds (0: none)")
	flags.StringVar(&nodePorts, "node-port-range", "30000-32767", "the API server's --service-node-port-range; kept out of tuned port ranges")
	flags.IntVar(&o.observerPort, "observer-port", result.DefaultObserverPort, "TCP port on which observers serve in the workloads' pods")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of the metrics, served over TLS to those who may read them (0: none)")
	flags.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "work only while holding the lease, so that several managers may run")
	flags.StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	if err := flags.Parse(arguments); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q; all settings are flags, see --help", flags.Arg(0))
	}
	if err := o.logLevel.UnmarshalText([]byte(logLevel)); err != nil {
		return options{}, fmt.Errorf("--log-level: %w", err)
	}
	var err error
	if o.nodePorts, err = parseRange(nodePorts); err != nil {
		return options{}, fmt.Errorf("--node-port-range: %w", err)
	}
	return o, o.check()
}

// check refuses what could only be a mistake.
func (o options) check() error {
	switch {
	case o.maxProbes < 1 || o.maxProbesPerNode < 1:
		return fmt.Errorf("--max-probes and --max-probes-per-node must be 1 or more: without a place nothing is ever measured")
	case o.ceilings.Connections < 0 || o.ceilings.RequestsPerSecond < 0 || o.ceilings.Seconds < 0 || *o.ceilings.IdleSeconds < 0:
		return fmt.Errorf("--limit-connections, --limit-rps, --limit-seconds and --limit-idle-seconds must be 0 (no ceiling) or more")
	case o.observerPort < 1 || o.observerPort > 65535:
		return fmt.Errorf("--observer-port must be from 1 to 65535")
	case o.leaderElect && o.namespace == "":
		return fmt.Errorf("--leader-elect needs the namespace of the lease in the environment variable POD_NAMESPACE")
	default:
		return nil
	}
}

// parseRange reads "first-last".
func parseRange(text string) (tuner.PortRange, error) {
	first, last, found := strings.Cut(text, "-")
	from, errFrom := strconv.Atoi(first)
	to, errTo := strconv.Atoi(last)
	if !found || errFrom != nil || errTo != nil || from < 1 || to > 65535 || from > to {
		return tuner.PortRange{}, fmt.Errorf("%q is not a range of ports such as 30000-32767", text)
	}
	return tuner.PortRange{First: from, Last: to}, nil
}
