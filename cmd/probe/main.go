// Command probe is what runs in probe pods and beside workloads: it measures a target, observes a network namespace, and
// is the client and the server of the demo. It can be run by hand too.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/pflag"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage is wrapped by errors in what the user wrote on the command line.
var errUsage = errors.New("usage")

// errFailed says that the work was done and reported, and that its outcome is bad.
var errFailed = errors.New("a measurement failed")

// command is one subcommand.
type command struct {
	name, does string
	run        func(ctx context.Context, arguments []string, stdout, stderr io.Writer) error
}

func commands() []command {
	return []command{
		{"run", "measure a target", runProbe},
		{"list", "name the measurements, what they do and cost", runList},
		{"observe", "look at the connections of this network namespace, and report or serve what is seen", runObserve},
		{"serve", "be the demo's server", runServe},
		{"load", "be the demo's client: a new connection for every request", runLoad},
		{"version", "print the version", runVersion},
	}
}

func main() {
	ctx, stop := withSignals(context.Background())
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func execute(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	if len(arguments) == 0 {
		printUsage(stderr)
		return exitUsage
	}
	if arguments[0] == "help" || arguments[0] == "--help" || arguments[0] == "-h" {
		printUsage(stdout)
		return exitOK
	}
	for _, c := range commands() {
		if c.name != arguments[0] {
			continue
		}
		err := c.run(ctx, arguments[1:], stdout, stderr)
		switch {
		case err == nil, errors.Is(err, pflag.ErrHelp):
			return exitOK
		case errors.Is(err, errFailed):
			return exitFailed
		case errors.Is(err, errUsage):
			fmt.Fprintf(stderr, "probe %s: %v\n", c.name, err)
			return exitUsage
		}
		fmt.Fprintf(stderr, "probe %s: %v\n", c.name, err)
		return exitFailed
	}
	fmt.Fprintf(stderr, "probe: there is no command %q\n\n", arguments[0])
	printUsage(stderr)
	return exitUsage
}

func printUsage(w io.Writer) {
	fmt.Fprintln(w, "probe measures how connections to a target are set up, reused and closed.\n\nUsage: probe COMMAND [flags]\n\nCommands:")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.does)
	}
	fmt.Fprintln(w, "\nprobe COMMAND --help shows the flags.")
}

// parse reads the flags of a subcommand, which takes no other arguments.
func parse(flags *pflag.FlagSet, arguments []string, stderr io.Writer) error {
	flags.SetOutput(stderr)
	flags.SortFlags = false
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: %q is not expected", errUsage, flags.Arg(0))
	}
	return nil
}

// withSignals returns a context that SIGTERM and SIGINT cancel, with a cause that names the signal.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		select {
		case s := <-signals:
			name := "SIGTERM"
			if s == syscall.SIGINT {
				name = "SIGINT"
			}
			cancel(fmt.Errorf("stopped by %s", name))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// version is that of the module, as the Go tool stamped it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

func runVersion(_ context.Context, arguments []string, stdout, stderr io.Writer) error {
	if err := parse(pflag.NewFlagSet("probe version", pflag.ContinueOnError), arguments, stderr); err != nil {
		return err
	}
	_, err := fmt.Fprintln(stdout, version())
	return err
}
