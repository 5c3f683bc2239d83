package scenario

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// applyPolicy applies the policy as a user would, and waits until it is carried out.
func (s *Scenario) applyPolicy(ctx context.Context, _ *Outcome) error {
	kubectl := s.Session.Kubectl
	if err := kubectl.Show(ctx, "apply", "-f", s.Session.Checkout.Path("config", "samples", "demo", "policy.yaml")); err != nil {
		return err
	}
	return kubectl.Show(ctx, "-n", Namespace, "wait", "connpol/"+policyName, "--for=condition=Ready",
		fmt.Sprintf("--timeout=%.0fs", readyTimeout.Seconds()))
}

// observeBefore waits for the first report in which observers saw all clients and for the tuning that comes of it, and
// keeps both.
func (s *Scenario) observeBefore(ctx context.Context, outcome *Outcome) error {
	waiting, cancel := context.WithTimeoutCause(ctx, readyTimeout,
		fmt.Errorf("no report says within %s what observers see in the %d clients, or no tuning what follows from it",
			readyTimeout, outcome.Before.Pods))
	defer cancel()
	for !seenByObservers(&outcome.ReportBefore, outcome.Before.Pods) {
		if err := sleep(waiting, pollInterval); err != nil {
			return err
		}
		err := s.get(waiting, reportName, &outcome.ReportBefore)
		if err != nil && !apierrors.IsNotFound(err) {
			return because(waiting, err)
		}
	}
	for len(outcome.Proposal.Status.Recommendations) == 0 {
		if err := sleep(waiting, pollInterval); err != nil {
			return err
		}
		err := s.get(waiting, tuningName, &outcome.Proposal)
		if err != nil && !apierrors.IsNotFound(err) {
			return because(waiting, err)
		}
	}
	return s.observe(ctx, &outcome.PortsBefore, &outcome.PolicyLineBefore)
}

// awaitTuned waits until the operator says that the clients have the new settings, read back inside of them.
func (s *Scenario) awaitTuned(ctx context.Context, _ *Outcome) error {
	s.Session.Transcript.Say("the operator tries the new setting in a pod of its own, then replaces the clients")
	return s.Session.Kubectl.Show(ctx, "-n", Namespace, "wait", "connpol/"+policyName, "--for=condition=Tuned",
		fmt.Sprintf("--timeout=%.0fs", tunedTimeout.Seconds()))
}

// observeAfter keeps what the operator says in the end.
func (s *Scenario) observeAfter(ctx context.Context, outcome *Outcome) error {
	if err := s.observe(ctx, &outcome.PortsAfter, &outcome.PolicyLineAfter); err != nil {
		return err
	}
	if err := s.get(ctx, reportName, &outcome.Report); err != nil {
		return err
	}
	return s.get(ctx, tuningName, &outcome.Tuning)
}

// observe asks, at one time, the clients and the observers inside their pods for the local ports in use, and prints the
// policy as kubectl shows it.
func (s *Scenario) observe(ctx context.Context, held *[]PortsHeld, policyLine *string) error {
	samples, err := s.clients.Read(ctx)
	if err != nil {
		return err
	}
	for pod, sample := range samples {
		observed, err := s.clients.ReadObserver(ctx, pod)
		if err != nil {
			return err
		}
		*held = append(*held, PortsHeld{Pod: pod, Client: sample.PortsInUse, Observer: fullest(observed)})
	}
	*policyLine, err = s.Session.Kubectl.Output(ctx, "-n", Namespace, "get", "connpol", policyName)
	if err != nil {
		return err
	}
	s.Session.Transcript.Say("%s", *policyLine)
	return nil
}

func (s *Scenario) get(ctx context.Context, name string, object client.Object) error {
	if err := s.Session.Client.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: name}, object); err != nil {
		return fmt.Errorf("read %s of the demo: %w", name, err)
	}
	return nil
}

// seenByObservers tells whether the report holds what observers saw in so many pods.
func seenByObservers(report *v1alpha1.ConnectionReport, pods int) bool {
	measured := 0
	for _, observer := range report.Status.Observers {
		if observer.Outcome == string(result.Measured) {
			measured++
		}
	}
	return measured == pods
}

// fullest is the number of ports held towards the destination that holds most. The clients have only one of weight.
func fullest(byDestination map[string]int) int {
	held := 0
	for _, ports := range byDestination {
		held = max(held, ports)
	}
	return held
}
