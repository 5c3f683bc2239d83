package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// completeTimeout bounds how long a person waits for a completion.
const completeTimeout = 3 * time.Second

// mustComplete registers the completion of a flag that was just added, which cannot fail.
func mustComplete(c *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(fmt.Sprintf("complete --%s: %v", flag, err))
	}
}

// completeFlags completes the values of kubeconfig flags.
func (p *plugin) completeFlags(root *cobra.Command) {
	mustComplete(root, "namespace", func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return p.names(c, corev1.SchemeGroupVersion.WithKind("Namespace"), true), cobra.ShellCompDirectiveNoFileComp
	})
	mustComplete(root, "context", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		raw, err := p.cluster.flags.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.Sorted(maps.Keys(raw.Contexts)), cobra.ShellCompDirectiveNoFileComp
	})
}

func (p *plugin) completePolicy(c *cobra.Command, arguments []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(arguments) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.names(c, v1alpha1.GroupVersion.WithKind("ConnectionPolicy"), false), cobra.ShellCompDirectiveNoFileComp
}

// completeWorkload completes kinds, and behind a slash the names of that kind.
func (p *plugin) completeWorkload(c *cobra.Command, arguments []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(arguments) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	short, _, named := strings.Cut(typed, "/")
	if !named {
		return []cobra.Completion{"deploy/", "sts/", "ds/"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	kind, err := kindOf(short)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := p.names(c, appsv1.SchemeGroupVersion.WithKind(kind), false)
	for i := range names {
		names[i] = short + "/" + names[i]
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// names are those of the objects of a kind. Whatever goes wrong completes nothing: this is no place for messages.
func (p *plugin) names(c *cobra.Command, kind schema.GroupVersionKind, everywhere bool) []string {
	ctx, cancel := context.WithTimeout(c.Context(), completeTimeout)
	defer cancel()
	namespace, err := p.cluster.namespace(everywhere)
	if err != nil {
		return nil
	}
	reader, err := p.cluster.client()
	if err != nil {
		return nil
	}
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(kind)
	if err := reader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}
