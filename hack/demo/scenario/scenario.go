// Package scenario is the demonstration, step by step: a client runs out of local ports, a policy is applied, and the
// client's errors stop. `make demo` shows it and the end-to-end test asserts it.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/connpolicy/connpolicy/hack/demo/cluster"
	"github.com/connpolicy/connpolicy/hack/demo/counters"
)

// What config/samples/demo deploys.
const (
	Namespace  = "connpolicy-demo"
	policyName = "client-to-server"
	reportName = "client-to-server-server"
	tuningName = "deployment-client"
)

// How long things may take, and how long is measured. Errors come in waves of a minute, because the ports that were all
// taken at one time are all free again a minute later; hence both windows are a minute long. Fresh pods meet no error for
// the first minute with or without a cure, because their ports only begin to fill; hence settle.
const (
	deployTimeout  = 2 * time.Minute
	exhaustTimeout = 4 * time.Minute
	beforeWindow   = 60 * time.Second
	readyTimeout   = 90 * time.Second
	tunedTimeout   = 4 * time.Minute
	settle         = 90 * time.Second
	pollInterval   = time.Second
	afterWindow    = 60 * time.Second
)

// Scenario is one run of the demonstration.
type Scenario struct {
	Session *cluster.Session
	// WhileFilling is done while the clients' ports fill, which takes a minute. The policy is applied after it.
	WhileFilling func(context.Context) error

	clients counters.Clients
}

// Run does the demonstration from the first to the last step. What it returns was measured, also where it shows that the
// cure did not help: ask Outcome.Check.
func (s *Scenario) Run(ctx context.Context) (*Outcome, error) {
	s.clients = counters.Clients{
		Clientset: s.Session.Clientset, Namespace: Namespace, Selector: "app.kubernetes.io/name=client", MetricsPort: 9090,
	}
	narrating, stopNarrating := context.WithCancel(ctx)
	var narrator sync.WaitGroup
	defer func() {
		stopNarrating()
		narrator.Wait()
	}()

	if err := s.deploy(ctx); err != nil {
		return nil, err
	}
	narrator.Go(func() { s.narrate(narrating) })

	outcome := &Outcome{}
	for _, step := range []func(context.Context, *Outcome) error{
		s.fillPorts,
		s.measureBefore,
		s.applyPolicy,
		s.observeBefore,
		s.awaitTuned,
		s.measureAfter,
		s.observeAfter,
	} {
		if err := step(ctx, outcome); err != nil {
			return nil, err
		}
	}
	return outcome, nil
}

// deploy brings the server and the clients up in a namespace that holds nothing from a demonstration before.
func (s *Scenario) deploy(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deployTimeout,
		fmt.Errorf("the demo's server and clients were not available within %s", deployTimeout))
	defer cancel()
	kubectl := s.Session.Kubectl
	if _, err := kubectl.Output(ctx, "delete", "namespace", Namespace, "--ignore-not-found"); err != nil {
		return because(ctx, err)
	}
	s.Session.Transcript.Say("deploying a server, and two clients that open a new connection for each request")
	if err := kubectl.Show(ctx, "apply", "-k", s.Session.Checkout.Path("config", "samples", "demo")); err != nil {
		return because(ctx, err)
	}
	for _, workload := range []string{"deployment/server", "deployment/client"} {
		if _, err := kubectl.Output(ctx, "-n", Namespace, "rollout", "status", workload); err != nil {
			return because(ctx, err)
		}
	}
	return nil
}

// fillPorts waits until each client meets errors because it has no local port left, and for what is done meanwhile.
func (s *Scenario) fillPorts(ctx context.Context, _ *Outcome) error {
	s.Session.Transcript.Say("each client closes its connections first, so each port is held for 60 s more: the ports fill up")
	var both errgroup.Group
	if s.WhileFilling != nil {
		both.Go(func() error { return s.WhileFilling(ctx) })
	}
	both.Go(func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, exhaustTimeout, fmt.Errorf(
			"the clients did not run out of local ports within %s, so there is nothing to cure: is the machine too slow for their rate?", exhaustTimeout))
		defer cancel()
		first, err := s.clients.Read(ctx)
		if err != nil {
			return because(ctx, err)
		}
		for {
			if err := sleep(ctx, pollInterval); err != nil {
				return err
			}
			last, err := s.clients.Read(ctx)
			if err != nil {
				return because(ctx, err)
			}
			if counters.Exhausted(first, last) {
				return nil
			}
		}
	})
	return both.Wait()
}

func (s *Scenario) measureBefore(ctx context.Context, outcome *Outcome) (err error) {
	s.Session.Transcript.Say("both clients fail: %q; measuring for %s what they count", counters.CauseNoPort, beforeWindow)
	outcome.Before, err = s.measure(ctx, beforeWindow)
	return err
}

// measureAfter waits until the clients had time to fail again, and then counts whether they did.
func (s *Scenario) measureAfter(ctx context.Context, outcome *Outcome) error {
	samples, err := s.clients.Read(ctx)
	if err != nil {
		return err
	}
	if len(samples) != outcome.Before.Pods {
		return fmt.Errorf("%d clients are ready after the tuning where %d were before", len(samples), outcome.Before.Pods)
	}
	for pod := range samples {
		if _, untouched := outcome.Before.PortsInUse[pod]; untouched {
			return fmt.Errorf("the client %s is still the one from before the tuning", pod)
		}
	}
	started := counters.LastStart(samples)
	s.Session.Transcript.Say("the clients were replaced, the last at %s; errors are counted from %s after that, for %s",
		started.UTC().Format(time.TimeOnly), settle, afterWindow)
	if err := sleep(ctx, time.Until(started.Add(settle))); err != nil {
		return err
	}
	s.Session.Transcript.Say("counting errors for %s", afterWindow)
	outcome.After, err = s.measure(ctx, afterWindow)
	return err
}

// measure returns what the clients count in a window that begins now.
func (s *Scenario) measure(ctx context.Context, window time.Duration) (counters.Figures, error) {
	first, err := s.clients.Read(ctx)
	if err != nil {
		return counters.Figures{}, err
	}
	if err := sleep(ctx, window); err != nil {
		return counters.Figures{}, err
	}
	last, err := s.clients.Read(ctx)
	if err != nil {
		return counters.Figures{}, err
	}
	return counters.Between(first, last)
}

// sleep waits, or returns why the context ended before.
func sleep(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(duration):
		return nil
	}
}

// because adds to an error why its context ended, where it did: that says more than "signal: interrupt".
func because(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return errors.Join(context.Cause(ctx), err)
}
