// The demo shows on a real cluster of two nodes on this machine what connpolicy is for. See scenario for what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/connpolicy/connpolicy/hack/demo/cluster"
	"github.com/connpolicy/connpolicy/hack/demo/scenario"
)

// diagnosisTimeout bounds the gathering of logs after a failure.
const diagnosisTimeout = time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demonstrate(ctx, os.Getenv("KEEP") == "1"); err != nil {
		fmt.Fprintf(os.Stderr, "\nThe demo failed: %v\n", err)
		os.Exit(1)
	}
}

// demonstrate runs the scenario in the lab and leaves its results in bin/demo. A lab that it started it also stops,
// unless keep is set.
func demonstrate(ctx context.Context, keep bool) (err error) {
	checkout, err := cluster.FindCheckout()
	if err != nil {
		return err
	}
	results := checkout.Path("bin", "demo")
	if err := scenario.Clear(results); err != nil {
		return err
	}
	transcript := cluster.NewTranscript(os.Stdout)
	session, err := cluster.Open(ctx, checkout, transcript, os.Stdout)
	if err != nil {
		return err
	}
	defer func() {
		if keep && ctx.Err() == nil {
			transcript.Say("the lab is left running: export KUBECONFIG=%s", session.Lab.Kubeconfig())
			return
		}
		err = errors.Join(err, session.Close(ctx))
	}()
	demo := &scenario.Scenario{Session: session, WhileFilling: func(ctx context.Context) error {
		transcript.Say("installing the operator from dist/install-apply.yaml")
		err := cluster.InstallOperator(ctx, checkout, session.Kubectl, session.RanBefore)
		if err == nil {
			transcript.Say("the operator is available")
		}
		return err
	}}
	if err := show(ctx, demo, results); err != nil {
		return errors.Join(err, diagnose(ctx, session, checkout.Path("bin", "demo", "diagnosis")))
	}
	return nil
}

// show runs the scenario, prints its summary and keeps its results. It is an error if the errors have not stopped.
func show(ctx context.Context, demo *scenario.Scenario, results string) error {
	outcome, err := demo.Run(ctx)
	if err != nil {
		return err
	}
	summary := outcome.Summary()
	fmt.Printf("\n%s\n", summary)
	if err := demo.Keep(ctx, results, summary); err != nil {
		return err
	}
	demo.Session.Transcript.Say("policy.yaml, report.yaml, tuning.yaml and summary.txt are in %s", results)
	return outcome.Check()
}

// diagnose gathers what helps to understand a failure. There is nothing to understand where somebody pressed Ctrl-C.
func diagnose(ctx context.Context, session *cluster.Session, directory string) error {
	if ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, diagnosisTimeout)
	defer cancel()
	err := scenario.Diagnose(ctx, session.Kubectl, directory)
	session.Transcript.Say("logs, events and objects are in %s", directory)
	return err
}
