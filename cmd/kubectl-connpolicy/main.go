// Command kubectl-connpolicy is a plugin of kubectl: `kubectl connpolicy`. It tells people what connpolicy found, and works
// on files without a cluster too.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// completion is the name by which kubectl runs a plugin for its completions: a link to this program.
const completion = "kubectl_complete-connpolicy"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := run(ctx, os.Args, streams, time.Now)
	stop()
	os.Exit(code)
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, arguments []string, streams genericiooptions.IOStreams, now func() time.Time) int {
	root := newRoot(streams, now)
	words := arguments[1:]
	if filepath.Base(arguments[0]) == completion {
		words = append([]string{cobra.ShellCompRequestCmd}, words...)
	}
	root.SetArgs(words)
	return conclude(root.ExecuteContext(ctx), streams.ErrOut)
}
