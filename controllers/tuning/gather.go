package tuning

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// gathered is the state that a decision rests on, with what the acts after it need beside.
type gathered struct {
	state   State
	reports linkReports
	// source is the workload. Nil: it does not exist.
	source *source
	// nodeAddresses are addresses that canaries must not connect to.
	nodeAddresses []string
}

// gather reads everything once. It returns nil where there is neither a tuning nor a policy that could want one.
func (r *Reconciler) gather(ctx context.Context, key types.NamespacedName) (*gathered, error) {
	g := &gathered{state: State{Now: r.now().UTC().Truncate(time.Second), Name: key.Name, MayApply: r.MayApply}}
	if err := r.gatherTuning(ctx, key, g); err != nil {
		return nil, err
	}
	if err := r.gatherPolicies(ctx, key, g); err != nil {
		return nil, err
	}
	if g.state.Tuning == nil && len(demandingPolicies(g.state.Policies)) == 0 {
		return nil, nil
	}
	if err := r.gatherNamespace(ctx, key.Namespace, g); err != nil {
		return nil, err
	}
	if err := r.gatherWorkload(ctx, key.Namespace, g); err != nil {
		return nil, err
	}
	if err := r.gatherReports(ctx, key.Namespace, g); err != nil {
		return nil, err
	}
	return g, r.gatherCanaries(ctx, g)
}

func (r *Reconciler) gatherTuning(ctx context.Context, key types.NamespacedName, g *gathered) error {
	var t v1alpha1.ConnectionTuning
	err := r.Client.Get(ctx, key, &t)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ConnectionTuning %s: %w", key, err)
	}
	g.state.Tuning = &t
	g.state.Target = t.Spec.TargetRef
	return nil
}

func (r *Reconciler) gatherPolicies(ctx context.Context, key types.NamespacedName, g *gathered) error {
	var policies v1alpha1.ConnectionPolicyList
	if err := r.Client.List(ctx, &policies, client.InNamespace(key.Namespace)); err != nil {
		return fmt.Errorf("list ConnectionPolicies of namespace %s: %w", key.Namespace, err)
	}
	for _, policy := range policies.Items {
		if policy.Spec.From != nil && policy.DeletionTimestamp.IsZero() && tuner.Name(*policy.Spec.From) == key.Name {
			g.state.Policies = append(g.state.Policies, policy)
			g.state.Target = *policy.Spec.From
		}
	}
	return nil
}

func (r *Reconciler) gatherNamespace(ctx context.Context, name string, g *gathered) error {
	var namespace corev1.Namespace
	if err := r.Client.Get(ctx, types.NamespacedName{Name: name}, &namespace); err != nil {
		return fmt.Errorf("read namespace %s: %w", name, err)
	}
	g.state.Namespace = Namespace{
		Name:        name,
		OptedIn:     namespace.Labels[v1alpha1.LabelTuning] == v1alpha1.TuningEnabled,
		Terminating: !namespace.DeletionTimestamp.IsZero(),
	}
	return nil
}

func (r *Reconciler) gatherWorkload(ctx context.Context, namespace string, g *gathered) error {
	source, err := readSource(ctx, r.Live, r.Client, namespace, g.state.Target, g.state.Now)
	if err != nil || source == nil {
		return err
	}
	g.source = source
	g.state.Workload = &source.facts
	if g.state.Pods, err = r.listPods(ctx, source, namespace); err != nil {
		return err
	}
	if err := r.gatherRefused(ctx, namespace, &g.state); err != nil {
		return err
	}
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	g.state.NodeKinds = nodeKinds(source.template, nodes.Items)
	g.nodeAddresses = nodeAddresses(nodes.Items)
	if needsAdmission(g.state) {
		g.state.Admission = askAdmission(ctx, r.Live, namespace, source)
	}
	return nil
}

func (r *Reconciler) gatherReports(ctx context.Context, namespace string, g *gathered) error {
	g.reports = linkReports{}
	for _, policy := range demandingPolicies(g.state.Policies) {
		for _, link := range policy.Spec.To {
			var report v1alpha1.ConnectionReport
			name := linkName{policy.Name, link.Name}
			key := types.NamespacedName{Namespace: namespace, Name: name.report()}
			err := r.Client.Get(ctx, key, &report)
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read ConnectionReport %s: %w", key, err)
			}
			if name.owns(report) {
				g.reports[name] = report
			}
		}
	}
	if g.source != nil {
		view := g.source.plannerView(g.state.Target, r.NodePorts, g.state.Tuning)
		g.state.Plan = tuner.Compute(view, linkDemands(g.state.Policies, g.reports, g.state.Pods))
	}
	g.state.Readings = observerReadings(g.reports, g.state.Pods)
	return nil
}

func (r *Reconciler) gatherCanaries(ctx context.Context, g *gathered) error {
	if g.state.Tuning == nil {
		return nil
	}
	canaries, err := r.listCanaryPods(ctx, g.state)
	g.state.CanaryPods = canaries
	return err
}

// nodeAddresses are the addresses of the nodes, at which no probe may knock.
func nodeAddresses(nodes []corev1.Node) []string {
	var addresses []string
	for _, node := range nodes {
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP || address.Type == corev1.NodeExternalIP {
				addresses = append(addresses, address.Address)
			}
		}
	}
	return addresses
}
