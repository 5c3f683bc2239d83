package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/connpolicy/connpolicy/probes/runner"
)

func runList(_ context.Context, arguments []string, stdout, stderr io.Writer) error {
	if err := parse(pflag.NewFlagSet("probe list", pflag.ContinueOnError), arguments, stderr); err != nil {
		return err
	}
	for _, m := range runner.Measurements() {
		name := m.Name
		if m.OnlyNamed {
			name += " (only when named)"
		}
		if _, err := fmt.Fprintf(stdout, "%s\n  finds  %s\n  costs  %s\n", name, m.Does, m.Costs); err != nil {
			return err
		}
	}
	return nil
}
