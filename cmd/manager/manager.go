package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/controllers/metrics"
	"github.com/connpolicy/connpolicy/controllers/openreports"
	"github.com/connpolicy/connpolicy/controllers/policy"
	"github.com/connpolicy/connpolicy/controllers/trim"
	"github.com/connpolicy/connpolicy/controllers/tuning"
	"github.com/connpolicy/connpolicy/internal/userrules"
)

// stopTimeout is how long reconciles under way may take to end. It is below the pod's grace period.
const stopTimeout = 8 * time.Second

func newManager(config *rest.Config, o options) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register the kinds: %w", err)
		}
	}
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultTransform: trim.ManagedFields,
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Pod{}:            {Transform: trim.Pod},
				&corev1.Node{}:           {Transform: trim.Node},
				&appsv1.ReplicaSet{}:     {Transform: trim.ReplicaSet},
				openreports.Definition(): openreports.DefinitionAlone(),
			},
		},
		// What a reconcile wrote, the next one reads: pods are created by what the status says.
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: new(true)}},
		Metrics: metricsserver.Options{
			BindAddress:    o.metricsAddress,
			SecureServing:  true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
		},
		HealthProbeBindAddress:        o.healthAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              "connpolicy-manager",
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true, // the process ends with the manager
		GracefulShutdownTimeout:       new(stopTimeout),
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add the health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add the readiness check: %w", err)
	}
	return mgr, nil
}

func addControllers(ctx context.Context, mgr ctrl.Manager, o options) error {
	places := &limits.Places{
		Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(), InCluster: o.maxProbes, OnNode: o.maxProbesPerNode,
		Now: time.Now,
	}
	auditRules, err := userrules.NewEnvironment()
	if err != nil {
		return err
	}
	outcomes, err := addMetrics(mgr)
	if err != nil {
		return err
	}
	policies := &policy.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Places: places,
		Events: mgr.GetEventRecorder("connpolicy"), Outcomes: outcomes, HTTP: observerClient(), Now: time.Now,
		ProbeImage: o.probeImage, ProbePriorityClass: o.probePriorityClass,
		ObserverPort: o.observerPort, NodePorts: &o.nodePorts, AuditRules: auditRules, Ceilings: o.ceilings,
	}
	if err := policies.SetupWithManager(ctx, mgr); err != nil {
		return fmt.Errorf("set up the policy controller: %w", err)
	}
	// Not the manager's client, which waits until its cache has what it wrote: a pod that was only tried never comes.
	live, err := client.New(mgr.GetConfig(), client.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
	})
	if err != nil {
		return fmt.Errorf("make a client without a cache: %w", err)
	}
	tunings := &tuning.Reconciler{
		Client: mgr.GetClient(), Live: live, Places: places,
		Recorder: mgr.GetEventRecorder("connpolicy"), ProbeImage: o.probeImage, ProbePriorityClass: o.probePriorityClass,
		MayApply: o.enableApply, NodePorts: o.nodePorts,
	}
	if err := tunings.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the tuning controller: %w", err)
	}
	if !o.openReports {
		return nil
	}
	reports := &openreports.Reconciler{Client: mgr.GetClient(), Live: live}
	if err := reports.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the controller of OpenReports: %w", err)
	}
	return nil
}

// addMetrics registers the operator's metrics where the manager serves those of its own.
func addMetrics(mgr ctrl.Manager) (*metrics.Outcomes, error) {
	if err := ctrlmetrics.Registry.Register(&metrics.Collector{Reader: mgr.GetCache(), Elected: mgr.Elected()}); err != nil {
		return nil, fmt.Errorf("register the metrics: %w", err)
	}
	return metrics.NewOutcomes(ctrlmetrics.Registry)
}

// observerClient reads observers in pods: directly, and only there.
func observerClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:     (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			MaxIdleConns:    100,
			IdleConnTimeout: 90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
