// Command bench compares the probe with plain programs that do the same: both sides in the same run, in short blocks in
// an order of chance, between two network namespaces. Run it as root from the root of the module:
//
//	go run ./hack/bench [--seconds N] [--only NAME,…]
//
// It prints a table, writes bin/bench/results.json, and exits with 1 if a bound is missed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/connpolicy/connpolicy/hack/bench/bed"
	"github.com/connpolicy/connpolicy/hack/bench/figures"
)

// overhead is what a benchmark may take beyond its comparison: to build, to open sockets, to end.
const overhead = 2 * time.Minute

// errMissed says that the benchmark ran to its end, and that a bound was not kept.
var errMissed = errors.New("a bound was missed")

// benchmark is one comparison, or two from the same blocks.
type benchmark struct {
	name string
	run  func(context.Context, *stand) ([]figures.Figure, error)
}

func benchmarks() []benchmark {
	return []benchmark{
		{"connect", benchConnect},
		{"requests", benchRequests},
		{"dump", benchDump},
		{"memory", benchMemory},
		{"observer", benchObserver},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, pflag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, arguments []string) error {
	f := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	seconds := f.Int("seconds", 20, "seconds that each comparison takes")
	only := f.StringSlice("only", nil, "names of benchmarks, separated by commas: connect, requests, dump, memory, observer; by default all")
	if err := f.Parse(arguments); err != nil {
		return err
	}
	selected, err := choose(*only)
	if err != nil {
		return err
	}
	if *seconds < 1 || f.NArg() > 0 {
		return errors.New("--seconds must be 1 or more, and no other arguments are expected")
	}
	if err := check(); err != nil {
		return err
	}
	length := time.Duration(*seconds) * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(len(selected))*(length+overhead), errors.New("it takes far too long"))
	defer cancel()
	all, err := measure(ctx, selected, length)
	if err != nil {
		return err
	}
	return conclude(all)
}

func choose(names []string) ([]benchmark, error) {
	all := benchmarks()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(b benchmark) bool { return b.name == name }) {
			return nil, fmt.Errorf("there is no benchmark %q", name)
		}
	}
	return slices.DeleteFunc(all, func(b benchmark) bool {
		return len(names) > 0 && !slices.Contains(names, b.name)
	}), nil
}

// measure runs benchmarks one after the other, each in namespaces of its own.
func measure(ctx context.Context, selected []benchmark, length time.Duration) (all []figures.Figure, err error) {
	directory, err := os.MkdirTemp("", "connpolicy-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	if err := build(ctx, directory); err != nil {
		return nil, err
	}
	s := &stand{length: length, directory: directory, worker: filepath.Join(directory, "worker"), probe: filepath.Join(directory, "probe")}
	for _, b := range selected {
		fmt.Fprintf(os.Stderr, "%s …\n", b.name)
		found, err := s.measure(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func (s *stand) measure(ctx context.Context, b benchmark) (found []figures.Figure, err error) {
	if s.bed, err = bed.New(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.bed.Close(ctx)) }()
	if found, err = b.run(ctx, s); ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return found, err
}

// conclude tells what was found.
func conclude(all []figures.Figure) error {
	if err := figures.Table(os.Stdout, all); err != nil {
		return err
	}
	path, err := keep(all)
	if err != nil {
		return err
	}
	fmt.Printf("\nkept in %s\n", path)
	var missed []string
	for _, f := range all {
		if f.Verdict == figures.Missed {
			missed = append(missed, f.Name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("%w: %s", errMissed, strings.Join(missed, "; "))
	}
	return nil
}
