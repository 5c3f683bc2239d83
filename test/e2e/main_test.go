//go:build e2e

// Package e2e tests the whole of connpolicy on the real cluster that hack/lab starts: real kubelets, real pods, real
// connections. It takes the lab that runs, or starts one and stops it again.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/connpolicy/connpolicy/hack/demo/cluster"
	"github.com/connpolicy/connpolicy/hack/demo/scenario"
)

// casesAtOnce is how many cases run at once. They wait more than they compute, so it has nothing to do with the number
// of processors, which is Go's default.
const casesAtOnce = "16"

// session is the lab that all cases share. TestMain sets it before the first and nobody changes it after.
var session *cluster.Session

func TestMain(m *testing.M) {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := runInLab(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "end-to-end tests: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// runInLab runs the tests in a lab with the operator installed. Ctrl-C ends the process at once in a test, as go test
// does everywhere, hence the lab is stopped from here when it comes.
func runInLab(ctx context.Context, m *testing.M) (code int, err error) {
	if err := flag.Set("test.parallel", casesAtOnce); err != nil {
		return 1, fmt.Errorf("run cases at once: %w", err)
	}
	checkout, err := cluster.FindCheckout()
	if err != nil {
		return 1, err
	}
	session, err = cluster.Open(ctx, checkout, cluster.NewTranscript(os.Stdout), os.Stdout)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, session.Close(ctx)) }()
	if err := cluster.InstallOperator(ctx, checkout, session.Kubectl, session.RanBefore); err != nil {
		return 1, errors.Join(err, diagnose(ctx))
	}
	finished := make(chan int, 1)
	go func() { finished <- m.Run() }()
	select {
	case code = <-finished:
	case <-ctx.Done():
		return 1, errors.New("interrupted")
	}
	if code != 0 {
		err = diagnose(ctx)
	}
	return code, err
}

func diagnose(ctx context.Context) error {
	directory := session.Checkout.Path("bin", "e2e", "diagnosis")
	session.Transcript.Say("logs, events and objects go to %s", directory)
	return scenario.Diagnose(ctx, session.Kubectl, directory)
}
