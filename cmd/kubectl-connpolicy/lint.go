package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/lint"
)

func (p *plugin) lint() *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:   "lint -f FILE",
		Short: "Say what is wrong with policies before anything is applied",
		Long: `Say what is wrong with policies before anything is applied: what the API server would refuse, in its own words, and rules of
your own that the operator would not understand. No cluster is needed. Objects that are not connpolicy's are left out.

Each fault is a line 'file:document: kind "name": what is wrong' on standard output; documents are counted from 1. The exit code
is 1 if there is any.`,
		Example: `  kubectl connpolicy lint -f policies/
  kustomize build . | kubectl connpolicy lint -f -`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return &usageError{c.CommandPath(), errors.New("name what is to be checked with -f")}
			}
			return p.runLint(c, files)
		},
	}
	filesFlag(c, &files, "file to check")
	return c
}

func (p *plugin) runLint(c *cobra.Command, files []string) error {
	linter, err := lint.New()
	if err != nil {
		return err
	}
	documents, faults, err := p.documents(files)
	if err != nil {
		return err
	}
	for _, fault := range faults {
		fmt.Fprintln(p.Out, fault)
	}
	found, checked := len(faults), 0
	for _, d := range documents {
		if !lint.Knows(d) {
			continue
		}
		checked++
		for _, message := range linter.Check(c.Context(), d) {
			found++
			fmt.Fprintf(p.Out, "%s: %s %q: %s\n", d.Place(), d.Object.GetKind(), d.Object.GetName(), message)
		}
	}
	switch {
	case found > 0:
		fmt.Fprintf(p.ErrOut, "%s in %s.\n", figure.Plural(found, "fault", "faults"), figure.Plural(checked+len(faults), "object", "objects"))
		return errFaults
	case checked == 0:
		return fmt.Errorf("nothing to check: no object of connpolicy.dev in %v", files)
	}
	fmt.Fprintf(p.ErrOut, "%s, no fault.\n", figure.Plural(checked, "object", "objects"))
	return nil
}
