package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// plugin is what all subcommands share.
type plugin struct {
	genericiooptions.IOStreams
	cluster *cluster
	now     func() time.Time
}

func newRoot(streams genericiooptions.IOStreams, now func() time.Time) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true)
	p := &plugin{IOStreams: streams, cluster: &cluster{flags: flags}, now: now}
	root := &cobra.Command{
		Use:   "kubectl-connpolicy",
		Short: "Read what connpolicy found about the connections of workloads",
		Long: `Read what connpolicy found about the connections of workloads, and find out what they connect to.

Exit codes: 0 done; 1 lint found faults; 2 the command line is wrong; 3 it could not be done, and the message says what to do.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl connpolicy"},
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{c.CommandPath(), err} })
	flags.AddFlags(root.PersistentFlags())
	root.AddCommand(p.report(), p.status(), p.explain(), p.discover(), p.lint())
	p.completeFlags(root)
	return root
}

// usage makes the errors of a check of arguments those of a wrong command line.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, arguments []string) error {
		if err := check(c, arguments); err != nil {
			return &usageError{c.CommandPath(), err}
		}
		return nil
	}
}

// formFlag adds -o with the forms that a command writes. The first is the default.
func formFlag(c *cobra.Command, form *string, forms ...string) {
	c.Flags().StringVarP(form, "output", "o", forms[0], "form of the output: "+strings.Join(forms, ", "))
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, arguments []string) error {
		if !slices.Contains(forms, *form) {
			return &usageError{c.CommandPath(), fmt.Errorf("-o %s: the forms are %s", *form, strings.Join(forms, ", "))}
		}
		if check != nil {
			return check(c, arguments)
		}
		return nil
	}
	mustComplete(c, "output", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return forms, cobra.ShellCompDirectiveNoFileComp
	})
}

// filesFlag adds -f.
func filesFlag(c *cobra.Command, files *[]string, purpose string) {
	c.Flags().StringArrayVarP(files, "filename", "f", nil, purpose+"; a folder stands for the .yaml, .yml and .json files in it, - for standard input; may be given several times")
}

// everywhereFlag adds -A.
func everywhereFlag(c *cobra.Command, everywhere *bool) {
	c.Flags().BoolVarP(everywhere, "all-namespaces", "A", false, "of all namespaces")
}
