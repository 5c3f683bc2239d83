package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/report"
)

// cluster is the one that the flags and the kubeconfig name, with the rights of their user.
type cluster struct {
	flags *genericclioptions.ConfigFlags
}

// inCluster is set in every pod.
const inCluster = "KUBERNETES_SERVICE_HOST"

// config says how to reach the cluster.
func (c *cluster) config() (*rest.Config, error) {
	raw, err := c.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	if len(raw.Clusters) == 0 && *c.flags.APIServer == "" && os.Getenv(inCluster) == "" {
		return nil, errors.New("no kubeconfig names a cluster: set KUBECONFIG or --kubeconfig, or read saved reports with -f")
	}
	config, err := c.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	// The client's own limit of 5 requests a second would only make people wait; the API server has its own.
	config.QPS, config.Burst = -1, -1
	return config, nil
}

// client reads the cluster.
func (c *cluster) client() (client.Client, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register the kinds: %w", err)
		}
	}
	reader, err := client.New(config, client.Options{Scheme: scheme})
	return reader, c.advise(err)
}

// namespace is that of the flags or of the context; empty for all.
func (c *cluster) namespace(everywhere bool) (string, error) {
	if everywhere {
		return "", nil
	}
	namespace, _, err := c.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	return namespace, nil
}

// objects reads the policies of a namespace, or the one of a name, with their reports and tunings.
func (c *cluster) objects(ctx context.Context, namespace, name string) (report.Objects, error) {
	var o report.Objects
	reader, err := c.client()
	if err != nil {
		return o, err
	}
	var policies v1alpha1.ConnectionPolicyList
	if name == "" {
		if err := reader.List(ctx, &policies, client.InNamespace(namespace)); err != nil {
			return o, c.advise(err)
		}
		o.Policies = policies.Items
	} else {
		var policy v1alpha1.ConnectionPolicy
		err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &policy)
		if apierrors.IsNotFound(err) {
			return o, noSuchPolicy(ctx, reader, namespace, name)
		}
		if err != nil {
			return o, c.advise(err)
		}
		o.Policies = []v1alpha1.ConnectionPolicy{policy}
	}
	var reports v1alpha1.ConnectionReportList
	if err := reader.List(ctx, &reports, client.InNamespace(namespace)); err != nil {
		return o, c.advise(err)
	}
	var tunings v1alpha1.ConnectionTuningList
	if err := reader.List(ctx, &tunings, client.InNamespace(namespace)); err != nil {
		return o, c.advise(err)
	}
	o.Reports, o.Tunings = reports.Items, tunings.Items
	return o, nil
}

// noSuchPolicy says which policies there are instead.
func noSuchPolicy(ctx context.Context, reader client.Client, namespace, name string) error {
	var policies v1alpha1.ConnectionPolicyList
	if err := reader.List(ctx, &policies, client.InNamespace(namespace)); err != nil || len(policies.Items) == 0 {
		return fmt.Errorf("namespace %s has no ConnectionPolicy %s, and no other that you may see; 'kubectl connpolicy status -A' looks everywhere", namespace, name)
	}
	var names []string
	for i := range policies.Items {
		names = append(names, policies.Items[i].Name)
	}
	return fmt.Errorf("namespace %s has no ConnectionPolicy %s%s 'kubectl connpolicy status' lists those that there are", namespace, name, semicolon(orElse(nearest(name, names))))
}

// semicolon ends a part of a message that may be empty.
func semicolon(question string) string {
	if question == "" {
		return ";"
	}
	return question
}
